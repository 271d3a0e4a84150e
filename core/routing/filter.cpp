#include "routing/filter.hpp"

#include <algorithm>
#include <array>

namespace weir {
namespace {

std::string escape_pointer(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

std::string_view kind_name(json::Kind kind) {
  constexpr std::array<std::string_view, 6> kNames = {"null",     "a boolean", "a number",
                                                      "a string", "an array",  "an object"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::size_t code_point_size(char first) {
  const auto c = static_cast<unsigned char>(first);
  return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos, star_text = 0;  // where to go on when a later part does not fit
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      star_text = t;
      continue;
    }
    if (p < pattern.size() && pattern[p] == '?') {
      ++p;
      t = std::min(text.size(), t + code_point_size(text[t]));
      continue;
    }
    if (p < pattern.size()) {
      const std::size_t literal = pattern[p] == '\\' && p + 1 < pattern.size() ? p + 1 : p;
      if (pattern[literal] == text[t]) {
        p = literal + 1;
        ++t;
        continue;
      }
    }
    if (star == std::string_view::npos) return false;
    p = star;
    t = star_text = std::min(text.size(), star_text + code_point_size(text[star_text]));
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

class FilterParser {
 public:
  explicit FilterParser(const Filter::Bounds& bounds) : bounds_(bounds) {}
  Result<Filter::Term> filter(json::Value value, const std::string& at, std::size_t level) {
    if (!value.is(json::Kind::object))
      return wrong(at, "a filter is an object, not " + std::string(kind_name(value.kind())));
    if (level > bounds_.levels) return wrong(at, "nested deeper than " + std::to_string(bounds_.levels) + " levels");
    Filter::Term all;
    std::optional<Error> error;
    value.each_member([&](json::Value key_value, json::Value operand) {
      if (error) return;
      const std::string key = key_value.string();
      const std::string here = at + "/" + escape_pointer(key);
      auto term = key.starts_with('$') ? combination(key, operand, here, level) : condition(key, operand, here);
      if (term)
        all.terms.push_back(std::move(*term));
      else
        error = term.error();
    });
    if (error) return *error;
    return all;
  }

 private:
  static Error wrong(const std::string& at, const std::string& why) {
    Error e = fail(Errc::bad_filter, "filter at \"" + at + "\": " + why);
    e.pointer = at;
    return e;
  }

  Result<Filter::Term> combination(const std::string& key, json::Value operand, const std::string& at,
                                   std::size_t level) {
    Filter::Term term;
    if (key == "$not") {
      auto inner = filter(operand, at, level + 1);
      if (!inner) return inner.error();
      term.kind = Filter::Kind::none;
      term.terms.push_back(std::move(*inner));
      return term;
    }
    if (key != "$and" && key != "$or") return wrong(at, "\"" + key + "\" is none of $and, $or, $not, and no path");
    if (!operand.is(json::Kind::array) || operand.count() == 0)
      return wrong(at, key + " takes a list of at least one filter");
    term.kind = key == "$and" ? Filter::Kind::all : Filter::Kind::any;
    for (std::uint32_t i = 0; i < operand.count(); ++i) {
      auto inner = filter(operand.at(i), at + "/" + std::to_string(i), level + 1);
      if (!inner) return inner.error();
      term.terms.push_back(std::move(*inner));
    }
    return term;
  }

  Result<Filter::Term> condition(const std::string& key, json::Value operand, const std::string& at) {
    if (++conditions_ > bounds_.conditions) return wrong(at, too_many());
    Filter::Term term;
    term.kind = Filter::Kind::condition;
    Filter::Condition& c = term.condition;
    std::vector<std::string> parts(1);
    for (std::size_t i = 0; i < key.size(); ++i) {
      if (key[i] == '\\' && i + 1 < key.size())
        parts.back() += key[++i];
      else if (key[i] == '.')
        parts.emplace_back();
      else
        parts.back() += key[i];
    }
    constexpr std::array<std::string_view, 5> kRoots = {"event", "channel", "id", "key", "data"};
    const auto root = std::find(kRoots.begin(), kRoots.end(), parts[0]);
    if (root == kRoots.end())
      return wrong(at,
                   "the path starts with none of event, channel, id, key, data; did you mean \"data." + key + "\"?");
    c.root = static_cast<Filter::Root>(root - kRoots.begin());
    if (c.root != Filter::Root::data && parts.size() > 1)
      return wrong(at, "there is nothing below \"" + parts[0] + "\"");
    for (std::size_t i = 1; i < parts.size(); ++i)
      if (parts[i].empty()) return wrong(at, "the path has an empty segment");
    c.path.assign(parts.begin() + 1, parts.end());
    const bool globs = c.root == Filter::Root::event;
    if (operand.is(json::Kind::array)) {
      auto t = list(Filter::Op::in, operand, at, globs);
      if (!t) return t.error();
      c.tests.push_back(std::move(*t));
    } else if (operand.is(json::Kind::object)) {
      if (operand.count() == 0) return wrong(at, "an object without operators; objects can't be compared");
      std::optional<Error> error;
      operand.each_member([&](json::Value name, json::Value value) {
        if (error) return;
        if (c.tests.size() >= bounds_.conditions) {
          error = wrong(at, too_many());
          return;
        }
        auto t = test(name.string(), value, at + "/" + escape_pointer(name.string()), globs);
        if (t)
          c.tests.push_back(std::move(*t));
        else
          error = t.error();
      });
      if (error) return *error;
      conditions_ += c.tests.size() - 1;
      if (conditions_ > bounds_.conditions) return wrong(at, too_many());
    } else {
      c.tests.push_back({Filter::Op::eq, {with_globs(Filter::scalar(operand), globs)}});
    }
    return term;
  }

  Result<Filter::Test> test(const std::string& name, json::Value value, const std::string& at, bool globs) {
    using Op = Filter::Op;
    constexpr std::array<std::pair<std::string_view, Op>, 11> kOps = {{{"$eq", Op::eq},
                                                                       {"$ne", Op::ne},
                                                                       {"$in", Op::in},
                                                                       {"$nin", Op::nin},
                                                                       {"$gt", Op::gt},
                                                                       {"$gte", Op::gte},
                                                                       {"$lt", Op::lt},
                                                                       {"$lte", Op::lte},
                                                                       {"$prefix", Op::prefix},
                                                                       {"$glob", Op::glob},
                                                                       {"$exists", Op::exists}}};
    const auto found = std::find_if(kOps.begin(), kOps.end(), [&](const auto& o) { return o.first == name; });
    if (found == kOps.end())
      return wrong(
          at, "unknown operator \"" + name + "\"; there are $eq $ne $in $nin $gt $gte $lt $lte $prefix $glob $exists");
    const Op op = found->second;
    if (op == Op::in || op == Op::nin) {
      if (!value.is(json::Kind::array)) return wrong(at, name + " takes a list");
      return list(op, value, at, globs);
    }
    if (value.is(json::Kind::array) || value.is(json::Kind::object))
      return wrong(at, name + " takes no " + std::string(kind_name(value.kind()).substr(3)));
    if (op == Op::exists && !value.is(json::Kind::boolean)) return wrong(at, "$exists takes true or false");
    if ((op == Op::prefix || op == Op::glob) && !value.is(json::Kind::string))
      return wrong(at, name + " takes a string");
    if ((op == Op::gt || op == Op::gte || op == Op::lt || op == Op::lte) && !value.is(json::Kind::string) &&
        !value.is(json::Kind::number))
      return wrong(at, name + " takes a number or a string");
    return Filter::Test{op, {Filter::scalar(value)}};
  }

  Result<Filter::Test> list(Filter::Op op, json::Value value, const std::string& at, bool globs) {
    if (value.count() > bounds_.list)
      return wrong(at, "a list of " + std::to_string(value.count()) + "; at most " + std::to_string(bounds_.list) +
                           " are allowed");
    Filter::Test t{op, {}};
    std::optional<Error> error;
    value.each_element([&](json::Value e) {
      if (e.is(json::Kind::array) || e.is(json::Kind::object))
        error = wrong(at, "the list holds " + std::string(kind_name(e.kind())) + "; only scalars can be compared");
      else
        t.operands.push_back(with_globs(Filter::scalar(e), globs));
    });
    if (error) return *error;
    return t;
  }

  static Filter::Scalar with_globs(Filter::Scalar s, bool globs) {
    if (globs)
      if (auto* text = std::get_if<std::string>(&s); text != nullptr && text->find('*') != std::string::npos)
        return Filter::Glob{std::move(*text)};
    return s;
  }

  std::string too_many() const { return "more than " + std::to_string(bounds_.conditions) + " conditions"; }

  const Filter::Bounds bounds_;
  std::size_t conditions_ = 0;
};

FilterPtr Filter::nothing() {
  auto made = std::make_shared<Filter>();
  made->term_.kind = Kind::any;
  made->text_ = "{\"$or\":[]}";
  return made;
}

Result<FilterPtr> Filter::parse(json::Value value, const Bounds& bounds) {
  if (value.raw().size() > bounds.text_bytes)
    return fail(Errc::bad_filter, "the filter has " + std::to_string(value.raw().size()) + " bytes; at most " +
                                      std::to_string(bounds.text_bytes) + " are allowed");
  auto term = FilterParser(bounds).filter(value, "", 1);
  if (!term) return term.error();
  if (term->terms.empty()) return FilterPtr();
  auto made = std::make_shared<Filter>();
  made->term_ = std::move(*term);
  made->text_ = value.raw();
  return FilterPtr(std::move(made));
}

Result<FilterPtr> Filter::parse(std::string_view text) {
  json::Doc doc;
  if (auto ok = doc.parse(text); !ok) return fail(Errc::bad_filter, ok.error().message);
  return parse(doc.root());
}

FilterPtr Filter::both(FilterPtr a, FilterPtr b) {
  if (!a) return b;
  if (!b) return a;
  auto made = std::make_shared<Filter>();
  made->term_.terms = {a->term_, b->term_};
  made->text_ = "{\"$and\":[" + a->text_ + "," + b->text_ + "]}";
  return made;
}

Filter::Scalar Filter::scalar(json::Value value) {
  switch (value.kind()) {
    case json::Kind::boolean:
      return value.boolean();
    case json::Kind::string:
      return value.string();
    case json::Kind::number:
      if (const auto i = value.integer()) return Number{static_cast<long double>(*i)};
      return Number{static_cast<long double>(value.number())};
    default:
      return nullptr;
  }
}

bool Filter::equal(const Scalar& operand, const Scalar& found) {
  if (const auto* glob = std::get_if<Glob>(&operand)) {
    const auto* text = std::get_if<std::string>(&found);
    return text != nullptr && glob_matches(glob->pattern, *text);
  }
  if (operand.index() != found.index()) return false;
  if (const auto* n = std::get_if<Number>(&operand)) return n->value == std::get<Number>(found).value;
  if (const auto* s = std::get_if<std::string>(&operand)) return *s == std::get<std::string>(found);
  if (const auto* b = std::get_if<bool>(&operand)) return *b == std::get<bool>(found);
  return true;  // null and null
}

bool Filter::holds_for(const Test& test, const Scalar& found) {
  const Scalar& operand = test.operands.empty() ? found : test.operands[0];
  const auto any_equal = [&] {
    return std::any_of(test.operands.begin(), test.operands.end(), [&](const Scalar& s) { return equal(s, found); });
  };
  const auto ordered = [&](auto compare) {
    if (const auto* n = std::get_if<Number>(&found)) {
      const auto* m = std::get_if<Number>(&operand);
      return m != nullptr && compare(n->value, m->value);
    }
    if (const auto* s = std::get_if<std::string>(&found)) {
      const auto* t = std::get_if<std::string>(&operand);
      return t != nullptr && compare(*s, *t);  // std::string compares bytes as unsigned
    }
    return false;
  };
  const auto* text = std::get_if<std::string>(&found);
  switch (test.op) {
    case Op::eq:
    case Op::in:
      return any_equal();
    case Op::ne:
    case Op::nin:
      return !any_equal();
    case Op::gt:
      return ordered([](const auto& a, const auto& b) { return a > b; });
    case Op::gte:
      return ordered([](const auto& a, const auto& b) { return a >= b; });
    case Op::lt:
      return ordered([](const auto& a, const auto& b) { return a < b; });
    case Op::lte:
      return ordered([](const auto& a, const auto& b) { return a <= b; });
    case Op::prefix:
      return text != nullptr && text->starts_with(std::get<std::string>(operand));
    case Op::glob:
      return text != nullptr && glob_matches(std::get<std::string>(operand), *text);
    case Op::exists:
      return std::get<bool>(operand);
  }
  return false;
}

bool Filter::holds(const Test& test, json::Value found) {
  if (test.op == Op::exists) return std::get<bool>(test.operands[0]) == static_cast<bool>(found);
  const bool negative = test.op == Op::ne || test.op == Op::nin;
  if (!found || found.is(json::Kind::object)) return negative;
  if (found.is(json::Kind::array)) {
    // Any element satisfies it; for the negative ones: none equals.
    bool result = negative;
    found.each_element([&](json::Value e) {
      if (e.is(json::Kind::array) || e.is(json::Kind::object)) return;
      const bool h = holds_for(test, scalar(e));
      result = negative ? result && h : result || h;
    });
    return result;
  }
  return holds_for(test, scalar(found));
}

bool Filter::holds(const Condition& c, const EventView& event) {
  const auto text_holds = [&](std::string_view text, bool there) {
    const Scalar found = std::string(text);
    return std::all_of(c.tests.begin(), c.tests.end(), [&](const Test& t) {
      if (t.op == Op::exists) return std::get<bool>(t.operands[0]) == there;
      if (!there) return t.op == Op::ne || t.op == Op::nin;
      return holds_for(t, found);
    });
  };
  const Event& e = event.event();
  switch (c.root) {
    case Root::event:
      return text_holds(e.name(), true);
    case Root::channel:
      return text_holds(e.channel(), true);
    case Root::id:
      return text_holds(e.id(), true);
    case Root::key:
      return text_holds(e.key(), !e.key().empty());
    case Root::data:
      break;
  }
  json::Value value = event.data();
  for (const std::string& name : c.path) {
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
  return std::all_of(c.tests.begin(), c.tests.end(), [&](const Test& t) { return holds(t, value); });
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

}  // namespace weir
