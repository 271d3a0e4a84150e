// The recent events of one channel in memory. The oldest leave first: when there are more than events_max, more than
// bytes_max, when they are older than age_max_ms, or when all channels of the shard together hold more than the shared
// budget. Threads: [channel]; a HistoryBudget belongs to one shard.
#pragma once
#include <deque>
#include <unordered_map>

#include "base/ids.hpp"
#include "routing/channel_log.hpp"
#include "routing/routes.hpp"

namespace weir {

class MemoryLog;

// Keeps the histories of one shard below a common number of bytes by letting the oldest event of all go first.
class HistoryBudget {
 public:
  explicit HistoryBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  std::size_t bytes() const { return bytes_; }
  void set_bytes_max(std::size_t bytes_max) { bytes_max_ = bytes_max; }  // what is too much goes with the next event

 private:
  friend class MemoryLog;
  struct Entry {
    std::uint64_t log;
    SequenceId sequence_id;
  };
  std::uint64_t join(MemoryLog* log);
  void leave(std::uint64_t id) { logs_.erase(id); }
  void added(std::uint64_t log, SequenceId sequence_id, std::size_t bytes);
  void removed(std::size_t bytes) { bytes_ -= bytes, --events_; }
  void compact();

  std::size_t bytes_max_, bytes_ = 0, events_ = 0;
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, MemoryLog*> logs_;
  std::deque<Entry> order_;  // as they came; holds entries of events that have left already
};

class MemoryLog final : public ChannelLog {
 public:
  MemoryLog(std::string channel, std::string epoch, const HistoryRule& rule, HistoryBudget& budget, Sink& sink,
            const Clock& clock, IdMaker& ids);
  ~MemoryLog() override;
  void append(Draft&& draft, Ticket&& ticket) override;
  const std::string& epoch() const override { return epoch_; }
  SequenceId head() const override { return head_; }
  SequenceId first() const override { return head_ + 1 - kept_.size(); }
  void read(SequenceId since, std::size_t events_max, std::size_t bytes_max, ReadDone done) override;
  void walk_back(const std::function<bool(const EventPtr&)>& f) const override;
  std::size_t events() const override { return kept_.size(); }
  std::size_t bytes() const override { return bytes_; }
  void prune(SteadyMs now) override;
  void keep(const HistoryRule& rule) override;

 private:
  friend class HistoryBudget;
  struct Kept {
    EventPtr event;
    SteadyMs since;  // 0 where nothing grows old
  };
  void drop_oldest();

  const std::string channel_, epoch_;
  HistoryRule rule_;
  HistoryBudget& budget_;
  const std::uint64_t id_;
  Sink& sink_;
  const Clock& clock_;
  IdMaker& ids_;
  SequenceId head_ = 0;
  std::deque<Kept> kept_;
  std::size_t bytes_ = 0;
};

}  // namespace weir
