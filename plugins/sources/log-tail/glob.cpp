#include "glob.hpp"

#include <dirent.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace weir::log_tail {
namespace {

bool is_wild(std::string_view part) { return part.find_first_of("*?[\\") != std::string_view::npos; }

bool is_absent(int error) { return error == ENOENT || error == ENOTDIR; }

std::string join(const std::string& folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  std::string path = folder;
  if (path.back() != '/') path += '/';
  return path.append(name);
}

class Walk {
 public:
  Walk(std::vector<std::string> parts, Expansion& out) : parts_(std::move(parts)), out_(out) {}

  // `folder` is what stands before parts_[depth]; empty means the working directory.
  void step(const std::string& folder, std::size_t depth) {
    const std::string& part = parts_[depth];
    const bool last = depth + 1 == parts_.size();
    if (is_wild(part)) {
      for (const std::string& name : names_in(folder, part)) enter(join(folder, name), depth, last);
      return;
    }
    const std::string path = join(folder, part);
    // A part that is written out needs a look at its folder only as the last one or while it is missing.
    if (!enter(path, depth, last) || last) out_.folders.push_back(folder.empty() ? "." : folder);
  }

 private:
  // False: nothing is there, or nothing that one may look at.
  bool enter(const std::string& path, std::size_t depth, bool last) {
    struct stat st;
    if (::stat(path.c_str(), &st) != 0) {
      if (!is_absent(errno)) out_.problems.push_back("can't look at " + path + ": " + std::strerror(errno));
      return false;
    }
    if (!last) {
      if (S_ISDIR(st.st_mode)) step(path, depth + 1);
      return true;
    }
    if (out_.paths.size() < kMatchesMax) {
      out_.paths.push_back(path);
    } else if (!cut_) {
      cut_ = true;
      out_.problems.push_back("more than " + std::to_string(kMatchesMax) + " files match; the rest is not followed");
    }
    return true;
  }

  std::vector<std::string> names_in(const std::string& folder, const std::string& part) {
    const std::string path = folder.empty() ? "." : folder;
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    if (!dir) {
      if (!is_absent(errno)) {
        out_.problems.push_back("can't read the folder " + path + ": " + std::strerror(errno));
      }
      return names;
    }
    out_.folders.push_back(path);
    while (const dirent* entry = ::readdir(dir.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (::fnmatch(part.c_str(), entry->d_name, FNM_PERIOD) == 0) names.emplace_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const std::vector<std::string> parts_;
  Expansion& out_;
  bool cut_ = false;
};

void sort_unique(std::vector<std::string>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

}  // namespace

Expansion expand(std::string_view pattern) {
  Expansion out;
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::size_t slash = std::min(pattern.find('/', at), pattern.size());
    const std::string_view part = pattern.substr(at, slash - at);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    at = slash + 1;
  }
  if (parts.empty()) return out;
  Walk(std::move(parts), out).step(pattern.front() == '/' ? "/" : "", 0);
  sort_unique(out.paths);
  sort_unique(out.folders);
  return out;
}

bool matches_any(const std::vector<std::string>& patterns, const std::string& path) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    if (pattern.find('/') != std::string::npos) return ::fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME) == 0;
    return ::fnmatch(pattern.c_str(), std::string(base_name(path)).c_str(), 0) == 0;
  });
}

bool could_match(const std::vector<std::string>& patterns, std::string_view name) {
  const std::string text(name);
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return ::fnmatch(std::string(base_name(pattern)).c_str(), text.c_str(), FNM_PERIOD) == 0;
  });
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string folder_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

}  // namespace weir::log_tail
