#include "sim/upstream.hpp"

#include <algorithm>

namespace weir::sim {

void Upstream::make(Source& source) {
  source = Source{};
  source.demand = std::make_unique<Demand>(
      1000, Demand::Ports{[this, &source](const std::string& subject, std::uint32_t activation) {
                            const Asked& a = source.asked[activation] = {subject, chance(50)};
                            if (a.at_once) source.active.insert(subject);
                          },
                          [this, &source](const std::string& subject) {
                            ports_.note("the source lets go of " + subject);
                            std::erase_if(source.asked, [&](const auto& a) { return a.second.subject == subject; });
                            source.active.erase(subject);
                          },
                          [&source](std::function<void()> task) { source.strand.push_back(std::move(task)); },
                          [&source](std::int64_t, std::function<void()> call) {
                            source.timers[++source.last_timer] = std::move(call);
                            return source.last_timer;
                          },
                          [&source](std::uint64_t id) { source.timers.erase(id); }});
}

void Upstream::answer(Source& source, std::uint32_t activation) {
  const Asked a = source.asked.at(activation);
  source.asked.erase(activation);
  if (!a.at_once && chance(20)) {
    ports_.note("the source refuses " + a.subject);
    return source.demand->answered(
        activation, chance(50) ? fail(Errc::not_found, "no such thing") : fail(Errc::unavailable, "not now"));
  }
  ports_.note("the source is at work for " + a.subject);
  source.active.insert(a.subject);
  source.demand->answered(activation, {});
}

bool Upstream::move(unsigned percent, bool timers) {
  bool moved = false;
  for (auto& [plugin, source] : sources_) {
    while (!source.strand.empty() && chance(percent)) {
      const auto task = std::move(source.strand.front());
      source.strand.pop_front();
      task();
      moved = true;
    }
    std::vector<std::uint32_t> due;
    for (const auto& [activation, a] : source.asked)
      if (chance(percent)) due.push_back(activation);
    for (const std::uint32_t activation : due) answer(source, activation);
    moved = moved || !due.empty();
    if (!timers || source.timers.empty() || !chance(percent)) continue;
    source.strand.push_back(std::move(source.timers.begin()->second));
    source.timers.erase(source.timers.begin());
    moved = true;
  }
  if (!deadlines_.empty() && chance(percent / 4)) {
    const auto call = std::move(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
    call();
    moved = true;
  }
  return moved;
}

void Upstream::use(RoutesPtr routes) {
  routes_ = std::move(routes);
  std::set<std::string> plugins;
  for (const ChannelRoute& route : routes_->channels())
    for (const DemandRoute& d : route.demands) plugins.insert(d.plugin);
  for (const std::string& plugin : plugins) make(sources_[plugin]);
  deadlines_.clear();
  for (const std::string& plugin : plugins) ports_.tell("**", [&] { return letter(mail::Anew{plugin, {}}); });
  for (const auto& [what, subjects] : wanted_)
    if (has_wildcard(what))
      for (const auto& [plugin, subject] : subjects) want(plugin, subject, what, 0);
}

Upstream::Subjects Upstream::subjects_of(const std::string& what, const Scopes* scopes) const {
  Subjects out;
  const auto pattern = Pattern::parse_wildcard(what);
  for (const ChannelRoute& route : routes_->channels()) {
    if (scopes != nullptr && !route.subscribe.open_to(*scopes)) continue;
    for (const DemandRoute& d : route.demands) {
      if (scopes != nullptr && !d.patterns) continue;
      if (auto subject = Pattern::subject_for(*pattern, route.pattern, d.subject))
        out.emplace_back(d.plugin, std::move(*subject));
    }
  }
  return out;
}

void Upstream::want(const std::string& plugin, const std::string& subject, const std::string& who, std::uint64_t ask) {
  const std::uint64_t deadline = ask == 0 ? 0 : ++last_deadline_;
  if (ask != 0)
    deadlines_[deadline] = [this, who, ask] {
      ports_.note(who + " is waited for no longer");
      ports_.tell(who, [&] { return letter(mail::Awake{.what = who, .ask = ask, .late = true}); });
    };
  const mail::Subject of{plugin, subject};
  sources_.at(plugin).demand->want(
      subject, who,
      [this, who, ask, of, deadline](const Result<void>& how, bool late) {
        deadlines_.erase(deadline);
        mail::Awake m{.what = who, .ask = ask, .late = late && ask == 0};
        if (how)
          m.at_work = of;
        else
          m.error = how.error();
        if (how || ask != 0) ports_.tell(who, [&] { return letter(mail::Awake(m)); });
      },
      [this, who, of, deadline] {
        deadlines_.erase(deadline);
        ports_.tell(who, [&] { return letter(mail::Asleep{who, of}); });
      });
}

void Upstream::unwatched(const std::string& what) {
  const auto found = wanted_.find(what);
  if (found == wanted_.end()) return;
  for (const auto& [plugin, subject] : found->second) sources_.at(plugin).demand->unwant(subject, what);
  wanted_.erase(found);
}

void Upstream::demand(const std::string& channel, std::uint64_t ask) {
  if (ask == 0) return unwatched(channel);
  for (const auto& [plugin, subject] : wanted_[channel] = subjects_of(channel, nullptr))
    want(plugin, subject, channel, ask);
}

void Upstream::watched(const Pattern& pattern, const Scopes* scopes) {
  if (scopes == nullptr) return unwatched(pattern.text());
  Subjects& subjects = wanted_[pattern.text()];
  const Subjects before = std::exchange(subjects, subjects_of(pattern.text(), scopes));
  for (const auto& subject : subjects)
    if (std::find(before.begin(), before.end(), subject) == before.end())
      want(subject.first, subject.second, pattern.text(), 0);
  for (const auto& subject : before)
    if (std::find(subjects.begin(), subjects.end(), subject) == subjects.end())
      sources_.at(subject.first).demand->unwant(subject.second, pattern.text());
}

Upstream::Fate Upstream::happens(const std::string& channel) const {
  Fate fate = Fate::missed;
  for (const auto& [plugin, subject] : subjects_of(channel, nullptr)) {
    const Source& source = sources_.at(plugin);
    const std::string all = subject.substr(0, subject.find('.')) + ".*";  // what a watched pattern may make of it
    if (source.active.contains(subject) || source.active.contains(all)) return Fate::emitted;
    for (const auto& [what, subjects] : wanted_)
      if (std::find(subjects.begin(), subjects.end(), std::pair(plugin, subject)) != subjects.end() ||
          std::find(subjects.begin(), subjects.end(), std::pair(plugin, all)) != subjects.end())
        fate = Fate::asked;
    for (const auto& [activation, a] : source.asked)
      if (a.subject == subject || a.subject == all) fate = Fate::asked;
  }
  return fate;
}

bool Upstream::works_on_demand(const std::string& channel) const {
  const ChannelRoute* route = routes_->find(channel);
  return route != nullptr && !route->demands.empty();
}

bool Upstream::feeds(const mail::Subject& subject, const std::string& channel) const {
  const Subjects all = subjects_of(channel, nullptr);
  return std::any_of(all.begin(), all.end(), [&](const auto& s) {
    return s.first == subject.source && Pattern::parse_subject(subject.subject, '.')->matches(s.second);
  });
}

bool Upstream::anything_active() const {
  return std::any_of(sources_.begin(), sources_.end(), [](const auto& s) { return !s.second.active.empty(); });
}

}  // namespace weir::sim
