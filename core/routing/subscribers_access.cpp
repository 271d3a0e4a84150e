// What changes for subscriptions that stand when an identity or the manifest changes.
#include <algorithm>

#include "protocol/server_frame.hpp"
#include "routing/permit.hpp"
#include "routing/subscribers.hpp"

namespace weir {

std::optional<Permit> Subscribers::allowed(const Connection& connection, const ChannelRoute& route,
                                           std::string_view channel, const Subscription& subscription) const {
  auto may = permit(route, rules_, *routes_of_rules_, channel, connection.identity, subscription.params);
  if (!may) return std::nullopt;
  may->filter = Filter::both(std::move(may->filter), subscription.filter);
  return std::move(*may);
}

void Subscribers::reauthorize(Connection& connection, std::string_view since) {
  std::vector<std::string> lost;
  std::vector<std::uint64_t> ids;
  for (const auto& [feed, a] : connection.attachments) ids.push_back(a->id);
  for (const std::uint64_t id : ids) {
    const auto found = attachments_.find(id);
    if (found == attachments_.end()) continue;
    Attachment& a = *found->second;
    std::vector<const Subscription*> not_any_more;
    for (Grant& g : a.grants) {
      auto may = allowed(connection, *a.feed->route, a.feed->channel, *g.subscription);
      if (may) {
        g.filter = std::move(may->filter);
        g.part = may->part;
        if (g.part) g.snapshot = Owed::none;
      } else if (g.subscription->pattern) {
        not_any_more.push_back(g.subscription);
      } else {
        lost.push_back(g.subscription->text);
      }
    }
    delivery_.refresh(a);
    for (const Subscription* s : not_any_more) {
      const bool last = a.grants.size() == 1;
      revoke(a, *s);
      if (last) break;  // it is gone
    }
  }
  for (const std::string& channel : lost)
    end_by_name(connection, channel,
                fail(Errc::forbidden, std::string(since) + "this connection may not subscribe to " +
                                          json::quoted(channel) + "; that subscription has ended"));
  look_again(connection);
}

// Patterns may match channels now that they could not see, or that there were not, when they were subscribed to.
void Subscribers::look_again(Connection& connection) {
  std::shared_ptr<const Identity> who;
  for (const auto& s : connection.subscriptions) {
    if (!s->pattern) continue;
    if (WatchEntry& entry = watches_.at(s->watch); entry.group) {
      entry.again = true;
      continue;
    }
    if (!who) who = std::make_shared<const Identity>(connection.identity);
    const mail::Watch request{shard_, s->watch, *s->pattern, {}, who, s->params, s->filter};
    port_.to_all_owners([&] { return letter(mail::Watch(request)); });
  }
}

// The answer to look_again(): what it does not have yet begins with the next event.
void Subscribers::found_more(WatchEntry& entry, mail::Watched& w) {
  for (mail::Attached& answer : w.channels) {
    if (routes_->find(answer.channel) == nullptr) continue;
    Feed& f = feed(answer.channel);
    Attachment* existing = find(*entry.connection, f);
    const auto mine = [&](const Grant& g) { return g.subscription == entry.subscription; };
    if (existing != nullptr && std::any_of(existing->grants.begin(), existing->grants.end(), mine)) continue;
    auto may = allowed(*entry.connection, *f.route, f.channel, *entry.subscription);
    if (!may) {
      drop_feed_if_unused(f);
      continue;
    }
    delivery_.new_life(f, answer.epoch);
    delivery_.advance(f, answer.head);
    Attachment& a = existing != nullptr ? *existing : attachment(*entry.connection, f);
    grant(a, *entry.subscription, std::move(*may));
    for (Grant& g : a.grants)
      if (mine(g)) g.from = g.head = answer.head;
    if (existing != nullptr && (a.placed || a.state == Attachment::State::asked)) continue;
    a.placed = true;
    a.at = answer.head;
    delivery_.owe_state(a, Owed::start, entry.subscription);
    delivery_.go_on(a);
  }
}

void Subscribers::end_by_name(Connection& connection, const std::string& channel, const Error& why) {
  if (unsubscribe(connection, channel)) port_.send(connection, text_frame(server_frame::error({}, why)));
}

void Subscribers::reroute(RoutesPtr routes) {
  routes_ = std::move(routes);
  std::vector<std::string> gone;
  for (const auto& [name, feed] : feeds_) {
    const ChannelRoute* route = routes_->find(name);
    if (route == nullptr) {
      gone.push_back(name);
      continue;
    }
    const bool other_policy = route->overflow != feed->route->overflow;
    feed->route = route;
    if (!other_policy) continue;
    for (Attachment* a : feed->attachments) {
      if (!a->lag) continue;
      delivery_.pause(*a);  // by the new policy from now on
      delivery_.go_on(*a);
    }
  }
  for (const std::string& name : gone) {
    std::vector<std::uint64_t> ids;
    for (const Attachment* a : feeds_.at(name)->attachments) ids.push_back(a->id);
    for (const std::uint64_t id : ids) over(id, mail::ChannelLetGo::Why::gone);
  }
}

}  // namespace weir
