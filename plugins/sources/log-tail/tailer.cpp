#include "tailer.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "glob.hpp"

namespace weir::log_tail {
namespace {

// The clock that file systems stamp new files with: it moves in steps and may be behind the precise one.
std::int64_t file_clock_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

std::string path_in(const std::string& folder, std::string_view name) {
  if (folder == ".") return std::string(name);
  std::string path = folder == "/" ? folder : folder + "/";
  return path.append(name);
}

std::string list_of(const std::vector<std::string>& items, std::size_t shown_max) {
  std::string out;
  for (std::size_t i = 0; i < items.size() && i < shown_max; ++i) out += (i == 0 ? "" : ", ") + items[i];
  if (items.size() > shown_max) out += " and " + std::to_string(items.size() - shown_max) + " more";
  return out;
}

class Slice {
 public:
  bool over() const { return std::chrono::steady_clock::now() >= end_; }

 private:
  const std::chrono::steady_clock::time_point end_ =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(Tailer::kSliceMs);
};

}  // namespace

Tailer::Tailer(TailerOptions options, TailSink& sink, std::int64_t now)
    : shared_(std::move(options), sink, file_clock_ns()), looked_at_(now) {}

Tailer::~Tailer() = default;

std::size_t Tailer::files() const {
  return static_cast<std::size_t>(
      std::count_if(followers_.begin(), followers_.end(), [](const auto& entry) { return entry.second->reading(); }));
}

void Tailer::all_dirty() {
  for (const auto& [path, follower] : followers_) dirty_.insert(follower.get());
}

void Tailer::queue(Follower& follower) {
  if (std::exchange(follower.queued, true)) return;
  ready_.push_back(&follower);
}

void Tailer::remove(Follower& follower) {
  dirty_.erase(&follower);
  ready_.erase(std::remove(ready_.begin(), ready_.end(), &follower), ready_.end());
  followers_.erase(std::string(follower.path()));
}

void Tailer::tick(std::int64_t now) {
  if (!shared_.inotify.complete() || now - looked_at_ >= kLookMs) look_wanted_ = true;
  all_dirty();
}

void Tailer::on_folder(const FolderNews& news) {
  if (news.is_folder) {
    look_wanted_ = true;
    return;
  }
  const std::string path = path_in(news.folder, news.name);
  const auto it = followers_.find(path);
  if (it != followers_.end()) {
    if (!news.appeared && !news.moved) it->second->name_deleted();
    dirty_.insert(it->second.get());
    return;
  }
  if (news.appeared && could_match(shared_.options.files, news.name)) look_wanted_ = true;
  for (const auto& [name, follower] : followers_) {
    // A symbolic link's target, or a new brother that the follower should know before its file is rotated.
    if (follower->real_path() == path || rotated_name(base_name(name), news.name) != RotatedName::no)
      dirty_.insert(follower.get());
  }
}

void Tailer::drain(std::int64_t) {
  shared_.inotify.drain({[this](const FolderNews& news) { on_folder(news); },
                         [this](int watch, bool content) {
                           const auto it = shared_.watches.find(watch);
                           if (it == shared_.watches.end()) return;
                           if (content)
                             queue(*it->second);
                           else
                             dirty_.insert(it->second);
                         },
                         [this] {
                           look_wanted_ = true;
                           all_dirty();
                         }});
}

void Tailer::look(std::int64_t now) {
  std::set<std::string> folders;
  std::set<std::string> paths;
  // Until no folder is new: what appeared in one between reading and watching it would stay unnoticed.
  for (std::size_t watched = 0, round = 0; round < 3 && (round == 0 || folders.size() != watched); ++round) {
    watched = folders.size();
    paths.clear();
    problems_.clear();
    for (const std::string& pattern : shared_.options.files) {
      Expansion found = expand(pattern);
      folders.insert(found.folders.begin(), found.folders.end());
      problems_.insert(problems_.end(), found.problems.begin(), found.problems.end());
      for (std::string& path : found.paths) {
        if (!matches_any(shared_.options.exclude, path)) paths.insert(std::move(path));
      }
    }
    shared_.inotify.begin_folders();
    for (const std::string& folder : folders) shared_.inotify.want_folder(folder);
    for (const auto& [path, follower] : followers_) {
      if (!follower->real_path().empty()) shared_.inotify.want_folder(folder_of(follower->real_path()));
    }
    shared_.inotify.end_folders();
  }
  std::size_t left_out = 0;
  for (const std::string& path : paths) {
    if (followers_.count(path) != 0) continue;
    if (followers_.size() < kMatchesMax)
      followers_.emplace(path, std::make_unique<Follower>(path, first_look_, shared_));
    else
      ++left_out;
  }
  if (left_out != 0) {
    problems_.push_back(std::to_string(left_out) + " files are not followed: " + std::to_string(kMatchesMax) +
                        " are the most");
  }
  if (!paths.empty())
    nothing_since_.reset();
  else if (!nothing_since_)
    nothing_since_ = first_look_ ? now - kNothingMs : now;
  all_dirty();
  first_look_ = look_wanted_ = false;
  looked_at_ = now;
}

void Tailer::report(std::int64_t now) {
  if (!shared_.inotify.complete() && shared_.options.inotify && !std::exchange(incomplete_said_, true)) {
    shared_.sink.say(true, "inotify can't watch everything (" + shared_.inotify.why_incomplete() + "); looking every " +
                               std::to_string(shared_.options.poll_ms) + " ms instead");
  }
  std::vector<std::string> reasons = problems_;
  for (const auto& [path, follower] : followers_) {
    if (!follower->problem().empty()) reasons.push_back(follower->problem());
  }
  std::string reason;
  if (!reasons.empty())
    reason = list_of(reasons, 3);
  else if (nothing_since_ && now - *nothing_since_ >= kNothingMs)
    reason = "nothing matches " + list_of(shared_.options.files, 5);
  if (reported_ && *reported_ == reason) return;
  reported_ = reason;
  shared_.sink.state(!reason.empty(), reason);
}

bool Tailer::work(std::int64_t now) {
  const Slice slice;
  if (look_wanted_) look(now);
  while (!dirty_.empty()) {
    Follower& follower = **dirty_.begin();
    dirty_.erase(dirty_.begin());
    follower.check(now);
    if (follower.done())
      remove(follower);
    else
      queue(follower);
    if (slice.over()) return true;
  }
  report(now);
  while (!ready_.empty()) {
    if (shared_.sink.full()) return false;
    Follower& follower = *ready_.front();
    ready_.pop_front();
    follower.queued = false;
    if (follower.read(now))
      queue(follower);
    else if (follower.done()) {
      remove(follower);
      continue;
    }
    if (follower.wants_check()) {
      dirty_.insert(&follower);
      return true;
    }
    if (slice.over()) return !ready_.empty();
  }
  return false;
}

}  // namespace weir::log_tail
