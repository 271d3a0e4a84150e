#include "base/log.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/secrets.hpp"

namespace weir {
namespace {

// One line of the log, as the file gets it.
std::string logged(bool json, std::string_view message, std::initializer_list<log::Field> fields) {
  std::string folder = (std::filesystem::temp_directory_path() / "weir-log-XXXXXX").string();
  EXPECT_NE(::mkdtemp(folder.data()), nullptr);
  log::Settings settings;
  settings.json = json;
  settings.file = folder + "/a.log";
  EXPECT_TRUE(log::set_up(settings));
  log::info("test", message, fields);
  EXPECT_TRUE(log::set_up({}));
  std::ostringstream out;
  out << std::ifstream(folder + "/a.log").rdbuf();
  std::filesystem::remove_all(folder);
  return out.str();
}

// Symptom: {"connections":"12"}, which no program adds up.
TEST(LogTest, NumbersAndBooleansAreNotQuotedInJson) {
  const std::string line =
      logged(true, "m", {{"n", 12}, {"big", std::uint64_t{1} << 63}, {"yes", true}, {"text", "12"}});
  EXPECT_NE(line.find(R"("n":12,"big":9223372036854775808,"yes":true,"text":"12"})"), std::string::npos) << line;
  const std::string odd = logged(true, "m", {{"x", 0.5}, {"inf", std::numeric_limits<double>::infinity()}});
  EXPECT_NE(odd.find(R"("x":0.500000,"inf":"inf"})"), std::string::npos) << odd;
  EXPECT_NE(logged(false, "m", {{"n", 12}, {"no", false}}).find(" m n=12 no=false\n"), std::string::npos);
}

TEST(LogTest, JsonIsWrittenAsItIsAndKeysCanNotBlurTheLine) {
  EXPECT_NE(logged(false, "m", {log::Field::json("list", R"([1, "a b"])"), {"two words\n", "x"}})
                .find(R"( m list=[1, "a b"] "two words\n"=x)"
                      "\n"),
            std::string::npos);
  secrets::know("1234567890", "${WEIR_TEST_NUMBER}");
  for (const bool json : {false, true}) {
    const std::string line = logged(json, "m", {log::Field::json("n", "1234567890"), {"1234567890", 1}});
    EXPECT_NE(line.find(json ? R"("n":"${WEIR_TEST_NUMBER}","${WEIR_TEST_NUMBER}":1})"
                             : "n=${WEIR_TEST_NUMBER} ${WEIR_TEST_NUMBER}=1\n"),
              std::string::npos)
        << line;
  }
}

TEST(LogTest, WhatCameFromTheEnvironmentIsMasked) {
  secrets::know("top secret \"value\"", "${WEIR_TEST_LOG}");
  for (const bool json : {false, true}) {
    const std::string line = logged(json, "path /top secret \"value\"/x", {{"file", "/top secret \"value\"/x"}});
    EXPECT_EQ(line.find("secret"), std::string::npos) << line;
    EXPECT_NE(line.find("path /${WEIR_TEST_LOG}/x"), std::string::npos) << line;
  }
}

TEST(SecretsTest, EveryOccurrenceIsReplacedTheLongestFirst) {
  secrets::know("alpha1", "${A}");
  secrets::know("alpha1beta2", "${AB}");
  EXPECT_EQ(secrets::masked("alpha1 xalpha1beta2y alpha"), "${A} x${AB}y alpha");
  EXPECT_EQ(secrets::masked(""), "");
}

TEST(SecretsTest, AValueThatIsQuotedOrCutOffIsFoundToo) {
  secrets::know("line\none \"two\"", "${Q}");
  EXPECT_EQ(secrets::masked("is \"line\\none \\\"two\\\"\""), "is \"${Q}\"");
  secrets::know("abcdefghijklmnop\n", "${LONG}");  // as files end that are read into a variable
  EXPECT_EQ(secrets::masked("is \"abcdefgh…\", \"abcdefghi...\""), "is \"${LONG}…\", \"${LONG}...\"");
  EXPECT_EQ(secrets::masked("is \"abc…\""), "is \"abc…\"");
}

TEST(SecretsTest, AShortValueIsNoSecret) {
  secrets::know("8o8", "${PORT}");
  EXPECT_EQ(secrets::masked("port 8o8"), "port 8o8");
}

}  // namespace
}  // namespace weir
