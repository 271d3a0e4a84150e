#include "template.hpp"

#include <algorithm>
#include <charconv>

#include "json_skim.hpp"
#include "text.hpp"

namespace weir::http_ingest {
namespace {

// The n-th part of a path, from 1; from the end for negative n.
std::string_view part_of(std::string_view path, int n) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  const auto count = static_cast<int>(parts.size());
  const int at = n > 0 ? n - 1 : count + n;
  return at >= 0 && at < count ? parts[static_cast<std::size_t>(at)] : std::string_view();
}

void append_data(std::string& out, const Draft& draft, std::string_view pointer) {
  if (draft.kind != sdk::Data::json || draft.data().empty()) return;
  const auto found = json::at(draft.data(), pointer);
  if (!found || *found == "null" || found->front() == '{' || found->front() == '[') return;
  if (found->front() == '"')
    out += json::unquoted(*found);
  else
    out += *found;
}

}  // namespace

std::string_view inner_path(const sdk::HttpRequest& request) {
  std::string_view path = request.path();
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

Template::Template(const sdk::json::Value& value) {
  const std::string& text = value.as_string();
  const auto wrong = [&](const std::string& place) {
    return value.wrong("{path}, {path:1}, {header:Name}, {query:name}, {ce:name} or {data:/pointer} in braces",
                       sdk::json::quoted(place));
  };
  std::size_t at = 0;
  while (at < text.size()) {
    const auto open = text.find('{', at);
    if (open != at) parts_.push_back({What::text, text.substr(at, open - at)});
    if (open == std::string::npos) break;
    const auto close = text.find('}', open);
    if (close == std::string::npos) throw wrong(text.substr(open));
    const std::string place = text.substr(open + 1, close - open - 1);
    at = close + 1;
    const std::string name = place.substr(std::min(place.size(), place.find(':') + 1));
    if (place == "path") {
      parts_.push_back({What::path, {}});
    } else if (place.starts_with("path:")) {
      int number = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
      if (error != std::errc() || end != name.data() + name.size() || number == 0 || number < -100 || number > 100)
        throw wrong("{" + place + "}");
      parts_.push_back({What::part, {}, number});
    } else if (place.starts_with("header:") && !name.empty()) {
      parts_.push_back({What::header, lower(name)});
    } else if (place.starts_with("query:") && !name.empty()) {
      parts_.push_back({What::query, name});
    } else if (place.starts_with("ce:") && !name.empty()) {
      parts_.push_back({What::attribute, name});
    } else if (place.starts_with("data:/")) {
      parts_.push_back({What::data, name});
    } else {
      throw wrong("{" + place + "}");
    }
  }
}

bool Template::fill(std::string& out, const sdk::HttpRequest& request, const Draft& draft) const {
  out.clear();
  for (const Part& part : parts_) {
    const std::size_t before = out.size();
    switch (part.what) {
      case What::text:
        out += part.text;
        break;
      case What::path:
        out += inner_path(request);
        break;
      case What::part:
        out += part_of(inner_path(request), part.number);
        break;
      case What::header:
        out += request.header(part.text).value_or("");
        break;
      case What::query:
        out += request.query(part.text).value_or("");
        break;
      case What::attribute:
        out += draft.attribute(part.text);
        break;
      case What::data:
        append_data(out, draft, part.text);
    }
    if (out.size() == before) return false;
  }
  return !out.empty();
}

bool Template::per_event() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const Part& p) { return p.what == What::attribute || p.what == What::data; });
}

Templates::Templates(const sdk::json::Value& texts) {
  if (texts.is(sdk::json::Kind::string)) {
    if (!texts.text.empty()) templates_.emplace_back(texts);
    return;
  }
  for (const auto& text : texts.as_array()) templates_.emplace_back(text);
}

const Template* Templates::fill(std::string& out, const sdk::HttpRequest& request, const Draft& draft) const {
  for (const Template& one : templates_)
    if (one.fill(out, request, draft)) return &one;
  out.clear();
  return nullptr;
}

}  // namespace weir::http_ingest
