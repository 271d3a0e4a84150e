#include <algorithm>
#include <array>

#include "routing/filter.hpp"
#include "routing/glob.hpp"

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

}  // namespace

class FilterParser {
 public:
  // `all`: goes on behind a mistake and collects every one there, up to kMistakesMax.
  explicit FilterParser(const Filter::Bounds& bounds, std::vector<Error>* all = nullptr) : bounds_(bounds), all_(all) {}
  Result<Filter::Term> filter(json::Value value, const std::string& at, std::size_t level) {
    if (!value.is(json::Kind::object))
      return wrong(at, "a filter is an object, not " + std::string(kind_name(value.kind())));
    if (level > bounds_.levels) return wrong(at, "nested deeper than " + std::to_string(bounds_.levels) + " levels");
    Filter::Term all;
    std::optional<Error> error;
    value.each_member([&](json::Value key_value, json::Value operand) {
      if (done(error)) return;
      const std::string key = key_value.string();
      const std::string here = at + "/" + escape_pointer(key);
      auto term = key.starts_with('$') ? combination(key, operand, here, level) : condition(key, operand, here);
      if (term)
        all.terms.push_back(std::move(*term));
      else if (!error)
        error = term.error();
    });
    if (error) return *error;
    return all;
  }

 private:
  Error wrong(const std::string& at, const std::string& why) {
    Error e = fail(Errc::bad_filter, "filter at \"" + at + "\": " + why);
    e.pointer = at;
    if (all_ != nullptr && all_->size() < kMistakesMax) all_->push_back(e);
    return e;
  }
  bool done(const std::optional<Error>& error) const { return error && all_ == nullptr; }

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
    std::optional<Error> error;
    for (std::uint32_t i = 0; i < operand.count() && !done(error); ++i) {
      auto inner = filter(operand.at(i), at + "/" + std::to_string(i), level + 1);
      if (inner)
        term.terms.push_back(std::move(*inner));
      else if (!error)
        error = inner.error();
    }
    if (error) return *error;
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
    c.place.root = static_cast<Filter::Root>(root - kRoots.begin());
    if (c.place.root != Filter::Root::data && parts.size() > 1)
      return wrong(at, "there is nothing below \"" + parts[0] + "\"");
    for (std::size_t i = 1; i < parts.size(); ++i)
      if (parts[i].empty()) return wrong(at, "the path has an empty segment");
    c.place.path.assign(parts.begin() + 1, parts.end());
    const bool globs = c.place.root == Filter::Root::event;
    if (operand.is(json::Kind::array)) {
      auto t = list(Filter::Op::in, operand, at, globs);
      if (!t) return t.error();
      c.tests.push_back(std::move(*t));
    } else if (operand.is(json::Kind::object)) {
      if (operand.count() == 0) return wrong(at, "an object without operators; objects can't be compared");
      std::optional<Error> error;
      operand.each_member([&](json::Value name, json::Value value) {
        if (done(error)) return;
        if (c.tests.size() >= bounds_.conditions) {
          error = wrong(at, too_many());
          return;
        }
        auto t = test(name.string(), value, at + "/" + escape_pointer(name.string()), globs);
        if (t)
          c.tests.push_back(std::move(*t));
        else if (!error)
          error = t.error();
      });
      if (error) return *error;
      conditions_ += c.tests.size() - 1;
      if (conditions_ > bounds_.conditions) return wrong(at, too_many());
    } else {
      auto o = with_globs(Filter::operand(operand), at, globs);
      if (!o) return o.error();
      c.tests.push_back({Filter::Op::eq, {std::move(*o)}});
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
    if (op == Op::glob)
      if (auto ok = check_glob(value.string()); !ok) return wrong(at, ok.error().message);
    return Filter::Test{op, {Filter::operand(value)}};
  }

  Result<Filter::Test> list(Filter::Op op, json::Value value, const std::string& at, bool globs) {
    if (value.count() > bounds_.list)
      return wrong(at, "a list of " + std::to_string(value.count()) + "; at most " + std::to_string(bounds_.list) +
                           " are allowed");
    Filter::Test t{op, {}};
    std::optional<Error> error;
    std::size_t place = 0;
    value.each_element([&](json::Value e) {
      const std::size_t here = place++;
      if (done(error)) return;
      if (e.is(json::Kind::array) || e.is(json::Kind::object))
        error = wrong(at + "/" + std::to_string(here),
                      "the list holds " + std::string(kind_name(e.kind())) + "; only scalars can be compared");
      else if (auto o = with_globs(Filter::operand(e), at + "/" + std::to_string(here), globs); o)
        t.operands.push_back(std::move(*o));
      else
        error = o.error();
    });
    if (error) return *error;
    sort(t);
    return t;
  }

  // A list is searched, once it is long enough for that to be cheaper than looking at each.
  static void sort(Filter::Test& t) {
    constexpr std::size_t kWorthSearching = 16;
    if (t.operands.size() < kWorthSearching) return;
    for (const Filter::Operand& o : t.operands)
      if (std::holds_alternative<Filter::Glob>(o)) return;
    std::sort(t.operands.begin(), t.operands.end(), [](const Filter::Operand& a, const Filter::Operand& b) {
      if (a.index() != b.index()) return a.index() < b.index();
      if (const auto* n = std::get_if<Filter::Number>(&a)) return *n < std::get<Filter::Number>(b);
      if (const auto* text = std::get_if<std::string>(&a)) return *text < std::get<std::string>(b);
      if (const auto* yes = std::get_if<bool>(&a)) return !*yes && std::get<bool>(b);
      return false;
    });
    t.sorted = true;
  }
  Result<Filter::Operand> with_globs(Filter::Operand s, const std::string& at, bool globs) {
    auto* text = std::get_if<std::string>(&s);
    if (!globs || text == nullptr || text->find('*') == std::string::npos) return s;
    if (auto ok = check_glob(*text); !ok) return wrong(at, ok.error().message);
    return Filter::Operand(Filter::Glob{std::move(*text)});
  }

  std::string too_many() const { return "more than " + std::to_string(bounds_.conditions) + " conditions"; }

  static constexpr std::size_t kMistakesMax = 100;
  const Filter::Bounds bounds_;
  std::vector<Error>* const all_;
  std::size_t conditions_ = 0;
};

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

std::vector<Error> Filter::mistakes(json::Value value, const Bounds& bounds) {
  std::vector<Error> all;
  auto term = FilterParser(bounds, &all).filter(value, "", 1);
  if (!term && all.empty()) all.push_back(term.error());
  return all;
}

Result<FilterPtr> Filter::parse(std::string_view text) {
  json::Doc doc;
  if (auto ok = doc.parse(text); !ok) return fail(Errc::bad_filter, ok.error().message);
  return parse(doc.root());
}

}  // namespace weir
