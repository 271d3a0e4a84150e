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
    held = std::make_unique<PendingCalls>();
  } catch (const std::system_error&) {
    return;  // no thread is left for it: what is asked meanwhile is refused
  }
  const std::unique_lock lock(mutex_);
  held_ = std::move(held);
  for (const std::string& plugin : plugins)
    if (const auto found = entries_.find(plugin); found != entries_.end()) found->second.held = true;
}

void Flows::use(const std::vector<std::shared_ptr<FlowInstance>>& instances, RoutesPtr routes) {
  const std::lock_guard demand(demand_mutex_);
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
  coming_ = nullptr;
  // Sources on demand that are new know nothing of what is watched, and what they will say begins anew: so do their
  // channels, each for itself, and ask again. That stands in the mailboxes before anything that the new ones say. No
  // channel stands for a pattern, so that is asked for again here, also where the manifest now feeds it by something
  // else.
  const RoutesPtr now = this->routes();
  const auto is_new = [&](const auto& subject) {
    return std::find(begun.begin(), begun.end(), subject.first) != begun.end();
  };
  for (const std::string& plugin : begun)
    if (std::any_of(now->channels().begin(), now->channels().end(), [&](const ChannelRoute& r) {
          return std::any_of(r.demands.begin(), r.demands.end(), [&](const auto& d) { return d.plugin == plugin; });
        }))
      for (ShardHost* shard : shards_) shard->put(letter(mail::Anew{plugin, {}}));
  for (auto& [what, wanted] : wanted_) {
    const Pattern watched = *Pattern::parse_wildcard(what);
    if (!has_wildcard(what)) {
      if (wanted.subjects.empty() || wanted.subjects != subjects_of(now, watched))
        tell(what, [&channel = what] { return letter(mail::Anew{{}, channel}); });
      continue;
    }
    const Subjects next = subjects_of(now, watched, wanted.scopes);
    const Subjects before = std::exchange(wanted.subjects, next);
    for (const auto& subject : next)
      if (is_new(subject) || std::find(before.begin(), before.end(), subject) == before.end())
        if (const Entry entry = find(subject.first); entry.instance)
          want(*entry.instance, subject.second, what, 0, nullptr);
    for (const auto& subject : before)
      if (std::find(next.begin(), next.end(), subject) == next.end())
        if (const Entry entry = find(subject.first); entry.instance)
          entry.instance->demand().unwant(subject.second, what);
  }
}

void Flows::expect(RoutesPtr routes) {
  const std::lock_guard lock(demand_mutex_);
  coming_ = std::move(routes);
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

namespace {
void add_subjects(std::vector<std::pair<std::string, std::string>>& out, const Pattern& what, const ChannelRoute& route,
                  bool pattern) {
  for (const DemandRoute& d : route.demands) {
    if (pattern && !d.patterns) continue;
    auto subject = Pattern::subject_for(what, route.pattern, d.subject);
    if (subject && std::find(out.begin(), out.end(), std::pair(d.plugin, *subject)) == out.end())
      out.emplace_back(d.plugin, std::move(*subject));
  }
}
}  // namespace

Flows::Subjects Flows::subjects_of(const RoutesPtr& routes, const Pattern& channel) {
  Subjects out;
  if (const ChannelRoute* route = routes ? routes->find(channel.text()) : nullptr)
    add_subjects(out, channel, *route, false);
  return out;
}

Flows::Subjects Flows::subjects_of(const RoutesPtr& routes, const Pattern& pattern, const Scopes& scopes) {
  Subjects out;
  if (routes)
    for (const ChannelRoute& route : routes->channels())
      if (route.subscribe.open_to(scopes)) add_subjects(out, pattern, route, true);
  return out;
}

void Flows::tell(const std::string& what, std::function<Mail()> mail) {
  if (!has_wildcard(what)) return shards_[shards_[0]->owner(what)]->put(mail());
  for (ShardHost* shard : shards_) shard->put(mail());
}

void Flows::want(FlowInstance& instance, const std::string& subject, const std::string& who, std::uint64_t ask,
                 const std::shared_ptr<Asked>& asked) {
  // A source that takes its time, or whose strand is stuck, keeps nobody from subscribing.
  const std::uint64_t deadline = ask == 0 ? 0 : instance.after(FlowInstance::kActivateMs, [this, who, ask] {
    tell(who, [&] { return letter(mail::Awake{.what = who, .ask = ask, .late = true}); });
  });
  const mail::Subject of{instance.name(), subject};
  const bool taken = instance.demand().want(
      subject, who,
      [this, who, ask, asked, of, deadline, &instance, first = true, failing = false](const Result<void>& how,
                                                                                      bool late) mutable {
        instance.forget(deadline);
        const bool again = !std::exchange(first, false);
        const bool was_failing = std::exchange(failing, !how && how.error().code == Errc::unavailable);
        if (again && failing) return;  // nothing new
        if (!how && ask == 0)          // nobody waits whom it could be told
          return log::warn(
              "hub", "a source does not work for a pattern that somebody watches",
              {{"plugin", of.source}, {"subject", of.subject}, {"pattern", who}, {"reason", how.error().message}});
        mail::Awake m{.what = who, .ask = ask, .late = late};
        if (how) m.at_work = of;
        std::unique_lock<std::mutex> lock;
        if (asked) {
          lock = std::unique_lock(asked->mutex);
          if (how) asked->any = true;
          if (failing) {
            ++asked->failing;
            asked->why_not_now = how.error();
          }
          if (was_failing) --asked->failing;
          if (!again) --asked->left;
          m.more = asked->left != 0;
          m.late = asked->failing != 0;
          if (!how && m.more) return;
          // That there is no such thing is the answer only where none of them may have it later.
          if (!how && !asked->any) m.error = asked->failing != 0 ? *asked->why_not_now : how.error();
        }
        tell(who, [&] { return letter(mail::Awake(m)); });
      },
      [this, who, of, deadline, &instance] {
        instance.forget(deadline);
        tell(who, [&] { return letter(mail::Asleep{who, of}); });
      });
  if (!taken) std::erase(wanted_[who].subjects, std::pair(of.source, of.subject));
}

void Flows::unwatched(const std::string& what) {
  const auto found = wanted_.find(what);
  if (found == wanted_.end()) return;
  for (const auto& [plugin, subject] : found->second.subjects)
    if (const Entry entry = find(plugin); entry.instance) entry.instance->demand().unwant(subject, what);
  wanted_.erase(found);
}

void Flows::demand(const std::string& channel, std::uint64_t ask) {
  const std::lock_guard lock(demand_mutex_);
  if (ask == 0) return unwatched(channel);
  const auto name = Pattern::parse_wildcard(channel);
  const auto subjects = name ? subjects_of(routes(), *name) : Subjects();
  std::vector<std::pair<Entry, std::string>> sources;
  bool waits = coming_ && name && subjects_of(coming_, *name) != subjects;
  for (const auto& [plugin, subject] : subjects) {
    Entry entry = find(plugin);
    waits = waits || entry.held;
    if (entry.instance) sources.emplace_back(std::move(entry), subject);
  }
  if (waits) return void(wanted_[channel] = {});
  if (sources.empty())
    return tell(channel, [&] {
      return letter(mail::Awake{.what = channel,
                                .ask = ask,
                                .error = fail(Errc::not_found, "nothing can feed " + json::quoted(channel) +
                                                                   ": its name makes no subject of its source")});
    });
  wanted_[channel].subjects = subjects;
  const auto asked = std::make_shared<Asked>(sources.size());
  for (const auto& [entry, subject] : sources) want(*entry.instance, subject, channel, ask, asked);
}

void Flows::watched(const Pattern& pattern, const Scopes* scopes) {
  const std::lock_guard lock(demand_mutex_);
  if (scopes == nullptr) return unwatched(pattern.text());
  Wanted& wanted = wanted_[pattern.text()];
  wanted.scopes = *scopes;
  const Subjects now = subjects_of(routes(), pattern, *scopes), before = std::exchange(wanted.subjects, now);
  for (const auto& subject : now)
    if (std::find(before.begin(), before.end(), subject) == before.end())
      if (const Entry entry = find(subject.first); entry.instance && !entry.held)
        want(*entry.instance, subject.second, pattern.text(), 0, nullptr);
  for (const auto& subject : before)
    if (std::find(wanted.subjects.begin(), wanted.subjects.end(), subject) == wanted.subjects.end())
      if (const Entry entry = find(subject.first); entry.instance)
        entry.instance->demand().unwant(subject.second, pattern.text());
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
              : held_->add(deadline_ms, [=](PendingCalls::How how, std::uint64_t, std::int32_t, std::string_view) {
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
  const auto call =
      std::make_shared<const MethodCall>(MethodCall{std::move(ask_of.method), std::move(ask_of.subject),
                                                    std::move(ask_of.params_json), std::move(ask_of.identity_json)});
  const std::size_t bytes = call->params_json.size() + call->identity_json.size() + sizeof(MethodCall);
  ask(plugin, static_cast<std::uint32_t>(ask_of.timeout_ms), bytes,
      [answer, call](Result<FlowInstance*> instance, std::uint32_t deadline_ms) {
        if (!instance) return answer(instance.error());
        (*instance)->request(call, deadline_ms, answer);
      });
}

void Flows::handle(const std::string& plugin, HttpCall http, std::uint32_t deadline_ms,
                   std::function<void(Result<HttpAnswer>)> answered) {
  const auto call = std::make_shared<const HttpCall>(std::move(http));
  const std::size_t bytes = call->body.size() + call->headers_json.size() + sizeof(HttpCall);
  ask(plugin, deadline_ms, bytes,
      [call, answered = std::move(answered)](Result<FlowInstance*> instance, std::uint32_t left_ms) {
        if (!instance) return answered(instance.error());
        (*instance)->handle(call, left_ms, answered);
      });
}

}  // namespace weir
