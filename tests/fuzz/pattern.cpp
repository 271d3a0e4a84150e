// The text up to the first zero byte as a pattern, the rest as a channel's name. What a pattern matches, its variables
// make again.
#include <cstdint>
#include <cstdlib>

#include "routing/pattern.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const auto cut = all.find('\0');
  const std::string_view text = all.substr(0, cut),
                         name = cut == std::string_view::npos ? "open/a" : all.substr(cut + 1);
  const bool valid = weir::check_channel_name(name).has_value();
  (void)weir::Pattern::parse_wildcard(text);
  if (const auto subject = weir::Pattern::parse_subject(text, '.')) (void)subject->matches(name);
  const auto pattern = weir::Pattern::parse(text);
  if (!pattern) return pattern.error().message.empty() ? (std::abort(), 0) : 0;
  if (!pattern->covers(*pattern)) std::abort();
  if (!valid) return 0;
  const auto variables = pattern->match(name);
  if (variables.has_value() != pattern->matches(name)) std::abort();
  if (!variables || pattern->has_stars()) return 0;
  const auto made = pattern->expand(*variables);
  if (!made || *made != name) std::abort();
  return 0;
}
