#include "base/log_file.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace weir::log {
namespace {

struct LogFileTest : testing::Test {
  LogFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "weir-log-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
  }
  ~LogFileTest() override { std::filesystem::remove_all(folder); }
  static std::string content(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  std::string folder;
};

// Files of this process may have so many bytes while it lives, as on a disk that is full then.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t bytes) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    old_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, old_);
  }

 private:
  rlimit before_{};
  void (*old_)(int);
};

TEST_F(LogFileTest, LinesAreAppendedAndTheFolderIsMade) {
  const std::string path = folder + "/new/deep/a.log";
  EXPECT_TRUE((*LogFile::open(path))->append("one"));
  EXPECT_TRUE((*LogFile::open(path))->append("two\nthree"));
  EXPECT_EQ(content(path), "one\ntwo\nthree\n");
}

TEST_F(LogFileTest, AFileThatCantBeOpenedIsNamedWithTheReason) {
  const auto file = LogFile::open(folder);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Errc::bad_request);
  EXPECT_EQ(file.error().message, "log file \"" + folder + "\" can't be opened: Is a directory");
}

TEST_F(LogFileTest, AFullDiskLosesTheLineAndIsNamed) {
  std::filesystem::create_symlink("/dev/full", folder + "/a.log");
  const auto file = *LogFile::open(folder + "/a.log");
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(file->append("one"));
    EXPECT_EQ(file->why(), "No space left on device");
  }
}

TEST_F(LogFileTest, HalfALineIsEndedBeforeTheNextOne) {
  const std::string path = folder + "/a.log";
  const auto file = *LogFile::open(path);
  {
    const SizeLimit limit(10);
    EXPECT_TRUE(file->append("12345"));
    EXPECT_FALSE(file->append("abcdefgh"));
    EXPECT_EQ(content(path), "12345\nabcd");
    EXPECT_FALSE(file->append("lost"));
    EXPECT_EQ(file->why(), "File too large");
  }
  EXPECT_TRUE(file->append("whole"));
  EXPECT_TRUE(file->append("again"));
  EXPECT_EQ(content(path), "12345\nabcd\nwhole\nagain\n");
}

TEST_F(LogFileTest, ALineThatFitsToItsVeryEndIsWhole) {
  const std::string path = folder + "/a.log";
  const auto file = *LogFile::open(path);
  {
    const SizeLimit limit(6);
    EXPECT_TRUE(file->append("12345"));
    EXPECT_FALSE(file->append("lost"));
  }
  EXPECT_TRUE(file->append("next"));
  EXPECT_EQ(content(path), "12345\nnext\n");
}

}  // namespace
}  // namespace weir::log
