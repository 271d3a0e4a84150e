// The text up to the first zero byte as a filter, the rest as an event's data: parsing and asking never crash, a
// filter's own text means the same again, and a refusal says what is wrong.
#include <cstdint>
#include <cstdlib>

#include "routing/filter.hpp"
#include "routing/glob.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const auto cut = all.find('\0');
  const auto filter = weir::Filter::parse(all.substr(0, cut));
  if (!filter) return filter.error().message.empty() ? (std::abort(), 0) : 0;
  std::string payload(cut == std::string_view::npos ? "{\"a\":[1,\"x\",null]}" : all.substr(cut + 1));
  weir::json::Doc doc;
  if (!doc.parse(payload)) payload = "null";
  weir::Draft draft;
  draft.event = "task.done";
  draft.id = "1";
  draft.data = payload;
  const weir::EventPtr event = weir::Event::make("open/a", "e1", 1, draft);
  if (!*filter) return 0;
  const bool matches = (*filter)->matches(weir::EventView(*event));
  const auto again = weir::Filter::parse((*filter)->text());
  if (!again || !*again || (*again)->matches(weir::EventView(*event)) != matches) std::abort();
  const auto twice = weir::Filter::both(*filter, *again);
  if (twice->matches(weir::EventView(*event)) != matches) std::abort();
  if (weir::check_glob(all.substr(0, cut))) (void)weir::glob_matches(all.substr(0, cut), payload);
  return 0;
}
