// Many short lives of a log file, made of random appends, rotations of every kind and looks at random times. Whatever
// the order: each line comes once, in the order of writing.
#include <array>
#include <cstdlib>
#include <random>
#include <set>

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

// The same with restarts, hubs that are full, packed files, and a handful of files that share a few descriptors. The
// model is the list of all lines that were ever written to each of them. Where the hub accepts late as well, lines may
// come again after a restart, but none may be left out.
class RestartedLife {
 public:
  RestartedLife(unsigned seed, bool inotify, bool accepts_late) : random_(seed), accepts_late_(accepts_late) {
    rig_.options.places = true;
    rig_.options.inotify = inotify;
    rig_.options.open_max = 16;
    for (File& file : files_) {
      file.name = std::string(1, static_cast<char>('a' + (&file - files_.data()))) + ".log";
      folder_.append(file.name, "");
    }
    rig_.start({"*.log"});
  }

  void step() {
    File& file = files_[random_() % files_.size()];
    if (accepts_late_ && random_() % 4 == 0) {
      rig_.sink.accepts = random_() % 2 == 0;
      if (random_() % 2 == 0) rig_.sink.accept_all();
    }
    switch (random_() % 12) {
      case 0:
      case 1:
      case 2:
      case 3:
        append(file);
        break;
      case 4:
        rename(file, false);
        break;
      case 5:
        rename(file, false);  // twice between two looks
        rename(file, false);
        break;
      case 6:
        copy_truncate(file);
        break;
      case 7:
        rig_.sink.room = rig_.sink.items.size() + random_() % 20;  // the hub pauses, after some more
        look();
        break;
      case 8:
        rig_.sink.room = SIZE_MAX;
        look();
        break;
      case 9:
        rig_.pass(static_cast<std::int64_t>(random_() % 10) * 1000);
        break;
      case 10:
        restart();
        break;
      case 11:
        look();
        break;
    }
  }
  void end() {
    rig_.sink.room = SIZE_MAX;
    rig_.sink.accepts = true;
    look();
    rig_.sink.accept_all();
    rig_.restart();
    look();
    for (const File& file : files_) {
      Items got;
      std::set<std::string> before;
      for (std::size_t i = 0; i < rig_.sink.items.size(); ++i) {
        const std::string& item = rig_.sink.items[i];
        if (rig_.sink.origins[i] != file.name || item.front() == '<') continue;
        if (!before.insert(item).second && accepts_late_) continue;
        got.push_back(item);
      }
      EXPECT_EQ(got, file.written) << file.name;
    }
    EXPECT_EQ(rig_.sink.losses, Items{});
  }

 private:
  struct File {
    std::string name;
    Items written;
    int rotated = 0;
  };

  void look() { rig_.settle(); }
  void append(File& file) {
    std::string text;
    for (auto lines = 1 + random_() % 5; lines > 0; --lines) {
      file.written.push_back(file.name + " " + std::to_string(++lines_) + std::string(random_() % 100, '.'));
      text += file.written.back() + "\n";
    }
    folder_.append(file.name, text);
  }
  // The oldest are not deleted, so that nothing is lost that nobody could keep.
  void rename(File& file, bool pack) {
    make_room_for_rotated(file);
    folder_.rename(file.name, file.name + ".1");
    if (pack) folder_.gzip(file.name + ".1");
    append(file);
  }
  void make_room_for_rotated(File& file) {
    for (int i = file.rotated++; i >= 1; --i) {
      for (const char* const ending : {"", ".gz"}) {
        const std::string from = file.name + "." + std::to_string(i) + ending;
        if (std::filesystem::exists(folder_.at(from)))
          folder_.rename(from, file.name + "." + std::to_string(i + 1) + ending);
      }
    }
  }
  // What is cut before it was read is lost by design, so it is read before.
  void copy_truncate(File& file) {
    rig_.sink.room = SIZE_MAX;
    look();
    if (accepts_late_) {
      make_room_for_rotated(file);
      folder_.copy(file.name, file.name + ".1");
    }
    folder_.overwrite(file.name, "");
    look();
    append(file);
  }
  void restart() {
    rig_.stop();
    if (accepts_late_) rig_.sink.forget_unaccepted();
    for (auto n = random_() % 4; n > 0; --n) {
      File& file = files_[random_() % files_.size()];
      random_() % 2 == 0 ? append(file) : rename(file, random_() % 2 == 0);
    }
    rig_.start_again();
  }

  std::mt19937 random_;
  const bool accepts_late_;
  TailRig rig_;
  const LogFolder& folder_ = rig_.folder;
  std::array<File, 3> files_;
  int lines_ = 0;
};

// WEIR_SEED=n runs that one alone.
void live(unsigned seeds, bool accepts_late) {
  const char* const wanted = std::getenv("WEIR_SEED");
  const unsigned first = wanted != nullptr ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10)) : 1;
  for (unsigned seed = first; seed < (wanted != nullptr ? first + 1 : first + seeds); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RestartedLife life(seed, seed % 2 == 0, accepts_late);
    for (int step = 0; step < 60; ++step) life.step();
    life.end();
    if (testing::Test::HasFailure()) return;
  }
}

TEST(RandomLivesTest, EachLineComesOnceInOrderOverRestarts) { live(50, false); }

TEST(RandomLivesTest, EachLineComesInOrderOverRestartsOfAHubThatAcceptsLate) { live(50, true); }

TEST(RandomLivesTest, EachLineComesOnceInOrder) {
  for (unsigned seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life life(seed, seed % 2 == 0);
    for (int step = 0; step < 60; ++step) life.step();
    life.end();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace weir::log_tail::test
