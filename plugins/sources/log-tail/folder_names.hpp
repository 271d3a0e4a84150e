// The names in the folders of log files, read once for all files of a folder and again only when the folder changed:
// thousands of files in one folder would otherwise read it thousands of times, each time from the front.
// A folder that is not there, or that nobody here may list, has no names.
// Limits: kFoldersMax listings are kept; the rest is read each time.
// Threads: [strand].
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reach.hpp"

namespace weir::log_tail {

class FolderNames {
 public:
  static constexpr std::size_t kFoldersMax = 256;

  struct Listing {
    std::vector<std::string> names;  // sorted
    int error = 0;                   // errno when they can't be read now; there may be some then. 0: these are all
    // When the folder last changed; 0 when that is too short ago to notice the next change. A time ahead of this
    // machine's clock (a server's, or one that was set back) is long enough ago once it was seen that long ago.
    std::int64_t changed_ns = 0;
    std::int64_t stamp_ns = 0, stamp_seen_ns = 0;  // the folder's time, and when it was seen first, on a steady clock
    std::uint64_t pass = 0;
  };

  // What is read in one pass may be told again in it by recent().
  void next_pass() { ++pass_; }
  // The names as they are now, or have been since.
  const Listing& now(const std::string& folder, Reach reach = {});
  // The names as they were at some moment of this pass.
  const Listing& recent(const std::string& folder, Reach reach = {});

 private:
  std::map<std::string, Listing> listings_;
  std::uint64_t pass_ = 1;
};

}  // namespace weir::log_tail
