#include "folder_names.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <memory>

namespace weir::log_tail {
namespace {

constexpr std::int64_t kTimestampSlackNs = 20'000'000;  // file times move in steps of up to 10 ms

std::int64_t to_ns(const timespec& t) { return t.tv_sec * 1'000'000'000LL + t.tv_nsec; }

std::int64_t changed_ns(const std::string& folder, Reach reach) {
  struct stat st;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (!reach.look_at(folder, st)) return 0;
  const std::int64_t changed = to_ns(st.st_mtim);
  return to_ns(now) - changed < kTimestampSlackNs ? 0 : changed;
}

}  // namespace

const FolderNames::Listing& FolderNames::now(const std::string& folder, Reach reach) {
  // Asked before the names are read: what changes meanwhile makes the next question read them again.
  const std::int64_t changed = changed_ns(folder, reach);
  const auto known = listings_.find(folder);
  if (known != listings_.end() && changed != 0 && known->second.changed_ns == changed) {
    known->second.pass = pass_;
    return known->second;
  }
  if (listings_.size() >= kFoldersMax && known == listings_.end()) listings_.clear();
  Listing& listing = listings_[folder];
  listing.names.clear();
  listing.changed_ns = changed;
  listing.pass = pass_;
  Descriptor opened(reach.open(folder, O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(opened.get()), ::closedir);
  if (!dir) return listing;
  opened.release();  // it is the stream's now
  while (const dirent* entry = ::readdir(dir.get())) listing.names.emplace_back(entry->d_name);
  std::sort(listing.names.begin(), listing.names.end());
  return listing;
}

const FolderNames::Listing& FolderNames::recent(const std::string& folder, Reach reach) {
  const auto known = listings_.find(folder);
  return known != listings_.end() && known->second.pass == pass_ ? known->second : now(folder, reach);
}

}  // namespace weir::log_tail
