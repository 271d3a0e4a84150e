// The manifest's channels as the hub looks them up: which entry a name belongs to, who may do what there.
// Threads: [any]; immutable once built.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "routing/filter.hpp"
#include "routing/identity.hpp"
#include "routing/pattern.hpp"

namespace weir {

enum class OverflowPolicy : std::uint8_t { catch_up, disconnect, drop_oldest, drop_newest, latest, snapshot };

// Those that people have among them.
using Scopes = std::set<std::string, std::less<>>;

struct AccessRule {
  bool nobody = false;
  std::string scope;  // empty: none needed
  std::string
      where_json;  // subscribe: a filter that holds for everybody; "{identity.NAME}" is filled in from the identity
  bool open_to(const Scopes& scopes) const { return !nobody && (scope.empty() || scopes.contains(scope)); }
  bool operator==(const AccessRule&) const = default;
};

struct HistoryRule {
  std::size_t events_max = 100'000;
  std::int64_t age_max_ms = 0;  // 0: no limit
  std::size_t bytes_max = 64 * 1024 * 1024;
};

// One entry of a channel's `to`.
struct ExitRoute {
  std::string plugin;
  Pattern subject;  // the channel's variables are filled in
};

// One entry of a channel's `from` whose source works on demand.
struct DemandRoute {
  std::string plugin;
  Pattern subject;
  bool patterns;  // it can be activated for wildcards, so a subscription to a pattern counts as well
};

// One entry of a channel's `from`.
struct FeedRoute {
  std::string plugin;
  Pattern subject;
};

struct ChannelRoute {
  explicit ChannelRoute(Pattern p) : pattern(std::move(p)) {}
  Pattern pattern;
  std::vector<std::size_t> rules;  // indices for RuleProvider::open
  std::vector<FeedRoute> feeds;    // where its events come from
  std::vector<ExitRoute> exits;    // where its events go besides its subscribers
  // Not empty: its sources work while somebody watches it. What decides which subjects that are: as long as it is the
  // same, a reload leaves the channel running.
  std::string on_demand;
  std::vector<DemandRoute> demands;
  bool demand_by_pattern = false;  // one of these can
  HistoryRule history;
  OverflowPolicy overflow = OverflowPolicy::catch_up;
  bool state = false;             // one of the rules keeps one
  bool asks_publishers = false;   // one of the rules decides what clients may publish
  bool asks_subscribers = false;  // one of the rules decides who may subscribe
  AccessRule subscribe, publish;
  // Whether subscribers get it. It is one for all, so not where each may see only some of the events.
  bool gives_snapshots() const { return state && subscribe.where_json.empty(); }
};

// One [[method]] of the manifest.
struct MethodRoute {
  Pattern pattern;
  std::size_t rule = 0;   // index for RuleProvider::request; where there is no plugin
  std::string plugin{};   // the responder that answers; empty: the rule does
  std::string subject{};  // for it; "{method}" stands for the method's name
  std::string scope;      // empty: none needed
  std::int64_t timeout_ms = 10'000;
};

class Routes {
 public:
  explicit Routes(std::vector<ChannelRoute> channels, std::vector<MethodRoute> methods = {})
      : channels_(std::move(channels)), methods_(std::move(methods)) {}
  // The first entry that matches, in the order of the manifest; null: the channel does not exist.
  const ChannelRoute* find(std::string_view channel) const;
  const std::vector<ChannelRoute>& channels() const { return channels_; }
  // The first entry that matches; null: there is no such method.
  const MethodRoute* method(std::string_view name) const;
  // Whoever may see a channel under the one may see it under the other, as far as the manifest says: a reload that
  // changes only rules and limits need not look at subscriptions again.
  bool same_access(const Routes& other) const;
  // Of those that some channel asks of its subscribers, the ones that this identity has.
  Scopes scopes_of(const Identity& identity) const;

 private:
  std::vector<ChannelRoute> channels_;
  std::vector<MethodRoute> methods_;
};
using RoutesPtr = std::shared_ptr<const Routes>;

// Errors: unauthorized - nobody is known on this connection, but a scope is needed. forbidden - the scope is missing.
Result<void> check_scope(std::string_view scope, const Identity& identity, std::string_view verb,
                         std::string_view what);
Result<void> check_access(const AccessRule& rule, const Identity& identity, std::string_view verb,
                          std::string_view channel);
// The filter that subscribing brings with it; null when there is none. A missing attribute matches nothing.
Result<FilterPtr> mandatory_filter(const AccessRule& rule, const Identity& identity);
// All that is wrong with the rule's `where`, whoever asks; the pointers lead into it.
std::vector<Error> where_mistakes(const AccessRule& rule);

}  // namespace weir
