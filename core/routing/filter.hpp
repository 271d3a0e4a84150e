// A subscription's declarative condition (docs/protocol.md, "Filters"): compiled once, then asked for each event.
// Bounds: 64 conditions, 8 levels, 4 KiB of text, lists of 1,024.
// Threads: [any]; immutable once parsed.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.hpp"
#include "base/result.hpp"
#include "routing/event.hpp"

namespace weir {

// One event as filters see it; its data is looked into at most once, and only when a filter asks for a path in it.
class EventView {
 public:
  explicit EventView(const Event& event) : event_(event) {}
  const Event& event() const { return event_; }
  json::Value data() const {
    if (!parsed_) parsed_ = doc_.parse(event_.data(), 1 << 20).has_value();
    return doc_.root();
  }

 private:
  const Event& event_;
  mutable json::Doc doc_;
  mutable bool parsed_ = false;
};

class Filter;
using FilterPtr = std::shared_ptr<const Filter>;  // null: everything matches

class Filter {
 public:
  struct Bounds {
    std::size_t conditions = 64, levels = 8, text_bytes = 4096, list = 1024;
  };
  // For what the operator wrote and an identity filled in: a key that is good for thousands of instances is no attack.
  static constexpr Bounds kTrusted = {4096, 32, 16 * 1024 * 1024, 1'000'000};
  // Errors: bad_filter - what is wrong, with a JSON pointer to the spot in Error::pointer.
  static Result<FilterPtr> parse(json::Value filter, const Bounds& bounds);
  static Result<FilterPtr> parse(json::Value filter) { return parse(filter, Bounds()); }
  static Result<FilterPtr> parse(std::string_view text);
  // The one that matches nothing.
  static FilterPtr nothing();
  // Both must hold; either may be null.
  static FilterPtr both(FilterPtr a, FilterPtr b);

  bool matches(const EventView& event) const;
  const std::string& text() const { return text_; }  // as JSON

 private:
  friend class FilterParser;
  enum class Op : std::uint8_t { eq, ne, in, nin, gt, gte, lt, lte, prefix, glob, exists };
  struct Number {
    long double value;  // exact for every 64-bit integer
  };
  struct Glob {
    std::string pattern;
  };
  using Scalar = std::variant<std::nullptr_t, bool, Number, std::string, Glob>;
  struct Test {
    Op op;
    std::vector<Scalar> operands;  // one, or the list of in and nin
  };
  enum class Root : std::uint8_t { event, channel, id, key, data };
  struct Condition {
    Root root;
    std::vector<std::string> path;  // below data
    std::vector<Test> tests;        // all must hold
  };
  enum class Kind : std::uint8_t { all, any, none, condition };
  struct Term {
    Kind kind = Kind::all;
    std::vector<Term> terms;
    Condition condition;
  };

  static Scalar scalar(json::Value value);
  static bool equal(const Scalar& operand, const Scalar& found);
  static bool holds_for(const Test& test, const Scalar& found);
  static bool holds(const Test& test, json::Value found);
  static bool holds(const Condition& condition, const EventView& event);
  static bool holds(const Term& term, const EventView& event);

  Term term_;
  std::string text_;
};

// '*' any run of characters, '?' one character (a code point), '\' takes the next one literally; the whole text must
// match. Linear in text times pattern at worst.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace weir
