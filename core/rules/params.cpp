#include "rules/params.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "rules/pattern.hpp"

namespace weir::rules {
namespace {

using Json = nlohmann::json;

// How many letters must be changed, added or removed to make one word of the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string hint(std::string_view word, const Json& declared) {
  std::string best, all;
  std::size_t least = 3;
  for (const auto& [name, unused] : declared.items()) {
    const auto d = distance(word, name);
    if (d < least) {
      least = d;
      best = name;
    }
    all += (all.empty() ? "" : ", ") + name;
  }
  if (!best.empty()) return "did you mean `" + best + "`?";
  return all.empty() ? "this rule takes none" : "this rule has: " + all;
}

bool is_type(const Json& value, std::string_view type) {
  if (type == "string" || type == "pattern") return value.is_string();
  if (type == "number") return value.is_number();
  if (type == "integer") return value.is_number_integer();
  if (type == "boolean") return value.is_boolean();
  // A Lua table with nothing in it does not say which it is.
  if (type == "array") return value.is_array() || (value.is_object() && value.empty());
  return value.is_object();
}

bool known_type(const Json& type) {
  constexpr std::string_view kTypes[] = {"string", "pattern", "number", "integer", "boolean", "array", "object"};
  return type.is_string() &&
         std::find(std::begin(kTypes), std::end(kTypes), type.get<std::string>()) != std::end(kTypes);
}

std::string shown(const Json& value) {
  auto text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 80) + "...";
}

std::string with_article(std::string_view type) {
  const bool vowel = !type.empty() && std::string_view("aio").find(type.front()) != std::string_view::npos;
  return (vowel ? "an " : "a ") + std::string(type);
}

// Collects what is wrong; a line for each.
class Mistakes {
 public:
  explicit Mistakes(std::string_view script) : script_(script) {}
  void add(const std::string& message) { (text_ += text_.empty() ? "" : "\n") += script_ + ": " + message; }
  bool none() const { return text_.empty(); }
  Error error() const { return fail(Errc::bad_request, text_); }

 private:
  const std::string script_;
  std::string text_;
};

// `place`: "params.list[2]".
void check_type(const std::string& place, const std::string& type, const Json& value, Mistakes& mistakes) {
  if (type.empty()) return;
  if (!is_type(value, type)) return mistakes.add(place + " is " + shown(value) + "; expected " + with_article(type));
  if (type != "pattern") return;
  if (const char* problem = Matcher::problem(value.get_ref<const std::string&>()); problem != nullptr)
    mistakes.add(place + " is " + shown(value) + ": " + problem);
}

void check_value(const std::string& place, const Json& spec, const Json& value, Mistakes& mistakes) {
  check_type(place, spec.value("type", std::string()), value, mistakes);
  if (const auto allowed = spec.find("enum");
      allowed != spec.end() && std::find(allowed->begin(), allowed->end(), value) == allowed->end()) {
    std::string list;
    for (const auto& one : *allowed) list += (list.empty() ? "" : ", ") + shown(one);
    mistakes.add(place + " is " + shown(value) + "; expected one of " + list);
  }
  const auto of = spec.value("of", std::string());
  if (of.empty() || !value.is_structured()) return;
  std::size_t i = 0;  // counts from 1, as Lua does
  for (const auto& [key, element] : value.items())
    check_type(value.is_array() ? place + "[" + std::to_string(++i) + "]" : place + "." + key, of, element, mistakes);
}

// Is the declaration itself in order? The script's author will want to know.
void check_spec(const std::string& name, const Json& spec, Mistakes& mistakes) {
  const auto where = "rule.params." + name;
  if (!spec.is_object()) return mistakes.add(where + " must be a table such as { type = \"string\" }");
  for (const auto& [key, unused] : spec.items())
    if (key != "type" && key != "of" && key != "default" && key != "required" && key != "enum" && key != "description")
      mistakes.add(where + " has an unknown key `" + key +
                   "`; there are type, of, default, required, enum and description");
  for (const char* key : {"type", "of"})
    if (spec.contains(key) && !known_type(spec[key]))
      mistakes.add(where + "." + key + " is " + shown(spec[key]) +
                   "; expected string, pattern, number, integer, boolean, array or object");
  if (spec.contains("enum") && !spec["enum"].is_array()) mistakes.add(where + ".enum must be a list");
  if (spec.contains("required") && !spec["required"].is_boolean())
    mistakes.add(where + ".required must be true or false");
}

}  // namespace

Result<std::string> check_params(std::string_view script, std::string_view declared_json, std::string_view given_json) {
  Mistakes mistakes(script);
  const auto bad = [&](const std::string& message) {
    mistakes.add(message);
    return mistakes.error();
  };
  const Json given = Json::parse(given_json.empty() ? "{}" : given_json, nullptr, false);
  if (!given.is_object()) return bad("params must be an object");
  if (declared_json.empty()) return given.dump();
  const Json declared = Json::parse(declared_json, nullptr, false);
  if (!declared.is_object()) return bad("rule.params must be a table of { name = { type = ... } }");
  for (const auto& [name, spec] : declared.items()) check_spec(name, spec, mistakes);
  if (!mistakes.none()) return mistakes.error();
  Json result = Json::object();
  for (const auto& [name, spec] : declared.items()) {
    const auto value = given.find(name);
    if (value != given.end() && !value->is_null()) {
      check_value("params." + name, spec, *value, mistakes);
      result[name] = *value;
    } else if (spec.contains("default")) {
      check_value("the default of params." + name, spec, spec["default"], mistakes);
      result[name] = spec["default"];
    } else if (spec.value("required", false)) {
      mistakes.add("params." + name + " is missing" +
                   (spec.contains("description") ? ": " + shown(spec["description"]) : ""));
    }
    if (result.contains(name) && spec.value("type", std::string()) == "array" && result[name].is_object())
      result[name] = Json::array();
  }
  for (const auto& [name, unused] : given.items())
    if (!declared.contains(name)) mistakes.add("unknown params." + name + "; " + hint(name, declared));
  if (!mistakes.none()) return mistakes.error();
  return result.dump();
}

}  // namespace weir::rules
