#include "routing/subscribers.hpp"

#include <algorithm>
#include <unordered_set>

#include "base/assert.hpp"
#include "protocol/server_frame.hpp"
#include "routing/subscribe_group.hpp"

namespace weir {
namespace {
Error begins_anew(const std::string& channel) {
  return fail(Errc::unavailable, "the source of " + json::quoted(channel) + " begins anew; subscribe to it again");
}
}  // namespace

Subscribers::Subscribers(ShardId shard, unsigned shard_count, RoutesPtr routes, RuleProvider* rules,
                         const Limits& limits, const Clock& clock, Port& port)
    : shard_(shard),
      shard_count_(shard_count),
      routes_(std::move(routes)),
      rules_(rules),
      routes_of_rules_(routes_),
      limits_(limits),
      clock_(clock),
      port_(port),
      delivery_(shard, shard_count, limits, port) {}
Subscribers::~Subscribers() = default;

Feed& Subscribers::feed(std::string_view channel) {
  if (const auto found = feeds_.find(channel); found != feeds_.end()) return *found->second;
  auto made = std::make_unique<Feed>();
  made->id = delivery_.next_id();
  made->channel = channel;
  made->route = routes_->find(channel);
  WEIR_ASSERT(made->route != nullptr);  // whoever asks has looked before
  return *feeds_.emplace(made->channel, std::move(made)).first->second;
}

Attachment* Subscribers::find(Connection& connection, const Feed& feed) const {
  const auto found = connection.attachments.find(feed.id);
  return found == connection.attachments.end() ? nullptr : found->second;
}

Attachment& Subscribers::attachment(Connection& connection, Feed& feed) {
  if (Attachment* a = find(connection, feed)) return *a;
  auto made = std::make_unique<Attachment>();
  made->id = delivery_.next_id();
  made->connection = &connection;
  made->feed = &feed;
  made->feed_index = static_cast<std::uint32_t>(feed.attachments.size());
  feed.attachments.push_back(made.get());
  connection.attachments.emplace(feed.id, made.get());
  return *attachments_.emplace(made->id, std::move(made)).first->second;
}

void Subscribers::grant(Attachment& a, const Subscription& subscription, Permit permit) {
  const bool fresh = std::erase_if(a.grants, [&](const Grant& g) { return g.subscription == &subscription; }) == 0;
  if (fresh && !subscription.pattern) ++a.feed->by_name;
  Grant& added = a.grants.emplace_back(Grant{&subscription, std::move(permit.filter)});
  added.part = permit.part;
  delivery_.refresh(a);
}

void Subscribers::revoke(Attachment& a, const Subscription& subscription) {
  const bool had = std::erase_if(a.grants, [&](const Grant& g) { return g.subscription == &subscription; }) != 0;
  Feed& f = *a.feed;
  // The owner keeps a channel that is wanted by name, and only as long.
  if (had && !subscription.pattern && --f.by_name == 0 && (f.attachments.size() > 1 || !a.grants.empty()))
    port_.to_owner(f.channel, letter(mail::Detach{shard_, f.channel, true}));
  if (a.grants.empty()) return remove(a);
  delivery_.refresh(a);
}

void Subscribers::remove(Attachment& a) {
  delivery_.forget(a);
  Feed& f = *a.feed;
  a.connection->attachments.erase(f.id);
  f.attachments[a.feed_index] = f.attachments.back();
  f.attachments[a.feed_index]->feed_index = a.feed_index;
  f.attachments.pop_back();
  attachments_.erase(a.id);
  drop_feed_if_unused(f);
}

void Subscribers::drop_feed_if_unused(Feed& f) {
  if (!f.attachments.empty()) return;
  const std::string channel = f.channel;
  feeds_.erase(channel);
  port_.to_owner(channel, letter(mail::Detach{shard_, channel}));
}

// Everything is checked first, so that a frame takes effect as a whole or not at all.
Result<std::vector<Permit>> Subscribers::check(const Connection& connection, const std::vector<std::string>& channels,
                                               bool many, const Request& wanted) const {
  std::vector<Permit> permits(channels.size());
  std::size_t fresh = 0;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const std::string& name = channels[i];
    const bool known = std::any_of(connection.subscriptions.begin(), connection.subscriptions.end(),
                                   [&](const auto& s) { return s->text == name; });
    fresh += known ? 0 : 1;
    if (has_wildcard(name)) {
      if (auto p = Pattern::parse_wildcard(name); !p) return p.error();
      if (many)
        return fail(Errc::bad_request,
                    "the pattern " + json::quoted(name) + " among \"channels\"; subscribe to it by \"channel\", alone");
      if (wanted.replay.kind == ReplayRequest::Kind::since)
        return fail(Errc::bad_request,
                    "a position belongs to one channel; a pattern can replay \"none\", \"last\" or a count");
      continue;
    }
    if (auto ok = check_channel_name(name); !ok) return ok.error();
    const ChannelRoute* route = routes_->find(name);
    if (route == nullptr)
      return fail(Errc::no_such_channel, "no [[channel]] of the manifest matches " + json::quoted(name));
    auto may = permit(*route, rules_, *routes_of_rules_, name, connection.identity, wanted.params);
    if (!may) return may.error();
    permits[i] = std::move(*may);
  }
  if (connection.subscriptions.size() + fresh > static_cast<std::size_t>(limits_.subscriptions_per_connection))
    return fail(Errc::limit_exceeded, "a connection has at most " +
                                          std::to_string(limits_.subscriptions_per_connection) +
                                          " subscriptions (limits.subscriptions_per_connection)");
  return permits;
}

Result<void> Subscribers::subscribe(Connection& connection, std::string_view id, const std::vector<std::string>& asked,
                                    bool many, const Request& wanted) {
  const auto& [filter, replay, params] = wanted;
  std::vector<std::string> channels;  // a name that is given twice counts once
  channels.reserve(asked.size());
  std::unordered_set<std::string_view> named;
  for (const std::string& name : asked)
    if (named.insert(name).second) channels.push_back(name);
  auto permits = check(connection, channels, many, wanted);
  if (!permits) return permits.error();

  auto group = std::make_shared<SubscribeGroup>();
  group->connection_id = connection.id;
  group->connection = &connection;
  group->id = id;
  group->many = many;
  ++connection.in_flight;
  std::vector<std::shared_ptr<SubscribeGroup>> cancelled;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const std::string& name = channels[i];
    auto& list = connection.subscriptions;
    const auto existing = std::find_if(list.begin(), list.end(), [&](const auto& s) { return s->text == name; });
    // Subscribing again replaces what was asked before: the filter, and the replay starts anew.
    if (existing != list.end() && (*existing)->pattern) drop_subscription(connection, **existing);
    auto slot = std::find_if(list.begin(), list.end(), [&](const auto& s) { return s->text == name; });
    if (slot == list.end()) {
      slot = list.insert(slot, std::make_unique<Subscription>());
      ++subscriptions_;
    }
    Subscription& s = **slot;
    s.text = name;
    s.filter = filter;
    s.replay = replay;
    s.params = params;
    s.since = clock_.unix_ms();
    if (has_wildcard(name)) {
      s.pattern = *Pattern::parse_wildcard(name);
      s.watch = delivery_.next_id();
      group->pattern = name;
      group->missing = shard_count_;
      if (filter) group->filter_text = filter->text();
      watches_.emplace(s.watch, WatchEntry{&connection, &s, group});
      watch_ids_[name].push_back(s.watch);
      const mail::Watch request{
          shard_, s.watch, *s.pattern, replay, std::make_shared<const Identity>(connection.identity), params, filter};
      port_.to_all_owners([&] { return letter(mail::Watch(request)); });
      return {};
    }
    ++group->missing;
    Attachment& a = attachment(connection, feed(name));
    // An earlier frame for the same channel has no say any more.
    if (auto earlier = cancel_request(a)) cancelled.push_back(std::move(earlier));
    Permit& may = (*permits)[i];
    may.filter = Filter::both(std::move(may.filter), filter);
    FilterPtr both = may.filter;
    grant(a, s, std::move(may));
    delivery_.pause(a);
    a.state = Attachment::State::asked;
    delivery_.forget_chunk(a);
    a.group = group;
    a.request = delivery_.next_id();
    a.ended = false;
    port_.to_owner(name, letter(mail::Attach{shard_, a.id, a.request, name, replay, std::move(both)}));
  }
  for (const auto& earlier : cancelled) finish(earlier);
  return {};
}

Result<void> Subscribers::unsubscribe(Connection& connection, const std::string& channel) {
  for (const auto& s : connection.subscriptions)
    if (s->text == channel) {
      drop_subscription(connection, *s);
      return {};
    }
  return fail(Errc::not_found, "no subscription to " + json::quoted(channel));
}

// The subscribe frame that this attachment is part of will not hear of it any more.
std::shared_ptr<SubscribeGroup> Subscribers::cancel_request(Attachment& a) {
  if (a.state != Attachment::State::asked || !a.group) return nullptr;
  auto group = std::exchange(a.group, nullptr);
  return --group->missing == 0 ? group : nullptr;
}

void Subscribers::drop_subscription(Connection& connection, Subscription& subscription) {
  std::shared_ptr<SubscribeGroup> cancelled;
  if (subscription.watch != 0) {
    cancelled = watches_.at(subscription.watch).group;
    watches_.erase(subscription.watch);
    const auto ids = watch_ids_.find(subscription.text);
    std::erase(ids->second, subscription.watch);
    if (ids->second.empty()) {
      watch_ids_.erase(ids);
      const mail::Unwatch request{shard_, subscription.text};
      port_.to_all_owners([&] { return letter(mail::Unwatch(request)); });
    }
  }
  std::vector<std::shared_ptr<SubscribeGroup>> answered;
  std::vector<Attachment*> granted;
  for (const auto& [feed, a] : connection.attachments)
    if (std::any_of(a->grants.begin(), a->grants.end(),
                    [&](const Grant& g) { return g.subscription == &subscription; }))
      granted.push_back(a);
  for (Attachment* a : granted) {
    const bool last_grant = a->grants.size() == 1,
               asked = a->state == Attachment::State::asked && !subscription.pattern;
    if (asked)
      if (auto group = cancel_request(*a)) answered.push_back(std::move(group));
    if (!subscription.pattern) a->request = 0;  // an answer that has come, but is not told yet, is void
    if (a->gap_for == &subscription) a->chunk_gap.reset(), a->gap_for = nullptr;
    if (a->picked_for == &subscription) Delivery::forget_picked(*a);
    revoke(*a, subscription);
    if (last_grant || !asked) continue;
    // Others still want it: it goes on from where it was.
    a->state = Attachment::State::held;
    if (a->holds == 0) delivery_.go_on(*a);
  }
  std::erase_if(connection.subscriptions, [&](const auto& s) { return s.get() == &subscription; });
  --subscriptions_;
  for (const auto& group : answered) finish(group);
  if (cancelled) {
    cancelled->error = fail(Errc::not_found, "unsubscribed before it was answered");
    finish(cancelled);
  }
}

void Subscribers::closed(Connection& connection) {
  for (const auto& [feed, a] : connection.attachments)
    if (a->group) a->group->connection = nullptr;
  for (const auto& s : connection.subscriptions)
    if (const auto w = watches_.find(s->watch); s->watch != 0 && w != watches_.end() && w->second.group)
      w->second.group->connection = nullptr;
  while (!connection.subscriptions.empty()) drop_subscription(connection, *connection.subscriptions.back());
  WEIR_ASSERT(connection.attachments.empty());
}

// Takes over what the channel's shard said about one attachment.
void Subscribers::apply(Attachment& a, const Subscription& subscription, mail::Attached& answer) {
  Feed& f = *a.feed;
  delivery_.new_life(f, answer.epoch);
  delivery_.advance(f, answer.head);
  const bool earlier_grants = a.grants.size() > 1 && a.placed;
  a.chunk_gap = std::move(answer.gap);
  a.gap_for = a.chunk_gap ? &subscription : nullptr;
  // What another subscription of this connection is still owed must not be skipped, and what it has must not come
  // again.
  for (Grant& g : a.grants) {
    if (g.subscription == &subscription)
      g.from = answer.start, g.head = answer.head;
    else if (earlier_grants)
      g.from = std::max(g.from, a.at);
  }
  a.at = earlier_grants ? std::min(a.at, answer.start) : answer.start;
  if (!answer.picked.empty()) delivery_.pick(a, subscription, std::move(answer.picked));
  a.placed = true;
  delivery_.owe_state(a, answer.recovered ? Owed::none : Owed::start, &subscription);
}

// Nothing of it is sent before the frame that asked for it is answered; several frames may hold the same attachment.
void Subscribers::hold(Attachment& a, SubscribeGroup& group, std::string answer) {
  if (!a.group) a.state = Attachment::State::held;  // else its own channel's answer is still awaited
  ++a.holds;
  group.answers.push_back({a.id, answer.empty() ? 0 : a.request, std::move(answer)});
}

void Subscribers::attached(mail::Attached answer) {
  const auto found = attachments_.find(answer.attachment);
  if (found == attachments_.end()) return;
  Attachment& a = *found->second;
  if (a.state != Attachment::State::asked || !a.group || a.request != answer.request) return;
  auto group = std::exchange(a.group, nullptr);
  Connection& connection = *a.connection;
  if (answer.error) {
    group->error = std::move(answer.error);
    const std::string name = answer.channel;
    --group->missing;
    (void)unsubscribe(connection, name);
  } else {
    a.feed->sure = true;
    for (const Grant& g : a.grants)
      if (g.subscription->text == a.feed->channel) apply(a, *g.subscription, answer);
    std::string filter_text = "null";
    bool snapshot = false;  // comes next
    for (const Grant& g : a.grants) {
      if (g.subscription->text != a.feed->channel) continue;
      if (g.filter) filter_text = g.filter->text();
      snapshot = g.snapshot != Owed::none;
    }
    std::string text = "{\"channel\":";
    json::append_string(text, a.feed->channel);
    text += ",\"epoch\":";
    json::append_string(text, answer.epoch);
    text += ",\"sequenceId\":" + std::to_string(answer.head) +
            ",\"recovered\":" + (answer.recovered ? "true" : "false") +
            ",\"replayed\":" + std::to_string(answer.replayed) + ",\"filter\":" + filter_text +
            (snapshot ? ",\"snapshot\":true}" : "}");
    hold(a, *group, std::move(text));
    --group->missing;
  }
  if (group->missing == 0) finish(group);
}

void Subscribers::finish(const std::shared_ptr<SubscribeGroup>& group) {
  if (group->connection == nullptr) return;
  Connection& c = *group->connection;
  --c.in_flight;
  // Those that were unsubscribed or subscribed anew since their channel answered are none of this frame's any more.
  const auto valid = [&](const SubscribeGroup::Answer& answer) {
    const auto found = attachments_.find(answer.attachment);
    return answer.request != 0 && found != attachments_.end() && found->second->request == answer.request;
  };
  std::string list;
  for (const auto& answer : group->answers)
    if (valid(answer)) list += (list.empty() ? "" : ",") + answer.text;
  if (group->error) {  // a frame takes effect as a whole or not at all
    port_.send(c, text_frame(server_frame::error(group->id, *group->error)));
    for (const auto& answer : group->answers)
      if (valid(answer)) (void)unsubscribe(c, std::string(attachments_.at(answer.attachment)->feed->channel));
  } else if (!group->pattern.empty()) {
    const auto by_pattern = [&](const auto& entry) {
      return std::any_of(entry.second->grants.begin(), entry.second->grants.end(),
                         [&](const Grant& g) { return g.subscription->text == group->pattern; });
    };
    const auto channels = std::count_if(c.attachments.begin(), c.attachments.end(), by_pattern);
    port_.send(c, text_frame(server_frame::ack(group->id, group->pattern_text(static_cast<std::size_t>(channels)))));
  } else if (list.empty()) {
    port_.send(c, text_frame(server_frame::error(
                      group->id, fail(Errc::not_found, "unsubscribed or subscribed anew before it was answered"))));
  } else {
    port_.send(c, text_frame(server_frame::ack(group->id, group->many ? "{\"channels\":[" + list + "]}" : list)));
  }
  for (const auto& answer : group->answers)
    if (const auto found = attachments_.find(answer.attachment);
        found != attachments_.end() && --found->second->holds == 0 && found->second->state == Attachment::State::held) {
      const std::string channel = found->second->feed->channel;
      const bool ended = std::exchange(found->second->ended, false);
      delivery_.go_on(*found->second);
      if (ended) end_by_name(c, channel, begins_anew(channel));
    }
}

void Subscribers::watched(mail::Watched w) {
  const auto found = watches_.find(w.watch);
  if (found == watches_.end()) {  // unsubscribed meanwhile; tell the owners that we want none of these
    for (const auto& answer : w.channels)
      if (!feeds_.contains(answer.channel))
        port_.to_owner(answer.channel, letter(mail::Detach{shard_, answer.channel}));
    return;
  }
  WatchEntry& entry = found->second;
  auto group = entry.group;
  if (!group) return found_more(entry, w);
  for (mail::Attached& answer : w.channels) {
    if (routes_->find(answer.channel) == nullptr) continue;
    Feed& f = feed(answer.channel);
    auto may = allowed(*entry.connection, *f.route, f.channel, *entry.subscription);
    if (!may) {
      drop_feed_if_unused(f);
      continue;
    }
    Attachment* existing = find(*entry.connection, f);
    Attachment& a = existing != nullptr ? *existing : attachment(*entry.connection, f);
    const auto mine = [&](const Grant& g) { return g.subscription == entry.subscription; };
    const bool mine_alone = std::all_of(a.grants.begin(), a.grants.end(), mine);
    const bool by_other_patterns = std::any_of(a.grants.begin(), a.grants.end(),
                                               [&](const Grant& g) { return !mine(g) && g.subscription->pattern; });
    grant(a, *entry.subscription, std::move(*may));
    delivery_.owe_state(a, Owed::start, entry.subscription);
    group->replayed += answer.replayed;
    if (a.state == Attachment::State::asked &&
        a.group) {  // an exact subscribe is on its way; it starts both, and must not start too late for this one
      delivery_.new_life(f, answer.epoch);
      delivery_.advance(f, answer.head);
      a.at = by_other_patterns ? std::min(a.at, answer.start) : answer.start;
      a.placed = true;
      for (Grant& g : a.grants)
        if (mine(g)) g.from = answer.start, g.head = answer.head;
      if (!answer.picked.empty()) delivery_.pick(a, *entry.subscription, std::move(answer.picked));
      hold(a, *group, {});
      continue;
    }
    delivery_.pause(a);
    if (!mine_alone && answer.replayed == 0) {  // nothing new to replay: go on where it is
      delivery_.new_life(f, answer.epoch);
      delivery_.advance(f, answer.head);
      for (Grant& g : a.grants)
        if (mine(g)) g.from = answer.start, g.head = answer.head;
    } else {
      auto gap =
          std::exchange(a.chunk_gap, std::nullopt);  // of an exact subscribe that has not begun; it is still to be said
      const Subscription* whose = a.gap_for;
      delivery_.forget_chunk(a);
      apply(a, *entry.subscription, answer);
      if (gap && !a.chunk_gap) a.chunk_gap = std::move(gap), a.gap_for = whose;
    }
    hold(a, *group, {});
  }
  if (--group->missing != 0) return;
  entry.group.reset();
  Connection& connection = *entry.connection;
  const bool again = std::exchange(entry.again, false);
  finish(group);
  if (again) look_again(connection);
}

void Subscribers::opened(const mail::ChannelOpened& o) {
  if (routes_->find(o.channel) == nullptr) return;
  Feed& f = feed(o.channel);
  delivery_.new_life(f, o.epoch);
  for (const auto& [pattern, ids] : watch_ids_) {
    if (ids.empty() || !watches_.at(ids[0]).subscription->pattern->matches(o.channel)) continue;
    for (const std::uint64_t id : ids) {
      WatchEntry& entry = watches_.at(id);
      auto may = allowed(*entry.connection, *f.route, f.channel, *entry.subscription);
      if (!may) continue;
      Attachment* existing = find(*entry.connection, f);
      Attachment& a = existing != nullptr ? *existing : attachment(*entry.connection, f);
      grant(a, *entry.subscription, std::move(*may));
      if (existing != nullptr) {
        // An exact subscribe made the channel; whatever becomes of that one, this one begins with the first event.
        if (a.state == Attachment::State::asked && !a.placed) a.placed = true, a.at = 0;
        if (!entry.group) continue;
        delivery_.pause(a);
        hold(a, *entry.group, {});
        continue;
      }
      a.placed = true;
      if (entry.group)
        hold(a, *entry.group, {});
      else
        delivery_.go_on(a);
    }
  }
  drop_feed_if_unused(f);
}

// Patterns follow a channel as long as it lives, and anew when it is opened again.
void Subscribers::let_go(const mail::ChannelLetGo& m) {
  const auto found = feeds_.find(m.channel);
  if (found == feeds_.end()) return;
  Feed& f = *found->second;
  delivery_.new_life(f, m.epoch);
  delivery_.advance(f, m.head);
  f.sure = false;
  std::vector<std::uint64_t> going;
  for (Attachment* a : f.attachments)
    if (a->state == Attachment::State::live || a->state == Attachment::State::reading)
      going.push_back(a->id);
    else if (a->state == Attachment::State::held)  // is told once it has been told that it begins
      a->ended = a->ended || m.why == mail::ChannelLetGo::Why::anew;
  for (const std::uint64_t id : going) over(id, m.why);
}

// The channel that it follows has ended. A subscription by name has to be asked for again, and is told so; that of a
// pattern only goes.
void Subscribers::over(std::uint64_t attachment, mail::ChannelLetGo::Why why) {
  using Why = mail::ChannelLetGo::Why;
  const auto found = attachments_.find(attachment);
  if (found == attachments_.end()) return;
  Attachment& a = *found->second;
  Connection& c = *a.connection;
  const std::string channel = a.feed->channel;
  if (a.state == Attachment::State::live || a.state == Attachment::State::reading) delivery_.end(a);
  std::vector<const Subscription*> by_pattern;
  bool by_name = false;
  for (const Grant& g : a.grants) {
    if (g.subscription->pattern)
      by_pattern.push_back(g.subscription);
    else
      by_name = true;
  }
  if (by_name)  // channels that are wanted by name are kept; should one go all the same, nobody waits for nothing
    end_by_name(c, channel,
                why == Why::gone
                    ? fail(Errc::no_such_channel, "no [[channel]] of the manifest matches " + json::quoted(channel) +
                                                      " any more; that subscription has ended")
                : why == Why::anew ? begins_anew(channel)
                                   : fail(Errc::limit_exceeded, json::quoted(channel) +
                                                                    " was let go (limits.channels); subscribe to it "
                                                                    "again"));
  for (const Subscription* s : by_pattern)
    if (const auto still = attachments_.find(attachment); still != attachments_.end()) revoke(*still->second, *s);
}

void Subscribers::behind(const mail::Behind& b) {
  const auto found = feeds_.find(b.channel);
  if (found != feeds_.end() && found->second->epoch == b.epoch) delivery_.advance(*found->second, b.head);
}

void Subscribers::chunk(mail::Chunk m) {
  const auto found = attachments_.find(m.attachment);
  if (found == attachments_.end()) return;
  Attachment& a = *found->second;
  if (a.read == 0 || a.read != m.read) return;
  a.read = 0;
  if (m.over) {
    const ChannelRoute* route = routes_->find(m.channel);
    return over(a.id, route != nullptr && !route->on_demand.empty() ? mail::ChannelLetGo::Why::anew
                                                                    : mail::ChannelLetGo::Why::room);
  }
  delivery_.chunk(a, m);
}

void Subscribers::deliver(const EventPtr& event) {
  const auto found = feeds_.find(event->channel());
  if (found != feeds_.end()) delivery_.deliver(*found->second, event);
}

void Subscribers::gap(const mail::GapNotice& g) {
  const auto found = feeds_.find(g.channel);
  if (found == feeds_.end()) return;
  for (Attachment* a : found->second->attachments) {
    if (a->state == Attachment::State::asked && !a->placed) continue;
    delivery_.source_gap(*a, g.gap);
  }
}

}  // namespace weir
