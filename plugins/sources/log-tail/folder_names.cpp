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

std::int64_t now_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return to_ns(now);
}

}  // namespace

const FolderNames::Listing& FolderNames::now(const std::string& folder, Reach reach) {
  // Asked before the names are read: what changes meanwhile makes the next question read them again.
  const std::int64_t steady = now_ns(CLOCK_MONOTONIC), real = now_ns(CLOCK_REALTIME);
  struct stat st;
  const std::int64_t stamp = reach.look_at(folder, st) ? to_ns(st.st_mtim) : 0;
  const auto known = listings_.find(folder);
  const bool seen = known != listings_.end() && known->second.stamp_ns == stamp;
  const std::int64_t seen_at = seen ? known->second.stamp_seen_ns : steady;
  const bool is_old = real - stamp >= kTimestampSlackNs || steady - seen_at >= kTimestampSlackNs;
  const std::int64_t changed = is_old ? stamp : 0;
  if (known != listings_.end() && changed != 0 && known->second.changed_ns == changed) {
    known->second.pass = pass_;
    return known->second;
  }
  if (listings_.size() >= kFoldersMax && known == listings_.end()) listings_.clear();
  Listing& listing = listings_[folder];
  listing.names.clear();
  listing.changed_ns = changed;
  listing.stamp_ns = stamp;
  listing.stamp_seen_ns = seen_at;
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
