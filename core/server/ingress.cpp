#include "server/ingress.hpp"

#include "base/log.hpp"

namespace weir {
namespace {
std::string_view text(weir_str s) { return s.ptr == nullptr ? std::string_view() : std::string_view(s.ptr, s.size); }
}  // namespace

struct Ingress::Source {
  std::string name;
  std::shared_ptr<FlowInstance> instance;
  std::atomic<std::int64_t> events{0}, bytes{0};  // under way
  std::atomic<bool> paused{false};
  std::atomic<bool> cursors{false};  // it goes on behind what was accepted
  std::atomic<bool> ending{false};
  std::atomic<int> emitting{0};  // calls of emit()
  struct Inside {
    explicit Inside(Source& source) : s(source) { ++s.emitting; }
    ~Inside() { --s.emitting; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    Source& s;
  };
  std::atomic<std::uint64_t> taken{0}, unrouted{0}, refused{0}, pauses{0};
  const Limits* limits;
  std::mutex mutex;
  std::deque<std::shared_ptr<Batch>> batches;  // in the order of emission, guarded by mutex

  bool has_room() const {
    return !ending && events < limits->source_events_in_flight && bytes < limits->source_bytes_in_flight;
  }
  void resume_if_drained() {
    if (!paused || events > limits->source_events_in_flight / 2 || bytes > limits->source_bytes_in_flight / 2) return;
    if (!ending && paused.exchange(false)) instance->resume();
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
  std::unordered_map<std::string, Found> next;
  const std::unique_lock lock(mutex_);
  for (const Feeding& f : sources) {
    Found& found = next[f.instance->name()];
    found.routes = std::make_shared<const std::vector<SourceRoute>>(f.routes);
    const auto had = sources_.find(f.instance->name());
    if (had != sources_.end() && had->second.source->instance == f.instance) {
      found.source = had->second.source;
      continue;
    }
    found.source = std::make_shared<Source>();
    found.source->name = f.instance->name();
    found.source->instance = f.instance;
    found.source->limits = &limits_;
    if (had != sources_.end()) found.source->cursors = had->second.source->cursors.load();  // until it shows
  }
  sources_ = std::move(next);
}

Ingress::Found Ingress::find(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto found = sources_.find(name);
  return found == sources_.end() ? Found{} : found->second;
}

std::vector<Ingress::Target> Ingress::channels_of(const std::string& name, const RoutesOfSource& routes,
                                                  std::string_view subject) {
  std::vector<Target> channels;
  if (!routes) return channels;
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
  const Found found = find(instance.name());
  if (!found.source) return WEIR_E_CLOSED;
  Source& s = *found.source;
  const Source::Inside inside(s);
  auto batch = std::make_shared<Batch>();
  batch->source = found.source;
  std::vector<std::vector<Mail>> mails(shards_.size());
  std::string subject_before;
  std::vector<Target> channels;
  bool shard_full = false;
  for (; *accepted < count && !shard_full && (s.has_room() || (*accepted == 0 && s.events == 0 && !s.ending));
       ++*accepted) {
    const weir_event& e = event_at(events, stride, *accepted);
    if (subject_before != text(e.subject) || *accepted == 0) {  // sources emit runs of one subject
      subject_before = text(e.subject);
      channels = channels_of(s.name, found.routes, subject_before);
    }
    const auto size = static_cast<std::int64_t>(e.data.size + 64);
    ++s.events;
    s.bytes += size;
    ++batch->events;
    batch->bytes += size;
    if (e.cursor.size != 0) batch->cursor = text(e.cursor);
    if (channels.empty()) ++s.unrouted;
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
  auto source = find(instance.name()).source;
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
  mail::SourceGap gap{instance.name(), {}, std::nullopt, count, std::string(reason)};
  const std::string& separator = instance.library().info().subject_separator;
  auto pattern = Pattern::parse_subject(subject, separator.empty() ? '/' : separator[0]);
  if (pattern && pattern->has_stars()) {
    gap.subject = std::move(*pattern);
  } else if (!subject.empty()) {
    for (Target& target : channels_of(instance.name(), find(instance.name()).routes, subject))
      gap.channels.push_back(std::move(target.channel));
    if (gap.channels.empty()) return;
  }
  for (ShardHost* shard : shards_) shard->put(letter(mail::SourceGap(gap)));
}

bool Ingress::figures(std::function<void(std::string)> done) {
  if (!figures_) return false;
  figures_(std::move(done));
  return true;
}

Ingress::Counters Ingress::counters(const std::string& source) const {
  const Found found = find(source);
  if (!found.source) return {};
  const Source& s = *found.source;
  return {s.taken, s.unrouted, s.refused, static_cast<std::uint64_t>(s.events.load()), s.pauses};
}

}  // namespace weir
