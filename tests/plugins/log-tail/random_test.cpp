// Many short lives of a log file, made of random appends, rotations of every kind and looks at random times. Whatever
// the order: each line comes once, in the order of writing.
#include <random>

#include "tail_rig.hpp"

namespace weir::log_tail::test {
namespace {

class Life {
 public:
  Life(unsigned seed, bool inotify) : random_(seed) {
    rig_.options.inotify = inotify;
    folder_.append("a.log", "");
    rig_.start({"a.log"});
    settle();
  }

  void step() {
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        append();
        break;
      case 3:
        rename();
        break;
      case 4:
        settle();
        break;
      case 5:
        rig_.pass(static_cast<std::int64_t>(random_() % 10) * 1000);
        settle();
        break;
      case 6:
        truncate();
        break;
      case 7:
        replace();
        break;
    }
  }
  void end() {
    settle();
    Items lines;
    for (const std::string& item : rig_.sink.items) {
      if (item.front() != '<') lines.push_back(item);
    }
    EXPECT_EQ(lines, expected_);
  }

 private:
  void settle() { rig_.settle(); }
  // Lines that never were there before, the last one perhaps without its end.
  std::string text() {
    std::string out;
    for (auto lines = 1 + random_() % 5; lines > 0; --lines) {
      const std::string part = "line " + std::to_string(++lines_) + std::string(random_() % 200, '.');
      const bool finished = lines > 1 || random_() % 3 != 0;
      unfinished_ += part;
      out += part + (finished ? "\n" : "");
      if (finished) expected_.push_back(std::exchange(unfinished_, {}));
    }
    return out;
  }
  void unfinished_ends() {
    if (!unfinished_.empty()) expected_.push_back(std::exchange(unfinished_, {}) + " +partial");
  }
  void append() { folder_.append("a.log", text()); }
  void rename() {
    for (int i = renamed_++; i >= 1; --i)
      folder_.rename("a.log." + std::to_string(i), "a.log." + std::to_string(i + 1));
    folder_.rename("a.log", "a.log.1");
    unfinished_ends();
    append();
  }
  // What nobody has read is gone for good when it is cut or deleted, so these wait until all was read.
  void truncate() {
    settle();
    unfinished_ends();
    folder_.overwrite("a.log", text());
    settle();
  }
  void replace() {
    settle();
    unfinished_ends();
    if (random_() % 2 == 0) folder_.remove("a.log");
    folder_.append("a.tmp", text());
    folder_.rename("a.tmp", "a.log");
  }

  std::mt19937 random_;
  TailRig rig_;
  const LogFolder& folder_ = rig_.folder;
  Items expected_;
  std::string unfinished_;
  int lines_ = 0;
  int renamed_ = 0;
};

TEST(RandomLivesTest, EachLineComesOnceInOrder) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life life(seed, seed % 2 == 0);
    for (int step = 0; step < 60; ++step) life.step();
    life.end();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace weir::log_tail::test
