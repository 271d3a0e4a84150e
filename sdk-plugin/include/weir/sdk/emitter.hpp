// Hands a source's events to the hub in batches and keeps what the hub did not take.
//   emitter.add({.subject = "a/b", .event = "line", .data = json});      a copy; leaves with its batch
//   if (emitter.full()) stop reading until Source::resume(), where emitter.resume() is called
// A batch leaves at 64 events, at 64 KiB, or when the strand is free again, but no sooner than 3 ms after the one
// before: what comes seldom leaves at once, and under load events gather, as one batch costs the hub about as much as
// one event. Keeps at most 4096 events and 4 MiB that the hub does not take, so that what one read brought in need not
// be thrown away; beyond it add() refuses. A source that looks at full() before it reads never gets there. What was
// lost upstream is told by gap(), in its place among the events. Threads: [strand].
#pragma once
#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "weir/sdk/host.hpp"

namespace weir::sdk {

enum class Data : std::uint32_t { json = WEIR_DATA_JSON, text = WEIR_DATA_TEXT, any = WEIR_DATA_ANY };

struct Event {
  std::string_view subject{};
  std::string_view event{};
  std::string_view data{};  // JSON text (empty: null), or what `kind` says
  std::string_view id{};    // empty: the hub makes one
  std::string_view key{};
  std::string_view cursor{};  // handed back by Source::accepted()
  std::int64_t time_ms = 0;   // 0: now
  Data kind = Data::json;     // others: the hub makes JSON of it (ABI 1.1)
};

class Emitter {
 public:
  static constexpr std::size_t kBatchEvents = 64;
  static constexpr std::size_t kBatchBytes = 64 * 1024;
  static constexpr std::int64_t kBatchMs = 3;
  static constexpr std::size_t kKeptEventsMax = 4096;
  static constexpr std::size_t kKeptBytesMax = 4 * 1024 * 1024;

  explicit Emitter(Host host) : host_(std::move(host)) {}

  // False, and the event is not taken, when the hub is gone or when too much is kept already (then resume() tells
  // when).
  [[nodiscard]] bool add(const Event& event) {
    if (closed_) return false;
    if (!kept_.empty() && (kept_.size() >= kKeptEventsMax || bytes_ >= kKeptBytesMax)) return false;
    kept_.emplace_back(event);
    bytes_ += kept_.back().size();
    if (waiting_) return true;
    if (kept_.size() >= kBatchEvents || bytes_ >= kBatchBytes)
      flush();
    else if (!timer_.running())
      timer_.start(host_, rest_ms(), 0, [this] { flush(); });
    return true;
  }

  // Host::gap() behind what was added before it, however long the hub does not take that. Not from on_invalid().
  void gap(std::string_view subject, std::uint64_t count, std::string_view reason) {
    flush();
    if (closed_) return;
    if (kept_.empty()) return host_.gap(subject, count, reason);
    Kept gap({.subject = subject, .data = reason}, count);
    if (const Kept& last = kept_.back(); last.gap) {
      const bool same = last.bytes == gap.bytes && last.ends == gap.ends;
      // One for both; where no more are kept apart, one of every subject.
      if (same || kept_.size() >= kKeptEventsMax) {
        const std::uint64_t sum = *last.gap == 0 || count == 0 ? 0 : *last.gap + count;
        gap = Kept({.subject = same ? subject : "", .data = reason}, sum);
        bytes_ -= last.size();
        kept_.pop_back();
      }
    }
    bytes_ += gap.size();
    kept_.push_back(std::move(gap));
  }

  // Whether so many more events with so many bytes of texts in all would be kept, every one of them, even if the hub
  // takes nothing: for what is to be taken as a whole or not at all.
  bool fits(std::size_t events, std::size_t bytes) const {
    if (closed_) return false;
    if (kept_.empty() && events <= 1) return true;
    return kept_.size() + events <= kKeptEventsMax && bytes_ + bytes + events * sizeof(Kept) <= kKeptBytesMax;
  }

  // The hub wants no more for now: stop reading. resume() ends it.
  bool full() const { return waiting_ || closed_; }
  bool closed() const { return closed_; }             // stopped: nothing is taken ever again
  std::size_t kept() const { return kept_.size(); }   // events, and gaps behind them, that the hub has not taken yet
  std::uint64_t invalid() const { return invalid_; }  // events that the hub called wrong (its log says why)

  // Called with the cursor of an event that the hub called wrong: it is not accepted, and never will be. Not to add()
  // or flush() from there.
  void on_invalid(std::function<void(std::string_view cursor)> call) {
    on_invalid_ = [call = std::move(call)](const weir_event& event) { call(to_view(event.cursor)); };
  }
  // Instead: with the whole event.
  void on_invalid_event(std::function<void(const weir_event& event)> call) { on_invalid_ = std::move(call); }

  // From Source::pause(): the same as a hub that said PAUSE.
  void pause() { waiting_ = true; }
  // From Source::resume(): offers what was kept. True when the source may read again.
  bool resume() {
    waiting_ = false;
    flush();
    return !full();
  }
  // Offers what is there now, without waiting for the batch to fill. Before the end of stop(), for instance.
  void flush() {
    timer_.cancel();
    while (!kept_.empty() && (kept_.front().gap || !full())) offer();
  }
  // The cursor of the event that the hub is offered next; empty when none is kept. Until add(), flush() or resume().
  std::string_view next_cursor() const { return kept_.empty() ? std::string_view() : kept_.front().cursor(); }
  // Throws away what the hub has not taken of a subject: it was deactivated.
  void drop(std::string_view subject) {
    drop_if([&](const weir_event& event) { return to_view(event.subject) == subject; });
  }
  // Throws away what the hub has not taken and for which `gone(const weir_event&)` is true.
  template <class Gone>
  void drop_if(Gone gone) {
    const auto drops = [&](const Kept& kept) {
      if (kept.gap || !gone(kept.view())) return false;
      bytes_ -= kept.size();
      return true;
    };
    kept_.erase(std::remove_if(kept_.begin(), kept_.end(), drops), kept_.end());
  }

 private:
  // One event in one block: the six texts behind each other.
  struct Kept {
    explicit Kept(const Event& e, std::optional<std::uint64_t> count = {})
        : time_ms(e.time_ms), kind(e.kind), gap(count) {
      const std::array<std::string_view, 6> parts = {e.subject, e.event, e.data, e.id, e.key, e.cursor};
      std::size_t total = 0;
      for (const auto part : parts) total += part.size();
      bytes.reserve(total);
      for (std::size_t i = 0; i < parts.size(); ++i) {
        bytes += parts[i];
        ends[i] = bytes.size();
      }
    }
    std::size_t size() const { return bytes.size() + sizeof(Kept); }
    std::string_view part(std::size_t i) const {
      const std::size_t from = i == 0 ? 0 : ends[i - 1];
      return std::string_view(bytes).substr(from, ends[i] - from);
    }
    std::string_view cursor() const { return part(5); }
    weir_event view() const {
      return {sizeof(weir_event),
              static_cast<std::uint32_t>(kind),
              to_str(part(0)),
              to_str(part(1)),
              to_str(part(2)),
              to_str(part(3)),
              to_str(part(4)),
              to_str(part(5)),
              time_ms};
    }
    std::string bytes;
    std::array<std::size_t, 6> ends{};
    std::int64_t time_ms;
    Data kind;
    std::optional<std::uint64_t> gap;  // it is a gap of so many events, and its data is the reason
  };

  std::uint64_t rest_ms() const {
    const std::int64_t since = host_.steady_ms() - offered_ms_;
    return since < 0 || since >= kBatchMs ? 0 : static_cast<std::uint64_t>(kBatchMs - since);
  }

  void offer() {
    if (const Kept& first = kept_.front(); first.gap) {
      host_.gap(first.part(0), *first.gap, first.part(2));
      return forget(1);
    }
    std::array<weir_event, kBatchEvents> batch;
    std::uint32_t count = 0;
    for (std::size_t size = 0; count < kBatchEvents && count < kept_.size() && !kept_[count].gap; ++count) {
      size += kept_[count].size();
      if (count != 0 && size > kBatchBytes) break;
      batch[count] = kept_[count].view();
    }
    offered_ms_ = host_.steady_ms();
    std::uint32_t taken = 0;
    const weir_status status = host_.emit(batch.data(), count, taken);
    forget(taken < count ? taken : count);
    if (status == WEIR_E_INVALID && taken < count) {
      ++invalid_;
      if (on_invalid_) on_invalid_(kept_.front().view());
      forget(1);
    } else if (status == WEIR_PAUSE || status == WEIR_E_FULL) {
      waiting_ = true;
    } else if (status != WEIR_OK) {  // closed, or a hub that says something this SDK does not know: both end it
      closed_ = true;
      forget(kept_.size());
    }
  }
  void forget(std::size_t count) {
    for (; count != 0; --count) {
      bytes_ -= kept_.front().size();
      kept_.pop_front();
    }
  }

  Host host_;
  std::function<void(const weir_event&)> on_invalid_;
  Timer timer_;
  std::deque<Kept> kept_;
  std::size_t bytes_ = 0;
  std::int64_t offered_ms_ = -kBatchMs;  // host.steady_ms()
  std::uint64_t invalid_ = 0;
  bool waiting_ = false;
  bool closed_ = false;
};

}  // namespace weir::sdk
