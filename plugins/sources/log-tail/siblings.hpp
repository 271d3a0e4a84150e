// The rotated brothers of a log file: app.log.1, app.log-20261121, app-20261121.log and so on in its folder. When a
// file was rotated twice between two looks, the one in the middle never had the followed name while somebody looked;
// it is found here, as a brother that was not there before.
// Threads: [strand].
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "folder_names.hpp"
#include "place.hpp"
#include "reach.hpp"

namespace weir::log_tail {

// Could a name be that of a rotated file, and how surely? Compressed ones are not; see packed_name().
enum class RotatedName : std::uint8_t {
  no,
  numbered,  // app.log.1, app.log-20261121
  inside,    // app.1.log, app-20261121.log; might also be another program's log
  other      // app.log.old
};
RotatedName rotated_name(std::string_view base, std::string_view name);

// "app.log.1" for "app.log.1.gz"; empty for what gzip did not pack.
std::string_view packed_name(std::string_view name);

// The names of which `name` could be a rotated one: app.log, app for app.log.1.
std::vector<std::string> bases_of(std::string_view name);

struct Sibling {
  std::string path;
  Birth birth;
  std::int64_t modified_ns = 0;
  RotatedName form = RotatedName::other;
  bool packed = false;  // by gzip
};

// The regular files beside `path` that could be its rotated ones, oldest first: app.log.2 before app.log.1, otherwise
// by their last change and then by name, which puts dates in order. `names` is what is in the folder. A packed one is
// left out while the file that it was made of is still there.
// Errors: nothing, and errno, when the system does not show them now; there may be some.
std::optional<std::vector<Sibling>> siblings_of(const std::string& path, const std::vector<std::string>& names,
                                                Reach reach = {});

Birth birth_of(int fd);

}  // namespace weir::log_tail
