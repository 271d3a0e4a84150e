#include "rules/params.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

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
  if (type == "string") return value.is_string();
  if (type == "number") return value.is_number();
  if (type == "integer") return value.is_number_integer();
  if (type == "boolean") return value.is_boolean();
  // A Lua table with nothing in it does not say which it is.
  if (type == "array") return value.is_array() || (value.is_object() && value.empty());
  return value.is_object();
}

bool known_type(std::string_view type) {
  constexpr std::string_view kTypes[] = {"string", "number", "integer", "boolean", "array", "object"};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

std::string shown(const Json& value) {
  auto text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 80) + "...";
}

std::string with_article(std::string_view type) {
  const bool vowel = !type.empty() && std::string_view("aio").find(type.front()) != std::string_view::npos;
  return (vowel ? "an " : "a ") + std::string(type);
}

// What is wrong with `value` for the param `name`; empty: nothing.
std::string wrong(const std::string& name, const Json& spec, const Json& value) {
  const auto type = spec.value("type", std::string());
  if (!type.empty() && !is_type(value, type))
    return "params." + name + " is " + shown(value) + "; expected " + with_article(type);
  if (const auto allowed = spec.find("enum");
      allowed != spec.end() && std::find(allowed->begin(), allowed->end(), value) == allowed->end()) {
    std::string list;
    for (const auto& one : *allowed) list += (list.empty() ? "" : ", ") + shown(one);
    return "params." + name + " is " + shown(value) + "; expected one of " + list;
  }
  return {};
}

}  // namespace

Result<std::string> check_params(std::string_view script, std::string_view declared_json, std::string_view given_json) {
  const auto bad = [&](const std::string& message) {
    return fail(Errc::bad_request, std::string(script) + ": " + message);
  };
  const Json given = Json::parse(given_json.empty() ? "{}" : given_json, nullptr, false);
  if (!given.is_object()) return bad("params must be an object");
  if (declared_json.empty()) return given.dump();
  const Json declared = Json::parse(declared_json, nullptr, false);
  if (!declared.is_object()) return bad("rule.params must be a table of { name = { type = ... } }");
  Json result = Json::object();
  for (const auto& [name, spec] : declared.items()) {
    if (!spec.is_object()) return bad("rule.params." + name + " must be a table such as { type = \"string\" }");
    for (const auto& [key, unused] : spec.items())
      if (key != "type" && key != "default" && key != "required" && key != "enum" && key != "description")
        return bad("rule.params." + name + " has an unknown key `" + key +
                   "`; there are type, default, required, enum and description");
    if (spec.contains("type") && (!spec["type"].is_string() || !known_type(spec["type"].get<std::string>())))
      return bad("rule.params." + name + ".type is " + shown(spec["type"]) +
                 "; expected string, number, integer, boolean, array or object");
    if (spec.contains("enum") && !spec["enum"].is_array()) return bad("rule.params." + name + ".enum must be a list");
    const auto value = given.find(name);
    if (value != given.end() && !value->is_null()) {
      if (const auto problem = wrong(name, spec, *value); !problem.empty()) return bad(problem);
      result[name] = *value;
    } else if (spec.contains("default")) {
      if (const auto problem = wrong(name, spec, spec["default"]); !problem.empty())
        return bad("the default of " + problem);
      result[name] = spec["default"];
    } else if (spec.value("required", false)) {
      return bad("params." + name + " is missing" +
                 (spec.contains("description") ? ": " + shown(spec["description"]) : ""));
    }
    if (result.contains(name) && spec.value("type", std::string()) == "array" && result[name].is_object())
      result[name] = Json::array();
  }
  for (const auto& [name, unused] : given.items())
    if (!declared.contains(name)) return bad("unknown params." + name + "; " + hint(name, declared));
  return result.dump();
}

}  // namespace weir::rules
