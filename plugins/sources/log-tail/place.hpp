// Who a file is, whatever it is called, and how far it was read: what makes it found again after a rename, a copy, a
// compression or a restart. An inode alone is not enough, because its number comes back soon after a file is deleted;
// the beginning alone is not, because many logs start with the same header. So there are three: inode and time of
// birth, a hash of the first bytes, and a hash of the bytes just before the place that was read to. Threads: plain
// values, [any].
#pragma once
#include <sys/stat.h>
#include <sys/types.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace weir::log_tail {

inline constexpr std::size_t kHeadBytes = 256;  // of a file's beginning
inline constexpr std::size_t kTailBytes = 64;   // before a place

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const FileId&) const = default;
};
inline FileId id_of(const struct stat& st) { return {st.st_dev, st.st_ino}; }

// A file and when it was born: inode numbers come back soon after a file is deleted, the pair hardly does.
struct Birth {
  FileId id;
  std::int64_t born_ns = 0;  // since 1970-01-01; 0 when the file system does not tell
  auto operator<=>(const Birth&) const = default;
};

// Not for secrets: it tells contents apart that nobody made to look alike. Once a line, so eight bytes at a time.
inline std::uint64_t hash_of(std::string_view bytes) {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15ULL;  // 2^64 / golden ratio
  std::uint64_t hash = bytes.size() * kOdd;
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, bytes.size() - at < 8 ? bytes.size() - at : 8);
    hash = (hash ^ word) * kOdd;
    hash ^= hash >> 29;
  }
  return hash;
}

// The first bytes of a file: as many as it had, at most kHeadBytes.
struct Head {
  std::uint32_t bytes = 0;
  std::uint64_t hash = 0;
  bool operator==(const Head&) const = default;
};

// Behind a line (or behind what was taken for one).
struct Place {
  std::uint64_t offset = 0;
  std::uint64_t tail = 0;  // hash of the min(offset, kTailBytes) bytes before it
  bool operator==(const Place&) const = default;
};
inline std::size_t tail_bytes(std::uint64_t offset) {
  return offset < kTailBytes ? static_cast<std::size_t>(offset) : kTailBytes;
}

// One file on its way through the plugin. Shared by the follower that reads it, the events of it that the hub has not
// accepted yet, and the book that remembers it afterwards.
struct Track {
  std::string path;  // the followed name whose file it was
  Birth birth;
  std::int64_t modified_ns = 0;  // its last change when it was read last
  Head head;
  Place read;               // everything before it became events
  Place accepted;           // and the hub has those before this one
  std::uint64_t order = 0;  // grows from file to file: which of two files of one name is the older one
  std::int64_t seen_s = 0;  // Unix seconds when it was last seen
  bool finished = false;    // rotated away and read to its end
  bool held = false;        // a follower has it now
};
using TrackPtr = std::shared_ptr<Track>;

}  // namespace weir::log_tail
