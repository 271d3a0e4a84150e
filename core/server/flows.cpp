#include "server/flows.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/log.hpp"

namespace weir {
namespace {
constexpr std::size_t kHeldBytesMax = 64 * 1024 * 1024;  // as much as an instance itself holds (flow_calls.cpp)

std::size_t count_lost(const std::string& sink, std::size_t count) {
  if (count != 0)
    log::warn("hub", "events that waited for sink \"" + sink + "\" are lost: a reload took it away",
              {{"count", count}});
  return count;
}
}  // namespace

void Flows::hold(const std::vector<std::string>& plugins) {
  if (plugins.empty()) return;
  std::unique_ptr<PendingCalls> held;
  try {
    held = std::make_unique<PendingCalls>([](std::uint64_t) {});
  } catch (const std::system_error&) {
    return;  // no thread is left for it: what is asked meanwhile is refused
  }
  const std::unique_lock lock(mutex_);
  held_ = std::move(held);
  for (const std::string& plugin : plugins)
    if (const auto found = entries_.find(plugin); found != entries_.end()) found->second.held = true;
}

void Flows::use(const std::vector<std::shared_ptr<FlowInstance>>& instances, RoutesPtr routes) {
  std::vector<std::string> begun;  // that are other instances than before
  std::unique_ptr<PendingCalls> held;
  std::vector<std::uint64_t> tokens;
  {
    const std::unique_lock lock(mutex_);
    std::map<std::string, Entry, std::less<>> next;
    for (const auto& instance : instances) {
      Entry entry;
      const auto before = entries_.find(instance->name());
      if (before != entries_.end()) entry.lost = before->second.lost;
      if (before == entries_.end() || before->second.instance != instance) {
        begun.push_back(instance->name());  // shards may have been refused before it was there
        if (before != entries_.end())
          *entry.lost += count_lost(instance->name(), instance->take_over(*before->second.instance));
      }
      entry.instance = instance;
      next.emplace(instance->name(), std::move(entry));
    }
    for (const auto& [name, entry] : entries_)
      if (!next.contains(name)) count_lost(name, entry.instance->give_up());
    entries_ = std::move(next);
    routes_ = std::move(routes);
    held.swap(held_);
    tokens.swap(held_tokens_);
    held_bytes_ = 0;
  }
  for (const std::uint64_t token : tokens) held->answer(token, WEIR_OK, {});
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

std::vector<std::pair<std::string, std::size_t>> Flows::waiting() const {
  std::vector<std::pair<std::string, std::size_t>> out;
  const std::shared_lock lock(mutex_);
  for (const auto& [name, entry] : entries_)
    if (const std::size_t events = entry.instance->waiting(); events != 0) out.emplace_back(name, events);
  return out;
}

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

void Flows::ask(const std::string& plugin, std::uint32_t deadline_ms, std::size_t bytes, Ask ask) {
  const auto go = [this, plugin](const Ask& whom, std::uint32_t left_ms) {
    const Entry entry = find(plugin);
    if (!entry.instance) return whom(fail(Errc::unavailable, "plugin \"" + plugin + "\" is not there"), 0);
    whom(entry.instance.get(), left_ms);
  };
  if (!find(plugin).held) return go(ask, deadline_ms);
  {
    const std::unique_lock lock(mutex_);
    const auto found = entries_.find(plugin);
    if (held_ && found != entries_.end() && found->second.held) {
      const SteadyMs since = system_clock().steady_ms();
      const std::uint64_t token =
          held_bytes_ + bytes > kHeldBytesMax
              ? 0
              : held_->add(deadline_ms, [=](PendingCalls::How how, std::int32_t, std::string_view) {
                  if (how != PendingCalls::How::answered)
                    return ask(fail(Errc::timeout, "plugin \"" + plugin + "\" did not answer in time"), 0);
                  const SteadyMs waited = system_clock().steady_ms() - since;
                  go(ask, static_cast<std::uint32_t>(std::max<SteadyMs>(deadline_ms - waited, 1)));
                });
      if (token != 0) {
        held_tokens_.push_back(token);
        held_bytes_ += bytes;
        return;
      }
    }
  }
  go(ask, deadline_ms);  // exchanged in the meantime, or too many wait
}

void Flows::request(ResponderAsk ask_of) {
  const auto answer = [shard = shards_[ask_of.from], connection = ask_of.connection,
                       id = std::move(ask_of.id)](Result<std::string> result) {
    shard->put(letter(mail::Answer{connection, id, std::move(result)}));
  };
  const std::string plugin = std::move(ask_of.plugin);
  MethodCall call{std::move(ask_of.method), std::move(ask_of.subject), std::move(ask_of.params_json),
                  std::move(ask_of.identity_json)};
  const std::size_t bytes = call.params_json.size() + call.identity_json.size() + sizeof(MethodCall);
  ask(plugin, static_cast<std::uint32_t>(ask_of.timeout_ms), bytes,
      [answer, call = std::move(call)](Result<FlowInstance*> instance, std::uint32_t deadline_ms) {
        if (!instance) return answer(instance.error());
        (*instance)->request(call, deadline_ms, answer);
      });
}

void Flows::handle(const std::string& plugin, HttpCall call, std::uint32_t deadline_ms,
                   std::function<void(Result<HttpAnswer>)> answered) {
  const std::size_t bytes = call.body.size() + call.headers_json.size() + sizeof(HttpCall);
  ask(plugin, deadline_ms, bytes,
      [call = std::move(call), answered = std::move(answered)](Result<FlowInstance*> instance, std::uint32_t left_ms) {
        if (!instance) return answered(instance.error());
        (*instance)->handle(call, left_ms, answered);
      });
}

}  // namespace weir
