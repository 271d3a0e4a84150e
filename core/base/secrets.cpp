#include "base/secrets.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "base/json.hpp"

namespace weir::secrets {
namespace {

constexpr std::size_t kValuesMax = 10'000;

struct Secret {
  std::string value, shown_as;
};
std::mutex mutex;
std::atomic<bool> any{false};  // so that a log line without any costs nothing

std::vector<Secret>& known() {
  static auto* all = new std::vector<Secret>;  // lives on at exit, since threads that were left behind may still log
  return *all;
}

void add(std::string value, std::string_view shown_as) {  // longest first, so that a part never hides the whole
  auto& all = known();
  if (value.size() < kShownBytes || all.size() >= kValuesMax) return;
  const auto at = std::find_if(all.begin(), all.end(), [&](const Secret& s) { return s.value.size() <= value.size(); });
  for (auto same = at; same != all.end() && same->value.size() == value.size(); ++same)
    if (same->value == value) return;
  all.insert(at, {std::move(value), std::string(shown_as)});
}

// How much of `value` stands at the end of `text`, from its beginning on; 0 when that is too little to tell.
std::size_t beginning_at_end(std::string_view text, std::string_view value) {
  for (std::size_t n = std::min(text.size(), value.size()); n >= kShownBytes; --n)
    if (text.ends_with(value.substr(0, n))) return n;
  return 0;
}

}  // namespace

void know(std::string_view value, std::string_view shown_as) {
  while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.remove_suffix(1);
  const std::string quoted = json::quoted(value);
  const std::lock_guard lock(mutex);
  add(std::string(value), shown_as);
  add(quoted.substr(1, quoted.size() - 2), shown_as);  // as it stands in a message that quotes it
  any = !known().empty();
}

std::string masked(std::string text) {
  if (!any) return text;
  const std::lock_guard lock(mutex);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view rest = std::string_view(text).substr(i);
    const auto found =
        std::find_if(known().begin(), known().end(), [&](const Secret& s) { return rest.starts_with(s.value); });
    if (found != known().end()) {
      out += found->shown_as;
      i += found->value.size();
      continue;
    }
    if (rest.starts_with("…") || rest.starts_with("...")) {
      std::size_t longest = 0;
      const Secret* cut = nullptr;
      for (const Secret& s : known())
        if (const auto n = beginning_at_end(out, s.value); n > longest) longest = n, cut = &s;
      if (cut != nullptr) out.replace(out.size() - longest, longest, cut->shown_as);
    }
    out += text[i++];
  }
  return out;
}

}  // namespace weir::secrets
