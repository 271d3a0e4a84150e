// The half of Follower that reads: chunks, ends of files, late lines, and events of several lines.
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "follower.hpp"
#include "glob.hpp"

namespace weir::log_tail {

bool Follower::line(const Line& line) {
  if (!shared_.multiline.wanted()) {
    from_->read = line.end;
    return shared_.sink.line(origin(), line);
  }
  bool go_on = true;
  if (joiner_.waiting() && joining_from_ != from_) go_on = joiner_.flush();  // late lines of another file
  joining_from_ = from_;
  return joiner_.line(line, now_) && go_on;
}

// What was joined comes from where its lines came from, which need not be what is read now.
bool Follower::emit(const Line& line) {
  const TrackPtr now = std::exchange(from_, joining_from_);
  from_->read = line.end;
  const bool go_on = shared_.sink.line(origin(), line);
  from_ = now;
  return go_on;
}

bool Follower::flush_due(std::int64_t now) {
  if (!joiner_.waiting() || now < joiner_.due()) return joiner_.waiting();
  joiner_.flush();
  return false;
}

OpenFile::Outcome Follower::read_chunk(Generation& generation, std::int64_t now) {
  now_ = now;
  from_ = generation.track;
  const OpenFile::Outcome outcome = generation.file.read_chunk(*this);
  Track& track = *generation.track;
  if (outcome != OpenFile::Outcome::truncated) {  // else the track is about what was there before
    track.modified_ns = generation.file.modified_ns();
    if (track.head.bytes != generation.file.head_bytes()) track.head = generation.file.head();
  }
  if (outcome == OpenFile::Outcome::more) generation.grown_at = now;
  if (outcome != OpenFile::Outcome::failed)
    generation.problem.clear();
  else if (!generation.file.packed())
    note_failure(generation, "can't read " + generation.name + ": " + generation.file.problem(), now);
  return outcome;
}

void Follower::note_failure(Generation& generation, std::string problem, std::int64_t now) {
  if (generation.problem.empty()) generation.failing_since = now;
  generation.problem = std::move(problem);
}

// A file that lost its name to another one can't be read. True: try again at the next look, through a new descriptor in
// case only the old one is at fault (ESTALE). False: that has been tried for long enough, and what is lost is said.
bool Follower::may_recover(Generation& rotated, std::int64_t now) {
  std::int64_t changed = 0;
  const auto siblings = siblings_now(real_path_, true, changed);
  std::int64_t patience = siblings ? kLateMs : kGoneKeepMs;
  for (const Sibling& sibling : siblings.value_or(std::vector<Sibling>())) {
    if (sibling.birth != rotated.track->birth) continue;
    rotated.file.reopen(sibling.path);
    patience = kGoneKeepMs;
  }
  if (now - rotated.failing_since < patience) return true;
  say_unread(rotated);
  return false;
}

void Follower::say_unread(const Generation& generation) {
  from_ = generation.track;
  shared_.sink.lost(origin(), generation.problem + "; what was not read of it is gone");
}

// Puts what is found in front of the row. Before, nothing is read.
void Follower::look_back(std::int64_t now) {
  if (shared_.looking_back == nullptr) shared_.looking_back = this;
  if (shared_.looking_back != this || backlog_->look()) return;
  const std::unique_ptr<Backlog> backlog = std::move(backlog_);
  if (!backlog->problem().empty()) shared_.sink.lost(origin(), backlog->problem());
  std::deque<Generation> row;
  row.swap(generations_);
  for (auto part = backlog->parts().rbegin(); part != backlog->parts().rend(); ++part) {
    append(std::move(part->file), nullptr, std::move(part->name), now);
    generations_.back().past = true;
  }
  for (Generation& generation : row) generations_.push_back(std::move(generation));
  looked_back();
}

void Follower::looked_back() {
  const bool over = generations_.empty() || !generations_.front().past;
  if (over && shared_.looking_back == this) shared_.looking_back = nullptr;
}

// An event of several lines that is older than it would wait now is part of the past as well.
void Follower::note_past(const Generation& front, OpenFile::Outcome outcome) {
  if (outcome == OpenFile::Outcome::more && front.file.read_up_to() < past_end_) return;
  past_of_.reset();
  timespec real{};
  ::clock_gettime(CLOCK_REALTIME, &real);
  const std::int64_t quiet_ns = real.tv_sec * 1'000'000'000LL + real.tv_nsec - front.track->modified_ns;
  if (joiner_.waiting() && quiet_ns / 1'000'000 > shared_.options.multiline.timeout_ms) joiner_.flush();
}

bool Follower::read(std::int64_t now) {
  if (backlog_) {
    look_back(now);
    return true;
  }
  if (read_late(now)) return true;
  if (generations_.empty()) return false;
  Generation& front = generations_.front();
  if (!front.file.is_open()) {
    if (generations_.size() > 1) {  // it was deleted while it was closed
      retire_front(now);
      return true;
    }
    if (!front.file.wake(path_)) {
      if (!reach_.is_absent(front.file.error()))
        note_failure(front, "can't open " + path_ + ": " + front.file.problem(), now);
      if (missing_since_) wait_or_give_up(front, now);
      return false;
    }
  }
  note_open();
  grew_ = false;
  const OpenFile::Outcome outcome = read_chunk(front, now);
  if (past_of_ == front.track) note_past(front, outcome);
  switch (outcome) {
    case OpenFile::Outcome::more:
      return true;
    case OpenFile::Outcome::truncated: {
      if (take_copy(now)) return true;
      if (!problem_.empty()) return false;  // whether there is a copy can't be seen now
      const bool lost = front.file.restart(*this);
      joiner_.flush();
      if (lost) shared_.sink.lost(origin(), file_ + " was cut before it was read to its end");
      shared_.sink.rotated(origin(), Rotation::truncated);
      front.track = book_.begin(path_, front.track->birth);
      folder_changed_ns_ = 0;
      return true;
    }
    case OpenFile::Outcome::other:
      shared_.sink.lost(origin(),
                        front.name + " is not the packed form of what was read before; the rest of that is gone");
      front.track = book_.begin(path_, front.track->birth);
      return true;
    case OpenFile::Outcome::failed:
      if (front.file.packed()) {
        shared_.sink.say(true, front.name + " can't be unpacked: " + front.file.problem());
        shared_.sink.lost(origin(), front.name + " can't be unpacked: " + front.file.problem());
        retire_front(now);
        return true;
      }
      if (generations_.size() == 1)
        front.file.reopen(path_);
      else if (front.past)
        say_unread(front);  // the others wait until it is done
      else if (may_recover(front, now))
        return false;
      break;
    case OpenFile::Outcome::at_end:
      break;
  }
  if (generations_.size() == 1) {
    if (missing_since_) wait_or_give_up(front, now);
    return false;
  }
  // Its writer may still be in the middle of a line. While the successor is empty, waiting costs nothing.
  if (front.file.has_unfinished() && !front.file.packed() && !front.past && generations_[1].file.size() == 0 &&
      now - std::max(front.ended_at, front.grown_at) < kUnfinishedGraceMs) {
    return false;
  }
  retire_front(now);
  return true;
}

// What the path names was cut before it was read to its end. A copy that was made of it before (copytruncate) begins
// with what was read, and has the rest: it is read on in its place, and what was cut from its beginning behind it.
bool Follower::take_copy(std::int64_t now) {
  const Generation& cut = generations_.front();
  if (generations_.size() != 1 || cut.file.head_bytes() == 0) return false;
  std::int64_t changed = 0;
  const auto siblings = siblings_now(real_path_, true, changed);
  for (const Sibling& sibling : siblings.value_or(std::vector<Sibling>())) {
    // As after a restart, but that on demand nobody knows what else is a log of its own.
    if (on_demand() && (sibling.form != RotatedName::numbered || reach_.hides(sibling.path))) continue;
    if (!on_demand() && could_match(shared_.options.files, base_name(sibling.path))) continue;
    if (sibling.packed || sibling.modified_ns < cut.track->modified_ns) continue;
    if (book_.owner(sibling.birth.id) != nullptr || book_.find(sibling.birth) != nullptr) continue;
    std::optional<Before> copy;
    if (open_sibling(sibling, copy) != Opened::opened || copy->file.size() <= cut.file.read_up_to() ||
        copy->file.continues(cut.file.head(), cut.file.read_place()) != OpenFile::Content::same)
      continue;
    struct Nobody final : LineSink {
      bool line(const Line&) override { return true; }
    } nobody;  // a line that was cut in its middle is whole in the copy
    Generation rest = std::move(generations_.front());
    generations_.clear();
    const Birth birth = rest.track->birth;
    const std::uint64_t begin = rest.file.offset();
    append(std::move(copy->file), std::move(rest.track), std::move(copy->name), now);
    generations_.back().file.begin_at(begin);
    generations_.back().why = Rotation::truncated;
    rest.file.restart(nobody);
    rest.track = book_.begin(path_, birth);
    generations_.push_back(std::move(rest));
    folder_changed_ns_ = 0;
    return true;
  }
  return false;
}

void Follower::wait_or_give_up(Generation& last, std::int64_t now) {
  const std::int64_t quiet = now - std::max(*missing_since_, last.grown_at);
  from_ = last.track;
  if (quiet >= kUnfinishedGraceMs && last.file.is_open() && last.problem.empty()) last.file.finish(*this);
  if (quiet < kGoneKeepMs) return;
  joiner_.flush();
  if (!last.problem.empty()) say_unread(last);
  shared_.sink.rotated(origin(), last.file.deleted() ? Rotation::deleted : Rotation::renamed);
  last.track->finished = true;
  let_go(last);
  generations_.clear();
  done_ = late_.empty();
}

void Follower::retire_front(std::int64_t now) {
  Generation& front = generations_.front();
  now_ = now;
  from_ = front.track;
  if (front.file.is_open()) front.file.finish(*this);
  joiner_.flush();
  shared_.sink.rotated(origin(), front.why);
  front.track->finished = true;
  front.ended_at = front.grown_at = now;
  if (front.file.is_open() && !front.file.packed() && !front.past && front.problem.empty())
    late_.push_back(std::move(front));
  else
    let_go(front);
  generations_.pop_front();
  looked_back();
  if (late_.size() <= kLateMax) return;
  from_ = late_.front().track;
  late_.front().file.finish(*this);
  let_go(late_.front());
  late_.pop_front();
}

bool Follower::read_late(std::int64_t now) {
  if (late_.empty()) return false;
  // An empty successor means that the program has not moved on yet.
  const bool moved_on = generations_.empty() || generations_.front().file.size() > 0;
  std::int64_t patience = moved_on ? kLateMs : kGoneKeepMs;
  if (shared_.buffers.open_files > shared_.options.open_max) patience = std::min(patience, kUnfinishedGraceMs);
  for (auto it = late_.begin(); it != late_.end();) {
    const OpenFile::Outcome outcome = read_chunk(*it, now);
    if (outcome == OpenFile::Outcome::more) return true;
    if (keep_late(*it, outcome, patience, now)) {
      ++it;
      continue;
    }
    let_go(*it);
    it = late_.erase(it);
  }
  return false;
}

// There is nothing to read in it now. False: there will be nothing more.
bool Follower::keep_late(Generation& late, OpenFile::Outcome outcome, std::int64_t patience, std::int64_t now) {
  if (outcome == OpenFile::Outcome::failed) return may_recover(late, now);
  if (outcome == OpenFile::Outcome::truncated) {
    if (late.file.restart(*this))
      shared_.sink.lost(origin(), late.name + " was cut after its rotation, before it was read to its end");
    return false;
  }
  if (now - late.grown_at < patience) return true;
  late.file.finish(*this);
  return false;
}

}  // namespace weir::log_tail
