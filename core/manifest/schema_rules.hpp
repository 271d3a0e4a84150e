// A schema as the checker walks it: one rule for each subschema, references resolved to places in one list.
// Private to schema_*.cpp. Threads: constant once compiled.
#pragma once
#include <boost/regex.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "manifest/tree.hpp"

namespace weir::schema {

using Index = std::size_t;
enum class Unit : std::uint8_t { none, duration, bytes };

// The types of JSON Schema as bits; an integer is a number as well.
enum Type : std::uint8_t {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kNumber = 8,
  kString = 16,
  kArray = 32,
  kObject = 64
};

struct Rule {
  bool never = false;      // the schema `false`
  std::uint8_t types = 0;  // 0: any
  std::vector<std::pair<std::string, Index>> properties;
  std::vector<std::string> names;  // of the properties, for hints
  std::vector<std::string> required;
  std::optional<Index> extra;                     // additionalProperties
  std::optional<std::vector<tree::Node>> values;  // enum; const is an enum of one
  std::optional<double> minimum, maximum;
  std::optional<std::int64_t> min_length, max_length, min_items, max_items;
  bool unique_items = false;
  std::optional<boost::regex> pattern;  // Boost's: it neither recurses on the text nor runs for ever
  std::string pattern_text;
  std::optional<Index> items, ref;
  std::vector<Index> one_of, any_of;
  std::optional<tree::Node> fallback;
  Unit unit = Unit::none;
  std::string name_key, expected;
  bool path = false, path_only_with_slash = false;
  bool command = false;  // a program and its arguments
};

struct Rules {
  std::vector<Rule> all;  // the first is the root
};

Result<Rules> compile(const tree::Node& schema, bool refuse_unknown);

// The rule itself, or the one it refers to when it does nothing else.
const Rule& resolved(const Rules& rules, Index index);
bool fits_type(const Rule& rule, const tree::Node& node);
// "an integer", "an array of strings", "false or an object", ...
std::string described(const Rules& rules, Index index);

void check(const Rules& rules, Index index, const tree::Node& value, std::string_view what,
           std::vector<tree::Problem>& problems);

}  // namespace weir::schema
