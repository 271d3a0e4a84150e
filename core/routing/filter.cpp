#include "routing/filter.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "routing/glob.hpp"

namespace weir {

FilterPtr Filter::nothing() {
  auto made = std::make_shared<Filter>();
  made->term_.kind = Kind::any;
  made->text_ = R"({"$not":{"event":{"$exists":true}}})";  // one that clients can send too: every event has a name
  return made;
}

FilterPtr Filter::both(FilterPtr a, FilterPtr b) {
  if (!a) return b;
  if (!b) return a;
  auto made = std::make_shared<Filter>();
  made->term_.terms = {a->term_, b->term_};
  made->text_ = "{\"$and\":[" + a->text_ + "," + b->text_ + "]}";
  return made;
}

FilterPtr Filter::either(std::span<const FilterPtr> filters) {
  auto made = std::make_shared<Filter>();
  made->term_.kind = Kind::any;
  made->text_ = "{\"$or\":[";
  for (const FilterPtr& f : filters) {
    made->term_.terms.push_back(f->term_);
    if (made->text_.back() != '[') made->text_ += ',';
    made->text_ += f->text_;
  }
  made->text_ += "]}";
  return made;
}

Filter::Operand Filter::operand(json::Value value) {
  std::string unescaped;
  const Found f = found(value, unescaped);
  if (const auto* text = std::get_if<std::string_view>(&f)) return std::string(*text);
  if (const auto* n = std::get_if<Number>(&f)) return *n;
  if (const auto* yes = std::get_if<bool>(&f)) return *yes;
  return nullptr;
}

Filter::Found Filter::found(json::Value value, std::string& unescaped) {
  switch (value.kind()) {
    case json::Kind::boolean:
      return value.boolean();
    case json::Kind::string:
      if (const auto plain = value.plain_string()) return *plain;
      unescaped = value.string();
      return std::string_view(unescaped);
    case json::Kind::number:
      if (const auto i = value.integer()) return static_cast<Number>(*i);
      return static_cast<Number>(value.number());
    default:
      return nullptr;
  }
}

bool Filter::equal(const Operand& operand, const Found& found) {
  const auto* text = std::get_if<std::string_view>(&found);
  if (const auto* glob = std::get_if<Glob>(&operand)) return text != nullptr && glob_matches(glob->pattern, *text);
  if (operand.index() != found.index()) return false;
  if (const auto* n = std::get_if<Number>(&operand)) return *n == std::get<Number>(found);
  if (const auto* s = std::get_if<std::string>(&operand)) return *s == *text;
  if (const auto* b = std::get_if<bool>(&operand)) return *b == std::get<bool>(found);
  return true;  // null and null
}

bool Filter::any_equal(const Test& test, const Found& found) {
  if (!test.sorted)
    return std::any_of(test.operands.begin(), test.operands.end(), [&](const Operand& o) { return equal(o, found); });
  const auto less = [](const Operand& o, const Found& f) {
    if (o.index() != f.index()) return o.index() < f.index();
    if (const auto* n = std::get_if<Number>(&o)) return *n < std::get<Number>(f);
    if (const auto* s = std::get_if<std::string>(&o)) return *s < std::get<std::string_view>(f);
    if (const auto* b = std::get_if<bool>(&o)) return !*b && std::get<bool>(f);
    return false;
  };
  const auto at = std::lower_bound(test.operands.begin(), test.operands.end(), found, less);
  return at != test.operands.end() && equal(*at, found);
}

bool Filter::holds_for(const Test& test, const Found& found) {
  const auto* text = std::get_if<std::string_view>(&found);
  const auto ordered = [&](auto compare) {
    const Operand& operand = test.operands[0];
    if (const auto* n = std::get_if<Number>(&found)) {
      const auto* m = std::get_if<Number>(&operand);
      return m != nullptr && compare(*n, *m);
    }
    const auto* other = std::get_if<std::string>(&operand);  // bytes are compared as unsigned
    return text != nullptr && other != nullptr && compare(*text, std::string_view(*other));
  };
  switch (test.op) {
    case Op::eq:
    case Op::in:
      return any_equal(test, found);
    case Op::ne:
    case Op::nin:
      return !any_equal(test, found);
    case Op::gt:
      return ordered([](const auto& a, const auto& b) { return a > b; });
    case Op::gte:
      return ordered([](const auto& a, const auto& b) { return a >= b; });
    case Op::lt:
      return ordered([](const auto& a, const auto& b) { return a < b; });
    case Op::lte:
      return ordered([](const auto& a, const auto& b) { return a <= b; });
    case Op::prefix:
      return text != nullptr && text->starts_with(std::get<std::string>(test.operands[0]));
    case Op::glob:
      return text != nullptr && glob_matches(std::get<std::string>(test.operands[0]), *text);
    case Op::exists:
      return std::get<bool>(test.operands[0]);
  }
  return false;
}

bool Filter::holds(const Test& test, json::Value value) {
  if (test.op == Op::exists) return std::get<bool>(test.operands[0]) == static_cast<bool>(value);
  const bool negative = test.op == Op::ne || test.op == Op::nin;
  if (!value || value.is(json::Kind::object)) return negative;
  std::string unescaped;
  if (value.is(json::Kind::array)) {
    // Any element satisfies it; for the negative ones: none equals.
    bool result = negative;
    value.each_element([&](json::Value e) {
      if (e.is(json::Kind::array) || e.is(json::Kind::object)) return;
      const bool h = holds_for(test, found(e, unescaped));
      result = negative ? result && h : result || h;
    });
    return result;
  }
  return holds_for(test, found(value, unescaped));
}

std::string_view Filter::text_at(Root root, const Event& event) {
  switch (root) {
    case Root::event:
      return event.name();
    case Root::channel:
      return event.channel();
    case Root::id:
      return event.id();
    case Root::key:
      return event.key();
    case Root::data:
      break;
  }
  return {};
}

json::Value Filter::locate(const Place& place, const EventView& event) {
  json::Value value = event.data();
  for (const std::string& name : place.path) {
    if (value.is(json::Kind::array)) {
      if (name.empty() || name.size() > 9 || name.find_first_not_of("0123456789") != std::string::npos)
        value = {};
      else
        value = value.at(static_cast<std::uint32_t>(std::stoul(name)));
    } else {
      value = value ? value.find(name) : json::Value();
    }
    if (!value) break;
  }
  return value;
}

bool Filter::holds(const Condition& c, const EventView& event) {
  if (c.place.root == Root::data) {
    const json::Value value = locate(c.place, event);
    return std::all_of(c.tests.begin(), c.tests.end(), [&](const Test& t) { return holds(t, value); });
  }
  const std::string_view text = text_at(c.place.root, event.event());
  const bool there = c.place.root != Root::key || !text.empty();
  return std::all_of(c.tests.begin(), c.tests.end(), [&](const Test& t) {
    if (t.op == Op::exists) return std::get<bool>(t.operands[0]) == there;
    if (!there) return t.op == Op::ne || t.op == Op::nin;
    return holds_for(t, text);
  });
}

bool Filter::holds(const Term& term, const EventView& event) {
  const auto check = [&](const Term& t) { return holds(t, event); };
  switch (term.kind) {
    case Kind::all:
      return std::all_of(term.terms.begin(), term.terms.end(), check);
    case Kind::any:
      return std::any_of(term.terms.begin(), term.terms.end(), check);
    case Kind::none:
      return std::none_of(term.terms.begin(), term.terms.end(), check);
    case Kind::condition:
      return holds(term.condition, event);
  }
  return false;
}

bool Filter::matches(const EventView& event) const { return holds(term_, event); }

void Filter::append_key(std::string& out, const Found& value) {
  out += static_cast<char>('0' + value.index());
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    out += *text;
  } else if (const auto* yes = std::get_if<bool>(&value)) {
    out += *yes ? 't' : 'f';
  } else if (const auto* n = std::get_if<Number>(&value)) {
    if (std::isinf(*n)) {
      out += *n > 0 ? "+i" : "-i";
      return;
    }
    // Taken apart, because a long double in memory has bytes that mean nothing. Zero is zero, whatever its sign.
    int exponent = 0;
    const Number fraction = std::frexp(std::fabs(*n), &exponent);  // 64 bits of it count: 63 and the last one
    const Number scaled = std::ldexp(fraction, 63);
    const auto digits = static_cast<std::int64_t>(scaled);
    out += *n < 0 ? '-' : '+';
    out.append(reinterpret_cast<const char*>(&digits), sizeof digits);
    out += scaled > static_cast<Number>(digits) ? '1' : '0';
    out.append(reinterpret_cast<const char*>(&exponent), sizeof exponent);
  }
}

std::optional<Filter::Cover> Filter::cover(const Condition& condition, std::size_t keys_max) {
  const Test* best = nullptr;
  for (const Test& t : condition.tests) {
    const bool equality = t.op == Op::eq || t.op == Op::in;
    const auto is_glob = [](const Operand& o) { return std::holds_alternative<Glob>(o); };
    if (!equality || t.operands.size() > keys_max || std::any_of(t.operands.begin(), t.operands.end(), is_glob))
      continue;
    if (best == nullptr || t.operands.size() < best->operands.size()) best = &t;
  }
  if (best == nullptr) return std::nullopt;
  Cover cover;
  cover.exact = condition.tests.size() == 1;
  for (const Operand& o : best->operands) {
    Found value = nullptr;
    if (const auto* text = std::get_if<std::string>(&o)) value = std::string_view(*text);
    if (const auto* n = std::get_if<Number>(&o)) value = *n;
    if (const auto* yes = std::get_if<bool>(&o)) value = *yes;
    append_key(cover.keys.emplace_back(&condition.place, std::string()).second, value);
  }
  return cover;
}

std::optional<Filter::Cover> Filter::cover(const Term& term, std::size_t keys_max) {
  std::optional<Cover> best;
  switch (term.kind) {
    case Kind::none:
      return std::nullopt;
    case Kind::condition:
      return cover(term.condition, keys_max);
    case Kind::all:  // any one of them will do; the smallest is the cheapest
      for (const Term& t : term.terms)
        if (auto c = cover(t, keys_max); c && (!best || c->keys.size() < best->keys.size())) best = std::move(c);
      if (best) best->exact = best->exact && term.terms.size() == 1;
      return best;
    case Kind::any:
      best = Cover{{}, true};
      for (const Term& t : term.terms) {
        auto c = cover(t, keys_max - best->keys.size());
        if (!c) return std::nullopt;
        best->exact = best->exact && c->exact;
        std::move(c->keys.begin(), c->keys.end(), std::back_inserter(best->keys));
      }
      return best;
  }
  return std::nullopt;
}

std::optional<Filter::Cover> Filter::cover(std::size_t keys_max) const { return cover(term_, keys_max); }

}  // namespace weir
