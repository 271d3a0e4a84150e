#include "routing/channels.hpp"

#include <algorithm>
#include <tuple>

#include "base/assert.hpp"
#include "routing/channel.hpp"
#include "routing/permit.hpp"

namespace weir {
namespace {
// A chunk of replay: enough to fill a socket buffer, little enough to leave the shard free for others.
constexpr std::size_t kChunkEvents = 512;
constexpr std::size_t kChunkBytes = 256 * 1024;
}  // namespace

Channels::Channels(RoutesPtr routes, const Limits& limits, unsigned shard_count, RuleProvider* rules,
                   const Clock& clock, std::uint64_t seed, Port& port)
    : routes_(std::move(routes)),
      limits_(limits),
      shard_count_(shard_count),
      rules_(rules),
      clock_(clock),
      port_(port),
      ids_(seed),
      budget_(static_cast<std::size_t>(limits.history_bytes) / shard_count),
      exits_(port, [this](const std::string& name) {
        Channel* channel = find(name);
        return channel == nullptr ? nullptr : &channel->log();
      }) {}

Channels::~Channels() = default;

Channel* Channels::find(std::string_view name) {
  const auto found = channels_.find(name);
  return found == channels_.end() ? nullptr : found->second.get();
}

const ChannelRoute& Channels::route(const Channel& channel) { return channel.route(); }

Result<Channel*> Channels::open(std::string_view name) {
  if (Channel* found = find(name)) return found;
  const ChannelRoute* route = routes_->find(name);
  if (route == nullptr)
    return fail(Errc::no_such_channel, "no [[channel]] of the manifest matches " + json::quoted(name));
  if (channels_.size() >= channels_max()) {
    let_quiet_ones_go();
    if (channels_.size() >= channels_max())
      return fail(Errc::limit_exceeded,
                  "the hub has " + std::to_string(limits_.channels) + " channels already (limits.channels)");
  }
  auto made = std::make_unique<Channel>(*this, std::string(name), *route);
  Channel* channel = made.get();
  channel->touch(++uses_);
  channels_.emplace(channel->name(), std::move(made));
  for (const auto& [text, watched] : watched_) {
    if (!watched.pattern.matches(name)) continue;
    for (const auto& [shard, scopes] : watched.shards) {
      if (channel->is_interested(shard)) continue;
      channel->interest(shard);
      port_.to_subscribers(shard, letter(mail::ChannelOpened{channel->name(), channel->log().epoch()}));
    }
  }
  return channel;
}

// Makes room among the channels that nobody subscribes to by name, those first that no pattern wants either, and those
// that were quiet longest: one subscriber to everything must not keep all of them for ever. Their history goes with
// them; a channel that comes back has a new epoch, so nobody is told `recovered` wrongly. Many at a time, so that
// looking at all of them is paid for by the room it makes; and not again for a while when there is nothing to let go.
void Channels::let_quiet_ones_go() {
  const SteadyMs now = clock_.steady_ms();
  if (now < no_room_until_) return;
  std::vector<std::tuple<bool, std::uint64_t, std::string_view>> quiet;
  for (const auto& [name, channel] : channels_)
    if (!channel->wanted_by_name() && !channel->owes() && channel->waking().waiting.empty())
      quiet.emplace_back(!channel->unwanted(), channel->used_at(), name);
  const std::size_t some = std::min(quiet.size(), 1 + channels_.size() / 64);
  if (some == 0) {
    no_room_until_ = now + 1000;
    return;
  }
  std::nth_element(quiet.begin(), quiet.begin() + static_cast<std::ptrdiff_t>(some - 1), quiet.end());
  for (std::size_t i = 0; i < some; ++i) {
    const auto found = channels_.find(std::get<2>(quiet[i]));
    const ChannelLog& log = found->second->log();
    for (const Channel::Interest& interest : found->second->interested())
      port_.to_subscribers(interest.shard, letter(mail::ChannelLetGo{found->second->name(), log.epoch(), log.head(),
                                                                     mail::ChannelLetGo::Why::room}));
    channels_.erase(found);
  }
}

void Channels::publish(Channel& channel, Draft&& draft, Ticket&& ticket) {
  channel.publish(std::move(draft), std::move(ticket));
}

void Channels::publish(std::string_view name, Draft&& draft, Ticket&& ticket) {
  auto channel = open(name);
  if (!channel) {
    ++counters_.refused;
    return answer(port_, name, std::move(ticket), {.error = channel.error()});
  }
  (*channel)->publish(std::move(draft), std::move(ticket));
}

mail::Attached Channels::describe(Channel& channel, const ReplayRequest& replay, const FilterPtr& filter) {
  ChannelLog& log = channel.log();
  log.prune(clock_.steady_ms());
  mail::Attached a;
  a.channel = channel.name();
  a.epoch = log.epoch();
  a.head = a.start = log.head();
  const auto matches = [&](const EventPtr& e) { return !filter || filter->matches(EventView(*e)); };
  switch (replay.kind) {
    case ReplayRequest::Kind::none:
      break;
    case ReplayRequest::Kind::count:
      log.walk_back([&](const EventPtr& e) {
        if (a.replayed == replay.count) return false;
        if (matches(e)) {
          ++a.replayed;
          a.start = e->sequence_id() - 1;
        }
        return true;
      });
      break;
    case ReplayRequest::Kind::last: {
      std::unordered_set<std::string_view> names;
      log.walk_back([&](const EventPtr& e) {
        if (matches(e) && names.insert(e->name()).second) a.picked.push_back(e);
        return true;
      });
      std::reverse(a.picked.begin(), a.picked.end());
      a.replayed = a.picked.size();
      break;
    }
    case ReplayRequest::Kind::since: {
      const Position& since = replay.since;
      const bool same_life = since.epoch == a.epoch && since.sequence_id <= a.head;
      a.start = same_life ? std::max(since.sequence_id, log.first() - 1) : log.first() - 1;
      a.recovered = same_life && since.sequence_id == a.start;
      if (!same_life)
        a.gap = Gap{0, 0, 0, "epoch_changed"};
      else if (!a.recovered)
        a.gap = Gap{since.sequence_id + 1, a.start, a.start - since.sequence_id, "history"};
      else if (const auto& missed = channel.missed(); missed && missed->at >= since.sequence_id) {
        a.recovered = false;
        a.gap = missed->gap;
      } else if (starts_late(channel)) {
        a.recovered = false;
        a.gap = Gap{0, 0, 0, kNotAtWorkYet};
      }
      if (!filter)
        a.replayed = a.head - a.start;
      else
        log.walk_back([&](const EventPtr& e) {
          if (e->sequence_id() <= a.start) return false;
          a.replayed += matches(e) ? 1 : 0;
          return true;
        });
      break;
    }
  }
  return a;
}

void Channels::attach(mail::Attach request) {
  if (Channel* found = find(request.channel); found != nullptr && slept_through(*found))
    end(*found, mail::ChannelLetGo::Why::anew);
  auto channel = open(request.channel);
  if (!channel) {
    mail::Attached refused;
    refused.attachment = request.attachment;
    refused.request = request.request;
    refused.channel = std::move(request.channel);
    refused.error = channel.error();
    return port_.to_subscribers(request.from, letter(std::move(refused)));
  }
  if ((*channel)->route().on_demand.empty() || awake(**channel, request)) attach(**channel, request);
}

void Channels::attach(Channel& channel, const mail::Attach& request) {
  mail::Attached a = describe(channel, request.replay, request.filter);
  a.attachment = request.attachment;
  a.request = request.request;
  channel.interest(request.from);
  channel.interest_by_name(request.from, true);
  port_.to_subscribers(request.from, letter(std::move(a)));
}

void Channels::detach(const mail::Detach& request) {
  const auto found = channels_.find(request.channel);
  if (found == channels_.end()) return;
  Channel& channel = *found->second;
  if (request.by_name_only)
    channel.interest_by_name(request.from, false);
  else
    channel.no_interest(request.from);
  if (!channel.route().on_demand.empty()) less_wanted(channel, request.from);
}

void Channels::read(mail::Read request) {
  Channel* channel = find(request.channel);
  // It was let go meanwhile. Opening it again for who is owed nothing that still exists could go on for ever: it might
  // push out one of which the same is true.
  if (channel == nullptr)
    return port_.to_subscribers(
        request.from, letter(mail::Chunk{request.attachment, request.read, request.channel, {}, {}, 0, 0, {}, true}));
  ChannelLog& log = channel->log();
  log.prune(clock_.steady_ms());  // before the gap is measured: what leaves while reading would not be said
  channel->interest(request.from);
  if (!request.snapshots.empty()) return port_.to_subscribers(request.from, letter(snapshots(*channel, request)));
  mail::Chunk chunk{
      request.attachment, request.read, request.channel, log.epoch(), {}, request.since.sequence_id, 0, {}};
  SequenceId since = request.since.sequence_id;
  if (request.since.epoch != log.epoch()) {
    chunk.gap = Gap{0, 0, 0, "epoch_changed"};
    since = log.first() - 1;
  } else if (since + 1 < log.first()) {
    chunk.gap = Gap{since + 1, log.first() - 1, log.first() - 1 - since, "history"};
  }
  log.read(since, kChunkEvents, kChunkBytes,
           [this, &log, from = request.from, chunk = std::move(chunk)](ChannelLog::Slice slice) mutable {
             chunk.events = std::move(slice.events);
             chunk.upto = slice.upto;
             chunk.head = log.head();
             port_.to_subscribers(from, letter(std::move(chunk)));
           });
}

SnapshotPtr Channels::kept_snapshot(const std::string& channel, const Position& at, const std::string& params) const {
  for (const KeptSnapshot& kept : kept_snapshots_)
    if (kept.snapshot && kept.at == at && kept.channel == channel && kept.params == params) return kept.snapshot;
  return nullptr;
}

void Channels::keep_snapshot(KeptSnapshot snapshot) {
  kept_snapshots_[next_kept_] = std::move(snapshot);
  next_kept_ = (next_kept_ + 1) % kept_snapshots_.size();
}

mail::Chunk Channels::snapshots(Channel& channel, const mail::Read& request) {
  const ChannelLog& log = channel.log();
  mail::Chunk chunk{
      request.attachment, request.read, request.channel, log.epoch(), {}, request.since.sequence_id, log.head(), {}};
  if (request.since.epoch != log.epoch()) chunk.gap = Gap{0, 0, 0, "epoch_changed"};
  for (const std::string& params : request.snapshots) {
    auto made = channel.snapshot(params);
    if (!made) chunk.state_error = made.error().message;
    chunk.states.push_back({params, made ? std::move(*made) : nullptr});
  }
  return chunk;
}

Scopes Channels::Watched::scopes() const {
  Scopes out;
  for (const auto& [shard, some] : shards) out.insert(some.begin(), some.end());
  return out;
}

void Channels::watch(mail::Watch request) {
  const auto [entry, fresh] = watched_.try_emplace(request.pattern.text(), Watched{request.pattern});
  Watched& watched = entry->second;
  const Scopes before = watched.scopes();
  watched.shards[request.from].merge(routes_->scopes_of(*request.who));
  if (const Scopes scopes = watched.scopes(); fresh || scopes != before) {
    std::vector<Channel*> stale;
    for (const auto& [name, channel] : channels_)
      if (const ChannelRoute& by = channel->route(); by.demand_by_pattern && by.subscribe.open_to(scopes) &&
                                                     (fresh || !by.subscribe.open_to(before)) &&
                                                     request.pattern.matches(name) && slept_through(*channel))
        stale.push_back(channel.get());
    for (Channel* channel : stale) end(*channel, mail::ChannelLetGo::Why::anew);
    port_.watched(request.pattern, &scopes);
  }
  mail::Watched answer{request.watch, {}};
  const ChannelRoute* route = nullptr;  // whose channels share one permit, unless a rule is asked about each
  Result<Permit> may = Permit{};
  for (auto& [name, channel] : channels_) {
    if (!request.pattern.matches(name)) continue;
    if (route != &channel->route() || route->asks_subscribers) {
      route = &channel->route();
      may = permit(*route, rules_, *routes_, name, *request.who, request.params);
    }
    if (!may) continue;
    channel->interest(request.from);
    answer.channels.push_back(describe(*channel, request.replay, Filter::both(may->filter, request.filter)));
  }
  port_.to_subscribers(request.from, letter(std::move(answer)));
}

void Channels::unwatch(const mail::Unwatch& request) {
  const auto found = watched_.find(request.pattern);
  if (found == watched_.end()) return;
  Watched& watched = found->second;
  const Scopes before = watched.scopes();
  watched.shards.erase(request.from);
  if (watched.shards.empty()) {
    port_.watched(watched.pattern, nullptr);
    watched_.erase(found);
  } else if (const Scopes scopes = watched.scopes(); scopes != before) {
    port_.watched(watched.pattern, &scopes);
  }
}

namespace {
bool feeds(const ChannelRoute& route, const std::string& source) {
  return std::any_of(route.feeds.begin(), route.feeds.end(), [&](const FeedRoute& f) { return f.plugin == source; });
}
// Whether a subject that feeds the channel is one of those; a "*" of one is a part like any other to the other.
bool fed_by(const Channel& channel, const mail::SourceGap& gap) {
  const auto name = Pattern::parse_wildcard(channel.name());
  const auto& feeds = channel.route().feeds;
  return name && std::any_of(feeds.begin(), feeds.end(), [&](const FeedRoute& f) {
           if (f.plugin != gap.source) return false;
           const auto subject = Pattern::subject_for(*name, channel.route().pattern, f.subject);
           return subject && (gap.subject->matches(*subject) || gap.subject->text() == *subject);
         });
}
}  // namespace

// Upstream of it: those who are subscribed are told, and those who come back from before it.
void Channels::lost(Channel& channel, std::uint64_t count, const std::string& reason) {
  channel.missed(count, reason);
  for (const Channel::Interest& i : channel.interested())
    port_.to_subscribers(i.shard, letter(mail::GapNotice{channel.name(), Gap{0, 0, count, reason}}));
}

void Channels::source_gap(const mail::SourceGap& gap) {
  const auto tell = [&](Channel& channel) { lost(channel, gap.count, gap.reason); };
  for (const std::string& name : gap.channels)
    if (const auto found = channels_.find(name); found != channels_.end()) tell(*found->second);
  if (!gap.channels.empty()) return;
  for (const auto& [name, channel] : channels_) {
    if (gap.subject ? fed_by(*channel, gap) : feeds(channel->route(), gap.source)) tell(*channel);
  }
}

void Channels::reroute(RoutesPtr routes) {
  const RoutesPtr before = std::exchange(routes_, std::move(routes));  // channels refer to it until they have the new
  std::vector<std::string_view> gone;
  for (const auto& [name, channel] : channels_) {
    const ChannelRoute* route = routes_->find(name);
    if (route == nullptr || route->on_demand != channel->route().on_demand) gone.push_back(name);
    if (route != nullptr) channel->reroute(*route);
  }
  for (const std::string_view name : gone)
    end(*channels_.find(name)->second,
        routes_->find(name) == nullptr ? mail::ChannelLetGo::Why::gone : mail::ChannelLetGo::Why::anew);
  kept_snapshots_.fill({});  // of the rules before
  budget_.set_bytes_max(static_cast<std::size_t>(limits_.history_bytes) / shard_count_);
}

bool Channels::tell_those_behind() {
  std::erase_if(behind_, [this](const auto& entry) {
    const auto& [name, shard] = entry;
    if (port_.full(shard)) return false;
    const auto found = channels_.find(name);
    if (found != channels_.end() && found->second->catches_up(shard))
      port_.to_subscribers(shard,
                           letter(mail::Behind{name, found->second->log().epoch(), found->second->log().head()}));
    return true;
  });
  return !behind_.empty();
}

void Channels::prune(SteadyMs now) {
  for (auto& [name, channel] : channels_) channel->log().prune(now);
}

void Channels::each(const std::function<void(const Info&)>& f) const {
  for (const auto& [name, channel] : channels_)
    f({name, channel->log().epoch(), channel->log().head(), channel->log().events(), channel->log().bytes(),
       channel->counters()});
}

}  // namespace weir
