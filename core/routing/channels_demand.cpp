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
    w.wanted = true;
    if (w.state == State::asleep) w.state = State::asked;  // else it lingers, and is still there
    port_.demand(channel.name(), true);
  }
  if (w.state == State::awake) return true;
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
  port_.demand(channel.name(), false);
}

void Channels::awake(const mail::Awake& m) {
  Channel* channel = find(m.channel);
  if (channel == nullptr || channel->waking().state != State::asked) return;
  Channel::Waking& w = channel->waking();
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
  if (const auto pattern = Pattern::parse_wildcard(m.what); pattern && has_wildcard(m.what)) {
    for (const auto& [name, channel] : channels_)
      if (pattern->matches(name)) names.push_back(name);
  } else {
    names.push_back(m.what);
  }
  for (const std::string& name : names) {
    Channel* channel = find(name);
    if (channel == nullptr || channel->route().on_demand.empty()) continue;
    Channel::Waking& w = channel->waking();
    if (!m.all) {
      if (w.wanted) continue;  // somebody came back before it was let go of
      const auto matches = [&](const auto& entry) { return entry.second.pattern.matches(name); };
      if (channel->route().demand_by_pattern && std::any_of(watched_.begin(), watched_.end(), matches)) {
        w.state = State::asleep;  // by its name; a pattern keeps it going
        continue;
      }
    }
    // Those who wait go on waiting, for what comes next.
    const auto waiting = std::exchange(w.waiting, {});
    end(*channel, mail::ChannelLetGo::Why::anew);
    for (const mail::Attach& a : waiting) attach(a);
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
  if (channel.waking().wanted) port_.demand(channel.name(), false);
  channels_.erase(channels_.find(channel.name()));
}

}  // namespace weir
