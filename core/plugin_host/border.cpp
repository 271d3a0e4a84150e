#include "plugin_host/border.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <iterator>
#include <thread>
#include <vector>

#include "base/json.hpp"
#include "base/log.hpp"
#include "plugin_host/flow_instance.hpp"
#include "weir/abi/auth.h"
#include "weir/abi/sink.h"

namespace weir {
namespace {

constexpr std::size_t kTextMax = 4096;  // of a reason or a log line

std::string_view raw_view(weir_str text) {
  return text.ptr == nullptr ? std::string_view() : std::string_view(text.ptr, static_cast<std::size_t>(text.size));
}

}  // namespace

std::string safe_text(weir_str text, std::size_t most) {
  if (text.ptr == nullptr) return {};
  return json::to_utf8(std::string_view(text.ptr, static_cast<std::size_t>(text.size < most ? text.size : most)));
}

namespace {

// The members of a plugin's fields become fields of the line. None takes the name of what the hub itself says there.
void write_with_members(log::Level level, const std::string& instance, const std::string& text, json::Value object) {
  constexpr std::string_view kOwn[] = {"time", "level", "component", "message", "repeated"};
  std::deque<std::string> keys;  // what a Field's key points to
  std::vector<log::Field> fields;
  object.each_member([&](json::Value k, json::Value value) {
    std::string key = k.string();
    if (object.find(key).index() != value.index()) return;  // the last one counts
    if (std::find(std::begin(kOwn), std::end(kOwn), key) != std::end(kOwn)) key.insert(0, "plugin_");
    keys.push_back(std::move(key));
    if (value.is(json::Kind::string)) return fields.push_back({keys.back(), value.string()});
    std::string raw(value.raw());
    for (char& c : raw)
      if (static_cast<unsigned char>(c) < 0x20) c = ' ';  // between values, as strings have no control characters
    fields.push_back(log::Field::json(keys.back(), raw));
  });
  log::write(level, instance, text, fields);
}

}  // namespace

// While one exists, close() waits; when the instance is closed already, it says so.
class Border::Inside {
 public:
  enum class Late : bool { is_wrong, is_fine };
  explicit Inside(void* ctx, Late late = Late::is_wrong) : border_(*static_cast<Border*>(ctx)) {
    ++border_.inside_;
    open_ = !border_.closed_;
    if (!open_ && late == Late::is_wrong) ++border_.counts.calls_after_stop;
  }
  ~Inside() { --border_.inside_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  explicit operator bool() const { return open_; }
  Border* operator->() const { return &border_; }

 private:
  Border& border_;
  bool open_;
};

Border::Border(std::string instance) : instance_(std::move(instance)), strand_(std::make_unique<Strand>(instance_)) {
  host_ = {
      sizeof(weir_host), 0,         this,        &emit, &gap,    &log,          &state, &metric, &post, &timer_start,
      &timer_cancel,     &watch_fd, &unwatch_fd, &done, &now_ms, &get_extension};
  status_.since = system_clock().unix_ms();
}

Border* Border::make(std::string instance) {
  static std::mutex mutex;
  static auto* all = new std::vector<Border*>;  // reachable for ever, so that a leak checker knows that this is meant
  auto* made = new Border(std::move(instance));
  const std::lock_guard lock(mutex);
  all->push_back(made);
  return made;
}

bool Border::close(std::int64_t deadline_ms) {
  closed_ = true;
  // Calls from a plugin do not block, so this is over in microseconds; there is nothing to be woken by.
  const SteadyMs deadline = system_clock().steady_ms() + deadline_ms;
  while (inside_ != 0) {
    if (system_clock().steady_ms() >= deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

void Border::end_strand(bool behind) {
  if (behind)
    strand_->leave_behind();
  else
    strand_->close(), strand_->wait_closed(kStopMs);
}

void Border::set_state(InstanceState state, std::string reason) {
  const std::lock_guard lock(mutex_);
  if (status_.state == state && status_.reason == reason) return;
  if (status_.state != state) status_.since = system_clock().unix_ms();
  status_.state = state;
  status_.reason = std::move(reason);
}

InstanceStatus Border::status() const {
  InstanceStatus out;
  {
    const std::lock_guard lock(mutex_);
    out = status_;
  }
  const std::int64_t busy = strand_->busy_ms();
  if (busy > kStopMs && (out.state == InstanceState::running || out.state == InstanceState::starting)) {
    out.reason =
        std::string("does not return from ") + strand_->busy_with() + " since " + std::to_string(busy / 1000) + " s";
    out.state = InstanceState::degraded;
  }
  return out;
}

InstanceCounters Border::counters() const {
  InstanceCounters out;
  out.emitted = counts.emitted;
  out.accepted = counts.accepted;
  out.refused_full = counts.refused_full;
  out.refused_invalid = counts.refused_invalid;
  out.refused_closed = counts.refused_closed;
  out.gaps = counts.gaps;
  out.misbehaved = counts.misbehaved;
  out.calls_after_stop = counts.calls_after_stop;
  out.slow_callbacks = strand_->slow_callbacks();
  return out;
}

std::vector<std::pair<std::string, double>> Border::metrics() const {
  const std::lock_guard lock(mutex_);
  return {metrics_.begin(), metrics_.end()};
}

void Border::misbehaving(std::string_view what) const {
  ++counts.misbehaved;
  log::warn(instance_, "plugin misbehaving: " + std::string(what));
}

bool Border::on_strand(const char* call) {
  if (strand_->here()) return true;
  misbehaving(std::string(call) + " was called on another thread than the strand; post() gets there");
  return false;
}

bool Border::may_log(std::uint64_t& dropped) {
  const auto second = static_cast<std::uint64_t>(system_clock().steady_ms() / 1000);
  const std::lock_guard lock(mutex_);
  if (second != log_second_) {
    log_second_ = second;
    log_lines_ = 0;
    dropped = std::exchange(log_dropped_, 0);
  }
  if (++log_lines_ <= kLogLinesPerSecond) return true;
  ++log_dropped_;
  return false;
}

weir_status Border::emit(void* ctx, const weir_event* events, std::uint32_t stride, std::uint32_t count,
                         std::uint32_t* accepted) {
  std::uint32_t nowhere = 0;
  std::uint32_t& taken = accepted != nullptr ? *accepted : nowhere;
  taken = 0;
  const Inside self(ctx);
  if (!self) {
    static_cast<Border*>(ctx)->counts.refused_closed += count;
    return WEIR_E_CLOSED;
  }
  if (accepted == nullptr) self->misbehaving("emit() was given no place for the number of accepted events");
  if (self->flow_ == nullptr || self->flow_->library().source() == nullptr) {
    self->misbehaving("emit() was called by an instance that is no source");
    return WEIR_E_INVALID;
  }
  return self->flow_->emit(events, stride, count, &taken);
}

void Border::gap(void* ctx, weir_str subject, std::uint64_t count, weir_str reason) {
  const Inside self(ctx);
  if (!self || self->flow_ == nullptr) return;
  ++self->counts.gaps;
  self->flow_->port_.gap(*self->flow_, safe_text(subject, 1024), count, safe_text(reason, kTextMax));
}

void Border::log(void* ctx, std::int32_t level, weir_str message, weir_str fields_json) {
  auto& self = *static_cast<Border*>(ctx);  // allowed after stop, too
  std::uint64_t dropped = 0;
  const bool may = self.may_log(dropped);
  if (dropped != 0) log::warn(self.instance_, "too many log lines; some were left out", {{"count", dropped}});
  if (!may) return;
  const log::Level to = level <= WEIR_LOG_DEBUG  ? log::Level::debug
                        : level == WEIR_LOG_INFO ? log::Level::info
                        : level == WEIR_LOG_WARN ? log::Level::warn
                                                 : log::Level::error;
  if (!log::enabled(to)) return;
  const std::string text = safe_text(message, kTextMax), fields = safe_text(fields_json, kTextMax);
  json::Doc doc;
  if (doc.parse(fields) && doc.root().is(json::Kind::object))
    write_with_members(to, self.instance_, text, doc.root());
  else if (fields.empty())
    log::write(to, self.instance_, text);
  else
    log::write(to, self.instance_, text, {{"fields", fields}});
}

void Border::state(void* ctx, std::int32_t state, weir_str reason) {
  const Inside self(ctx);
  if (!self) return;
  if (state < WEIR_STATE_STARTING || state > WEIR_STATE_FAILED)
    return self->misbehaving("state " + std::to_string(state) + " is none that a plugin may set");
  const auto value = static_cast<InstanceState>(state);
  const std::string why = safe_text(reason, kTextMax);
  const InstanceState before = self->status().state;
  self->set_state(value, why);
  if (before == value) return;
  const auto level = value == InstanceState::failed                                         ? log::Level::error
                     : value == InstanceState::degraded || value == InstanceState::retrying ? log::Level::warn
                                                                                            : log::Level::info;
  log::write(level, self->instance_, std::string(to_word(value)) + (why.empty() ? "" : ": " + why));
}

void Border::metric(void* ctx, weir_str name, double value) {
  const Inside self(ctx);
  if (!self) return;
  const std::string_view key = name.size <= 64 ? raw_view(name) : std::string_view();
  if (key.empty() || key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string_view::npos ||
      !std::isfinite(value))
    return self->misbehaving("metric " + json::quoted(safe_text(name, 64)) +
                             ": a name is [a-z0-9_]{1,64}, a value is finite");
  bool full = false;
  {
    const std::lock_guard lock(self->mutex_);
    const auto it = self->metrics_.find(key);
    full = it == self->metrics_.end() && self->metrics_.size() >= kMetricsMax;
    if (it != self->metrics_.end())
      it->second = value;
    else if (!full)
      self->metrics_.emplace(key, value);
  }
  if (full) self->misbehaving("more than 64 metrics; " + json::quoted(key) + " is left out");
}

weir_status Border::post(void* ctx, weir_task_fn fn, void* arg) {
  const Inside self(ctx);
  if (!self) return WEIR_E_CLOSED;
  if (fn == nullptr) {
    self->misbehaving("post() was given no function");
    return WEIR_E_INVALID;
  }
  switch (self->strand_->post("a posted task", [fn, arg] { fn(arg); })) {
    case Strand::Posted::yes:
      return WEIR_OK;
    case Strand::Posted::full:
      return WEIR_E_FULL;
    case Strand::Posted::closed:
      break;
  }
  return WEIR_E_CLOSED;
}

std::uint64_t Border::timer_start(void* ctx, std::uint64_t delay_ms, std::uint64_t period_ms, weir_task_fn fn,
                                  void* arg) {
  const Inside self(ctx);
  if (!self || fn == nullptr || !self->on_strand("timer_start()")) return 0;
  return self->strand_->timer_start(delay_ms, period_ms, [fn, arg] { fn(arg); });
}

void Border::timer_cancel(void* ctx, std::uint64_t id) {
  const Inside self(ctx, Inside::Late::is_fine);  // destructors tidy up, and there is nothing left to end
  if (self && self->on_strand("timer_cancel()")) self->strand_->timer_cancel(id);
}

std::uint64_t Border::watch_fd(void* ctx, std::int32_t fd, std::uint32_t events, weir_watch_fn fn, void* arg) {
  const Inside self(ctx);
  if (!self || fn == nullptr || !self->on_strand("watch_fd()")) return 0;
  return self->strand_->watch_fd(fd, events, [fn, arg](std::uint32_t ready) { fn(arg, ready); });
}

void Border::unwatch_fd(void* ctx, std::uint64_t id) {
  const Inside self(ctx, Inside::Late::is_fine);  // destructors tidy up, and there is nothing left to end
  if (self && self->on_strand("unwatch_fd()")) self->strand_->unwatch_fd(id);
}

void Border::done(void* ctx, std::uint64_t token, weir_status status, weir_str result_json) {
  const Inside self(ctx);
  if (!self) return;
  const auto give = [&](weir_status how, std::string_view json) {
    if (self->auth_ != nullptr) return self->auth_->done(token, how, json);
    if (self->flow_ != nullptr) self->flow_->done(token, how, json);
  };
  if (result_json.size > WEIR_ANSWER_BYTES_MAX || (result_json.ptr == nullptr && result_json.size != 0)) {
    self->misbehaving("done() was given a result of " + std::to_string(result_json.size) + " bytes; there may be " +
                      std::to_string(WEIR_ANSWER_BYTES_MAX));
    return give(WEIR_E_INTERNAL, {});
  }
  give(status, raw_view(result_json));
}

std::int64_t Border::now_ms(void*) { return system_clock().unix_ms(); }

const void* Border::get_extension(void* ctx, const char* id) {
  static constexpr weir_auth_host_v1 auth = {sizeof(weir_auth_host_v1), 0, &revoke};
  static constexpr weir_sink_host_v1 sink = {sizeof(weir_sink_host_v1), 0, &sink_ready};
  static constexpr weir_hub_v1 hub = {
      sizeof(weir_hub_v1), 0, &stats, &log_lines, &instance_name, [](void*) { return system_clock().steady_ms(); }};
  const auto& self = *static_cast<const Border*>(ctx);
  if (id == nullptr) return nullptr;
  const std::string_view wanted(id);
  if (self.auth_ != nullptr) return wanted == WEIR_AUTH_HOST_V1 ? &auth : nullptr;
  if (wanted == WEIR_SINK_HOST_V1) return &sink;
  if (wanted == WEIR_HUB_V1) return &hub;
  return nullptr;
}

void Border::sink_ready(void* ctx) {
  const Inside self(ctx);
  if (self && self->flow_ != nullptr && self->flow_->library().sink() != nullptr) self->flow_->sink_ready();
}

weir_status Border::stats(void* ctx, void (*fn)(void*, weir_str), void* arg) {
  const Inside self(ctx);
  if (!self || self->flow_ == nullptr) return WEIR_E_CLOSED;
  if (fn == nullptr) return WEIR_E_INVALID;
  if (!self->on_strand("stats()")) return WEIR_E_THREAD;
  self->flow_->figures(fn, arg);
  return WEIR_OK;
}

weir_str Border::instance_name(void* ctx) {
  const std::string& name = static_cast<const Border*>(ctx)->instance_;
  return {name.data(), name.size()};
}

std::uint64_t Border::log_lines(void* ctx, std::uint64_t after, std::uint32_t most,
                                void (*fn)(void*, const weir_log_line*), void* arg) {
  const Inside self(ctx);
  if (!self || fn == nullptr) return after;
  const auto str = [](const std::string& text) { return weir_str{text.data(), text.size()}; };
  for (const log::Line& line : log::lines(after, most)) {
    const std::int32_t level = line.level <= log::Level::debug  ? WEIR_LOG_DEBUG
                               : line.level == log::Level::info ? WEIR_LOG_INFO
                               : line.level == log::Level::warn ? WEIR_LOG_WARN
                                                                : WEIR_LOG_ERROR;
    const weir_log_line raw = {
        sizeof(weir_log_line), level, line.time_ms, line.number, str(line.component), str(line.message),
        str(line.fields_json)};
    fn(arg, &raw);
    after = line.number;
  }
  return after;
}

void Border::revoke(void* ctx, weir_str key, weir_str reason) {
  const Inside self(ctx);
  if (!self || self->auth_ == nullptr || !self->auth_->revoke_) return;
  self->auth_->revoke_(self->auth_->name(), safe_text(key, 255), safe_text(reason, kTextMax));
}

}  // namespace weir
