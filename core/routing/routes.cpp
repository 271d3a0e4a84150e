#include "routing/routes.hpp"

namespace weir {
namespace {

constexpr std::string_view kOpen = "{identity.";

// The attribute's JSON text; subject is an attribute as well. Nothing when the identity has none of that name.
std::optional<json::Value> attribute(json::Value attributes, std::string_view name) {
  const json::Value v = attributes.find(name);
  if (!v || v.is(json::Kind::object) || v.is(json::Kind::null)) return std::nullopt;
  return v;
}

std::string filled_in(json::Value value, json::Value attributes, const Identity& identity) {
  std::string out;
  switch (value.kind()) {
    case json::Kind::object: {
      out += '{';
      value.each_member([&](json::Value k, json::Value v) {
        if (out.size() > 1) out += ',';
        ((out += k.raw()) += ':') += filled_in(v, attributes, identity);
      });
      return out += '}';
    }
    case json::Kind::array: {
      out += '[';
      value.each_element([&](json::Value v) {
        if (out.size() > 1) out += ',';
        out += filled_in(v, attributes, identity);
      });
      return out += ']';
    }
    case json::Kind::string: break;
    default: return std::string(value.raw());
  }
  const std::string text = value.string();
  if (text.starts_with(kOpen) && text.find('}') == text.size() - 1) {  // the whole string: the attribute as it is
    const auto name = std::string_view(text).substr(kOpen.size(), text.size() - kOpen.size() - 1);
    if (name == "subject") return json::quoted(identity.subject);
    const auto found = attribute(attributes, name);
    return found ? std::string(found->raw()) : "[]";  // an empty list matches nothing
  }
  std::string built;
  for (std::size_t i = 0; i < text.size();) {
    const auto open = text.find(kOpen, i);
    const auto close = open == std::string::npos ? open : text.find('}', open);
    if (close == std::string::npos) {
      built += text.substr(i);
      break;
    }
    built += text.substr(i, open - i);
    const auto name = std::string_view(text).substr(open + kOpen.size(), close - open - kOpen.size());
    const auto found = attribute(attributes, name);
    if (name == "subject") built += identity.subject;
    else if (found && found->is(json::Kind::string)) built += found->string();
    else if (found && !found->is(json::Kind::array)) built += found->raw();
    else return "[]";
    i = close + 1;
  }
  return json::quoted(built);
}

}  // namespace

const ChannelRoute* Routes::find(std::string_view channel) const {
  for (const ChannelRoute& route : channels_)
    if (route.pattern.matches(channel)) return &route;
  return nullptr;
}

Result<void> check_access(const AccessRule& rule, const Identity& identity, std::string_view verb, std::string_view channel) {
  const std::string what = std::string(verb) + " " + json::quoted(channel);
  if (rule.nobody) return fail(Errc::forbidden, "nobody may " + what + " over the network");
  if (identity.has_scope(rule.scope)) return {};
  if (identity.subject.empty()) return fail(Errc::unauthorized, "to " + what + " takes the scope \"" + rule.scope + "\"; authenticate first");
  return fail(Errc::forbidden, "to " + what + " takes the scope \"" + rule.scope + "\", which " + json::quoted(identity.subject) + " does not have");
}

Result<FilterPtr> mandatory_filter(const AccessRule& rule, const Identity& identity) {
  if (rule.where_json.empty()) return FilterPtr();
  json::Doc where, attributes;
  if (auto ok = where.parse(rule.where_json); !ok) return ok.error();
  if (auto ok = attributes.parse(identity.attributes_json); !ok) return fail(Errc::internal, "the identity's attributes are not JSON");
  return Filter::parse(filled_in(where.root(), attributes.root(), identity));
}

}  // namespace weir
