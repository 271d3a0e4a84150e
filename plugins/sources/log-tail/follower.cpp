#include "follower.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "glob.hpp"

namespace weir::log_tail {
namespace {

// A file that was born so short before a checkpoint may not stand in it yet.
constexpr std::int64_t kUnnoticedNs = 5'000'000'000;

}  // namespace

Follower::Follower(std::string path, bool was_there, Shared& shared)
    : Follower(path, std::string(base_name(path)), was_there, Reach(), nullptr, shared) {}

Follower::Follower(std::string path, std::string name, const Root& root, Shared& shared)
    : Follower(std::move(path), std::move(name), true, Reach(root), std::make_unique<FileBook>(), shared) {}

Follower::Follower(std::string path, std::string name, bool was_there, Reach reach, std::unique_ptr<FileBook> own_book,
                   Shared& shared)
    : shared_(shared),
      path_(std::move(path)),
      file_(std::move(name)),
      reach_(reach),
      own_book_(std::move(own_book)),
      book_(own_book_ ? *own_book_ : shared.book),
      named_alike_(own_book_ ? nullptr : &shared.files_named[file_]),
      was_there_(was_there),
      open_place_(shared.open.end()),
      joiner_(shared.multiline, emission_) {
  if (named_alike_ != nullptr) ++*named_alike_;
}

Follower::~Follower() {
  for (Generation& g : late_) let_go(g);
  for (Generation& g : generations_) let_go(g);
  set_real_path(path_);  // which needs no entry
  if (open_place_ != shared_.open.end()) shared_.open.erase(open_place_);
  if (shared_.looking_back == this) shared_.looking_back = nullptr;
  if (named_alike_ != nullptr && --*named_alike_ == 0) shared_.files_named.erase(file_);
}

const std::string& Follower::problem() const {
  if (!problem_.empty()) return problem_;
  for (const Generation& g : generations_) {
    if (!g.problem.empty()) return g.problem;
  }
  const auto failing = std::find_if(late_.begin(), late_.end(), [](const auto& g) { return !g.problem.empty(); });
  return failing == late_.end() ? problem_ : failing->problem;
}

Origin Follower::origin() const {
  if (on_demand()) return {file_, {}, nullptr};
  return {file_, *named_alike_ > 1 ? std::string_view(path_) : std::string_view(), &from_};
}

void Follower::say_once(const std::string& message) {
  if (said_ == message) return;
  said_ = message;
  shared_.sink.say(false, message);
}

void Follower::set_real_path(const std::string& real) {
  const auto entry_of = [this] {
    const auto [from, to] = shared_.real_paths.equal_range(real_path_);
    return std::find_if(from, to, [this](const auto& entry) { return entry.second == this; });
  };
  if (!real_path_.empty() && real_path_ != path_) {
    if (const auto it = entry_of(); it != shared_.real_paths.end() && it->second == this) shared_.real_paths.erase(it);
  }
  real_path_ = real;
  real_folder_ = folder_of(real);
  // A path by name is good enough, also below a root: what a watch tells of is only looked at.
  if (on_demand()) {
    shared_.inotify.want_folder(folder_of(path_));
    shared_.inotify.want_folder(real_folder_);
  }
  if (real_path_ == path_) return;
  shared_.real_paths.emplace(real_path_, this);
  shared_.inotify.want_folder(real_folder_);
}

void Follower::note_open() {
  if (open_place_ == shared_.open.end())
    open_place_ = shared_.open.insert(shared_.open.end(), this);
  else
    shared_.open.splice(shared_.open.end(), shared_.open, open_place_);
}

bool Follower::rest(bool even_unread) {
  if (generations_.size() != 1 || backlog_ || !late_.empty() || missing_since_ || (grew_ && !even_unread)) return false;
  Generation& only = generations_.front();
  struct stat st;
  // Only under the name where it will be looked for.
  if (only.file.packed() || !reach_.look_at(path_, st) || id_of(st) != only.file.id()) return false;
  const bool unread = static_cast<std::uint64_t>(st.st_size) != only.file.read_up_to();
  if (unread && !even_unread) return false;
  grew_ = grew_ || unread;
  only.file.rest();
  shared_.unwatch(std::exchange(only.watch, -1), this);
  shared_.open.erase(std::exchange(open_place_, shared_.open.end()));
  return true;
}

void Follower::missing(std::int64_t now) {
  was_there_ = false;
  if (!missing_since_) missing_since_ = now;
  if (!generations_.empty()) lose_sight(generations_.back(), now);
  if (generations_.empty() && late_.empty()) done_ = !resume_without_current(now) && problem_.empty();
}

// The path names something else, or nothing: from now on the descriptor alone leads to the file.
bool Follower::lose_sight(Generation& generation, std::int64_t now) {
  if (!generation.file.is_open() && !find_again(generation, now)) {
    if (!generation.problem.empty()) return false;
    if (std::exchange(grew_, false))
      shared_.sink.lost(origin(), file_ + " was deleted while it was closed, before it was read to its end");
    return true;
  }
  if (generation.watch < 0) generation.watch = shared_.watch(generation.file.fd(), this);
  return true;
}

// Without a problem false says that it is not there any more.
bool Follower::find_again(Generation& generation, std::int64_t now) {
  std::int64_t changed = 0;
  const auto siblings = siblings_now(real_path_, true, changed);
  if (!siblings) {
    note_failure(generation, std::exchange(problem_, {}), now);
    return false;
  }
  std::string problem;
  for (const Sibling& sibling : *siblings) {
    if (sibling.birth != generation.track->birth) continue;
    if (generation.file.wake(sibling.path)) {
      generation.problem.clear();
      generation.name = sibling.path;
      note_open();
      return true;
    }
    if (!reach_.is_absent(generation.file.error()))
      problem = "can't open " + sibling.path + ": " + generation.file.problem();
  }
  if (problem.empty())
    generation.problem.clear();
  else
    note_failure(generation, std::move(problem), now);
  return false;
}

void Follower::check(std::int64_t now) {
  more_waiting_ = idle_ = false;
  error_ = 0;
  struct stat st;
  if (!reach_.look_at(path_, st)) {
    error_ = errno;
    problem_ = reach_.is_absent(error_) ? std::string() : "can't look at " + path_ + ": " + std::strerror(error_);
    if (problem_.empty()) missing(now);
    return;
  }
  if (!S_ISREG(st.st_mode)) {
    problem_.clear();
    error_ = ENOENT;
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
    generations_.back().file.note_growth(static_cast<std::uint64_t>(st.st_size));
    idle_ = generations_.size() == 1 && late_.empty() && !grew_ && generations_.back().file.unchanged(st);
    return;
  }
  if (const Follower* owner = book_.owner(id); owner == this) {
    reclaim_late(id);
  } else if (owner != nullptr) {
    say_once(path_ + " is the same file as " + owner->path() + ", which is read already");
  } else if (generations_.size() < kGenerationsMax) {
    open_current(now);
  } else {
    more_waiting_ = true;
  }
}

std::optional<std::vector<Sibling>> Follower::siblings_now(const std::string& real, bool fresh,
                                                           std::int64_t& changed_ns) {
  const std::string folder = folder_of(real);
  const FolderNames::Listing& listing =
      fresh ? shared_.folders.now(folder, reach_) : shared_.folders.recent(folder, reach_);
  changed_ns = listing.changed_ns;
  errno = listing.error;
  auto siblings = errno == 0 ? siblings_of(real, listing.names, reach_) : std::nullopt;
  if (!siblings) problem_ = "can't read the folder " + folder + ": " + std::strerror(errno);
  return siblings;
}

void Follower::open_current(std::int64_t now) {
  const bool first = generations_.empty() && real_path_.empty();
  const bool resuming = first && !book_.loaded(path_).empty();
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    OpenFile current(path_, shared_.buffers, false, reach_);
    if (!current.is_open()) {
      error_ = current.error();
      if (!reach_.is_absent(current.error())) problem_ = "can't open " + path_ + ": " + std::strerror(current.error());
      return;
    }
    if (book_.owner(current.id()) != nullptr) return;  // renamed while we looked; the next check sees it again
    problem_.clear();
    const std::string real = reach_.real_path(path_, current.fd());
    if (reach_.hides(real)) {
      error_ = ENOENT;
      return;
    }
    std::int64_t folder_changed = 0;
    // What was there at the start has nothing in between, so thousands of files need not look at it each.
    const auto siblings = siblings_now(real, resuming || !first || !was_there_, folder_changed);
    if (!siblings) return;
    Row row;
    bool steady = resuming ? resume(*siblings, &current, row) : open_between(*siblings, current.id(), real, row);
    struct stat st;
    steady = steady && reach_.look_at(path_, st) && id_of(st) == current.id();
    if (!problem_.empty()) return;  // what has to be looked into can't be read now
    // Taking what was seen so far could change the order; the rotation that disturbed us brings another check anyway.
    if (!steady) continue;

    if (!generations_.empty()) {
      Generation& before = generations_.back();
      if (!lose_sight(before, now)) {
        if (now - before.failing_since < kGoneKeepMs) return;
        say_unread(before);
      }
      before.why = why_replaced(real);
      before.ended_at = now;
    }
    say_lost(row);
    if (resuming) was_there_ = false;
    // After a restart whatever its folder holds is in the row: who is left out now would not be known later.
    const bool all = resuming || generations_.size() + row.files.size() < kGenerationsMax;
    for (Before& file : row.files) append(std::move(file.file), std::move(file.track), std::move(file.name), now);
    if (row.cut && !generations_.empty()) generations_.back().why = Rotation::truncated;
    set_real_path(real);
    more_waiting_ = !all;
    if (!all) return;  // the youngest come when the row is shorter; they are still found as brothers that nobody knows
    const LastLines missing = append(std::move(current), row.of_current, path_, now);
    if (missing.lines != 0) {
      if (auto older = rotated_before(*siblings, generations_.back().file.id()); !older.empty())
        backlog_ = std::make_unique<Backlog>(missing, std::move(older), shared_.buffers, reach_);
    }
    known_siblings_.clear();
    for (const Sibling& sibling : *siblings) known_siblings_.insert(sibling.birth);
    folder_changed_ns_ = folder_changed;
    missing_since_.reset();
    name_deleted_ = was_there_ = false;
    said_.clear();
    return;
  }
}

Follower::Opened Follower::open_sibling(const Sibling& sibling, std::optional<Before>& out) {
  OpenFile file(sibling.path, shared_.buffers, sibling.packed, reach_);
  if (file.is_open() && file.id() == sibling.birth.id) {
    out.emplace(Before{std::move(file), nullptr, sibling.path});
    return Opened::opened;
  }
  if (file.is_open() || reach_.is_absent(file.error()) || file.error() == ENOTSUP) return Opened::moved;
  if (is_forbidden(file.error())) return Opened::forbidden;
  problem_ = "can't open " + sibling.path + ": " + std::strerror(file.error());
  return Opened::unreadable;
}

// Opens those of the siblings that came between, oldest first, as many as the row has room for. False when they changed
// their names meanwhile, or can't be opened now.
bool Follower::open_between(const std::vector<Sibling>& siblings, FileId current, const std::string& real, Row& row) {
  for (const Sibling& sibling : siblings) {
    if (!was_between(sibling, current, real)) continue;
    if (generations_.size() + row.files.size() >= kGenerationsMax) break;
    std::optional<Before> file;
    const Opened opened = open_sibling(sibling, file);
    if (opened == Opened::opened)
      row.files.push_back(std::move(*file));
    else if (opened == Opened::forbidden)
      row.refused.push_back(sibling.path);
    else
      return false;
  }
  return true;
}

// Did this file have the followed name between the newest generation and `current`?
bool Follower::was_between(const Sibling& sibling, FileId current, const std::string& real) const {
  if (sibling.packed) return false;  // its lines were there before as text, and were read then
  if (sibling.birth.id == current || book_.owner(sibling.birth.id) != nullptr) return false;
  if (book_.find(sibling.birth) != nullptr) return false;
  // On demand nobody knows what else is a log of its own; no line must get into another one's.
  const bool followed_itself = on_demand() || could_match(shared_.options.files, base_name(sibling.path));
  // Never opened before: it may have been rotated before anybody looked, but must be younger than this instance, and
  // its name must say clearly what it is.
  if (generations_.empty()) {
    return !was_there_ && real_path_.empty() && !followed_itself && sibling.form != RotatedName::other &&
           sibling.birth.born_ns >= shared_.started_ns;
  }
  // With *.log, app-2.log is more likely the log of a second program than a rotated app.log.
  if (followed_itself && sibling.form != RotatedName::numbered) return false;
  if (real != real_path_ || known_siblings_.count(sibling.birth) != 0) return false;
  return sibling.birth.born_ns == 0 || sibling.birth.born_ns >= generations_.back().track->birth.born_ns;
}

Rotation Follower::why_replaced(const std::string& real) const {
  if (real != real_path_) return Rotation::replaced;  // a symbolic link leads elsewhere now
  if (!generations_.back().file.deleted()) return Rotation::renamed;
  return missing_since_ || name_deleted_ ? Rotation::deleted : Rotation::replaced;
}

LastLines Follower::append(OpenFile file, TrackPtr track, std::string name, std::int64_t now) {
  LastLines missing;
  book_.own(file.id(), this);
  const Birth birth = birth_of(file.fd());
  const bool known = track != nullptr;
  if (known) {
    book_.claim(track, path_, birth);
  } else if (const TrackPtr left = book_.find(birth);
             left != nullptr && !left->held &&
             file.continues(left->head, left->read) != OpenFile::Content::other) {  // unreadable: the birth is enough
    track = left;
    book_.claim(track, path_, birth);
    file.begin_at(track->read);
  } else {
    track = book_.begin(path_, birth);
    // With a checkpoint, what is not in it and younger than it appeared while nobody looked.
    const std::int64_t born_ns = birth.born_ns != 0 ? birth.born_ns : file.changed_ns();
    const bool appeared = !on_demand() && shared_.saved_ns != 0 && born_ns >= shared_.saved_ns - kUnnoticedNs;
    if (was_there_ && !appeared && !file.packed()) {
      missing.lines = shared_.options.backlog;
      file.begin_with_backlog(missing, false);
    }
    if (was_there_ && on_demand()) {
      past_of_ = track;
      past_end_ = file.size();
    }
    track->read = track->accepted = file.place();
  }
  if (known) file.begin_at(track->accepted);
  track->head = file.packed() ? track->head : file.head();
  generations_.push_back({std::move(file), std::move(track), std::move(name), -1, now, now, Rotation::renamed});
  note_open();
  if (generations_.back().name != path_) lose_sight(generations_.back(), now);
  return missing;
}

// Those that surely were this log before what has its name now, oldest first. Where one was read before, so was what is
// older than it.
std::vector<Sibling> Follower::rotated_before(const std::vector<Sibling>& siblings, FileId current) const {
  const auto is_left_out = [&](const std::string& path) {
    return on_demand() ? reach_.hides(path) : matches_any(shared_.options.exclude, path);
  };
  std::vector<Sibling> older;
  for (const Sibling& sibling : siblings) {
    const std::string plain(sibling.packed ? packed_name(sibling.path) : sibling.path);
    // What is a log of its own gives its lines itself; on demand nobody knows what else is one, as in was_between().
    const bool is_clear = on_demand() ? sibling.form == RotatedName::numbered
                                      : sibling.form != RotatedName::other &&
                                            !could_match(shared_.options.files, base_name(sibling.path));
    if (!is_clear || sibling.birth.id == current || is_left_out(sibling.path) || is_left_out(plain)) continue;
    if (book_.owner(sibling.birth.id) == nullptr && book_.find(sibling.birth) == nullptr)
      older.push_back(sibling);
    else
      older.clear();
  }
  return older;
}

// What stands beside the file while the path still names it can't have come between it and its successor.
void Follower::refresh_siblings(FileId current) {
  const std::int64_t changed = shared_.folders.recent(real_folder_, reach_).changed_ns;
  if (changed != 0 && changed == folder_changed_ns_) return;
  std::int64_t listed = 0;
  const auto siblings = siblings_now(real_path_, false, listed);
  struct stat st;
  if (!siblings || !reach_.look_at(path_, st) || id_of(st) != current) return;
  known_siblings_.clear();
  for (const Sibling& sibling : *siblings) known_siblings_.insert(sibling.birth);
  folder_changed_ns_ = listed;
}

// An old file got its followed name back.
void Follower::reclaim_late(FileId id) {
  const auto it = std::find_if(late_.begin(), late_.end(), [&](const Generation& g) { return g.file.id() == id; });
  if (it == late_.end()) return;
  if (!generations_.empty()) generations_.back().why = Rotation::replaced;
  it->track->finished = false;
  generations_.push_back(std::move(*it));
  late_.erase(it);
  missing_since_.reset();
}

void Follower::let_go(Generation& generation) {
  shared_.unwatch(generation.watch, this);
  book_.release(generation.file.id());
  const TrackPtr& track = generation.track;
  if (!shared_.options.places && !generation.file.packed()) track->read = generation.file.place();
  book_.leave(track);
  const bool settled = !shared_.options.places || track->accepted == track->read;
  if (settled && generation.file.is_open() && generation.file.deleted()) book_.drop(track);
}

}  // namespace weir::log_tail
