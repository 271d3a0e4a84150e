// The half of Follower that goes on after a restart: finds what a checkpoint tells of, under whatever name it has now,
// packed or not, and what took its name and lost it again meanwhile.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "follower.hpp"
#include "glob.hpp"

namespace weir::log_tail {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

// Device numbers may be others after a restart of the machine; together with the content the rest says enough.
bool is_same_file(const Birth& now, const Track& track) {
  return now.id.inode == track.birth.id.inode &&
         (now.born_ns == 0 || track.birth.born_ns == 0 || now.born_ns == track.birth.born_ns);
}

// Could it hold what was read as `track`? What is in the file was written to it last when it was read or later, and
// those who pack and copy keep that time, some without its fractions.
bool is_young_enough(const Sibling& sibling, std::int64_t modified_ns) {
  return sibling.modified_ns >= modified_ns ||
         (sibling.packed && sibling.modified_ns % kSecondNs == 0 && sibling.modified_ns >= modified_ns - kSecondNs);
}

}  // namespace

// Puts the file of the track at its place in `found`. False: it is nowhere here, or (steady: false) names changed
// meanwhile.
bool Follower::find_resumed(const std::vector<Sibling>& siblings, const Track& track,
                            std::vector<std::optional<Before>>& found, bool& steady) {
  const auto open = [&](std::size_t i) {
    std::optional<Before> file;
    const Opened opened = open_sibling(siblings[i], file);
    if (opened == Opened::moved || opened == Opened::unreadable) steady = false;
    if (opened != Opened::opened) return false;
    const OpenFile::Content content = file->file.continues(track.head, track.accepted);
    // Another one's content is no reason to wait; what is this very file is worth another look.
    if (content == OpenFile::Content::unreadable && is_same_file(siblings[i].birth, track)) {
      problem_ = "can't read " + siblings[i].path + ": " + file->file.problem();
      steady = false;
    }
    if (content != OpenFile::Content::same) return false;
    found[i].emplace(std::move(*file));
    return true;
  };
  const auto free = [&](std::size_t i) { return !found[i] && book_.owner(siblings[i].birth.id) == nullptr; };
  for (std::size_t i = 0; i < siblings.size() && steady; ++i) {
    if (!free(i) || !is_same_file(siblings[i].birth, track)) continue;
    // Nothing is owed of what was read to its end, unless its program has not noticed the rotation.
    struct stat st;
    if (track.finished && !siblings[i].packed && ::stat(siblings[i].path.c_str(), &st) == 0 &&
        static_cast<std::uint64_t>(st.st_size) == track.accepted.offset)
      return false;
    if (track.finished && siblings[i].packed) return false;
    if (open(i)) return true;
  }
  if (track.finished || track.head.bytes == 0) return false;
  // Copies (copytruncate) before packed files, which show only their beginning without being unpacked.
  for (const bool packed : {false, true}) {
    for (std::size_t i = 0; i < siblings.size() && steady; ++i) {
      if (siblings[i].packed != packed || !free(i) || !is_young_enough(siblings[i], track.modified_ns)) continue;
      if (const TrackPtr other = book_.find(siblings[i].birth); other && other->birth != track.birth) continue;
      if (open(i)) return true;
    }
  }
  return false;
}

// Did this file take the name after `after_ns`, when the files of the checkpoint were read last, and lose it again?
bool Follower::came_meanwhile(const Sibling& sibling, std::int64_t after_ns) const {
  if (sibling.form == RotatedName::no || sibling.form == RotatedName::other) return false;
  if (book_.owner(sibling.birth.id) != nullptr || book_.find(sibling.birth) != nullptr) return false;
  const bool followed_itself = could_match(shared_.options.files, base_name(sibling.path));
  if (followed_itself && sibling.form != RotatedName::numbered) return false;
  return is_young_enough(sibling, after_ns);
}

// `current`: what the path names, null when that is nothing. False: names changed meanwhile, or a file that was read
// can't be looked into now (problem_).
bool Follower::resume(const std::vector<Sibling>& siblings, OpenFile* current, Row& out) {
  std::vector<std::optional<Before>> found(siblings.size());
  std::size_t behind = 0;  // what stands before it in the row is older than what was read
  std::int64_t after_ns = 0;
  bool steady = true;
  for (const TrackPtr& track : book_.loaded(path_)) {
    if (current != nullptr && is_same_file(birth_of(current->fd()), *track)) {
      const OpenFile::Content content = current->continues(track->head, track->accepted);
      if (content == OpenFile::Content::unreadable) {
        problem_ = "can't read " + path_ + ": " + current->problem();
        return false;
      }
      if (content == OpenFile::Content::same) {
        out.of_current = track;
        continue;
      }
      out.cut = true;
    }
    after_ns = std::max({after_ns, track->modified_ns, track->birth.born_ns});
    if (find_resumed(siblings, *track, found, steady)) {
      const auto at = std::find_if(found.begin(), found.end(), [](const auto& f) { return f && !f->track; });
      at->value().track = track;
      behind = std::max(behind, static_cast<std::size_t>(at - found.begin()) + 1);
    } else if (!track->finished) {
      out.lost.push_back(track);
    }
    if (!steady) return false;
  }
  for (std::size_t i = behind; i < siblings.size() && !out.of_current; ++i) {
    if (found[i] || !came_meanwhile(siblings[i], after_ns)) continue;
    out.others_came = true;
    const Opened opened = open_sibling(siblings[i], found[i]);
    if (opened == Opened::forbidden) out.refused.push_back(siblings[i].path);
    if (opened == Opened::moved || opened == Opened::unreadable) return false;
  }
  for (auto& file : found) {
    if (file) out.files.push_back(std::move(*file));
  }
  return true;
}

// The path names nothing, but what it named may stand beside it.
bool Follower::resume_without_current(std::int64_t now) {
  if (!real_path_.empty() || book_.loaded(path_).empty()) return false;
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    std::int64_t changed = 0;
    const auto siblings = siblings_now(path_, true, changed);
    Row row;
    const bool steady = siblings && resume(*siblings, nullptr, row);
    if (!problem_.empty()) return false;
    if (!steady) continue;
    if (row.files.empty()) return false;  // told of when the path names something again
    say_lost(row);
    set_real_path(path_);
    for (Before& file : row.files) append(std::move(file.file), std::move(file.track), std::move(file.name), now);
    for (const Sibling& sibling : *siblings) known_siblings_.insert(sibling.birth);
    return true;
  }
  return false;
}

void Follower::say_lost(const Row& row) {
  for (const std::string& path : row.refused)
    shared_.sink.lost(origin(), std::string(base_name(path)) + " can't be read: " + std::strerror(EACCES));
  for (const TrackPtr& track : row.lost) {
    // It may only have got another followed name, under which it is found by what it is.
    if (shared_.is_followed_elsewhere && shared_.is_followed_elsewhere(*track, path_)) continue;
    from_ = track;
    // One that nothing was read of is known by its inode alone; packed, it is one of those that came meanwhile.
    const bool may_be_found = track->head.bytes == 0 && track->accepted.offset == 0 && row.others_came;
    if (!may_be_found)
      shared_.sink.lost(origin(), "what stood in " + file_ + " behind byte " + std::to_string(track->accepted.offset) +
                                      " when it was read last can't be found: it was " + (row.cut ? "cut" : "deleted") +
                                      " while nobody followed it");
    book_.drop(track);
  }
}

}  // namespace weir::log_tail
