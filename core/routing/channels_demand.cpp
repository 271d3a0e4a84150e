// Channels whose sources work on demand: only while somebody watches them. The first subscriber waits until the source
// says that it is at work, so what it has of the past is there to be replayed. When nobody watches any more the channel
// ends: what came meanwhile nobody has seen, so the next life has a new epoch and `recovered` stays true to its word.
// That somebody wants a channel is no reason to go on in the same life: only that its sources have been at work for it
// all the time, by its name or by a pattern, which their mail says in the order in which it came to be.
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

// Whether the source is at work for the channel, by its name or by a pattern.
bool Channels::at_work(Channel& channel, const DemandRoute& by) {
  const auto among = [&](const Pattern& what, const std::set<mail::Subject>& subjects) {
    if (subjects.empty()) return false;
    const auto subject = Pattern::subject_for(what, channel.route().pattern, by.subject);
    return subject && subjects.contains({by.plugin, *subject});
  };
  const auto name = Pattern::parse_wildcard(channel.name());
  if (name && among(*name, channel.waking().at_work)) return true;
  return by.patterns && std::any_of(at_work_.begin(), at_work_.end(), [&](const auto& entry) {
           return entry.second.pattern.matches(channel.name()) && among(entry.second.pattern, entry.second.subjects);
         });
}

// Whether it has events from a time when its sources were not at work (a client or a rule has published), so that a
// position in it promises nothing.
bool Channels::slept_through(Channel& channel) {
  const ChannelRoute& route = channel.route();
  if (route.on_demand.empty() || channel.waking().state != State::asleep || channel.log().head() == 0) return false;
  return idle_sources(channel) != 0;
}

std::size_t Channels::idle_sources(Channel& channel) {
  const auto& by = channel.route().demands;
  return static_cast<std::size_t>(
      std::count_if(by.begin(), by.end(), [&](const DemandRoute& d) { return !at_work(channel, d); }));
}

// Whether those who are there by now may lack what came upstream before.
bool Channels::starts_late(Channel& channel) { return channel.waking().late && idle_sources(channel) != 0; }

// A subject has begun to be active: who was let in before it was is told.
void Channels::at_work_now(Channel& channel, std::size_t idle_before, bool late) {
  if ((late || channel.waking().late) && idle_sources(channel) < idle_before) lost(channel, 0, kNotAtWorkYet);
}

void Channels::awake(const mail::Awake& m) {
  if (has_wildcard(m.what)) return pattern_awake(m);
  Channel* channel = find(m.what);
  if (channel == nullptr) return;
  Channel::Waking& w = channel->waking();
  if (m.at_work) {
    const std::size_t idle = idle_sources(*channel);
    w.at_work.insert(*m.at_work);
    at_work_now(*channel, idle, false);
  }
  if (w.state == State::asleep || w.ask != m.ask || m.more) return;
  if (m.error) {  // maybe of those who have been let in meanwhile; they subscribe again, and are told
    const auto waiting = std::exchange(w.waiting, {});
    for (const mail::Attach& a : waiting) port_.to_subscribers(a.from, letter(refusal(a, m.what, *m.error)));
    return end(*channel, mail::ChannelLetGo::Why::anew);
  }
  w.late = m.late && (w.late || !w.waiting.empty());
  if (w.state != State::asked) return;
  w.state = State::awake;
  const auto waiting = std::exchange(w.waiting, {});
  for (const mail::Attach& a : waiting) attach(*channel, a);
}

void Channels::pattern_awake(const mail::Awake& m) {
  if (!m.at_work) return;
  const Pattern pattern = *Pattern::parse_wildcard(m.what);
  // Another owner may have asked for it, so that its Watch is still on the way here, and with it the end of what slept.
  const auto watched = watched_.find(m.what);
  const Scopes scopes = watched == watched_.end() ? Scopes() : watched->second.scopes();
  std::vector<Channel*> stale;
  std::vector<std::pair<Channel*, std::size_t>> fed;
  for (const auto& [name, channel] : channels_) {
    if (!channel->route().demand_by_pattern || !pattern.matches(name)) continue;
    if ((watched == watched_.end() || !channel->route().subscribe.open_to(scopes)) && slept_through(*channel))
      stale.push_back(channel.get());
    else if (m.late || channel->waking().late)
      fed.emplace_back(channel.get(), idle_sources(*channel));
  }
  at_work_.try_emplace(m.what, AtWork{pattern}).first->second.subjects.insert(*m.at_work);
  for (Channel* channel : stale)
    if (!slept_through(*channel)) end(*channel, mail::ChannelLetGo::Why::anew);
  for (const auto& [channel, idle] : fed) at_work_now(*channel, idle, m.late);
}

void Channels::asleep(const mail::Asleep& m) {
  const auto what = Pattern::parse_wildcard(m.what);
  if (!what) return;
  std::vector<std::string> names;
  const bool pattern = has_wildcard(m.what);
  if (!pattern) {
    names.push_back(m.what);
  } else {
    // What was never at work for it kept no channel going.
    const auto found = at_work_.find(m.what);
    if (found == at_work_.end() || found->second.subjects.erase(m.subject) == 0) return;
    if (found->second.subjects.empty()) at_work_.erase(found);
    for (const auto& [name, channel] : channels_)
      if (channel->route().demand_by_pattern && what->matches(name)) names.push_back(name);
  }
  for (const std::string& name : names) {
    Channel* channel = find(name);
    if (channel == nullptr) continue;
    Channel::Waking& w = channel->waking();
    if (!pattern) w.at_work.erase(m.subject);
    const ChannelRoute& route = channel->route();
    const auto fed = [&](const DemandRoute& by) {
      return by.plugin == m.subject.source && (by.patterns || !pattern) &&
             Pattern::subject_for(*what, route.pattern, by.subject) == m.subject.subject;
    };
    if (std::none_of(route.demands.begin(), route.demands.end(),
                     [&](const DemandRoute& by) { return fed(by) && !at_work(*channel, by); })) {
      if (!pattern && !w.wanted) w.state = State::asleep;  // by its name; a pattern keeps it going
      continue;
    }
    const std::uint64_t ask = w.ask;
    const bool wanted = std::exchange(w.wanted, false);
    auto waiting = std::exchange(w.waiting, {});
    auto at_work = std::exchange(w.at_work, {});
    end(*channel, mail::ChannelLetGo::Why::anew);
    // Somebody came back while it was being let go of, and waits for the next life, which has been asked for.
    if (!wanted) continue;
    auto again = waiting.empty() ? Result<Channel*>(nullptr) : open(name);
    if (again && *again != nullptr) {
      (*again)->waking() = {State::asked, true, ask, std::move(waiting), std::move(at_work), false};
      continue;
    }
    port_.demand(name, 0);
    if (!again)
      for (const mail::Attach& a : waiting) port_.to_subscribers(a.from, letter(refusal(a, name, again.error())));
  }
}

void Channels::anew(const mail::Anew& m) {
  std::vector<std::string> names;
  if (!m.channel.empty()) {
    if (const Channel* channel = find(m.channel); channel != nullptr && !channel->route().on_demand.empty())
      names.push_back(m.channel);
  } else {
    for (auto& [text, by] : at_work_)
      std::erase_if(by.subjects, [&](const mail::Subject& s) { return s.source == m.source; });
    std::erase_if(at_work_, [](const auto& entry) { return entry.second.subjects.empty(); });
    for (const auto& [name, channel] : channels_)
      if (const auto& by = channel->route().demands;
          std::any_of(by.begin(), by.end(), [&](const DemandRoute& d) { return d.plugin == m.source; }))
        names.push_back(name);
  }
  for (const std::string& name : names) {
    Channel* channel = find(name);
    if (channel == nullptr) continue;  // it made room for one before
    const auto waiting = std::exchange(channel->waking().waiting, {});
    end(*channel, mail::ChannelLetGo::Why::anew);
    for (const mail::Attach& a : waiting) attach(a);
  }
}

// Its history ends here; those who are subscribed to it are told.
void Channels::end(Channel& channel, mail::ChannelLetGo::Why why) {
  const ChannelLog& log = channel.log();
  for (const Channel::Interest& interest : channel.interested())
    port_.to_subscribers(interest.shard, letter(mail::ChannelLetGo{channel.name(), log.epoch(), log.head(), why}));
  const Error told = why == mail::ChannelLetGo::Why::gone
                         ? fail(Errc::no_such_channel,
                                "no [[channel]] of the manifest matches " + json::quoted(channel.name()) + " any more")
                         : fail(Errc::unavailable, "the source of " + json::quoted(channel.name()) +
                                                       " begins anew; subscribe to it again");
  for (const mail::Attach& a : channel.waking().waiting)
    port_.to_subscribers(a.from, letter(refusal(a, channel.name(), told)));
  if (channel.waking().wanted) port_.demand(channel.name(), 0);
  channels_.erase(channels_.find(channel.name()));
}

}  // namespace weir
