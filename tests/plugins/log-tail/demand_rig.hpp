// The plugin with a root, as the hub holds it, and the folder that the root lies in: root/ and what is beside it.
#pragma once
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "log_files.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::log_tail::test {

class DemandTest : public ::testing::Test {
 protected:
  DemandTest() { folder.make_folder("root"); }
  void TearDown() override { EXPECT_EQ(hub.mistakes, std::vector<std::string>{}); }

  sdk::testing::SourceRig& start(const std::string& more = "") {
    source = std::make_unique<sdk::testing::SourceRig>(
        hub, weir_plugin_entry, "{\"root\":" + sdk::json::quoted(folder.at("root")) + more + "}");
    EXPECT_EQ(source->start(), WEIR_OK) << source->error().message;
    return *source;
  }
  // Asks for it and waits for the answer.
  sdk::testing::SeenAnswer activate(const std::string& subject) {
    const std::uint64_t token = source->activate(subject);
    EXPECT_TRUE(hub.run_until([&] { return hub.answers.count(token) != 0; })) << subject;
    return hub.answers[token];
  }
  weir_status status_of(const std::string& subject) { return activate(subject).status; }
  // What came under the subject: lines, and "<renamed>" and the like.
  std::vector<std::string> seen(const std::string& subject) const {
    std::vector<std::string> out;
    for (const auto& e : hub.events) {
      if (e.subject != subject) continue;
      const auto data = sdk::json::parse(e.data);
      out.push_back(e.event == "line" ? data.required("line").as_string()
                                      : "<" + data.required("reason").as_string() + ">");
    }
    return out;
  }
  using Lines = std::vector<std::string>;
  bool comes(const std::string& subject, const Lines& lines) {
    return hub.run_until([&] { return seen(subject) == lines; });
  }
  // Everything that has happened up to now has been noticed: a file that is watched beside it got a line afterwards.
  void settle() {
    folder.append("root/settle.log", "");
    if (settled_ == 0) {
      ASSERT_EQ(status_of("settle.log"), WEIR_OK);
    }
    // After two looks at everything, which come every 100 ms of the hub's clock.
    for (int look = 0; look < 2; ++look) {
      hub.advance(100);
      hub.run_ready();
    }
    folder.append("root/settle.log", "settled\n");
    ++settled_;
    ASSERT_TRUE(hub.run_until([&] { return seen("settle.log").size() == settled_; }));
  }
  // Descriptors of this process that lead to files below the path.
  static std::size_t open_below(const std::string& path) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with(path + "/")) ++count;
    }
    return count;
  }

  LogFolder folder;
  sdk::testing::FakeHost hub;
  std::unique_ptr<sdk::testing::SourceRig> source;

 private:
  std::size_t settled_ = 0;
};

}  // namespace weir::log_tail::test
