// A subscription's declarative condition (docs/protocol.md, "Filters"): compiled once, then asked for each event.
// Bounds: 64 conditions, 8 levels, 4 KiB of text, lists of 1,024.
// Threads: [any]; immutable once parsed.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.hpp"
#include "base/result.hpp"
#include "routing/event.hpp"

namespace weir {

// One event as filters see it; its data is looked into at most once, and only when a filter asks for a path in it.
class EventView {
 public:
  explicit EventView(const Event& event) : event_(event), doc_(own_) {}
  // Reuses the memory of `scratch`, which is this view's alone as long as it lives.
  EventView(const Event& event, json::Doc& scratch) : event_(event), doc_(scratch) {}
  EventView(const EventView&) = delete;
  EventView& operator=(const EventView&) = delete;
  const Event& event() const { return event_; }
  json::Value data() const {
    if (!looked_) {
      looked_ = true;
      is_json_ = doc_.parse(event_.data(), 1 << 20).has_value();  // it was checked where it came in
    }
    return is_json_ ? doc_.root() : json::Value();
  }

 private:
  const Event& event_;
  mutable json::Doc own_;
  json::Doc& doc_;
  mutable bool looked_ = false, is_json_ = false;
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
  // Everything that is wrong with it, each as parse() would say it, for whoever mends it by hand; at most 100.
  static std::vector<Error> mistakes(json::Value filter, const Bounds& bounds);
  // The one that matches nothing.
  static FilterPtr nothing();
  // Both must hold; either may be null.
  static FilterPtr both(FilterPtr a, FilterPtr b);
  // At least one must hold; none may be null.
  static FilterPtr either(std::span<const FilterPtr> filters);

  bool matches(const EventView& event) const;
  const std::string& text() const { return text_; }  // as JSON

  // --- for an index of many filters (filter_index.hpp) ---
  enum class Root : std::uint8_t { event, channel, id, key, data };
  struct Place {  // where a condition looks
    Root root = Root::data;
    std::vector<std::string> path;  // below data
    bool operator==(const Place&) const = default;
  };
  // Equalities of which every event that matches satisfies at least one. A value is written as each_value() writes it.
  struct Cover {
    std::vector<std::pair<const Place*, std::string>> keys;
    bool exact = false;  // satisfying one of them is all that the filter asks for
  };
  // Nothing when there is no such set, or only one of more than `keys_max`.
  std::optional<Cover> cover(std::size_t keys_max) const;
  // f(text) for each scalar that stands there in the event, one of an array's elements included; the text is equal for
  // two values if and only if they are equal.
  template <class F>
  static void each_value(const Place& place, const EventView& event, std::string& scratch, F&& f);

 private:
  friend class FilterParser;
  enum class Op : std::uint8_t { eq, ne, in, nin, gt, gte, lt, lte, prefix, glob, exists };
  using Number = long double;  // exact for every 64-bit integer
  struct Glob {
    std::string pattern;
  };
  using Operand = std::variant<std::nullptr_t, bool, Number, std::string, Glob>;
  using Found = std::variant<std::nullptr_t, bool, Number, std::string_view>;
  struct Test {
    Op op;
    std::vector<Operand> operands;  // one, or the list of in and nin
    bool sorted = false;            // a long list without globs, in order, so that it can be searched
  };
  struct Condition {
    Place place;
    std::vector<Test> tests;  // all must hold
  };
  enum class Kind : std::uint8_t { all, any, none, condition };
  struct Term {
    Kind kind = Kind::all;
    std::vector<Term> terms;
    Condition condition;
  };

  static Operand operand(json::Value value);
  static Found found(json::Value value, std::string& unescaped);
  static json::Value locate(const Place& place, const EventView& event);
  static std::string_view text_at(Root root, const Event& event);
  static void append_key(std::string& out, const Found& value);
  static bool equal(const Operand& operand, const Found& found);
  static bool any_equal(const Test& test, const Found& found);
  static bool holds_for(const Test& test, const Found& found);
  static bool holds(const Test& test, json::Value found);
  static bool holds(const Condition& condition, const EventView& event);
  static bool holds(const Term& term, const EventView& event);
  static std::optional<Cover> cover(const Condition& condition, std::size_t keys_max);
  static std::optional<Cover> cover(const Term& term, std::size_t keys_max);

  Term term_;
  std::string text_;
};

template <class F>
void Filter::each_value(const Place& place, const EventView& event, std::string& scratch, F&& f) {
  const auto one = [&](const Found& value) {
    scratch.clear();
    append_key(scratch, value);
    f(std::string_view(scratch));
  };
  if (place.root != Root::data) {
    const std::string_view text = text_at(place.root, event.event());
    if (place.root != Root::key || !text.empty()) one(text);
    return;
  }
  std::string unescaped;
  const auto scalar = [&](json::Value v) {
    if (!v.is(json::Kind::array) && !v.is(json::Kind::object)) one(found(v, unescaped));
  };
  const json::Value value = locate(place, event);
  if (!value) return;
  if (value.is(json::Kind::array))
    value.each_element(scalar);
  else
    scalar(value);
}

}  // namespace weir
