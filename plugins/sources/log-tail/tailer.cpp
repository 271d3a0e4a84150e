#include "tailer.hpp"

#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
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

std::int64_t unix_s() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
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
  explicit Slice(std::int64_t ms) : end_(std::chrono::steady_clock::now() + std::chrono::milliseconds(ms)) {}
  bool over() const { return std::chrono::steady_clock::now() >= end_; }

 private:
  const std::chrono::steady_clock::time_point end_;
};

}  // namespace

Tailer::Tailer(TailerOptions options, TailSink& sink, std::int64_t now, const Checkpoint& checkpoint)
    : shared_(std::move(options), sink, file_clock_ns()), looked_at_(now) {
  shared_.saved_ns = checkpoint.saved_ns;
  shared_.book.load(checkpoint, unix_s());
  shared_.is_followed_elsewhere = [this](const Track& track, const std::string& path) {
    return is_followed_elsewhere(track, path);
  };
}

Tailer::~Tailer() = default;

bool Tailer::is_followed_elsewhere(const Track& track, const std::string& path) {
  for (const std::string& base : bases_of(base_name(path))) {
    if (followers_.count(path_in(folder_of(path), base)) != 0)
      return true;  // a rotated one, that came to its end there
  }
  // Once for all that are lost: a folder that was restored from a backup has lost every file.
  struct stat st;
  if (named_now_.empty()) {
    for (const auto& [name, follower] : followers_) {
      if (::stat(name.c_str(), &st) == 0) named_now_.emplace(st.st_ino, name);
    }
  }
  const auto [from, to] = named_now_.equal_range(track.birth.id.inode);
  return std::any_of(from, to, [&](const auto& entry) { return entry.second != path; });
}

std::size_t Tailer::files() const {
  const auto is_read = [](const auto& entry) { return entry.second->reading(); };
  return static_cast<std::size_t>(std::count_if(followers_.begin(), followers_.end(), is_read) +
                                  std::count_if(demanded_.begin(), demanded_.end(), is_read));
}

std::vector<TrackPtr> Tailer::tracks() { return shared_.book.all(unix_s()); }

void Tailer::set_problem(const std::string& problem) {
  problem_ = problem;
  report_wanted_ = true;
}

std::optional<std::int64_t> Tailer::due() const {
  std::optional<std::int64_t> due;
  for (const Follower* follower : joining_) {
    if (!due || follower->due() < *due) due = follower->due();
  }
  return due;
}

// Not while more may follow right away, be it that the sink is full or that others are read first.
void Tailer::flush_due(std::int64_t now) {
  for (auto it = joining_.begin(); it != joining_.end() && !shared_.sink.full();) {
    Follower& follower = **it;
    it = follower.queued || follower.flush_due(now) ? std::next(it) : joining_.erase(it);
  }
}

void Tailer::flush() {
  for (Follower* follower : std::exchange(joining_, {})) follower->flush_due(INT64_MAX);
}

void Tailer::all_dirty() {
  pass_over_ = false;
  for (const Followers* all : {&followers_, &demanded_}) {
    for (const auto& [path, follower] : *all) dirty_.insert(follower.get());
  }
}

void Tailer::queue(Follower& follower) {
  if (std::exchange(follower.queued, true)) return;
  ready_.push_back(&follower);
}

void Tailer::remove(Follower& follower) {
  dirty_.erase(&follower);
  joining_.erase(&follower);
  ready_.erase(std::remove(ready_.begin(), ready_.end(), &follower), ready_.end());
  if (next_dirty_ == &follower) next_dirty_ = nullptr;
  (follower.on_demand() ? demanded_ : followers_).erase(std::string(follower.path()));
}

void Tailer::tick(std::int64_t now) {
  if (!pass_over_) return;  // looking at everything takes longer than a poll; else nothing but looking would be done
  if (!shared_.inotify.complete() || now - looked_at_ >= kLookMs) look_wanted_ = true;
  all_dirty();
}

template <class Call>
void Tailer::each_at(const std::string& path, Call&& call) {
  for (const Followers* all : {&followers_, &demanded_}) {
    if (const auto it = all->find(path); it != all->end()) call(*it->second);
  }
  const auto [from, to] = shared_.real_paths.equal_range(path);
  for (auto it = from; it != to; ++it) call(*it->second);
}

void Tailer::written(Follower& follower) {
  follower.grew();
  if (follower.reading())
    queue(follower);
  else
    dirty_.insert(&follower);
}

void Tailer::on_folder(const FolderNews& news) {
  if (news.is_folder) {
    look_wanted_ = true;
    return;
  }
  const std::string path = path_in(news.folder, news.name);
  bool known = false;
  each_at(path, [&](Follower& follower) {
    known = known || !follower.on_demand();
    if (news.content) return written(follower);
    if (!news.appeared && !news.moved) follower.name_deleted();
    dirty_.insert(&follower);
  });
  if (!known && news.appeared && could_match(shared_.options.files, news.name) && !add(path, false))
    look_wanted_ = true;
  // A new brother that the follower should know before its file is rotated, or a rotated file that is written to.
  for (const std::string& base : bases_of(news.name)) {
    each_at(path_in(news.folder, base), [&](Follower& follower) {
      if (!news.content)
        dirty_.insert(&follower);
      else if (!known)
        queue(follower);
    });
  }
}

bool Tailer::is_wanted(const std::string& path) const {
  return std::any_of(shared_.options.files.begin(), shared_.options.files.end(), [&](const auto& pattern) {
    return ::fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0;
  });
}

// Follows the path if it is one of those that are wanted as it stands there. False: only looking can tell.
bool Tailer::add(const std::string& path, bool was_there) {
  if (!is_wanted(path) || followers_.size() >= kMatchesMax) return false;
  if (matches_any(shared_.options.exclude, path) || !packed_name(path).empty()) return true;
  const auto [it, added] = followers_.emplace(path, nullptr);
  if (added) it->second = std::make_unique<Follower>(path, was_there, shared_);
  dirty_.insert(it->second.get());
  nothing_since_.reset();
  return true;
}

void Tailer::drain() {
  shared_.inotify.drain({[this](const FolderNews& news) { on_folder(news); },
                         [this](int watch, bool content) {
                           const auto [from, to] = shared_.watches.equal_range(watch);
                           for (auto it = from; it != to; ++it) {
                             if (content)
                               written(*it->second);
                             else
                               dirty_.insert(it->second);
                           }
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
        // What gzip packed is no text; it is read where a followed file became it.
        if (!matches_any(shared_.options.exclude, path) && packed_name(path).empty()) paths.insert(std::move(path));
      }
    }
    shared_.inotify.begin_folders();
    for (const std::string& folder : folders) shared_.inotify.want_folder(folder);
    for (const auto& [path, follower] : followers_) {
      if (!follower->real_path().empty()) shared_.inotify.want_folder(folder_of(follower->real_path()));
    }
    for (const auto& [path, follower] : demanded_) {
      shared_.inotify.want_folder(folder_of(path));
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
  if (first_look_) {  // what they named may have lost its name, and nothing else taken it yet
    for (const std::string& path : shared_.book.loaded_paths()) {
      if (paths.count(path) == 0) add(path, false);
    }
  }
  if (left_out != 0) {
    problems_.push_back(std::to_string(left_out) + " files are not followed: " + std::to_string(kMatchesMax) +
                        " are the most");
  }
  if (!shared_.options.root.empty()) {
    if (const Descriptor root(shared_.root.open_folder()); root.get() < 0)
      problems_.push_back("can't open the root " + shared_.options.root + ": " + std::strerror(errno));
  }
  if (!paths.empty() || shared_.options.files.empty())
    nothing_since_.reset();
  else if (!nothing_since_)
    nothing_since_ = first_look_ ? now - kNothingMs : now;
  all_dirty();
  first_look_ = look_wanted_ = false;
  report_wanted_ = true;
  looked_at_ = now;
}

void Tailer::report(std::int64_t now) {
  if (!shared_.inotify.complete() && shared_.options.inotify && !std::exchange(incomplete_said_, true)) {
    shared_.sink.say(true, "inotify can't watch everything (" + shared_.inotify.why_incomplete() + "); looking every " +
                               std::to_string(shared_.options.poll_ms) + " ms instead");
  }
  report_wanted_ = false;
  reported_at_ = now;
  std::vector<std::string> reasons;
  if (!problem_.empty()) reasons.push_back(problem_);
  reasons.insert(reasons.end(), problems_.begin(), problems_.end());
  for (const Followers* all : {&followers_, &demanded_}) {
    for (const auto& [path, follower] : *all) {
      if (!follower->problem().empty()) reasons.push_back(follower->problem());
    }
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

// Opens and looks; what would need one more descriptor than there may be waits while others are read.
void Tailer::check_dirty(std::int64_t now, bool& slice_over) {
  const Slice slice(shared_.options.slice_ms / 2);  // the other half is for reading
  if (no_room()) rest_some();
  // Not from the front each time, or the last ones would never have their turn where news keep coming for the first.
  auto it = next_dirty_ == nullptr ? dirty_.begin() : dirty_.lower_bound(next_dirty_);
  for (; it != dirty_.end() && !slice_over; slice_over = slice.over()) {
    Follower& follower = **it;
    if (!follower.reading() && !ready_.empty() && no_room()) {
      ++it;
      continue;
    }
    it = dirty_.erase(it);
    report_wanted_ = true;
    follower.check(now);
    if (follower.done())
      remove(follower);
    else if (!follower.idle())
      queue(follower);
  }
  next_dirty_ = it == dirty_.end() ? nullptr : *it;
  if (next_dirty_ != nullptr) return;
  pass_over_ = true;
  named_now_.clear();
}

// Closes those that were read longest ago; first what was read to its end, and if that is not enough, others.
void Tailer::rest_some() {
  constexpr std::size_t kTries = 64;
  for (const bool even_unread : {false, true}) {
    const std::size_t wanted = even_unread ? shared_.options.open_max : shared_.options.open_max * 15 / 16;
    for (std::size_t i = 0; i < kTries && shared_.buffers.open_files > wanted && !shared_.open.empty(); ++i) {
      if (!shared_.open.front()->rest(even_unread))
        shared_.open.splice(shared_.open.end(), shared_.open, shared_.open.begin());
    }
  }
}

bool Tailer::work(std::int64_t now) {
  const Slice slice(shared_.options.slice_ms);
  shared_.folders.next_pass();
  if (look_wanted_) look(now);
  bool slice_over = false;
  check_dirty(now, slice_over);
  if (report_wanted_ && (!slice_over || now - reported_at_ >= shared_.options.poll_ms)) report(now);
  while (!ready_.empty()) {
    if (shared_.sink.full()) return slice_over && !dirty_.empty();
    Follower& follower = *ready_.front();
    ready_.pop_front();
    follower.queued = false;
    if (follower.read(now))
      queue(follower);
    else if (follower.done()) {
      remove(follower);
      continue;
    }
    if (follower.joining()) joining_.insert(&follower);
    if (shared_.buffers.open_files > shared_.options.open_max) rest_some();
    if (follower.wants_check()) {
      dirty_.insert(&follower);
      return true;
    }
    if (slice.over()) return true;
  }
  flush_due(now);
  return !dirty_.empty();
}

}  // namespace weir::log_tail
