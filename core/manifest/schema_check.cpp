#include <algorithm>
#include <cmath>
#include <set>

#include "manifest/schema.hpp"
#include "manifest/schema_rules.hpp"
#include "manifest/text.hpp"
#include "manifest/units.hpp"

namespace weir::schema {
namespace {

using tree::Node;
using tree::Place;
using tree::Problem;
using Kind = Node::Kind;
using manifest::in_quotes;
using manifest::shown;
using manifest::shown_with_kind;

// How a message calls the value at hand. Behind a name ("channel \"agents/{id}\"") a key follows with a colon, else
// with a dot.
struct Label {
  std::string text;
  bool name = false;
  std::string key;  // the last one alone

  Label member(const std::string& k) const {
    const bool plain = !k.empty() && std::all_of(k.begin(), k.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
    const std::string shown_key = plain ? k : in_quotes(k);
    return {text.empty() ? shown_key : text + (name ? ": " : ".") + shown_key, false, shown_key};
  }
  Label element(std::size_t i, const Rule& rule, const Node& node) const {
    const Node* called = rule.name_key.empty() ? nullptr : node.find(rule.name_key);
    if (called != nullptr && called->is(Kind::string)) return {key + " " + in_quotes(called->string), true, key};
    return {text + "[" + std::to_string(i) + "]", !rule.name_key.empty(), key};
  }
  std::string say(const std::string& message) const { return text.empty() ? message : text + ": " + message; }
  std::string value() const { return text.empty() ? "the value" : text; }
};

std::string number_text(double value) {
  Node node;
  node.kind = Kind::number;
  node.number = value;
  return tree::canonical(node);
}

std::string in_unit(Unit unit, double value) {
  if (unit == Unit::none || std::abs(value) > 9e15) return number_text(value);
  const auto whole = static_cast<std::int64_t>(value);
  return unit == Unit::duration ? manifest::duration_text(whole) : manifest::bytes_text(whole);
}

std::string range_text(const Rule& rule) {
  if (rule.minimum && rule.maximum) return in_unit(rule.unit, *rule.minimum) + ".." + in_unit(rule.unit, *rule.maximum);
  return rule.minimum ? "at least " + in_unit(rule.unit, *rule.minimum)
                      : "at most " + in_unit(rule.unit, *rule.maximum);
}

std::string values_text(const std::vector<Node>& values) {
  std::string out;
  for (const Node& value : values) {
    if (!out.empty()) out += ", ";
    out += shown(value);
  }
  return values.size() == 1 ? out : "one of " + out;
}

std::int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

class Checker {
 public:
  Checker(const Rules& rules, std::vector<Problem>& problems) : rules_(rules), problems_(problems) {}

  void value(Index index, const Node& node, const Label& label) {
    const Rule& rule = rules_.all[index];
    if (full()) return;
    if (rule.never) return report(node.place, label.say("nothing may stand here"), rule);
    const auto before = problems_.size();
    if (rule.ref) value(*rule.ref, node, label);
    if (problems_.size() != before) return;  // what stands beside a $ref would mostly say the same again
    if (rule.values && !among(*rule.values, node)) return unexpected_value(rule, node, label);
    if (!fits_type(rule, node)) return unexpected_type(index, node, label);
    if (!rule.one_of.empty()) branches(index, rule.one_of, true, node, label);
    if (!rule.any_of.empty()) branches(index, rule.any_of, false, node, label);
    switch (node.kind) {
      case Kind::integer:
      case Kind::number:
        range(rule, node.number, node, label);
        break;
      case Kind::string:
        string(rule, node, label);
        break;
      case Kind::array:
        array(rule, node, label);
        break;
      case Kind::object:
        object(rule, node, label);
        break;
      default:
        break;
    }
  }

 private:
  bool full() const { return problems_.size() - before_ >= Schema::kProblemsMax; }
  void report(const Place& place, std::string message, const Rule& rule) {
    if (full()) return;
    if (!rule.expected.empty()) {
      const auto semicolon = message.find("; expected");
      if (semicolon != std::string::npos) message.erase(semicolon);
      message += "; " + rule.expected;
    }
    problems_.push_back({place, std::move(message)});
  }

  static bool among(const std::vector<Node>& values, const Node& node) {
    const std::string text = tree::canonical(node);
    return std::any_of(values.begin(), values.end(), [&](const Node& v) { return tree::canonical(v) == text; });
  }
  void unexpected_value(const Rule& rule, const Node& node, const Label& label) {
    std::string message = label.value() + " is " + shown(node) + "; expected " + values_text(*rule.values);
    std::vector<std::string> names;
    for (const Node& v : *rule.values)
      if (v.is(Kind::string)) names.push_back(v.string);
    if (node.is(Kind::string) && node.as_written.empty()) message += manifest::hint(node.string, names);
    report(node.place, std::move(message), rule);
  }

  // The list for what somebody wrote as in a shell.
  static std::string as_command(const std::string& text) {
    constexpr std::string_view kForAShell = "\"'`\\|&;<>()[]{}$*?~#=\n";
    if (text.find_first_of(kForAShell) != std::string::npos) return "[\"sh\", \"-c\", " + in_quotes(text) + "]";
    std::string out;
    for (std::size_t begin = 0; (begin = text.find_first_not_of(" \t", begin)) != std::string::npos;) {
      const std::size_t end = std::min(text.find_first_of(" \t", begin), text.size());
      out += (out.empty() ? "" : ", ") + in_quotes(text.substr(begin, end - begin));
      begin = end;
    }
    return out.empty() ? "[\"program\", \"argument\"]" : "[" + out + "]";
  }
  // What the file's author most likely meant to write; nothing when that is not plain.
  std::string way_out(Index index, const Node& node) const {
    const Rule& rule = resolved(rules_, index);
    if (node.is(Kind::null) || node.is(Kind::object) || !node.as_written.empty()) return "";
    const std::string text = shown(node);
    if (rule.command && node.is(Kind::string)) return "; no shell reads it, so write " + as_command(node.string);
    if (rule.types & kArray && !node.is(Kind::array) && rule.items && valid(*rule.items, node))
      return "; write [" + text + "]";
    if (rule.types & kString && rule.unit != Unit::none && node.is(Kind::integer) && node.integer >= 0)
      return "; write \"" + std::to_string(node.integer) +
             (rule.unit == Unit::duration ? "s\" or \"" + std::to_string(node.integer) + "ms\"" : "B\"");
    if (rule.types & kString && !node.is(Kind::array) && rule.unit == Unit::none) return "; write \"" + text + "\"";
    if (rule.types & (kInteger | kNumber) && node.is(Kind::string) && !node.string.empty() && node.string.size() < 18 &&
        node.string.find_first_not_of("0123456789") == std::string::npos)
      return "; write " + node.string;
    if (rule.types & kBoolean && node.is(Kind::string) && (node.string == "true" || node.string == "false"))
      return "; write " + node.string;
    return "";
  }
  void unexpected_type(Index index, const Node& node, const Label& label) {
    if (full()) return;
    problems_.push_back({node.place, label.say("expected " + described(rules_, index) + ", got " +
                                               shown_with_kind(node) + way_out(index, node))});
  }
  bool valid(Index index, const Node& node) const {
    std::vector<Problem> found;
    Checker(rules_, found).value(index, node, {});
    return found.empty();
  }

  void branches(Index index, const std::vector<Index>& choices, bool just_one, const Node& node, const Label& label) {
    std::size_t good = 0;
    std::vector<Index> same_type;
    std::vector<Problem> best;
    for (const Index choice : choices) {
      std::vector<Problem> found;
      Checker(rules_, found).value(choice, node, label);
      if (found.empty()) {
        ++good;
        continue;
      }
      if (!may_be(choice, node)) continue;
      if (same_type.empty() || found.size() < best.size()) best = std::move(found);
      same_type.push_back(choice);
    }
    if (good == 1 || (good > 1 && !just_one)) return;
    const Rule& rule = rules_.all[index];
    if (good > 1)
      return report(node.place,
                    label.say("fits more than one of the forms that exclude each other: " + described(rules_, index)),
                    rule);
    if (same_type.empty())
      return report(node.place, label.value() + " is " + shown(node) + "; expected " + described(rules_, index), rule);
    // The branch of the same type is the one that was meant, and its own words help more than "none of these".
    for (Problem& problem : best) report(problem.place, std::move(problem.message), rule);
  }
  bool may_be(Index index, const Node& node) const {
    const Rule& rule = resolved(rules_, index);
    if (rule.never) return false;
    if (rule.values)
      return std::any_of(rule.values->begin(), rule.values->end(),
                         [&](const Node& v) { return v.kind == node.kind && node.is(Kind::string); });
    return fits_type(rule, node);
  }

  void range(const Rule& rule, double number, const Node& node, const Label& label) {
    if ((rule.minimum && number < *rule.minimum) || (rule.maximum && number > *rule.maximum))
      report(node.place, label.value() + " is " + shown(node) + "; expected " + range_text(rule), rule);
  }

  void string(const Rule& rule, const Node& node, const Label& label) {
    if (rule.unit != Unit::none) return quantity(rule, node, label);
    const auto length = rule.min_length || rule.max_length ? characters(node.string) : 0;
    if (rule.min_length && length < *rule.min_length)
      report(node.place,
             node.string.empty() ? label.value() + " is empty; expected text"
                                 : label.value() + " is " + shown(node) + "; expected at least " +
                                       std::to_string(*rule.min_length) + " characters",
             rule);
    if (rule.max_length && length > *rule.max_length)
      report(node.place,
             label.value() + " is " + shown(node) + ", " + std::to_string(length) + " characters; expected at most " +
                 std::to_string(*rule.max_length),
             rule);
    if (!rule.pattern) return;
    bool matches = false;
    try {
      matches = boost::regex_search(node.string, *rule.pattern);
    } catch (const std::exception&) {
      return report(node.place,
                    label.value() + " is " + shown(node) + ", which is too much work to match with " +
                        in_quotes(rule.pattern_text) + "; shorten it",
                    rule);
    }
    if (!matches)
      report(node.place,
             label.value() + " is " + shown(node) + "; expected text that matches " + in_quotes(rule.pattern_text),
             rule);
  }
  void quantity(const Rule& rule, const Node& node, const Label& label) {
    const bool duration = rule.unit == Unit::duration;
    const auto number = duration ? manifest::parse_duration_ms(node.string) : manifest::parse_bytes(node.string);
    if (!number)
      return report(node.place,
                    label.value() + " is " + shown(node) +
                        (duration ? "; expected a duration: a number with ms, s, m, h or d, such as \"30s\""
                                  : "; expected a size: a number with B, KiB, MiB, GiB or TiB, such as \"16MiB\""),
                    rule);
    range(rule, static_cast<double>(*number), node, label);
  }

  void array(const Rule& rule, const Node& node, const Label& label) {
    const auto count = static_cast<std::int64_t>(node.elements.size());
    const std::string has = label.value() + " has " + std::to_string(count) + (count == 1 ? " element" : " elements");
    if (rule.min_items && count < *rule.min_items)
      report(node.place, has + "; expected at least " + std::to_string(*rule.min_items), rule);
    if (rule.max_items && count > *rule.max_items)
      report(node.place, has + "; expected at most " + std::to_string(*rule.max_items), rule);
    if (rule.unique_items) {
      std::set<std::string> seen;
      for (const Node& element : node.elements)
        if (!seen.insert(tree::canonical(element)).second)
          report(element.place, label.say(shown(element) + " stands here twice; remove one"), rule);
    }
    if (!rule.items) return;
    for (std::size_t i = 0; i < node.elements.size(); ++i)
      value(*rule.items, node.elements[i], label.element(i, resolved(rules_, *rule.items), node.elements[i]));
  }

  void object(const Rule& rule, const Node& node, const Label& label) {
    for (const std::string& key : rule.required)
      if (node.find(key) == nullptr)
        report(node.place, label.say("key " + in_quotes(key) + " is missing" + expected_of(rule, key)), rule);
    for (const auto& member : node.members) {
      if (full()) return;
      const auto known = std::find_if(rule.properties.begin(), rule.properties.end(),
                                      [&](const auto& p) { return p.first == member.key; });
      if (known != rule.properties.end()) {
        value(known->second, member.value, label.member(member.key));
      } else if (rule.extra && rules_.all[*rule.extra].never) {
        report(member.key_place, label.say("unknown key " + in_quotes(member.key) + known_keys(rule, member.key)),
               rule);
      } else if (rule.extra) {
        value(*rule.extra, member.value, label.member(member.key));
      }
    }
  }
  std::string expected_of(const Rule& rule, const std::string& key) const {
    for (const auto& [name, index] : rule.properties)
      if (name == key) return "; expected " + described(rules_, index);
    return "";
  }
  static std::string known_keys(const Rule& rule, const std::string& key) {
    if (auto text = manifest::hint(key, rule.names); !text.empty()) return text;
    if (rule.names.empty()) return "; no keys are known here";
    return rule.names.size() <= 12 ? "; the keys here are " + manifest::listed(rule.names) : "";
  }

  const Rules& rules_;
  std::vector<Problem>& problems_;
  const std::size_t before_ = problems_.size();
};

std::string type_text(const Rules& rules, const Rule& rule) {
  std::vector<std::string> words;
  if (rule.types & kBoolean) words.push_back("true or false");
  if (rule.types & kString)
    words.push_back(rule.unit == Unit::duration ? "a duration such as \"30s\""
                    : rule.unit == Unit::bytes  ? "a size such as \"16MiB\""
                                                : "a string");
  if (rule.types & kInteger) words.push_back("an integer");
  if (rule.types & kNumber) words.push_back("a number");
  if (rule.types & kArray) {
    std::string of;
    if (rule.items) {
      const Rule& item = resolved(rules, *rule.items);
      const auto one = item.types;
      of = one == kString    ? " of strings"
           : one == kInteger ? " of integers"
           : one == kNumber  ? " of numbers"
           : one == kObject  ? " of objects"
                             : "";
    }
    words.push_back("an array" + of);
  }
  if (rule.types & kObject) words.push_back("an object");
  if (rule.types & kNull) words.push_back("null");
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " or ") + word;
  return out;
}

}  // namespace

const Rule& resolved(const Rules& rules, Index index) {
  const Rule* rule = &rules.all[index];
  while (rule->ref && rule->types == 0 && !rule->values && rule->one_of.empty() && rule->any_of.empty())
    rule = &rules.all[*rule->ref];
  return *rule;
}

bool fits_type(const Rule& rule, const Node& node) {
  if (rule.types == 0) return true;
  switch (node.kind) {
    case Kind::null:
      return rule.types & kNull;
    case Kind::boolean:
      return rule.types & kBoolean;
    case Kind::integer:
      return rule.types & (kInteger | kNumber);
    case Kind::number:
      return rule.types & (node.is_whole() ? kInteger | kNumber : kNumber);
    case Kind::string:
      return rule.types & kString;
    case Kind::array:
      return rule.types & kArray;
    case Kind::object:
      return rule.types & kObject;
  }
  return false;
}

std::string described(const Rules& rules, Index index) {
  const Rule& rule = resolved(rules, index);
  if (rule.values) return values_text(*rule.values);
  if (rule.types != 0) return type_text(rules, rule);
  const auto& choices = rule.one_of.empty() ? rule.any_of : rule.one_of;
  std::string out;
  for (const Index choice : choices) out += (out.empty() ? "" : " or ") + described(rules, choice);
  return out.empty() ? "a value" : out;
}

void check(const Rules& rules, Index index, const Node& value, std::string_view what, std::vector<Problem>& problems) {
  Checker(rules, problems).value(index, value, {std::string(what), false, std::string(what)});
}

}  // namespace weir::schema
