#include "follower.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "glob.hpp"

namespace weir::log_tail {
namespace {

constexpr int kAttempts = 5;  // to get a picture of a folder in which files are renamed meanwhile
constexpr std::int64_t kTimestampSlackNs = 20'000'000;  // file times move in steps of up to 10 ms

std::string real_path_of(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
  return real ? std::string(real.get()) : path;
}

std::int64_t to_ns(const timespec& t) { return t.tv_sec * 1'000'000'000LL + t.tv_nsec; }

// When the folder's names last changed; 0 when that is too short ago to notice another change by it.
std::int64_t folder_change_ns(const std::string& path) {
  struct stat st;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (::stat(folder_of(path).c_str(), &st) != 0) return 0;
  const std::int64_t changed = to_ns(st.st_mtim);
  return to_ns(now) - changed < kTimestampSlackNs ? 0 : changed;
}

bool is_absent(int error) { return error == ENOENT || error == ENOTDIR; }

}  // namespace

Follower::Follower(std::string path, bool was_there, Shared& shared)
    : shared_(shared), path_(std::move(path)), file_(base_name(path_)), was_there_(was_there) {
  ++shared_.files_named[file_];
}

Follower::~Follower() {
  for (Generation& g : late_) let_go(g);
  for (Generation& g : generations_) let_go(g);
  if (--shared_.files_named[file_] == 0) shared_.files_named.erase(file_);
}

Origin Follower::origin() const {
  const bool ambiguous = shared_.files_named.find(file_)->second > 1;
  return {file_, ambiguous ? std::string_view(path_) : std::string_view()};
}

void Follower::say_once(const std::string& message) {
  if (said_ == message) return;
  said_ = message;
  shared_.sink.say(false, message);
}

void Follower::missing(std::int64_t now) {
  was_there_ = false;
  if (!missing_since_) missing_since_ = now;
  if (generations_.empty() && late_.empty()) done_ = true;
}

void Follower::check(std::int64_t now) {
  more_waiting_ = false;
  struct stat st;
  if (::stat(path_.c_str(), &st) != 0) {
    problem_ = is_absent(errno) ? std::string() : "can't look at " + path_ + ": " + std::strerror(errno);
    if (problem_.empty()) missing(now);
    return;
  }
  if (!S_ISREG(st.st_mode)) {
    problem_.clear();
    say_once(path_ + " is not followed: it is no regular file");
    if (!generations_.empty() && !missing_since_) missing_since_ = now;
    return;
  }
  const FileId id = id_of(st);
  if (!generations_.empty() && generations_.back().file.id() == id) {
    problem_.clear();
    missing_since_.reset();
    name_deleted_ = false;
    refresh_siblings(id);
    generations_.back().file.note_growth();
    return;
  }
  if (const Follower* owner = shared_.book.owner(id); owner == this) {
    reclaim_late(id);
  } else if (owner != nullptr) {
    say_once(path_ + " is the same file as " + owner->path() + ", which is read already");
  } else if (generations_.size() < kGenerationsMax) {
    open_current(now);
  } else {
    more_waiting_ = true;
  }
}

void Follower::open_current(std::int64_t now) {
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    OpenFile current(path_, shared_.buffers);
    if (!current.is_open()) {
      if (!is_absent(current.error())) problem_ = "can't open " + path_ + ": " + std::strerror(current.error());
      return;
    }
    if (shared_.book.owner(current.id()) != nullptr) return;  // renamed while we looked; the next check sees it again
    const std::string real = real_path_of(path_);
    const std::int64_t folder_changed = folder_change_ns(real);
    const std::vector<Sibling> siblings = siblings_of(real);
    std::vector<OpenFile> between;
    bool steady = open_between(siblings, current.id(), real, between);
    struct stat st;
    steady = steady && ::stat(path_.c_str(), &st) == 0 && id_of(st) == current.id();
    // Taking what was seen so far could change the order; the rotation that disturbed us brings another check anyway.
    if (!steady) continue;

    problem_.clear();
    if (!generations_.empty()) {
      generations_.back().why = why_replaced(real);
      generations_.back().ended_at = now;
    }
    const bool all = generations_.size() + between.size() < kGenerationsMax;
    for (OpenFile& file : between) append(std::move(file), now);
    real_path_ = real;
    more_waiting_ = !all;
    if (!all) return;  // the youngest come when the row is shorter; they are still found as brothers that nobody knows
    append(std::move(current), now);
    known_siblings_.clear();
    for (const Sibling& sibling : siblings) known_siblings_.insert(sibling.birth);
    folder_changed_ns_ = folder_changed;
    missing_since_.reset();
    name_deleted_ = was_there_ = false;
    said_.clear();
    return;
  }
}

// Opens those of the siblings that came between, oldest first, as many as the row has room for. False when they changed
// their names meanwhile.
bool Follower::open_between(const std::vector<Sibling>& siblings, FileId current, const std::string& real,
                            std::vector<OpenFile>& between) {
  for (const Sibling& sibling : siblings) {
    if (!was_between(sibling, current, real)) continue;
    if (generations_.size() + between.size() >= kGenerationsMax) break;
    OpenFile file(sibling.path, shared_.buffers);
    if (file.is_open() && file.id() == sibling.birth.id) {
      between.push_back(std::move(file));
    } else if (file.is_open() || is_absent(file.error())) {
      return false;
    } else {
      shared_.sink.lost(origin(), sibling.path + " can't be read: " + std::strerror(file.error()));
    }
  }
  return true;
}

// Did this file have the followed name between the newest generation and `current`?
bool Follower::was_between(const Sibling& sibling, FileId current, const std::string& real) const {
  if (sibling.birth.id == current || shared_.book.owner(sibling.birth.id) != nullptr) return false;
  if (shared_.book.left(sibling.birth) != nullptr) return false;
  const bool followed_itself = could_match(shared_.options.files, base_name(sibling.path));
  // Never opened before: it may have been rotated before anybody looked, but must be younger than this instance, and
  // its name must say clearly what it is.
  if (generations_.empty()) {
    return !was_there_ && real_path_.empty() && !followed_itself && sibling.form != RotatedName::other &&
           sibling.birth.born_ns >= shared_.started_ns;
  }
  // With *.log, app-2.log is more likely the log of a second program than a rotated app.log.
  if (followed_itself && sibling.form != RotatedName::numbered) return false;
  if (real != real_path_ || known_siblings_.count(sibling.birth) != 0) return false;
  return sibling.birth.born_ns == 0 || sibling.birth.born_ns >= generations_.back().birth.born_ns;
}

Rotation Follower::why_replaced(const std::string& real) const {
  if (real != real_path_) return Rotation::replaced;  // a symbolic link leads elsewhere now
  if (!generations_.back().file.deleted()) return Rotation::renamed;
  return missing_since_ || name_deleted_ ? Rotation::deleted : Rotation::replaced;
}

void Follower::append(OpenFile file, std::int64_t now) {
  shared_.book.own(file.id(), this);
  const Birth birth = birth_of(file.fd());
  const int watch = shared_.inotify.watch_file(file.fd());
  if (watch >= 0) shared_.watches[watch] = this;
  generations_.push_back({std::move(file), birth, watch, now, now, Rotation::renamed});
  begin(generations_.back());
}

void Follower::begin(Generation& generation) {
  const LeftAt* left = shared_.book.left(generation.birth);
  if (left != nullptr && generation.file.continues(left->offset, left->head, left->tail)) {
    generation.file.begin_at(left->offset);
  } else if (was_there_) {
    generation.file.begin_with_backlog(shared_.options.backlog);
  }
}

// What stands beside the file while the path still names it can't have come between it and its successor.
void Follower::refresh_siblings(FileId current) {
  const std::int64_t changed = folder_change_ns(real_path_);
  if (changed != 0 && changed == folder_changed_ns_) return;
  const std::vector<Sibling> siblings = siblings_of(real_path_);
  struct stat st;
  if (::stat(path_.c_str(), &st) != 0 || id_of(st) != current) return;
  known_siblings_.clear();
  for (const Sibling& sibling : siblings) known_siblings_.insert(sibling.birth);
  folder_changed_ns_ = changed;
}

bool Follower::read(std::int64_t now) {
  if (read_late(now)) return true;
  if (generations_.empty()) return false;
  Generation& front = generations_.front();
  switch (front.file.read_chunk(*this)) {
    case OpenFile::Outcome::more:
      front.grown_at = now;
      return true;
    case OpenFile::Outcome::truncated:
      if (front.file.restart(*this)) shared_.sink.lost(origin(), file_ + " was cut before it was read to its end");
      shared_.sink.rotated(origin(), Rotation::truncated);
      folder_changed_ns_ = 0;
      return true;
    case OpenFile::Outcome::failed:
      problem_ = "can't read " + path_ + ": " + std::strerror(front.file.error());
      if (generations_.size() == 1) return false;
      break;
    case OpenFile::Outcome::at_end:
      break;
  }
  if (generations_.size() == 1) {
    if (missing_since_) wait_or_give_up(front, now);
    return false;
  }
  // Its writer may still be in the middle of a line. While the successor is empty, waiting costs nothing.
  if (front.file.has_unfinished() && generations_[1].file.size() == 0 &&
      now - std::max(front.ended_at, front.grown_at) < kUnfinishedGraceMs) {
    return false;
  }
  retire_front(now);
  return true;
}

void Follower::wait_or_give_up(Generation& last, std::int64_t now) {
  const std::int64_t quiet = now - std::max(*missing_since_, last.grown_at);
  if (quiet >= kUnfinishedGraceMs) last.file.finish(*this);
  if (quiet < kGoneKeepMs) return;
  shared_.sink.rotated(origin(), last.file.deleted() ? Rotation::deleted : Rotation::renamed);
  let_go(last);
  generations_.clear();
  done_ = late_.empty();
}

void Follower::retire_front(std::int64_t now) {
  Generation& front = generations_.front();
  front.file.finish(*this);
  shared_.sink.rotated(origin(), front.why);
  front.ended_at = front.grown_at = now;
  late_.push_back(std::move(front));
  generations_.pop_front();
  if (late_.size() <= kLateMax) return;
  late_.front().file.finish(*this);
  let_go(late_.front());
  late_.pop_front();
}

bool Follower::read_late(std::int64_t now) {
  if (late_.empty()) return false;
  // An empty successor means that the program has not moved on yet.
  const bool moved_on = generations_.empty() || generations_.front().file.size() > 0;
  const std::int64_t patience = moved_on ? kLateMs : kGoneKeepMs;
  for (auto it = late_.begin(); it != late_.end();) {
    const OpenFile::Outcome outcome = it->file.read_chunk(*this);
    if (outcome == OpenFile::Outcome::more) {
      it->grown_at = now;
      return true;
    }
    if (outcome == OpenFile::Outcome::at_end && now - it->grown_at < patience) {
      ++it;
      continue;
    }
    if (outcome == OpenFile::Outcome::at_end) it->file.finish(*this);
    let_go(*it);
    it = late_.erase(it);
  }
  return false;
}

// An old file got its followed name back.
void Follower::reclaim_late(FileId id) {
  const auto it = std::find_if(late_.begin(), late_.end(), [&](const Generation& g) { return g.file.id() == id; });
  if (it == late_.end()) return;
  if (!generations_.empty()) generations_.back().why = Rotation::replaced;
  generations_.push_back(std::move(*it));
  late_.erase(it);
  missing_since_.reset();
}

void Follower::let_go(Generation& generation) {
  shared_.inotify.unwatch_file(generation.watch);
  shared_.watches.erase(generation.watch);
  shared_.book.release(generation.file.id());
  if (generation.file.deleted()) return;
  shared_.book.leave(generation.birth, {generation.file.offset(), std::string(generation.file.head()),
                                        std::string(generation.file.tail())});
}

}  // namespace weir::log_tail
