#include "server/flows.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/log.hpp"

namespace weir {

void Flows::use(const std::vector<std::shared_ptr<FlowInstance>>& instances, RoutesPtr routes) {
  std::vector<std::string> begun;  // that are other instances than before
  {
    const std::unique_lock lock(mutex_);
    std::map<std::string, Entry, std::less<>> next;
    for (const auto& instance : instances) {
      Entry entry;
      const auto before = entries_.find(instance->name());
      if (before != entries_.end()) entry.lost = before->second.lost;
      if (before == entries_.end() || before->second.instance != instance) {
        begun.push_back(instance->name());  // shards may have been refused before it was there
        if (before != entries_.end()) *entry.lost += instance->take_over(*before->second.instance);
      }
      entry.instance = instance;
      next.emplace(instance->name(), std::move(entry));
    }
    entries_ = std::move(next);
    routes_ = std::move(routes);
  }
  if (shards_.empty()) return;
  for (const std::string& plugin : begun) room(plugin);
  // Sources on demand that are new know nothing of what is watched, and what they will say begins anew: so do the
  // channels, each for itself, and ask again. No channel stands for a pattern, so that is asked for again here, also
  // where the manifest now feeds it by something else.
  const auto is_new = [&](const auto& subject) {
    return std::find(begun.begin(), begun.end(), subject.first) != begun.end();
  };
  std::vector<std::string> channels, patterns;
  std::map<std::string, Subjects> wanted;
  {
    const std::shared_lock lock(mutex_);
    wanted = wanted_;
  }
  for (const auto& [what, subjects] : wanted)
    if (has_wildcard(what))
      patterns.push_back(what);
    else if (std::any_of(subjects.begin(), subjects.end(), is_new) ||
             subjects != subjects_of(*Pattern::parse_wildcard(what), false))
      channels.push_back(what);
  for (const std::string& channel : channels) tell(channel, [&] { return letter(mail::Asleep{channel, true}); });
  for (const std::string& text : patterns) {
    const Subjects now = subjects_of(*Pattern::parse_wildcard(text), true);
    Subjects before;
    {
      const std::unique_lock lock(mutex_);
      const auto found = wanted_.find(text);
      if (found == wanted_.end()) continue;  // not watched any more
      before = std::exchange(found->second, now);
    }
    for (const auto& subject : now)
      if (is_new(subject) || std::find(before.begin(), before.end(), subject) == before.end())
        if (const Entry entry = find(subject.first); entry.instance) want(*entry.instance, subject.second, text, 0);
    for (const auto& subject : before)
      if (std::find(now.begin(), now.end(), subject) == now.end())
        if (const Entry entry = find(subject.first); entry.instance)
          entry.instance->demand().unwant(subject.second, text);
  }
}

Flows::Entry Flows::find(const std::string& plugin) const {
  const std::shared_lock lock(mutex_);
  const auto found = entries_.find(plugin);
  return found == entries_.end() ? Entry{} : found->second;
}

RoutesPtr Flows::routes() const {
  const std::shared_lock lock(mutex_);
  return routes_;
}

// ---------------------------------------------------------------- sinks

std::size_t Flows::hand_over(const std::string& plugin, std::span<Outgoing> events) {
  const Entry entry = find(plugin);
  return entry.instance ? entry.instance->offer(events) : 0;
}

void Flows::room(const std::string& plugin) {
  for (ShardHost* shard : shards_) shard->loop().post([shard, plugin] { shard->shard().sink_has_room(plugin); });
}

void Flows::lost(const std::string& plugin, std::string_view channel, std::uint64_t count) {
  const Entry entry = find(plugin);
  *entry.lost += count;
  log::warn("hub", "events did not get to sink \"" + plugin + "\": they left the channel's history before it had room",
            {{"channel", channel}, {"count", count}});
}

std::uint64_t Flows::lost(const std::string& plugin) const { return *find(plugin).lost; }

bool Flows::sinks_empty() const {
  const std::shared_lock lock(mutex_);
  return std::all_of(entries_.begin(), entries_.end(), [](const auto& e) { return e.second.instance->empty(); });
}

// ---------------------------------------------------------------- sources on demand

Flows::Subjects Flows::subjects_of(const Pattern& what, bool pattern) const {
  Subjects out;
  const auto add = [&](const ChannelRoute& route) {
    for (const DemandRoute& d : route.demands) {
      if (pattern && !d.patterns) continue;
      auto subject = Pattern::subject_for(what, route.pattern, d.subject);
      if (subject && std::find(out.begin(), out.end(), std::pair(d.plugin, *subject)) == out.end())
        out.emplace_back(d.plugin, std::move(*subject));
    }
  };
  const RoutesPtr now = routes();
  if (!now) return out;
  if (!pattern) {
    if (const ChannelRoute* route = now->find(what.text())) add(*route);
    return out;
  }
  for (const ChannelRoute& route : now->channels()) add(route);
  return out;
}

void Flows::tell(const std::string& what, std::function<Mail()> mail) {
  if (!has_wildcard(what)) return shards_[shards_[0]->owner(what)]->put(mail());
  for (ShardHost* shard : shards_) shard->put(mail());
}

void Flows::want(FlowInstance& instance, const std::string& subject, const std::string& who, std::uint64_t ask) {
  // A source whose strand is stuck keeps nobody from subscribing.
  const std::uint64_t deadline = ask == 0 ? 0 : instance.after(FlowInstance::kActivateMs + 500, [this, who, ask] {
    tell(who, [&] { return letter(mail::Awake{who, ask, std::nullopt}); });
  });
  instance.demand().want(
      subject, who,
      [this, who, ask, deadline, &instance](Result<void> how) {
        if (ask == 0) return;
        instance.forget(deadline);
        std::optional<Error> error;
        if (!how) error = how.error();
        tell(who, [&] { return letter(mail::Awake{who, ask, error}); });
      },
      [this, who] { tell(who, [&who] { return letter(mail::Asleep{who}); }); });
}

void Flows::demand(const std::string& channel, std::uint64_t ask) {
  if (ask == 0) {
    Subjects subjects;
    {
      const std::unique_lock lock(mutex_);
      const auto found = wanted_.find(channel);
      if (found == wanted_.end()) return;
      subjects = std::move(found->second);
      wanted_.erase(found);
    }
    for (const auto& [plugin, subject] : subjects)
      if (const Entry entry = find(plugin); entry.instance) entry.instance->demand().unwant(subject, channel);
    return;
  }
  const auto name = Pattern::parse_wildcard(channel);
  const auto subjects = name ? subjects_of(*name, false) : Subjects();
  const auto not_there = [&] {
    tell(channel, [&] {
      return letter(mail::Awake{channel, ask,
                                fail(Errc::not_found, "nothing can feed " + json::quoted(channel) +
                                                          ": its name makes no subject of its source")});
    });
  };
  if (subjects.empty()) return not_there();
  {
    const std::unique_lock lock(mutex_);
    wanted_[channel] = subjects;
  }
  // One that says no is told to those who wait; with several sources the first answer lets them in.
  bool asked = false;
  for (const auto& [plugin, subject] : subjects)
    if (const Entry entry = find(plugin); entry.instance) {
      want(*entry.instance, subject, channel, ask);
      asked = true;
    }
  if (!asked) not_there();
}

void Flows::watched(const Pattern& pattern, bool wanted) {
  if (!wanted) return demand(pattern.text(), 0);
  const auto subjects = subjects_of(pattern, true);
  {
    const std::unique_lock lock(mutex_);
    wanted_[pattern.text()] = subjects;
  }
  for (const auto& [plugin, subject] : subjects)
    if (const Entry entry = find(plugin); entry.instance) want(*entry.instance, subject, pattern.text(), 0);
}

// ---------------------------------------------------------------- requests

void Flows::request(ResponderAsk ask) {
  const auto answer = [shard = shards_[ask.from], connection = ask.connection,
                       id = std::move(ask.id)](Result<std::string> result) {
    shard->put(letter(mail::Answer{connection, id, std::move(result)}));
  };
  const Entry entry = find(ask.plugin);
  if (!entry.instance) return answer(fail(Errc::unavailable, "plugin \"" + ask.plugin + "\" is not there"));
  entry.instance->request(
      {std::move(ask.method), std::move(ask.subject), std::move(ask.params_json), std::move(ask.identity_json)},
      static_cast<std::uint32_t>(ask.timeout_ms), answer);
}

void Flows::handle(const std::string& plugin, HttpCall call, std::uint32_t deadline_ms,
                   std::function<void(Result<HttpAnswer>)> answered) {
  const Entry entry = find(plugin);
  if (!entry.instance) return answered(fail(Errc::unavailable, "plugin \"" + plugin + "\" is not there"));
  entry.instance->handle(std::move(call), deadline_ms, std::move(answered));
}

}  // namespace weir
