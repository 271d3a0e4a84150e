#include "siblings.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "glob.hpp"

namespace weir::log_tail {
namespace {

constexpr std::array<std::string_view, 11> kNoText = {".gz",  ".xz",  ".zst", ".bz2",  ".lz4", ".Z",
                                                      ".zip", ".tmp", ".swp", ".part", "~"};

std::int64_t nanoseconds(const statx_timestamp& t) { return t.tv_sec * 1'000'000'000 + t.tv_nsec; }

std::optional<struct statx> look_at(int folder, const char* name, int flags) {
  struct statx st;
  if (::statx(folder, name, flags, STATX_BASIC_STATS | STATX_BTIME, &st) != 0) return std::nullopt;
  return st;
}

Birth birth_in(const struct statx& st) {
  return {{makedev(st.stx_dev_major, st.stx_dev_minor), static_cast<ino_t>(st.stx_ino)},
          (st.stx_mask & STATX_BTIME) != 0 ? nanoseconds(st.stx_btime) : 0};
}

bool is_digits_and_marks(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789.-_:T") == std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos;
}

// "app.log.3" gives 3; dates are too long to be a count of rotations.
std::optional<int> rotation_number(std::string_view path) {
  if (const std::string_view plain = packed_name(path); !plain.empty()) path = plain;
  const std::string_view last = path.substr(path.find_last_of(".-_") + 1);
  int number = 0;
  const auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), number);
  if (last.size() > 4 || error != std::errc() || end != last.data() + last.size()) return std::nullopt;
  return number;
}

}  // namespace

RotatedName rotated_name(std::string_view base, std::string_view name) {
  constexpr std::string_view kMarks = ".-_";
  for (const std::string_view ending : kNoText) {
    if (name.ends_with(ending)) return RotatedName::no;
  }
  if (name.size() <= base.size()) return RotatedName::no;
  if (name.starts_with(base)) {
    const std::string_view rest = name.substr(base.size());
    if (kMarks.find(rest.front()) == std::string_view::npos) return RotatedName::no;
    return is_digits_and_marks(rest) ? RotatedName::numbered : RotatedName::other;
  }
  const std::size_t dot = base.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return RotatedName::no;
  const std::string_view stem = base.substr(0, dot), ending = base.substr(dot);
  if (!name.starts_with(stem) || !name.ends_with(ending)) return RotatedName::no;
  // A mark is asked for because app2.log is not a rotated app.log.
  const std::string_view middle = name.substr(stem.size(), name.size() - base.size());
  const bool rotated = kMarks.find(middle.front()) != std::string_view::npos && is_digits_and_marks(middle);
  return rotated ? RotatedName::inside : RotatedName::no;
}

std::string_view packed_name(std::string_view name) {
  constexpr std::string_view kEnding = ".gz";
  return name.ends_with(kEnding) ? name.substr(0, name.size() - kEnding.size()) : std::string_view();
}

std::vector<std::string> bases_of(std::string_view name) {
  std::vector<std::string> bases;
  const std::size_t dot = name.rfind('.');
  for (std::size_t i = 1; i < name.size(); ++i) {
    if (name[i] != '.' && name[i] != '-' && name[i] != '_') continue;
    bases.emplace_back(name.substr(0, i));
    if (dot != std::string_view::npos && i < dot)
      bases.push_back(std::string(name.substr(0, i)).append(name.substr(dot)));
  }
  return bases;
}

std::optional<std::vector<Sibling>> siblings_of(const std::string& path, const std::vector<std::string>& names,
                                                Reach reach) {
  std::vector<Sibling> found;
  const std::string folder = folder_of(path);
  const Descriptor opened(reach.open(folder, O_PATH | O_DIRECTORY));
  if (opened.get() < 0 && !reach.is_absent(errno) && !is_forbidden(errno)) return std::nullopt;
  if (opened.get() < 0) return found;
  const std::string_view base = base_name(path);
  const std::size_t dot = base.rfind('.');
  const std::string_view stem = dot == std::string_view::npos || dot == 0 ? base : base.substr(0, dot);
  bool all_counted = true;
  for (auto it = std::lower_bound(names.begin(), names.end(), stem); it != names.end() && it->starts_with(stem); ++it) {
    const std::string_view plain = packed_name(*it);
    const RotatedName form = rotated_name(base, plain.empty() ? std::string_view(*it) : plain);
    if (form == RotatedName::no || std::binary_search(names.begin(), names.end(), plain)) continue;
    const auto st = look_at(opened.get(), it->c_str(), AT_SYMLINK_NOFOLLOW);
    if (!st && !reach.is_absent(errno) && !is_forbidden(errno)) return std::nullopt;
    if (!st || !S_ISREG(st->stx_mode)) continue;
    all_counted = all_counted && rotation_number(*it).has_value();
    found.push_back({folder + "/" + *it, birth_in(*st), nanoseconds(st->stx_mtime), form, !plain.empty()});
  }
  std::sort(found.begin(), found.end(), [&](const Sibling& a, const Sibling& b) {
    if (all_counted) return rotation_number(a.path) > rotation_number(b.path);
    return std::pair(a.modified_ns, a.path) < std::pair(b.modified_ns, b.path);
  });
  return found;
}

Birth birth_of(int fd) {
  const auto st = look_at(fd, "", AT_EMPTY_PATH);
  return st ? birth_in(*st) : Birth{};
}

}  // namespace weir::log_tail
