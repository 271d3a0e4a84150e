#include <algorithm>
#include <cstring>
#include <forward_list>
#include <mutex>
#include <optional>
#include <system_error>
#include <vector>

#include "plugin_host/border.hpp"
#include "plugin_host/flow_instance.hpp"
#include "plugin_host/pending.hpp"
#include "weir/abi/http.h"
#include "weir/abi/responder.h"
#include "weir/abi/sink.h"
#include "weir/abi/source.h"

namespace weir {

// What came since the plugin was last told something. Of most only the newest counts, so this hardly grows.
struct FlowInstance::Told {
  static constexpr std::size_t kCursorsMax = 1024;
  struct Cursor {
    bool refused;
    std::string text;
  };
  std::mutex mutex;
  std::optional<bool> paused;  // guarded by mutex down to here
  std::vector<Cursor> cursors;
  bool posted = false;
};

FlowInstance::FlowInstance(std::string name, std::shared_ptr<const Library> library, FlowPort& port,
                           const Settings& settings)
    : Instance(std::move(name), std::move(library)),
      port_(port),
      data_max_(settings.bounds.data_max),
      told_(std::make_unique<Told>()),
      pending_(library_->responder() == nullptr && library_->http() == nullptr ? nullptr
                                                                               : std::make_unique<PendingCalls>()),
      deadlines_(library_->info().on_demand == PluginInfo::OnDemand::no ? nullptr : std::make_unique<PendingCalls>()),
      outlet_(std::make_unique<Outlet>(
          settings.outlet,
          Outlet::Ports{
              [this](const weir_event* events, std::uint32_t count, std::uint32_t* taken) -> weir_status {
                if (!started() || border_->status().state == InstanceState::failed)
                  return WEIR_E_FULL;  // waits for who comes next
                return library_->sink()->deliver(instance_, events, sizeof(weir_event), count, taken);
              },
              [this] { border_->strand().post_always("deliver()", [this] { outlet_->pump(); }); },
              [this](std::int64_t ms) {
                border_->strand().timer_start(static_cast<std::uint64_t>(ms), 0, [this] { outlet_->retry(); });
              },
              [this] { port_.room(*this); }, [this](const std::string& what) { border_->misbehaving(what); }})),
      demand_(std::make_unique<Demand>(
          settings.linger_ms,
          Demand::Ports{
              [this](const std::string& subject, std::uint32_t activation) { activate(subject, activation); },
              [this](const std::string& subject) {
                if (started() && library_->info().on_demand != PluginInfo::OnDemand::no)
                  library_->source()->deactivate(instance_, {subject.data(), subject.size()});
              },
              [this](std::function<void()> task) { border_->strand().post_always("activate()", std::move(task)); },
              [this](std::int64_t ms, std::function<void()> call) {
                return border_->strand().timer_start(static_cast<std::uint64_t>(ms), 0, std::move(call));
              },
              [this](std::uint64_t id) { border_->strand().timer_cancel(id); }})) {
  border_->attach(this);
}

FlowInstance::~FlowInstance() = default;

Result<std::shared_ptr<FlowInstance>> FlowInstance::create(std::string name, std::shared_ptr<const Library> library,
                                                           const std::string& config_json, FlowPort& port,
                                                           const Settings& settings, std::string* json_pointer) {
  const Library& lib = *library;
  Calls calls{};
  const auto of = [](const auto* table) { return Calls{table->create, table->start, table->stop, table->destroy}; };
  if (lib.source() != nullptr)
    calls = of(lib.source());
  else if (lib.sink() != nullptr)
    calls = of(lib.sink());
  else if (lib.responder() != nullptr)
    calls = of(lib.responder());
  else if (lib.http() != nullptr)
    calls = of(lib.http());
  else
    return fail(Errc::bad_request, "plugin \"" + name + "\": " + lib.path() +
                                       " is no source, sink, responder or HTTP handler; it offers " +
                                       lib.info().kinds.front());
  std::shared_ptr<FlowInstance> made;
  try {
    made.reset(new FlowInstance(name, std::move(library), port, settings), &Instance::end);
  } catch (const std::system_error& e) {
    return no_room(name, e);
  }
  const auto created = made->Instance::create(calls, config_json, json_pointer);
  if (!created) return created.error();
  return made;
}

namespace {
// JSON made of other data before the hub has said that it has room for it.
constexpr std::size_t kMadeBytesMax = 4 * 1024 * 1024;

weir_event copy_of(const weir_event& event) {
  weir_event copy{};
  std::memcpy(&copy, &event, std::min<std::size_t>(event.struct_size, sizeof copy));
  copy.struct_size = sizeof copy;
  return copy;
}
}  // namespace

void FlowInstance::use(const Settings& settings) {
  data_max_ = settings.bounds.data_max;
  outlet_->use(settings.outlet);
  demand_->linger(settings.linger_ms);
}

std::size_t FlowInstance::offer(std::span<Outgoing> events) {
  return library_->sink() == nullptr ? 0 : outlet_->offer(events);
}
std::size_t FlowInstance::take_over(FlowInstance& before) {
  return before.outlet_->hand_on(library_->sink() == nullptr ? nullptr : outlet_.get());
}
void FlowInstance::sink_ready() { outlet_->ready(); }

weir_status FlowInstance::emit(const weir_event* events, std::uint32_t stride, std::uint32_t count,
                               std::uint32_t* accepted) {
  if (const std::string wrong = wrong_with_batch(events, stride, count); !wrong.empty()) {
    border_->counts.refused_invalid += count;
    border_->misbehaving(wrong);
    return WEIR_E_INVALID;
  }
  if (count == 0) return WEIR_OK;
  EventBounds bounds;
  bounds.data_max = data_max_;
  thread_local const auto indexes = std::make_unique<BatchIndex>();
  indexes->begin();
  const weir_event* const all = events;
  const std::uint32_t all_stride = stride;
  std::uint32_t good = 0;
  std::string wrong;
  std::forward_list<std::string> made;  // JSON of what came as something else; indexes borrow it
  std::string none;
  std::vector<weir_event> copies;  // the whole batch, once one of it had to be turned into JSON
  std::size_t made_bytes = 0;
  for (; good < count; ++good) {
    if (made_bytes >= kMadeBytesMax) break;  // the rest when the hub has taken these
    const weir_event& event = event_at(events, stride, good);
    const bool json = event.flags == WEIR_DATA_JSON;
    if (!json && (made.empty() || !made.front().empty())) made.emplace_front();
    std::string& text = json ? none : made.front();
    wrong = wrong_with_event(event, stride, bounds, indexes->next(), text);
    if (!wrong.empty()) break;
    indexes->checked();
    if (text.empty() && copies.empty()) continue;
    while (copies.size() <= good)
      copies.push_back(copy_of(event_at(events, stride, static_cast<std::uint32_t>(copies.size()))));
    if (text.empty()) continue;
    copies.back().data = {text.data(), text.size()};
    made_bytes += text.size();
  }
  if (!copies.empty()) {
    events = copies.data();
    stride = sizeof(weir_event);
  }
  weir_status status = WEIR_OK;
  if (good != 0) {
    status = port_.emit(*this, events, stride, good, indexes->kept(), accepted);
    indexes->trim();
    if (*accepted > good) *accepted = good;
  }
  auto& counts = border_->counts;
  const bool in_pieces = good < count && wrong.empty();
  counts.emitted += in_pieces ? good : count;
  counts.accepted += *accepted;
  if (in_pieces && *accepted == good && status == WEIR_OK) {
    std::uint32_t more = 0;
    const weir_status rest = emit(&event_at(all, all_stride, good), all_stride, count - good, &more);
    *accepted += more;
    return rest;
  }
  if (in_pieces) return status == WEIR_E_CLOSED ? WEIR_E_CLOSED : WEIR_E_FULL;
  if (*accepted < good) {
    // Whatever the sink calls it: the source learns where to go on.
    counts.refused_full += good - *accepted;
    return status == WEIR_E_CLOSED ? WEIR_E_CLOSED : WEIR_E_FULL;
  }
  if (good == count) return status == WEIR_PAUSE || status == WEIR_E_FULL ? WEIR_PAUSE : WEIR_OK;
  ++counts.refused_invalid;
  border_->misbehaving("event " + std::to_string(good) + " of " + std::to_string(count) + ": " + wrong);
  // A PAUSE gets lost behind INVALID; the source then learns of it from the next event that finds no room.
  return WEIR_E_INVALID;
}

void FlowInstance::pause() {
  const std::lock_guard lock(told_->mutex);
  told_->paused = true;
  tell_soon("pause()");
}

void FlowInstance::resume() {
  const std::lock_guard lock(told_->mutex);
  told_->paused = false;
  tell_soon("resume()");
}

void FlowInstance::accepted(std::string_view cursor) {
  const std::lock_guard lock(told_->mutex);
  auto& cursors = told_->cursors;
  if (!cursors.empty() && !cursors.back().refused)
    cursors.back().text = cursor;  // it speaks for all before it
  else
    cursors.push_back({false, std::string(cursor)});
  tell_soon("accepted()");
}

void FlowInstance::refused(std::string_view cursor) {
  const std::lock_guard lock(told_->mutex);
  auto& cursors = told_->cursors;
  // When the strand is stuck, this one speaks for what stands before it as well.
  if (cursors.size() >= Told::kCursorsMax && !cursors.back().refused) cursors.pop_back();
  if (cursors.size() + 1 >= Told::kCursorsMax && cursors.back().refused)
    cursors.back().text = cursor;
  else
    cursors.push_back({true, std::string(cursor)});
  tell_soon("refused()");
}

// Under the mutex of told_.
void FlowInstance::tell_soon(const char* what) {
  if (std::exchange(told_->posted, true)) return;
  border_->strand().post_always(what, [this] { tell(); });
}

void FlowInstance::tell() {
  std::optional<bool> paused;
  std::vector<Told::Cursor> cursors;
  {
    const std::lock_guard lock(told_->mutex);
    paused.swap(told_->paused);
    cursors.swap(told_->cursors);
    told_->posted = false;
  }
  if (!started()) return;
  const weir_source_v1& table = *library_->source();
  const auto refused = WEIR_HAS(&table, weir_source_v1, refused) ? table.refused : nullptr;
  for (const Told::Cursor& cursor : cursors)
    if (const auto call = cursor.refused ? refused : table.accepted; call != nullptr)
      call(instance_, {cursor.text.data(), cursor.text.size()});
  if (!paused) return;
  const auto call = *paused ? table.pause : table.resume;
  if (call != nullptr) call(instance_);
}

}  // namespace weir
