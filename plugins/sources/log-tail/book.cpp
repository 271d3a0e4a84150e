#include "book.hpp"

#include <algorithm>

namespace weir::log_tail {

TrackPtr FileBook::find(const Birth& birth) const {
  const auto it = tracks_.find(birth);
  return it == tracks_.end() ? nullptr : it->second;
}

TrackPtr FileBook::begin(const std::string& path, const Birth& birth) {
  if (const TrackPtr before = find(birth)) drop(before);
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
  const auto [from, to] = loaded_.equal_range(track->path);
  const auto found = std::find_if(from, to, [&](const auto& entry) { return entry.second == track; });
  if (found != to) loaded_.erase(found);
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
    if (!tracks_.try_emplace(track->birth, track).second) continue;
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
  for (const auto& [birth, track] : tracks_) {
    if (track->held || track->seen_s == 0) track->seen_s = now_s;
    (now_s - track->seen_s > kForgetS ? gone : kept).push_back(track);
  }
  for (const TrackPtr& track : gone) drop(track);
  return kept;
}

}  // namespace weir::log_tail
