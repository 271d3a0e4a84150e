// Any bytes as JSON text: valid exactly when nlohmann::json says so, except for what we refuse on purpose (depth;
// nlohmann refuses lone surrogates as well), and every place that the parse remembers lies inside the text.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  weir::json::Doc doc;
  const auto ok = doc.parse(text);
  if (doc.whole())
    for (std::uint32_t i = 0; i < doc.end_index(); ++i) {
      const weir::json::Value v(&doc, i);
      if (v.is(weir::json::Kind::string) && !weir::json::valid_utf8(v.string())) std::abort();
    }
  if (!ok && ok.error().code == weir::Errc::too_large) return 0;
  // nlohmann refuses numbers beyond a double; we keep them as text.
  bool beyond = false;
  for (std::uint32_t i = 0; ok && i < doc.end_index(); ++i)
    beyond =
        beyond || (doc.node(i).kind == weir::json::Kind::number && std::isinf(weir::json::Value(&doc, i).number()));
  if (beyond) return 0;
  // nlohmann takes a NUL for the end of the text; RFC 8259 has no place where one may stand.
  if (text.find('\0') != std::string_view::npos) return ok ? (std::abort(), 0) : 0;
  // nlohmann skips a byte order mark; RFC 8259 lets us refuse it.
  if (!text.starts_with("\xEF\xBB\xBF") && ok.has_value() != nlohmann::json::accept(text)) std::abort();
  if (!ok) return doc.stopped_at() <= size ? 0 : (std::abort(), 0);
  for (std::uint32_t i = 0; i < doc.end_index(); ++i) {
    const auto& n = doc.node(i);
    if (n.begin >= n.end || n.end > size || n.next <= i || n.next > doc.end_index()) std::abort();
    const weir::json::Value v(&doc, i);
    if (v.is(weir::json::Kind::number)) (void)v.number(), (void)v.integer();
    if (!v.is(weir::json::Kind::string)) continue;
    const std::string s = v.string();
    if (!weir::json::valid_utf8(s) || !v.string_equals(s)) std::abort();
    if (nlohmann::json::parse(v.raw()).get<std::string>() != s) std::abort();
    weir::json::Doc again;
    const std::string quoted = weir::json::quoted(s);
    if (!again.parse(quoted) || again.root().string() != s) std::abort();
  }
  return 0;
}
