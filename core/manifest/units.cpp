#include "manifest/units.hpp"

#include <span>

namespace weir::manifest {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};
constexpr Unit kDurations[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr std::int64_t kKi = 1024, kK = 1000;
constexpr Unit kSizes[] = {
    {"B", 1},   {"KiB", kKi},   {"MiB", kKi* kKi},  {"GiB", kKi* kKi* kKi}, {"TiB", kKi* kKi* kKi* kKi},
    {"KB", kK}, {"MB", kK* kK}, {"GB", kK* kK* kK}, {"TB", kK* kK* kK* kK}};

// Decimal by hand and exact: 1.1s is 1100 ms, where a double would make it 1100.0000000000002.
std::optional<std::int64_t> parse(std::string_view text, std::span<const Unit> units) {
  constexpr std::int64_t kDigitsMax = 1'000'000'000'000'000;  // 15 digits: keeps all that follows inside 128 bits
  std::int64_t digits = 0, scale = 1;
  std::size_t i = 0;
  bool point = false, any = false;
  for (; i < text.size(); ++i) {
    if (text[i] == '.' && !point && any) {
      point = true;
      any = false;  // a digit must follow
      continue;
    }
    if (text[i] < '0' || text[i] > '9') break;
    any = true;
    digits = digits * 10 + (text[i] - '0');
    if (point) scale *= 10;
    if (digits >= kDigitsMax || scale >= kDigitsMax) return std::nullopt;
  }
  if (!any) return std::nullopt;
  for (const Unit& unit : units) {
    if (text.substr(i) != unit.name) continue;
    const __int128 product = static_cast<__int128>(digits) * unit.factor;
    if (product % scale != 0 || product / scale > INT64_MAX) return std::nullopt;
    return static_cast<std::int64_t>(product / scale);
  }
  return std::nullopt;
}

std::string text_of(std::int64_t value, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units)
    if (value != 0 && value % unit.factor == 0 && unit.factor > best->factor) best = &unit;
  return std::to_string(value / best->factor) + std::string(best->name);
}

}  // namespace

std::optional<std::int64_t> parse_duration_ms(std::string_view text) { return parse(text, kDurations); }
std::optional<std::int64_t> parse_bytes(std::string_view text) { return parse(text, kSizes); }
std::string duration_text(std::int64_t ms) { return ms == 0 ? "0s" : text_of(ms, kDurations); }
std::string bytes_text(std::int64_t bytes) { return text_of(bytes, std::span(kSizes).first(5)); }

}  // namespace weir::manifest
