#include "server/ingress.hpp"

#include <algorithm>
#include <map>

#include "base/clock.hpp"
#include "base/log.hpp"

namespace weir {
namespace {
constexpr SteadyMs kTellUnroutedMs = 60'000;
constexpr std::size_t kTellSubjectBytes = 200;

std::string_view text(weir_str s) { return s.ptr == nullptr ? std::string_view() : std::string_view(s.ptr, s.size); }
}  // namespace

struct Ingress::Source {
  std::string name;
  std::shared_ptr<FlowInstance> instance;
  std::atomic<std::int64_t> events{0}, bytes{0};  // under way
  std::atomic<bool> paused{false};
  std::atomic<bool> cursors{false};  // it goes on behind what was accepted
  std::atomic<bool> ending{false}, held{false};
  std::atomic<int> emitting{0};  // calls of emit()
  struct Inside {
    explicit Inside(Source& source) : s(source) { ++s.emitting; }
    ~Inside() { --s.emitting; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    Source& s;
  };
  std::atomic<std::uint64_t> taken{0}, unrouted{0}, refused{0}, pauses{0};
  std::atomic<std::uint64_t> unrouted_told{0};  // as many of them when the log was told last
  std::atomic<SteadyMs> tell_unrouted_at{0};
  const Limits* limits;
  std::mutex mutex;
  std::deque<std::shared_ptr<Batch>> batches;  // in the order of emission, guarded by mutex down to here
  RoutesOfSource routes;
  // What it has lost since the shards were told last, by subject; those who are told have not all been yet.
  struct Gap {
    std::uint64_t count;
    std::string reason;
  };
  std::map<std::string, Gap, std::less<>> gaps;
  bool telling_gaps = false;

  RoutesOfSource routes_now() {
    const std::lock_guard lock(mutex);
    return routes;
  }
  // Whoever forgot a channel sees nothing arrive and no error: the log says it with the first event, then once a
  // minute.
  void left_out(std::string_view subject, std::uint64_t count, const std::vector<SourceRoute>& now) {
    unrouted += count;
    SteadyMs due = tell_unrouted_at;
    const SteadyMs time = system_clock().steady_ms();
    if (time < due) return;
    // One whose channel's name can't be made has been told as that.
    if (std::any_of(now.begin(), now.end(), [&](const SourceRoute& r) { return r.subject.matches(subject); })) return;
    if (!tell_unrouted_at.compare_exchange_strong(due, time + kTellUnroutedMs)) return;
    const std::uint64_t all = unrouted;
    const std::string quoted = json::quoted(json::to_utf8(subject.substr(0, kTellSubjectBytes)));
    const std::string& separator = instance->library().info().subject_separator;
    const bool names_itself =
        subject.size() <= kTellSubjectBytes && Pattern::parse_subject(subject, separator.empty() ? '/' : separator[0]);
    log::warn("ingress",
              "no channel is for what plugin \"" + name + "\" sends of " + quoted +
                  ", so it is left out; a [[channel]] with from = [{ plugin = \"" + name +
                  "\", subject = " + (names_itself ? quoted : "\"**\"") + " }] would take it",
              {{"count", all - unrouted_told.exchange(all)}});
  }
  bool takes() const { return !ending && !held; }
  bool has_room() const {
    return takes() && events < limits->source_events_in_flight && bytes < limits->source_bytes_in_flight;
  }
  void resume_if_drained() {
    if (!paused || events > limits->source_events_in_flight / 2 || bytes > limits->source_bytes_in_flight / 2) return;
    if (takes() && paused.exchange(false)) instance->resume();
  }
};

// What one emit() handed over: done when the last of its events has its place.
struct Ingress::Batch final : PublishWaiter, std::enable_shared_from_this<Ingress::Batch> {
  std::shared_ptr<Source> source;
  std::string cursor;  // of its last event
  std::int64_t events = 0, bytes = 0;
  std::atomic<std::int64_t> missing{1};  // one for emit() itself, so that it does not end before it is filled
  std::atomic<bool> refused{false}, done{false};

  void published(std::string_view channel, const PublishOutcome& outcome) override {
    if (outcome.error) {
      ++source->refused;
      refused = true;
      log::warn("ingress", "an event of \"" + source->name + "\" found no place: " + outcome.error->message,
                {{"channel", channel}});
    }
    one_less();
  }
  void one_less() {
    if (--missing != 0) return;
    source->events -= events;
    source->bytes -= bytes;
    done = true;
    {
      const std::lock_guard lock(source->mutex);
      for (; !source->batches.empty() && source->batches.front()->done; source->batches.pop_front()) {
        const Batch& first = *source->batches.front();
        if (first.cursor.empty()) continue;
        if (first.refused) source->instance->refused(first.cursor);
        source->instance->accepted(first.cursor);
      }
    }
    source->resume_if_drained();
  }
};

Ingress::Ingress(const Limits& limits) : limits_(limits) {}
Ingress::~Ingress() = default;

void Ingress::feed_from(const std::vector<Feeding>& sources) {
  std::unordered_map<std::string, std::shared_ptr<Source>> next;
  const std::unique_lock lock(mutex_);
  for (const Feeding& f : sources) {
    auto& source = next[f.instance->name()];
    const auto had = sources_.find(f.instance->name());
    if (had != sources_.end() && had->second->instance == f.instance) {
      source = had->second;
      continue;
    }
    source = std::make_shared<Source>();
    source->name = f.instance->name();
    source->instance = f.instance;
    source->limits = &limits_;
    source->routes = std::make_shared<const std::vector<SourceRoute>>(f.routes);
    if (had != sources_.end()) source->cursors = had->second->cursors.load();  // until it shows
  }
  sources_ = std::move(next);
}

bool Ingress::hold(const FlowInstance& instance, const std::vector<SourceRoute>& next) {
  const auto source = find(instance);
  if (!source) return true;
  const auto same = [](const SourceRoute& a, const SourceRoute& b) {
    return a.subject.text() == b.subject.text() && a.channel.text() == b.channel.text();
  };
  const RoutesOfSource now = source->routes_now();
  if (std::equal(now->begin(), now->end(), next.begin(), next.end(), same)) return true;
  source->held = true;
  return source->emitting == 0 && source->events == 0;
}

void Ingress::reroute(const FlowInstance& instance, std::vector<SourceRoute> routes) {
  const auto source = find(instance);
  if (!source) return;
  {
    const std::lock_guard lock(source->mutex);
    source->routes = std::make_shared<const std::vector<SourceRoute>>(std::move(routes));
  }
  source->held = false;
  source->resume_if_drained();
}

std::shared_ptr<Ingress::Source> Ingress::find(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto found = sources_.find(name);
  return found == sources_.end() ? nullptr : found->second;
}

std::vector<Ingress::Target> Ingress::channels_of(const std::string& name, const RoutesOfSource& routes,
                                                  std::string_view subject) {
  std::vector<Target> channels;
  for (const SourceRoute& route : *routes) {
    const auto variables = route.subject.match(subject);
    if (!variables) continue;
    auto channel = route.channel.expand(*variables);
    if (channel)
      channels.push_back({std::move(*channel), route.rules});
    else
      log::warn("ingress", "a subject of \"" + name + "\" makes no channel name: " + channel.error().message,
                {{"subject", subject}});
  }
  return channels;
}

weir_status Ingress::emit(FlowInstance& instance, const weir_event* events, std::uint32_t stride, std::uint32_t count,
                          std::span<const json::Doc> indexes, std::uint32_t* accepted) {
  *accepted = 0;
  const auto source = find(instance);
  if (!source) return WEIR_E_CLOSED;
  Source& s = *source;
  const Source::Inside inside(s);
  const RoutesOfSource routes = s.routes_now();
  auto batch = std::make_shared<Batch>();
  batch->source = source;
  std::vector<std::vector<Mail>> mails(shards_.size());
  std::string subject_before;
  std::vector<Target> channels;
  std::uint64_t nowhere = 0;  // events that no channel is for
  std::string_view nowhere_subject;
  bool shard_full = false;
  for (; *accepted < count && !shard_full && (s.has_room() || (*accepted == 0 && s.events == 0 && s.takes()));
       ++*accepted) {
    const weir_event& e = event_at(events, stride, *accepted);
    if (subject_before != text(e.subject) || *accepted == 0) {  // sources emit runs of one subject
      subject_before = text(e.subject);
      channels = channels_of(s.name, routes, subject_before);
    }
    const auto size = static_cast<std::int64_t>(e.data.size + 64);
    ++s.events;
    s.bytes += size;
    ++batch->events;
    batch->bytes += size;
    if (e.cursor.size != 0) batch->cursor = text(e.cursor);
    if (channels.empty() && ++nowhere == 1) nowhere_subject = text(e.subject);
    for (const auto& [channel, rules] : channels) {
      Draft d;
      d.event = text(e.event);
      d.data = e.data.size == 0 ? std::string_view("null") : json::strip(text(e.data));
      if (rules && *accepted < indexes.size() && indexes[*accepted].whole())
        d.index = indexes[*accepted].index_of(indexes[*accepted].root());
      d.id = text(e.id);
      d.key = text(e.key);
      d.time_ms = e.time_ms;
      d.source = s.name;
      Ticket ticket;
      ticket.waiter = batch;
      ++batch->missing;
      const ShardId to = shards_[0]->owner(channel);
      mails[to].push_back(letter(mail::Publish{channel, std::move(d), std::move(ticket)}));
      shard_full = shard_full || shards_[to]->full();
    }
  }
  s.taken += *accepted;
  if (nowhere != 0) s.left_out(nowhere_subject, nowhere, *routes);
  if (*accepted != 0) {
    s.cursors = !batch->cursor.empty();
    const std::lock_guard lock(s.mutex);  // held while handing over, so that batches stand in the order of their events
    s.batches.push_back(batch);
    for (std::size_t to = 0; to < mails.size(); ++to) shards_[to]->put(mails[to]);
  }
  batch->one_less();
  if (*accepted == count && s.has_room()) return WEIR_OK;
  ++s.pauses;
  s.paused = true;
  const weir_status status = *accepted == count ? WEIR_PAUSE : WEIR_E_FULL;
  s.resume_if_drained();  // all may be done already, and then nobody else would say resume
  return status;
}

std::shared_ptr<Ingress::Source> Ingress::find(const FlowInstance& instance) const {
  auto source = find(instance.name());
  return source && source->instance.get() == &instance ? source : nullptr;
}

bool Ingress::goes_on(const FlowInstance& instance) const {
  const auto source = find(instance);
  return source && source->cursors;
}

void Ingress::end(const FlowInstance& instance) {
  if (const auto source = find(instance)) source->ending = true;
}

bool Ingress::settled(const FlowInstance& instance) {
  const auto source = find(instance);
  if (!source || !source->cursors) return true;
  source->ending = true;
  if (source->emitting != 0) return false;
  const std::lock_guard lock(source->mutex);
  return source->batches.empty();
}

void Ingress::gap(FlowInstance& instance, std::string_view subject, std::uint64_t count, std::string_view reason) {
  const auto source = find(instance);
  if (!source) return;
  {
    const std::lock_guard lock(source->mutex);
    auto& gaps = source->gaps;
    auto found = gaps.find(subject);
    if (found == gaps.end() && gaps.size() + 1 >= kGapSubjectsMax)
      found = gaps.find(subject = {});  // all that it feeds
    if (found == gaps.end()) {
      gaps.emplace(subject, Source::Gap{count, std::string(reason)});
    } else {
      Source::Gap& gap = found->second;
      gap.count = gap.count == 0 || count == 0 ? 0 : gap.count + count;
      gap.reason = reason;
    }
    if (std::exchange(source->telling_gaps, true)) return;
  }
  tell_gaps(source);
}

// All shards are told, and what comes meanwhile waits until they have been: a plugin that says it in a loop fills no
// mailbox.
void Ingress::tell_gaps(const std::shared_ptr<Source>& source) {
  const std::string& separator = source->instance->library().info().subject_separator;
  std::vector<mail::SourceGap> gaps;
  while (gaps.empty()) {
    decltype(source->gaps) lost;
    {
      const std::lock_guard lock(source->mutex);
      lost.swap(source->gaps);
      source->telling_gaps = !lost.empty();
    }
    if (lost.empty()) return;
    for (auto& [subject, of] : lost) {
      mail::SourceGap gap{source->name, {}, std::nullopt, of.count, std::move(of.reason)};
      auto pattern = Pattern::parse_subject(subject, separator.empty() ? '/' : separator[0]);
      if (pattern && pattern->has_stars()) {
        gap.subject = std::move(*pattern);
      } else if (!subject.empty()) {
        for (Target& target : channels_of(source->name, source->routes_now(), subject))
          gap.channels.push_back(std::move(target.channel));
        if (gap.channels.empty()) continue;
      }
      gaps.push_back(std::move(gap));
    }
  }
  const auto untold = std::make_shared<std::atomic<std::size_t>>(gaps.size() * shards_.size());
  for (mail::SourceGap& gap : gaps) {
    gap.told = [this, source, untold] {
      if (--*untold == 0) tell_gaps(source);
    };
    for (ShardHost* shard : shards_) shard->put(letter(mail::SourceGap(gap)));
  }
}

bool Ingress::figures(std::function<void(std::string)> done) {
  if (!figures_) return false;
  figures_(std::move(done));
  return true;
}

Ingress::Counters Ingress::counters(const std::string& source) const {
  const auto found = find(source);
  if (!found) return {};
  const Source& s = *found;
  return {s.taken, s.unrouted, s.refused, static_cast<std::uint64_t>(s.events.load()), s.pauses};
}

}  // namespace weir
