// Channels whose sources work on demand: only while somebody watches them. The first subscriber waits until the source
// says that it is at work, so what it has of the past is there to be replayed. When nobody watches any more the channel
// ends: what came meanwhile nobody has seen, so the next life has a new epoch and `recovered` stays true to its word.
#include <algorithm>
#include <utility>

#include "routing/channel.hpp"
#include "routing/channels.hpp"

namespace weir {
namespace {
using State = Channel::Waking::State;

mail::Attached refusal(const mail::Attach& request, const std::string& channel, Error error) {
  mail::Attached refused;
  refused.attachment = request.attachment;
  refused.request = request.request;
  refused.channel = channel;
  refused.error = std::move(error);
  return refused;
}
}  // namespace

// Whether the request can be answered at once; else it waits in the channel.
bool Channels::awake(Channel& channel, const mail::Attach& request) {
  Channel::Waking& w = channel.waking();
  if (!w.wanted) {
    // Also of one that lingers: whether it is still there, or has just been let go of, only its source's side knows.
    w.wanted = true;
    w.state = State::asked;
    w.ask = ++asks_;
    port_.demand(channel.name(), w.ask);
  }
  if (w.state == State::awake) return true;
  for (mail::Attach& a : w.waiting)
    if (a.from == request.from && a.attachment == request.attachment) {  // asked anew: the one before is void
      a = request;
      return false;
    }
  w.waiting.push_back(request);
  return false;
}

// Somebody has left.
void Channels::less_wanted(Channel& channel, ShardId shard) {
  Channel::Waking& w = channel.waking();
  // Nobody there waits for this channel by its name: mail keeps its order, so those who ask anew come behind this.
  std::erase_if(w.waiting, [&](const mail::Attach& a) { return a.from == shard; });
  if (!w.wanted || !w.waiting.empty() || channel.wanted_by_name()) return;
  w.wanted = false;
  port_.demand(channel.name(), 0);
}

void Channels::awake(const mail::Awake& m) {
  Channel* channel = find(m.channel);
  if (channel == nullptr) return;
  Channel::Waking& w = channel->waking();
  if (w.state != State::asked || w.ask != m.ask) return;
  const auto waiting = std::exchange(w.waiting, {});
  if (m.error) {
    for (const mail::Attach& a : waiting) port_.to_subscribers(a.from, letter(refusal(a, m.channel, *m.error)));
    return end(*channel, mail::ChannelLetGo::Why::anew);
  }
  w.state = State::awake;
  for (const mail::Attach& a : waiting) attach(*channel, a);
}

void Channels::asleep(const mail::Asleep& m) {
  std::vector<std::string> names;
  const bool pattern = has_wildcard(m.what);
  if (const auto parsed = Pattern::parse_wildcard(m.what); parsed && pattern) {
    for (const auto& [name, channel] : channels_)
      if (parsed->matches(name)) names.push_back(name);
  } else {
    names.push_back(m.what);
  }
  for (const std::string& name : names) {
    Channel* channel = find(name);
    if (channel == nullptr || channel->route().on_demand.empty()) continue;
    Channel::Waking& w = channel->waking();
    // A pattern that has just been let go of itself is no reason, also if it is watched again by now.
    const auto matches = [&](const auto& entry) { return entry.first != m.what && entry.second.pattern.matches(name); };
    if (!m.all && channel->route().demand_by_pattern && std::any_of(watched_.begin(), watched_.end(), matches)) {
      if (!w.wanted) w.state = State::asleep;  // by its name; a pattern keeps it going
      continue;
    }
    if (pattern && w.wanted) continue;  // its name keeps it going
    const std::uint64_t ask = w.ask;
    const bool wanted = !m.all && std::exchange(w.wanted, false);
    auto waiting = std::exchange(w.waiting, {});
    end(*channel, mail::ChannelLetGo::Why::anew);
    if (m.all) {  // the source is another one, and has to be asked again
      for (const mail::Attach& a : waiting) attach(a);
      continue;
    }
    // Somebody came back while it was being let go of, and waits for the next life, which has been asked for.
    if (!wanted) continue;
    auto again = waiting.empty() ? Result<Channel*>(nullptr) : open(name);
    if (again && *again != nullptr) {
      (*again)->waking() = {State::asked, true, ask, std::move(waiting)};
      continue;
    }
    port_.demand(name, 0);
    if (!again)
      for (const mail::Attach& a : waiting) port_.to_subscribers(a.from, letter(refusal(a, name, again.error())));
  }
}

// Its history ends here; those who are subscribed to it are told.
void Channels::end(Channel& channel, mail::ChannelLetGo::Why why) {
  const ChannelLog& log = channel.log();
  for (const Channel::Interest& interest : channel.interested())
    port_.to_subscribers(interest.shard, letter(mail::ChannelLetGo{channel.name(), log.epoch(), log.head(), why}));
  for (const mail::Attach& a : channel.waking().waiting)
    port_.to_subscribers(a.from,
                         letter(refusal(a, channel.name(),
                                        fail(Errc::unavailable, "the source of " + json::quoted(channel.name()) +
                                                                    " begins anew; subscribe to it again"))));
  if (channel.waking().wanted) port_.demand(channel.name(), 0);
  channels_.erase(channels_.find(channel.name()));
}

}  // namespace weir
