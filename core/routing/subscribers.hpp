// The subscribers' side of one shard: which of its connections want which channels. Subscribing, unsubscribing and
// patterns, and the answers to them; how events then get to the connections is Delivery's part. Bounds:
// limits.subscriptions_per_connection. Threads: [shard].
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/limits.hpp"
#include "routing/channels.hpp"
#include "routing/delivery.hpp"
#include "routing/mail.hpp"
#include "routing/permit.hpp"
#include "routing/routes.hpp"

namespace weir {

class Subscribers {
 public:
  using Port = Delivery::Port;
  // `rules` may be null where no route asks them who may subscribe.
  Subscribers(ShardId shard, unsigned shard_count, RoutesPtr routes, RuleProvider* rules, const Limits& limits,
              const Clock& clock, Port& port);
  ~Subscribers();

  struct Request {
    FilterPtr filter;
    ReplayRequest replay;
    std::string params = "{}";  // a JSON object
  };
  // A subscribe frame: all of its channels, or none with an error. The answer is sent when every channel's shard has
  // spoken.
  Result<void> subscribe(Connection& connection, std::string_view id, const std::vector<std::string>& channels,
                         bool many, const Request& request);
  // Errors: not_found - there is no such subscription.
  Result<void> unsubscribe(Connection& connection, const std::string& channel);
  // The identity, or who may see what, has changed: what it may not see any more ends and it is told why, beginning
  // with `since`; mandatory filters are made anew; patterns find what they may see now.
  void reauthorize(Connection& connection, std::string_view since);
  // A reload, first step: the rules are those of these routes from now on.
  void rules_changed(RoutesPtr routes) { routes_of_rules_ = std::move(routes); }
  // Second step: subscriptions to channels that are not in the manifest any more end.
  void reroute(RoutesPtr routes);
  void closed(Connection& connection);
  // There is room in its outbox again.
  void drained(Connection& connection) { delivery_.drained(connection); }

  void attached(mail::Attached a);
  void chunk(mail::Chunk c);
  void watched(mail::Watched w);
  void opened(const mail::ChannelOpened& o);
  void let_go(const mail::ChannelLetGo& m);
  void deliver(const EventPtr& event);
  void gap(const mail::GapNotice& g);
  void behind(const mail::Behind& b);

  std::size_t outbox_max() const { return delivery_.outbox_max(); }  // how much a connection's may hold right now
  const SubscriberCounters& counters() const { return delivery_.counters(); }
  std::size_t attachments() const { return attachments_.size(); }
  std::size_t subscriptions() const { return subscriptions_; }

 private:
  struct WatchEntry {
    Connection* connection;
    Subscription* subscription;
    std::shared_ptr<SubscribeGroup> group;  // until every shard has answered
    bool again = false;                     // then they are asked again: some answered for what was before
  };
  // The mandatory filter of each channel, in their order; what is wrong with the frame otherwise.
  Result<std::vector<Permit>> check(const Connection& connection, const std::vector<std::string>& channels, bool many,
                                    const Request& wanted) const;
  Feed& feed(std::string_view channel);
  Attachment& attachment(Connection& connection, Feed& feed);
  Attachment* find(Connection& connection, const Feed& feed) const;
  void grant(Attachment& a, const Subscription& subscription, Permit permit);
  void revoke(Attachment& a, const Subscription& subscription);
  void remove(Attachment& a);
  void drop_feed_if_unused(Feed& feed);
  void drop_subscription(Connection& connection, Subscription& subscription);
  // What the subscription may see of the channel and wants to.
  std::optional<Permit> allowed(const Connection& connection, const ChannelRoute& route, std::string_view channel,
                                const Subscription& subscription) const;
  void look_again(Connection& connection);
  void found_more(WatchEntry& entry, mail::Watched& w);
  void end_by_name(Connection& connection, const std::string& channel, const Error& why);
  // Returns the frame that has to be answered now, if that was the last channel it waited for. The caller answers it
  // once it is not walking over attachments any more: the answer may remove some.
  [[nodiscard]] std::shared_ptr<SubscribeGroup> cancel_request(Attachment& a);
  void apply(Attachment& a, const Subscription& subscription, mail::Attached& answer);
  void hold(Attachment& a, SubscribeGroup& group, std::string answer);
  void finish(const std::shared_ptr<SubscribeGroup>& group);
  void over(std::uint64_t attachment, mail::ChannelLetGo::Why why = mail::ChannelLetGo::Why::room);

  const ShardId shard_;
  const unsigned shard_count_;
  RoutesPtr routes_;
  RuleProvider* const rules_;
  RoutesPtr routes_of_rules_;  // during a reload newer than routes_
  const Limits& limits_;
  const Clock& clock_;
  Port& port_;
  Delivery delivery_;
  StringMap<std::unique_ptr<Feed>> feeds_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Attachment>> attachments_;
  std::unordered_map<std::uint64_t, WatchEntry> watches_;
  StringMap<std::vector<std::uint64_t>> watch_ids_;  // by pattern
  std::size_t subscriptions_ = 0;
};

}  // namespace weir
