// A folder of its own for every test, and short words for what happens to log files.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace weir::log_tail::test {

class LogFolder {
 public:
  LogFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "weir-log-tail-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = std::filesystem::canonical(name).string();
  }
  LogFolder(const LogFolder&) = delete;
  LogFolder& operator=(const LogFolder&) = delete;
  ~LogFolder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  std::string at(const std::string& name) const { return path_ + "/" + name; }

  void append(const std::string& name, const std::string& text) const { put(name, text, O_APPEND); }
  // The same file with another content.
  void overwrite(const std::string& name, const std::string& text) const { put(name, text, O_TRUNC); }
  void rename(const std::string& from, const std::string& to) const { std::filesystem::rename(at(from), at(to)); }
  void copy(const std::string& from, const std::string& to) const { std::filesystem::copy_file(at(from), at(to)); }
  void remove(const std::string& name) const { std::filesystem::remove(at(name)); }
  void make_folder(const std::string& name) const { std::filesystem::create_directories(at(name)); }
  void link(const std::string& target, const std::string& name) const {
    std::filesystem::create_symlink(target, at(name));
  }
  std::string read(const std::string& name) const {
    std::ifstream in(at(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  // As gzip does: the file is gone, and what it became has its times.
  void gzip(const std::string& name) const {
    struct stat st {};
    ASSERT_EQ(::stat(at(name).c_str(), &st), 0);
    const std::string text = read(name);
    const gzFile packed = ::gzopen(at(name + ".gz").c_str(), "wb1");
    ASSERT_NE(packed, nullptr);
    ASSERT_EQ(::gzwrite(packed, text.data(), static_cast<unsigned>(text.size())), static_cast<int>(text.size()));
    ASSERT_EQ(::gzclose(packed), Z_OK);
    const timespec times[2] = {st.st_atim, st.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, at(name + ".gz").c_str(), times, 0), 0);
    remove(name);
  }

 private:
  void put(const std::string& name, const std::string& text, int flags) const {
    const int fd = ::open(at(name).c_str(), O_WRONLY | O_CREAT | flags, 0644);
    ASSERT_GE(fd, 0) << at(name);
    ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(fd);
  }

  std::string path_;
};

// A program that keeps its log file open, as programs do.
class Writer {
 public:
  explicit Writer(const std::string& path) : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644)) {
    EXPECT_GE(fd_, 0);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { ::close(fd_); }
  void write(const std::string& text) const {
    EXPECT_EQ(::write(fd_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

 private:
  const int fd_;
};

}  // namespace weir::log_tail::test
