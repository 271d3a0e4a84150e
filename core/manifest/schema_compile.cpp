#include <array>
#include <map>

#include "manifest/schema_rules.hpp"
#include "manifest/text.hpp"

namespace weir::schema {
namespace {

using tree::Node;
using Kind = Node::Kind;
using manifest::in_quotes;
using manifest::shown;

const std::vector<std::string> kTypeNames{"null", "boolean", "integer", "number", "string", "array", "object"};
const std::vector<std::string> kKeywords{"type",        "properties", "required",    "additionalProperties",
                                         "enum",        "const",      "minimum",     "maximum",
                                         "minLength",   "maxLength",  "pattern",     "items",
                                         "minItems",    "maxItems",   "uniqueItems", "oneOf",
                                         "anyOf",       "$ref",       "$defs",       "default",
                                         "$schema",     "$id",        "$comment",    "title",
                                         "description", "examples",   "format",      "deprecated",
                                         "readOnly",    "writeOnly"};

class Compiler {
 public:
  explicit Compiler(bool refuse_unknown) : refuse_unknown_(refuse_unknown) {}
  // Goes on after a mistake, but only the first is told: the author repairs the schema step by step anyway.
  Result<Rules> run(const Node& root) {
    reserve();  // the root
    if (const Node* defs = root.find("$defs")) {
      if (!defs->is(Kind::object)) wrong(*defs, "$defs is " + shown(*defs) + "; expected an object of schemas");
      for (const auto& member : defs->members) defs_.emplace(member.key, reserve());
      for (const auto& member : defs->members) fill(defs_.at(member.key), member.value);
    }
    fill(0, root);
    for (Index i = 0; i < rules_.all.size() && error_.empty(); ++i) check_cycle(i, i, 0);
    for (Index i = 0; i < rules_.all.size() && error_.empty(); ++i) check_default(i);
    if (!error_.empty()) return fail(Errc::bad_request, error_);
    return std::move(rules_);
  }

 private:
  const bool refuse_unknown_;
  Index reserve() {
    rules_.all.emplace_back();
    return rules_.all.size() - 1;
  }
  Index compiled(const Node& node) {
    const Index index = reserve();
    fill(index, node);
    return index;
  }
  void wrong(const Node& node, const std::string& message) {
    if (!error_.empty()) return;
    error_ = message;
    if (node.place.line != 0)
      error_ =
          "line " + std::to_string(node.place.line) + ", column " + std::to_string(node.place.column) + ": " + error_;
  }

  void fill(Index index, const Node& node) {
    Rule rule;  // filled here first: compiling what is inside moves the list
    if (node.is(Kind::boolean)) {
      rule.never = !node.boolean;
    } else if (!node.is(Kind::object)) {
      wrong(node, "a schema is an object, true or false, not " + manifest::shown_with_kind(node));
    } else {
      for (const auto& member : node.members) keyword(rule, member.key, member.value, index == 0);
      if (refuse_unknown_ && !rule.properties.empty() && !rule.extra) {
        rule.extra = reserve();
        rules_.all[*rule.extra].never = true;
      }
    }
    rules_.all[index] = std::move(rule);
  }

  void keyword(Rule& rule, const std::string& key, const Node& value, bool root) {
    if (key == "type")
      types(rule, value);
    else if (key == "properties")
      properties(rule, value);
    else if (key == "required")
      rule.required = strings(key, value);
    else if (key == "additionalProperties")
      rule.extra = compiled(value);
    else if (key == "items")
      rule.items = compiled(value);
    else if (key == "enum")
      values(rule, value);
    else if (key == "const")
      rule.values = std::vector<Node>{value};
    else if (key == "minimum")
      rule.minimum = number(key, value);
    else if (key == "maximum")
      rule.maximum = number(key, value);
    else if (key == "minLength")
      rule.min_length = count(key, value);
    else if (key == "maxLength")
      rule.max_length = count(key, value);
    else if (key == "minItems")
      rule.min_items = count(key, value);
    else if (key == "maxItems")
      rule.max_items = count(key, value);
    else if (key == "uniqueItems")
      rule.unique_items = boolean(key, value);
    else if (key == "pattern")
      pattern(rule, value);
    else if (key == "oneOf")
      rule.one_of = schemas(key, value);
    else if (key == "anyOf")
      rule.any_of = schemas(key, value);
    else if (key == "$ref")
      reference(rule, value);
    else if (key == "default")
      rule.fallback = value;
    else if (key == "x-unit")
      unit(rule, value);
    else if (key == "x-name")
      rule.name_key = text(key, value);
    else if (key == "x-expected")
      rule.expected = text(key, value);
    else if (key == "x-path")
      path(rule, value);
    else if (key == "x-command")
      rule.command = boolean(key, value);
    else if (key == "$defs" && !root)
      wrong(value, "$defs belongs at the top of the schema");
    else if (key.rfind("x-", 0) != 0 && std::find(kKeywords.begin(), kKeywords.end(), key) == kKeywords.end())
      wrong(value, "keyword " + in_quotes(key) + " is not in the subset of JSON Schema that is checked here" +
                       manifest::hint(key, kKeywords));
  }

  void types(Rule& rule, const Node& value) {
    const auto one = [&](const Node& name) {
      for (std::size_t i = 0; i < kTypeNames.size(); ++i)
        if (name.is(Kind::string) && name.string == kTypeNames[i]) {
          rule.types = static_cast<std::uint8_t>(rule.types | 1U << i);
          return;
        }
      wrong(name, "type is " + shown(name) + "; expected one of " + manifest::listed(kTypeNames) +
                      (name.is(Kind::string) ? manifest::hint(name.string, kTypeNames) : ""));
    };
    if (value.is(Kind::array) && !value.elements.empty()) {
      for (const Node& name : value.elements) one(name);
    } else {
      one(value);
    }
  }
  void properties(Rule& rule, const Node& value) {
    if (!value.is(Kind::object))
      return wrong(value, "properties is " + shown(value) + "; expected an object of schemas");
    for (const auto& member : value.members) {
      rule.properties.emplace_back(member.key, compiled(member.value));
      rule.names.push_back(member.key);
    }
  }
  void values(Rule& rule, const Node& value) {
    if (!value.is(Kind::array) || value.elements.empty())
      return wrong(value, "enum is " + shown(value) + "; expected an array of at least one value");
    rule.values = value.elements;
  }
  void pattern(Rule& rule, const Node& value) {
    rule.pattern_text = text("pattern", value);
    try {
      rule.pattern.emplace(rule.pattern_text, boost::regex::ECMAScript);
    } catch (const std::exception& e) {
      wrong(value, "pattern " + in_quotes(rule.pattern_text) + " is no regular expression: " + e.what());
    }
  }
  void reference(Rule& rule, const Node& value) {
    const std::string target = text("$ref", value);
    constexpr std::string_view kDefs = "#/$defs/";
    if (target == "#") {
      rule.ref = 0;
      return;
    }
    const auto found = target.rfind(kDefs, 0) == 0 ? defs_.find(target.substr(kDefs.size())) : defs_.end();
    if (found == defs_.end()) {
      std::vector<std::string> known{"#"};
      for (const auto& [name, index] : defs_) known.push_back(std::string(kDefs) + name);
      return wrong(value, "$ref " + in_quotes(target) + " leads nowhere" + manifest::hint(target, known) +
                              "; it may be \"#\" or \"#/$defs/...\"");
    }
    rule.ref = found->second;
  }
  void unit(Rule& rule, const Node& value) {
    const std::string name = text("x-unit", value);
    if (name == "duration")
      rule.unit = Unit::duration;
    else if (name == "bytes")
      rule.unit = Unit::bytes;
    else
      wrong(value, "x-unit is " + in_quotes(name) + R"(; expected one of "duration", "bytes")");
  }

  std::vector<Index> schemas(const std::string& key, const Node& value) {
    std::vector<Index> out;
    if (!value.is(Kind::array) || value.elements.empty())
      wrong(value, key + " is " + shown(value) + "; expected an array of at least one schema");
    for (const Node& element : value.elements) out.push_back(compiled(element));
    return out;
  }
  std::vector<std::string> strings(const std::string& key, const Node& value) {
    std::vector<std::string> out;
    if (!value.is(Kind::array)) wrong(value, key + " is " + shown(value) + "; expected an array of strings");
    for (const Node& element : value.elements) out.push_back(text(key, element));
    return out;
  }
  std::string text(const std::string& key, const Node& value) {
    if (!value.is(Kind::string)) wrong(value, key + " is " + shown(value) + "; expected a string");
    return value.string;
  }
  void path(Rule& rule, const Node& value) {
    rule.path_only_with_slash = value.is(Kind::string) && value.string == "with-slash";
    if (!rule.path_only_with_slash && !value.is(Kind::boolean))
      wrong(value, "x-path is " + shown(value) + "; expected true, false or \"with-slash\"");
    rule.path = rule.path_only_with_slash || value.boolean;
  }
  bool boolean(const std::string& key, const Node& value) {
    if (!value.is(Kind::boolean)) wrong(value, key + " is " + shown(value) + "; expected true or false");
    return value.boolean;
  }
  double number(const std::string& key, const Node& value) {
    if (!value.is(Kind::integer) && !value.is(Kind::number))
      wrong(value, key + " is " + shown(value) + "; expected a number");
    return value.number;
  }
  std::int64_t count(const std::string& key, const Node& value) {
    if (!value.is_whole() || value.whole() < 0)
      wrong(value, key + " is " + shown(value) + "; expected an integer from 0");
    return value.whole();
  }

  // $ref, oneOf and anyOf look at the same value again; a way round in a circle would never end.
  void check_cycle(Index start, Index at, std::size_t steps) {
    const Rule& rule = rules_.all[at];
    const auto go = [&](Index next) {
      if (!error_.empty()) return;
      if (next == start)
        error_ = "$ref, oneOf or anyOf of a schema lead back to itself without a step into the value";
      else if (steps < rules_.all.size())
        check_cycle(start, next, steps + 1);
    };
    if (steps == 0) seen_.assign(rules_.all.size(), false);
    if (seen_[at]) return;
    seen_[at] = true;
    if (rule.ref) go(*rule.ref);
    for (const Index next : rule.one_of) go(next);
    for (const Index next : rule.any_of) go(next);
  }
  void check_default(Index index) {
    const Rule& rule = rules_.all[index];
    if (!rule.fallback) return;
    std::vector<tree::Problem> problems;
    check(rules_, index, *rule.fallback, "default", problems);
    if (!problems.empty()) wrong(*rule.fallback, "a default does not keep its own schema: " + problems.front().message);
  }

  Rules rules_;
  std::map<std::string, Index> defs_;
  std::vector<bool> seen_;
  std::string error_;
};

}  // namespace

Result<Rules> compile(const Node& schema, bool refuse_unknown) { return Compiler(refuse_unknown).run(schema); }

}  // namespace weir::schema
