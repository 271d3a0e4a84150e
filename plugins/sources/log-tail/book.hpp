// Who reads which file, and how far every file was read: those that are followed now, those that were let go and may
// turn up again under another followed name, and those that a checkpoint tells of. No file is read by two followers:
// the second name of a file waits until the first one is done with it. A file that was cut begins anew, but what it
// held before is remembered as long as the hub has not accepted it: a copy of it may be what a restart has to go on
// with. Limits: kTracksMax files; the oldest that nobody follows is forgotten first, and after kForgetS what is gone
// from sight. Contents that were cut away: one for each event that is under way, at most. Threads: [strand].
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint.hpp"
#include "place.hpp"

namespace weir::log_tail {

class Follower;

class FileBook {
 public:
  static constexpr std::int64_t kForgetS = 7 * 24 * 3600;

  // to_be_saved: a checkpoint is made of it, and the hub accepts what is read.
  explicit FileBook(bool to_be_saved = false) : to_be_saved_(to_be_saved) {}

  Follower* owner(FileId id) const {
    const auto it = owners_.find(id);
    return it == owners_.end() ? nullptr : it->second;
  }
  void own(FileId id, Follower* owner) { owners_[id] = owner; }
  void release(FileId id) { owners_.erase(id); }

  // How far this file was read before; null when it is not known.
  TrackPtr find(const Birth& birth) const;
  // A file that is new, or whose content is: what was known of it is forgotten.
  TrackPtr begin(const std::string& path, const Birth& birth);
  // Somebody follows it, under this name and as this file.
  void claim(const TrackPtr& track, const std::string& path, const Birth& birth);
  void leave(const TrackPtr& track);
  void drop(const TrackPtr& track);

  void load(const Checkpoint& checkpoint, std::int64_t now_s);
  // What a checkpoint tells of the files of that name and nobody has found yet, oldest first.
  std::vector<TrackPtr> loaded(const std::string& path) const;
  std::vector<std::string> loaded_paths() const;
  // For the next checkpoint.
  std::vector<TrackPtr> all(std::int64_t now_s);

 private:
  void make_room();
  using Loaded = std::multimap<std::string, TrackPtr>;
  Loaded::iterator find_loaded(const TrackPtr& track);

  const bool to_be_saved_;
  std::map<FileId, Follower*> owners_;
  std::map<Birth, TrackPtr> tracks_;
  std::vector<TrackPtr> cut_away_;  // former contents of files in tracks_
  Loaded loaded_;                   // by followed name; not found yet
  std::uint64_t order_ = 0;
};

}  // namespace weir::log_tail
