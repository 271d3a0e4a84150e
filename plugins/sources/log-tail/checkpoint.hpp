// The text of a checkpoint file: which files there were and how far the hub has accepted them.
//   weir-log-tail 1 SAVED_NS
//   DEVICE INODE BORN_NS MODIFIED_NS SEEN_S HEAD_BYTES HEAD_HASH OFFSET TAIL_HASH ORDER STATE PATH     one for each
//   file end COUNT HASH
// Hashes are hexadecimal; STATE is "open" or "read"; PATH has its control characters, spaces and '%' as %XX. HASH is
// that of everything before its line, so a file that was cut or changed is told from a whole one. Limits: kTracksMax
// files; kCheckpointBytesMax bytes are read. Threads: pure functions, [any].
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "place.hpp"

namespace weir::log_tail {

inline constexpr std::size_t kTracksMax = 32768;
inline constexpr std::size_t kCheckpointBytesMax = 64 * 1024 * 1024;

struct Checkpoint {
  std::int64_t saved_ns = 0;  // since 1970-01-01; 0: there was none
  std::vector<Track> files;   // `accepted` is what counts; `read` is the same
};

std::string to_text(std::int64_t saved_ns, const std::vector<TrackPtr>& files);

// unreadable: the system does not show what is in the file, which may be fine.
enum class Reading : std::uint8_t { fine, newer, damaged, unreadable };
// `why`: what is wrong, as the end of a sentence. Nothing of a text that is not fine is used.
Reading parse_checkpoint(std::string_view text, Checkpoint& out, std::string& why);

// Reads the file. A missing one is fine and empty (saved_ns is 0).
Reading read_checkpoint(const std::string& path, Checkpoint& out, std::string& why);

}  // namespace weir::log_tail
