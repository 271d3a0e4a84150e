#include "routing/routes.hpp"

#include <algorithm>

namespace weir {
namespace {

constexpr std::string_view kOpen = "{identity.";

// The attribute's JSON text; subject is an attribute as well. Nothing when the identity has none of that name.
std::optional<json::Value> attribute(json::Value attributes, std::string_view name) {
  const json::Value v = attributes.find(name);
  if (!v || v.is(json::Kind::object) || v.is(json::Kind::null)) return std::nullopt;
  return v;
}

// Fills "{identity.NAME}" in. What an identity brings is data, never a pattern: where a filter would read '*' or '?' as
// a glob, they are escaped, so that nobody widens what they may see by what they are called.
class Filler {
 public:
  Filler(json::Value attributes, const Identity& identity) : attributes_(attributes), identity_(identity) {}
  // Something that was asked for is not there: then nothing may match, also where a condition is negated.
  bool missing() const { return missing_; }

  // `list`: the place takes a list ($in, $nin); one value becomes a list of it.
  std::string fill(json::Value value, bool event, bool glob, bool list_place = false) {
    std::string out;
    switch (value.kind()) {
      case json::Kind::object: {
        out += '{';
        value.each_member([&](json::Value k, json::Value v) {
          if (out.size() > 1) out += ',';
          // Only what stands directly for `event`, and lists, may be globs there: $eq, $ne and $prefix take their
          // operand as it is.
          const bool operation = k.string().starts_with('$'), list = k.string_equals("$in") || k.string_equals("$nin");
          ((out += k.raw()) += ':') +=
              fill(v, operation ? event && list : k.string_equals("event"), k.string_equals("$glob"), list);
        });
        return out += '}';
      }
      case json::Kind::array: {
        out += '[';
        value.each_element([&](json::Value v) {
          if (out.size() > 1) out += ',';
          out += fill(v, event, glob);
        });
        return out += ']';
      }
      case json::Kind::string:
        return text(value.string(), event, glob, list_place);
      default:
        return std::string(value.raw());
    }
  }

 private:
  std::string literal(const std::string& value, bool event, bool glob) const {
    if (!glob && !(event && value.find('*') != std::string::npos)) return value;
    std::string out;
    for (const char c : value) {
      if (c == '*' || c == '?' || c == '\\') out += '\\';
      out += c;
    }
    return out;
  }
  std::optional<json::Value> find(std::string_view name) {
    auto found = attribute(attributes_, name);
    if (!found) missing_ = true;
    return found;
  }
  std::string text(const std::string& text, bool event, bool glob, bool list_place) {
    if (!list_place) return one(text, event, glob);
    const std::string filled = one(text, event, glob);
    if (missing_) return "[]";
    return filled.starts_with('[') ? filled : "[" + filled + "]";
  }
  std::string one(const std::string& text, bool event, bool glob) {
    if (text.starts_with(kOpen) && text.find('}') == text.size() - 1) {  // the whole string: the attribute as it is
      const auto name = std::string_view(text).substr(kOpen.size(), text.size() - kOpen.size() - 1);
      if (name == "subject") return json::quoted(literal(identity_.subject, event, glob));
      const auto found = find(name);
      if (!found) return "\"\"";  // fits every place that takes one value; nothing matches anyway
      if (found->is(json::Kind::string)) return json::quoted(literal(found->string(), event, glob));
      if (!found->is(json::Kind::array)) return std::string(found->raw());
      std::string list = "[";
      found->each_element([&](json::Value v) {
        if (list.size() > 1) list += ',';
        if (v.is(json::Kind::string))
          list += json::quoted(literal(v.string(), event, glob));
        else
          list += v.raw();
      });
      return list + "]";
    }
    // What it is as a glob, and as plain text. A text for `event` is a glob when the operator wrote it as one, never
    // because of what an attribute holds.
    std::string globbed, plain;
    bool written_as_glob = glob;
    const auto add = [&](const std::string& value) {
      globbed += literal(value, event, true);
      plain += value;
    };
    for (std::size_t i = 0; i < text.size();) {
      const auto open = text.find(kOpen, i);
      const auto close = open == std::string::npos ? open : text.find('}', open);
      const std::string between = text.substr(i, close == std::string::npos ? close : open - i);
      written_as_glob = written_as_glob || (event && between.find('*') != std::string::npos);
      globbed += between;
      plain += between;
      if (close == std::string::npos) break;
      const auto name = std::string_view(text).substr(open + kOpen.size(), close - open - kOpen.size());
      i = close + 1;
      if (name == "subject") {
        add(identity_.subject);
        continue;
      }
      const auto found = find(name);
      if (found && found->is(json::Kind::string))
        add(found->string());
      else if (found && !found->is(json::Kind::array))
        add(std::string(found->raw()));
      else
        missing_ = true;  // a list has no place inside a text
    }
    if (written_as_glob) return json::quoted(globbed);
    return json::quoted(literal(plain, event, false));
  }

  json::Value attributes_;
  const Identity& identity_;
  bool missing_ = false;
};

}  // namespace

const ChannelRoute* Routes::find(std::string_view channel) const {
  for (const ChannelRoute& route : channels_)
    if (route.pattern.matches(channel)) return &route;
  return nullptr;
}

const MethodRoute* Routes::method(std::string_view name) const {
  for (const MethodRoute& m : methods_)
    if (m.pattern.matches(name)) return &m;
  return nullptr;
}

bool Routes::same_access(const Routes& other) const {
  return std::equal(channels_.begin(), channels_.end(), other.channels_.begin(), other.channels_.end(),
                    [](const ChannelRoute& a, const ChannelRoute& b) {
                      return a.pattern.text() == b.pattern.text() && a.subscribe == b.subscribe &&
                             !a.asks_subscribers && !b.asks_subscribers;
                    });
}

Scopes Routes::scopes_of(const Identity& identity) const {
  Scopes out;
  for (const ChannelRoute& route : channels_)
    if (const std::string& scope = route.subscribe.scope; !scope.empty() && identity.has_scope(scope))
      out.insert(scope);
  return out;
}

Result<void> check_scope(std::string_view scope, const Identity& identity, std::string_view verb,
                         std::string_view named) {
  if (identity.has_scope(scope)) return {};
  const std::string takes =
      "to " + std::string(verb) + " " + json::quoted(named) + " takes the scope \"" + std::string(scope) + "\"";
  if (identity.subject.empty()) return fail(Errc::unauthorized, takes + "; authenticate first");
  return fail(Errc::forbidden, takes + ", which " + json::quoted(identity.subject) + " does not have");
}

Result<void> check_access(const AccessRule& rule, const Identity& identity, std::string_view verb,
                          std::string_view channel) {
  if (!rule.nobody) return check_scope(rule.scope, identity, verb, channel);
  return fail(Errc::forbidden, "nobody may " + std::string(verb) + " " + json::quoted(channel) + " over the network");
}

Result<FilterPtr> mandatory_filter(const AccessRule& rule, const Identity& identity) {
  if (rule.where_json.empty()) return FilterPtr();
  json::Doc where, attributes;
  if (auto ok = where.parse(rule.where_json); !ok) return ok.error();
  if (auto ok = attributes.parse(identity.attributes_json); !ok)
    return fail(Errc::internal, "the identity's attributes are not JSON");
  Filler filler(attributes.root(), identity);
  const std::string filled = filler.fill(where.root(), false, false);
  if (filler.missing()) {
    // Only the shape is checked, as `weir check` does without any identity.
    json::Doc shape;
    if (auto ok = shape.parse(filled); !ok) return ok.error();
    if (auto ok = Filter::parse(shape.root(), Filter::kTrusted); !ok) return ok.error();
    return Filter::nothing();
  }
  json::Doc doc;
  if (auto ok = doc.parse(filled); !ok) return ok.error();
  return Filter::parse(doc.root(), Filter::kTrusted);
}

std::vector<Error> where_mistakes(const AccessRule& rule) {
  if (rule.where_json.empty()) return {};
  json::Doc where, attributes, shape;
  if (auto ok = where.parse(rule.where_json); !ok) return {ok.error()};
  const Identity nobody;
  if (auto ok = attributes.parse(nobody.attributes_json); !ok) return {ok.error()};
  Filler filler(attributes.root(), nobody);
  const std::string filled = filler.fill(where.root(), false, false);
  if (auto ok = shape.parse(filled); !ok) return {ok.error()};
  return Filter::mistakes(shape.root(), Filter::kTrusted);
}

}  // namespace weir
