// What `weir check` finds with the parts that a hub is made of: plugins, rules, filters. Line 1 and 2 are the
// fixture's.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

class CheckTest : public HubTest {
 protected:
  // The problems of a channel "c", whose lines begin at line 5.
  std::string channel(const std::string& lines) { return problems("[[channel]]\npattern = \"c\"\n" + lines); }
  std::string at(int line, int column) const {
    return folder() + "/hub.toml:" + std::to_string(line) + ":" + std::to_string(column) + ": ";
  }
};

// Symptom: only the first mistake of a filter was told, at the line of its channel.
TEST_F(CheckTest, EveryMistakeOfAMandatoryFilterIsToldAtItsKey) {
  EXPECT_EQ(
      channel(R"([channel.subscribe.where]
"data.a" = { "$foo" = 1, "$in" = [1, {}] }
"x" = 1
)"),
      at(6, 14) + R"(channel "c": subscribe.where: filter at "/data.a/$foo": unknown operator "$foo"; )" +
          "there are $eq $ne $in $nin $gt $gte $lt $lte $prefix $glob $exists\n" + at(6, 38) +
          R"(channel "c": subscribe.where: filter at "/data.a/$in/1": the list holds an object; )" +
          "only scalars can be compared\n" + at(7, 1) +
          R"(channel "c": subscribe.where: filter at "/x": the path starts with none of event, channel, id, key, )" +
          "data; did you mean \"data.x\"?\n");
}

// Symptom: the problem of a config that is not written had no line.
TEST_F(CheckTest, AConfigThatIsMissingStandsWhereItsPluginDoes) {
  EXPECT_EQ(problems("[[plugin]]\nname = \"k\"\nlibrary = \"api-key\"\n"),
            at(3, 1) + "plugin \"k\": config: key \"file\" is missing; expected a string\n");
}

// Symptom: `weir check` said ok, and `weir run` ended with 2.
TEST_F(CheckTest, AKeyFileThatIsMissingOrWrongIsFoundWithoutStarting) {
  const std::string manifest =
      "[[plugin]]\nname = \"k\"\nlibrary = \"api-key\"\nconfig = { file = \"keys.json\" }\n"
      "[[endpoint]]\npath = \"/ws\"\nauth = [\"k\"]\n[[channel]]\npattern = \"c\"\n";
  EXPECT_EQ(problems(manifest).find(at(6, 19) + "plugin \"k\" (api-key 1.0.0): the file of API keys " + folder() +
                                    "/keys.json"),
            0U)
      << problems(manifest);
  write("keys.json", R"({"keys":[{"id":"x"}]})");
  EXPECT_NE(problems(manifest).find("hash"), std::string::npos) << problems(manifest);
  write("keys.json", R"({"keys":[]})");
  EXPECT_EQ(problems(manifest), "");
}

TEST_F(CheckTest, WhatOnlyAPluginKnowsIsToldBesideOtherMistakes) {
  const std::string said = problems(
      "[[plugin]]\nname = \"k\"\nlibrary = \"api-key\"\nconfig = { file = \"keys.json\" }\n"
      "[[plugin]]\nname = \"l\"\nlibrary = \"api-key\"\nconfig = { file = \"${WEIR_TEST_NOT_SET}\" }\n"
      "[[channel]]\npattern = \"c\"\nhistroy = 1\n");
  EXPECT_NE(said.find("keys.json can't be opened"), std::string::npos) << said;
  EXPECT_NE(said.find("histroy"), std::string::npos) << said;
  EXPECT_NE(said.find("WEIR_TEST_NOT_SET is not set"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 3) << said;  // that it can't be opened follows
}

// Symptom: a budget that is out of its range added "rule x.lua: params: " without a word of what is wrong.
TEST_F(CheckTest, ABudgetThatIsWrongDoesNotHideWhatIsWrongWithTheParams) {
  const std::string said =
      channel("rules = [{ script = \"filters/severity.lua\", ops = 3, params = { nonsense = 1 } }]\n");
  EXPECT_NE(said.find("ops is 3; expected 1000.."), std::string::npos) << said;
  EXPECT_NE(said.find("nonsense"), std::string::npos) << said;
  const std::string alone = channel("rules = [{ script = \"filters/severity.lua\", ops = 3 }]\n");
  EXPECT_EQ(std::count(alone.begin(), alone.end(), '\n'), 1) << alone;
}

// Symptom: docs/plugins.md said that a value with a '/' is a path, and the hub refused it.
TEST_F(CheckTest, ALibraryMayBeNamedByItsPath) {
  std::filesystem::create_directory(folder() + "/lib");
  std::filesystem::copy_file(WEIR_BINARY_DIR "/lib/weir/libweir-ticker.so", folder() + "/lib/mine.so");
  const auto plugin = [&](const std::string& library) {
    return problems("[[plugin]]\nname = \"t\"\nlibrary = \"" + library + "\"\n[[channel]]\npattern = \"c\"\n");
  };
  EXPECT_EQ(plugin("lib/mine.so"), "");
  EXPECT_EQ(plugin(folder() + "/lib/mine.so"), "");
  EXPECT_EQ(plugin("lib/none.so"), at(3, 1) + "plugin \"t\": there is no plugin file " + folder() + "/lib/none.so\n");
  write("junk.so", "junk");
  EXPECT_EQ(plugin("./junk.so").find(at(3, 1) + "plugin \"t\": plugin " + folder() + "/junk.so: "), 0U)
      << plugin("./junk.so");
}

// Symptom: "params.at_least is "topsecretvalue"": a secret of the environment in the output of `weir check`.
TEST_F(CheckTest, NoProblemShowsWhatCameFromTheEnvironment) {
  ::setenv("WEIR_TEST_SEC", "topsecretvalue", 1);
  for (const std::string& text :
       {std::string("[[channel]]\npattern = \"c\"\nrules = [{ script = \"filters/severity.lua\", params = { at_least = "
                    "\"${WEIR_TEST_SEC}\" } }]\n"),
        std::string("[[channel]]\npattern = \"${WEIR_TEST_SEC} bad\"\nhistory = 5\n"),
        std::string("[[channel]]\npattern = \"c\"\nrules = [\"${WEIR_TEST_SEC}.lua\"]\n"),
        std::string("[[plugin]]\nname = \"a\"\nlibrary = \"${WEIR_TEST_SEC}\"\n"),
        std::string("[[plugin]]\nname = \"a\"\nlibrary = \"/${WEIR_TEST_SEC}/x.so\"\n"),
        std::string("[[plugin]]\nname = \"k\"\nlibrary = \"api-key\"\nconfig = { file = \"${WEIR_TEST_SEC}\" }\n"),
        std::string("[[endpoint]]\npath = \"/${WEIR_TEST_SEC} x\"\n")}) {
    const std::string said = problems(text);
    EXPECT_NE(said.find("${WEIR_TEST_SEC}"), std::string::npos) << said;
    EXPECT_EQ(said.find("topsecretvalue"), std::string::npos) << said;
  }
}

// Symptom: a bus without `from` passed, and nothing ever arrived.
TEST_F(CheckTest, ASourceThatFeedsNoChannelIsWarnedOf) {
  const auto warnings = [&](const std::string& rest) {
    const SetupResult result = load(
        "[[plugin]]\nname = \"clock\"\nlibrary = \"ticker\"\nconfig = { interval = \"1s\" }\n"
        "[[plugin]]\nname = \"loop\"\nlibrary = \"loop\"\n[[endpoint]]\npath = \"/ws\"\n" +
        rest);
    EXPECT_TRUE(result.problems.empty());
    std::string all;
    for (const auto& w : result.warnings) all += w.text() + "\n";
    return all;
  };
  const auto feeds_none = [&](int line, const std::string& name) {
    return at(line, 1) + "plugin \"" + name +
           "\" feeds no channel, so its events are left out; write from = [{ plugin = \"" + name +
           "\", subject = \"**\" }] in a [[channel]]\n";
  };
  EXPECT_EQ(warnings("[[channel]]\npattern = \"c\"\n"), feeds_none(4, "clock") + feeds_none(8, "loop"));
  const std::string clock = "[[channel]]\npattern = \"c\"\nfrom = [{ plugin = \"clock\", subject = \"**\" }]\n";
  EXPECT_EQ(warnings(clock), feeds_none(8, "loop"));
  // It may be meant as what else it is.
  EXPECT_EQ(warnings(clock + "to = [{ plugin = \"loop\", subject = \"x\" }]\n"), "");
  EXPECT_EQ(warnings(clock + "[[method]]\npattern = \"m\"\nplugin = \"loop\"\n"), "");
}

}  // namespace
}  // namespace weir::test
