#include "base/error.hpp"

#include <array>

namespace weir {
namespace {
struct Row {
  std::string_view word;
  int http;
  bool retry;
  std::string_view text;
};
constexpr std::array kRows = {
#define WEIR_ERROR(word, http, retry, text) Row{#word, http, retry, text},
#include "base/codes.def"
#undef WEIR_ERROR
};
const Row& row(Errc code) { return kRows[static_cast<std::size_t>(code)]; }
}  // namespace

std::string_view to_word(Errc code) { return row(code).word; }
std::optional<Errc> from_word(std::string_view word) {
  for (std::size_t i = 0; i < kRows.size(); ++i)
    if (kRows[i].word == word) return static_cast<Errc>(i);
  return std::nullopt;
}
int http_status(Errc code) { return row(code).http; }
bool worth_retrying(Errc code) { return row(code).retry; }
std::string_view sentence(Errc code) { return row(code).text; }

}  // namespace weir
