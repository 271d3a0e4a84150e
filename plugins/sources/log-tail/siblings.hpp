// The rotated brothers of a log file: app.log.1, app.log-20261121, app-20261121.log and so on in its folder. When a
// file was rotated twice between two looks, the one in the middle never had the followed name while somebody looked;
// it is found here, as a brother that was not there before.
// Threads: [strand].
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "open_file.hpp"

namespace weir::log_tail {

// A file and when it was born: inode numbers come back soon after a file is deleted, the pair hardly does.
struct Birth {
  FileId id;
  std::int64_t born_ns = 0;  // since 1970-01-01; 0 when the file system does not tell
  auto operator<=>(const Birth&) const = default;
};

// Could a name be that of a rotated file, and how surely? Compressed ones are not: their lines were there before as
// text.
enum class RotatedName : std::uint8_t {
  no,
  numbered,  // app.log.1, app.log-20261121
  inside,    // app.1.log, app-20261121.log; might also be another program's log
  other      // app.log.old
};
RotatedName rotated_name(std::string_view base, std::string_view name);

struct Sibling {
  std::string path;
  Birth birth;
  std::int64_t modified_ns = 0;
  RotatedName form = RotatedName::other;
};

// The regular files beside `path` that could be its rotated ones, oldest first: app.log.2 before app.log.1, otherwise
// by their last change and then by name, which puts dates in order.
std::vector<Sibling> siblings_of(const std::string& path);

Birth birth_of(int fd);

}  // namespace weir::log_tail
