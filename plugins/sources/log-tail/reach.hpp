// How files are reached: by their path, wherever it leads; or only below a root, for names that strangers choose. Below
// a root, each look and each opening begins at the root anew and goes no step out of it, whatever stands in its way at
// that moment: "..", and links that are absolute or lead out, are as if nothing was there (EXDEV). Links that stay
// below are followed, with a kernel that has openat2(2) (5.6); without it no links are followed at all (ELOOP). Errors
// are errno's. Threads: [any].
#pragma once
#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::log_tail {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// `name` is relative to the folder. By steps: as kernels before 5.6 have to do it.
int open_beneath(int folder, const std::string& name, int flags);
int open_beneath_by_steps(int folder, const std::string& name, int flags);

// A folder that holds what may be asked for.
class Root {
 public:
  // Nothing is opened. `hidden`: patterns of files that are treated as if they were not there.
  Root(std::string path, std::vector<std::string> hidden);

  const std::string& path() const { return path_; }  // without a slash at its end: "" is "/"
  // The path of a file by its name below the root; nothing when that can be none: "a//b", "../a", "/a", "a\n".
  std::optional<std::string> path_of(std::string_view name) const;
  bool hides(const std::string& path) const;
  int open(const std::string& path, int flags) const;
  int open_folder() const;

 private:
  std::optional<std::string> name_of(const std::string& path, int folder) const;

  std::string path_;
  std::vector<std::string> hidden_;
};

// Says this errno that one may not? That is so for good, where another failure may pass.
bool is_forbidden(int error);

class Reach {
 public:
  Reach() = default;                                  // wherever a path leads
  explicit Reach(const Root& root) : root_(&root) {}  // which must live longer

  int open(const std::string& path, int flags) const;  // -1: errno says why; descriptors are O_CLOEXEC
  bool look_at(const std::string& path, struct stat& st) const;
  // Without symbolic links; `fd` is what was opened under the path.
  std::string real_path(const std::string& path, int fd) const;
  // Says this errno that there is nothing? Below a root, what is outside is nothing.
  bool is_absent(int error) const;
  bool hides(const std::string& path) const { return root_ != nullptr && root_->hides(path); }

 private:
  const Root* root_ = nullptr;
};

}  // namespace weir::log_tail
