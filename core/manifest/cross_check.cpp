#include <algorithm>
#include <map>

#include "manifest/address.hpp"
#include "manifest/build.hpp"
#include "manifest/text.hpp"
#include "manifest/values.hpp"
#include "routing/pattern.hpp"

namespace weir::manifest {
namespace {

using tree::Node;
using tree::Place;
using Kind = Node::Kind;

// Paths that the hub answers itself; those with a slash at the end stand for all below as well.
constexpr std::string_view kOwnPaths[] = {"/health",  "/ready", "/stats", "/subscriptions", "/metrics",
                                          "/explain", "/sse",   "/api/",  "/console/"};

std::string_view own_path(std::string_view path) {
  for (const std::string_view own : kOwnPaths) {
    const bool below = own.back() == '/';
    if (path == own || (below && (path.starts_with(own) || path == own.substr(0, own.size() - 1)))) return own;
  }
  return {};
}

std::string line_of(const Place& place) { return place.line == 0 ? place.file : "line " + std::to_string(place.line); }

class Checks {
 public:
  Checks(const Manifest& manifest, const Node& root, Findings& findings)
      : manifest_(manifest), root_(root), findings_(findings) {}

  void run() {
    plugin_names();
    endpoint_paths();
    for (const Node& node : elements_of(root_, "endpoint"))
      known_plugins(node, "auth", "endpoint " + in_quotes(text_of(node, "path")));
    if (const auto* api = member(root_, "api", Kind::object)) known_plugins(*api, "auth", "api");
    for (const Node& node : elements_of(root_, "channel"))
      for (const Node& from : elements_of(node, "from"))
        if (const auto* name = member(from, "plugin", Kind::string))
          known_plugin(*name, "channel " + in_quotes(text_of(node, "pattern")) + ": from");
    for (const Node& node : elements_of(root_, "channel"))
      for (const Node& to : elements_of(node, "to"))
        if (const auto* name = member(to, "plugin", Kind::string))
          known_plugin(*name, "channel " + in_quotes(text_of(node, "pattern")) + ": to");
    for (const Node& node : elements_of(root_, "method"))
      if (const auto* name = member(node, "plugin", Kind::string))
        known_plugin(*name, "method " + in_quotes(text_of(node, "pattern")) + ": plugin");
    for (const Node& node : elements_of(root_, "endpoint"))
      if (const auto* name = member(node, "plugin", Kind::string))
        known_plugin(*name, "endpoint " + in_quotes(text_of(node, "path")) + ": plugin");
    open_to_the_world();
    channels_never_reached();
    if (manifest_.endpoints.empty())
      warning({manifest_.file, 0, 0},
              "no [[endpoint]]: clients can't connect by WebSocket; add one with path = \"/ws\"");
    if (manifest_.channels.empty())
      warning({manifest_.file, 0, 0}, "no [[channel]]: no event can go anywhere; add one with pattern = \"**\"");
  }

 private:
  void problem(const Place& place, std::string message) { findings_.problems.push_back({place, std::move(message)}); }
  void warning(const Place& place, std::string message) { findings_.warnings.push_back({place, std::move(message)}); }

  void plugin_names() {
    std::map<std::string, Place> seen;
    for (const Node& node : elements_of(root_, "plugin")) {
      const auto* name = member(node, "name", Kind::string);
      if (name == nullptr || name->string.empty()) continue;
      const auto [first, fresh] = seen.emplace(name->string, name->place);
      if (fresh)
        names_.push_back(name->string);
      else
        problem(name->place, "plugin " + in_quotes(name->string) + ": the name is taken in " + line_of(first->second) +
                                 "; give each instance its own");
    }
  }

  void endpoint_paths() {
    std::map<std::string, Place> seen;
    for (const Node& node : elements_of(root_, "endpoint")) {
      const auto* path = member(node, "path", Kind::string);
      if (path == nullptr || path->string.empty()) continue;
      const std::string what = "endpoint " + in_quotes(path->string);
      const auto [first, fresh] = seen.emplace(path->string, path->place);
      if (!fresh)
        problem(path->place, what + ": the path is taken in " + line_of(first->second) + "; each endpoint has its own");
      if (const auto own = own_path(path->string); !own.empty())
        problem(path->place, what + ": the hub itself answers " + in_quotes(own) +
                                 (own.back() == '/' ? " and what is below" : "") +
                                 "; take another path, such as \"/ws\"");
      if (path->string == "/" && manifest_.page)
        problem(path->place,
                what + ": the hub's own page is at \"/\"; write page = false, or take another path, such as \"/ws\"");
    }
  }

  void known_plugins(const Node& node, std::string_view key, const std::string& what) {
    for (const Node& element : elements_of(node, key))
      if (element.is(Kind::string)) known_plugin(element, what + ": " + std::string(key));
  }
  void known_plugin(const Node& name, const std::string& what) {
    constexpr std::size_t kHintsMax = 100;  // comparing with every name is the slow part
    if (name.string.empty() || std::find(names_.begin(), names_.end(), name.string) != names_.end()) return;
    const std::string meant = ++unknown_ <= kHintsMax ? hint(name.string, names_) : "";
    std::string message = what + " names plugin " + shown(name) + ", which no [[plugin]] is" + meant;
    if (meant.empty() && names_.size() <= 12)
      message += names_.empty() ? "; there are none, add one"
                                : "; there " + std::string(names_.size() == 1 ? "is " : "are ") + listed(names_);
    problem(name.place, std::move(message));
  }

  void open_to_the_world() {
    const auto* listen = member(root_, "listen", Kind::string);
    const auto address = parse_listen(listen == nullptr ? "" : listen->string);
    if (!address || address->loopback) return;
    std::vector<std::string> open;
    for (const EndpointEntry& endpoint : manifest_.endpoints)
      if (endpoint.auth.empty()) open.push_back(endpoint.path);
    const bool api_open = manifest_.api_auth.empty();
    std::string who = open.empty() ? "" : (open.size() == 1 ? "endpoint " : "endpoints ") + listed(open);
    if (api_open) who += (who.empty() ? "" : " and ") + std::string("the HTTP API");
    const std::string opened =
        who.empty() ? "" : who + (open.size() + (api_open ? 1 : 0) > 1 ? " have" : " has") + " no auth";
    if (manifest_.insecure) {
      if (!opened.empty())
        warning(listen->place, "listen is " + shown(*listen) + ", beyond loopback, and " + opened +
                                   ": everybody who reaches it may come in, as insecure = true says");
      return;
    }
    std::string message = "listen is " + shown(*listen) + ", beyond loopback, but this version has no TLS of its own";
    std::string ways;
    if (!opened.empty()) {
      message += ", and " + opened;
      ways = "write auth = [\"NAME\"] with an auth plugin's name there; ";
    }
    problem(listen->place, message + "; " + ways + "put a proxy that provides TLS in front and listen on \"127.0.0.1:" +
                               std::to_string(address->port) +
                               "\", or, where the proxy is on another machine, write insecure = true to say that the "
                               "network between is trusted");
  }

  void channels_never_reached() {
    constexpr std::size_t kComparedMax =
        1000;  // earlier patterns with variables or wildcards; bounds the time, costs only warnings
    std::map<std::string, const ChannelEntry*> texts;
    std::vector<std::pair<ChannelPattern, const ChannelEntry*>> wide;
    for (const ChannelEntry& channel : manifest_.channels) {
      auto pattern = ChannelPattern::parse(channel.pattern);
      if (!pattern) continue;
      const auto [same, fresh] = texts.emplace(channel.pattern, &channel);
      const ChannelEntry* by = fresh ? nullptr : same->second;
      for (std::size_t i = 0; i < wide.size() && by == nullptr; ++i)
        if (wide[i].first.covers(*pattern)) by = wide[i].second;
      if (by != nullptr)
        warning(channel.place, "channel " + in_quotes(channel.pattern) + " can never match: " + in_quotes(by->pattern) +
                                   " in " + line_of(by->place) +
                                   " comes first and matches all its names; put this one before it");
      else if (!pattern->is_literal() && wide.size() < kComparedMax)
        wide.emplace_back(std::move(*pattern), &channel);
    }
  }

  const Manifest& manifest_;
  const Node& root_;
  Findings& findings_;
  std::vector<std::string> names_;
  std::size_t unknown_ = 0;
};

}  // namespace

void cross_check(const Manifest& manifest, const Node& root, Findings& findings) {
  Checks(manifest, root, findings).run();
}

}  // namespace weir::manifest
