#include "folder_names.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>

#include "file_time.hpp"

namespace weir::log_tail {
namespace {

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
  listing.changed_ns = 0;
  listing.error = 0;
  listing.stamp_ns = stamp;
  listing.stamp_seen_ns = seen_at;
  listing.pass = pass_;
  Descriptor opened(reach.open(folder, O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opened.get() < 0 ? nullptr : ::fdopendir(opened.get()), ::closedir);
  if (dir) {
    opened.release();  // it is the stream's now
    // readdir(3) says the end and a failure alike, but for errno.
    for (const dirent* entry; errno = 0, (entry = ::readdir(dir.get())) != nullptr;)
      listing.names.emplace_back(entry->d_name);
  }
  if (dir && errno == 0) {
    listing.changed_ns = changed;
    std::sort(listing.names.begin(), listing.names.end());
    return listing;
  }
  listing.names.clear();
  // Where nothing is, or nothing may be seen, looking again changes nothing.
  if (!reach.is_absent(errno) && !is_forbidden(errno)) listing.error = errno;
  return listing;
}

const FolderNames::Listing& FolderNames::recent(const std::string& folder, Reach reach) {
  const auto known = listings_.find(folder);
  return known != listings_.end() && known->second.pass == pass_ ? known->second : now(folder, reach);
}

}  // namespace weir::log_tail
