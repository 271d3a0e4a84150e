#include "book.hpp"

#include <algorithm>
#include <utility>

namespace weir::log_tail {

TrackPtr FileBook::find(const Birth& birth) const {
  const auto it = tracks_.find(birth);
  return it == tracks_.end() ? nullptr : it->second;
}

TrackPtr FileBook::begin(const std::string& path, const Birth& birth) {
  if (const TrackPtr before = find(birth)) {
    drop(before);
    leave(before);
    if (to_be_saved_ && before->accepted != before->read) cut_away_.push_back(before);
  }
  make_room();
  const auto track = std::make_shared<Track>();
  claim(track, path, birth);
  return track;
}

void FileBook::claim(const TrackPtr& track, const std::string& path, const Birth& birth) {
  drop(track);
  if (const TrackPtr other = find(birth)) drop(other);
  track->path = path;
  track->birth = birth;
  track->order = ++order_;
  track->held = true;
  track->finished = false;
  tracks_[birth] = track;
}

void FileBook::leave(const TrackPtr& track) { track->held = false; }

void FileBook::drop(const TrackPtr& track) {
  const auto it = tracks_.find(track->birth);
  if (it != tracks_.end() && it->second == track) tracks_.erase(it);
  if (const auto found = find_loaded(track); found != loaded_.end()) loaded_.erase(found);
  std::erase(cut_away_, track);
}

FileBook::Loaded::iterator FileBook::find_loaded(const TrackPtr& track) {
  const auto [from, to] = loaded_.equal_range(track->path);
  const auto found = std::find_if(from, to, [&](const auto& entry) { return entry.second == track; });
  return found == to ? loaded_.end() : found;
}

void FileBook::make_room() {
  if (tracks_.size() < kTracksMax) return;
  TrackPtr oldest;
  for (const auto& [birth, track] : tracks_) {
    if (!track->held && (!oldest || track->order < oldest->order)) oldest = track;
  }
  if (oldest) drop(oldest);
}

void FileBook::load(const Checkpoint& checkpoint, std::int64_t now_s) {
  // What is gone ages while somebody looks for it, not while nobody runs.
  const std::int64_t away_s = now_s - checkpoint.saved_ns / 1'000'000'000;
  for (const Track& file : checkpoint.files) {
    const auto track = std::make_shared<Track>(file);
    track->seen_s += away_s;
    const auto [entry, first] = tracks_.try_emplace(track->birth, track);
    if (!first) {  // of two contents of one file it has the later one
      const bool later = track->order > entry->second->order;
      cut_away_.push_back(later ? std::exchange(entry->second, track) : track);
    }
    loaded_.emplace(track->path, track);
    order_ = std::max(order_, track->order);
  }
}

std::vector<TrackPtr> FileBook::loaded(const std::string& path) const {
  std::vector<TrackPtr> found;
  const auto [from, to] = loaded_.equal_range(path);
  for (auto it = from; it != to; ++it) found.push_back(it->second);
  std::sort(found.begin(), found.end(), [](const TrackPtr& a, const TrackPtr& b) { return a->order < b->order; });
  return found;
}

std::vector<std::string> FileBook::loaded_paths() const {
  std::vector<std::string> paths;
  for (const auto& [path, track] : loaded_) {
    if (paths.empty() || paths.back() != path) paths.push_back(path);
  }
  return paths;
}

std::vector<TrackPtr> FileBook::all(std::int64_t now_s) {
  std::vector<TrackPtr> kept, gone;
  const auto look_at = [&](const TrackPtr& track) {
    if (track->held || track->seen_s == 0) track->seen_s = now_s;
    (now_s - track->seen_s > kForgetS ? gone : kept).push_back(track);
  };
  for (const auto& [birth, track] : tracks_) look_at(track);
  for (const TrackPtr& track : cut_away_) {
    const bool is_owed = track->accepted != track->read || find_loaded(track) != loaded_.end();
    is_owed&& kept.size() < kTracksMax ? look_at(track) : gone.push_back(track);
  }
  for (const TrackPtr& track : gone) drop(track);
  return kept;
}

}  // namespace weir::log_tail
