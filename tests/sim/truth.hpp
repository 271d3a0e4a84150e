// What really happened, written down where it happens: the simulator's rule sees every publication in the channel's
// order, right before it gets its place. So the sequence id of the n-th event that a channel's rule keeps is n.
// Threads: one.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "routing/rule_chain.hpp"
#include "routing/shard.hpp"

namespace weir::sim {

// A promise that was not kept.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Record {
  std::uint64_t n = 0;  // no two publications have the same
  std::string name, owner, data, dedupe, key;
  int size = 0;
  bool from_source = false;
};

// What a gap says to who was let in before a source on demand was at work.
inline constexpr const char* kNotAtWorkYet = "the source was not at work yet";

// One life of one channel.
struct Life {
  std::string epoch;  // empty until it was looked up
  std::vector<Record> events;
  std::size_t kept = 0;  // how many history holds, as of the last look
  bool over = false;
  // Of a channel on demand: what came upstream after these events while its source was not at work.
  std::vector<SequenceId> missed;
  bool at_work = false;        // its owner has heard that its source is at work for its name
  bool waited_enough = false;  // nobody waits for that any more
  bool let_in_late = false;    // some were let in when it had heard of none
  SequenceId head() const { return events.size(); }
  const Record& at(SequenceId id) const { return events.at(static_cast<std::size_t>(id) - 1); }
  std::string state(SequenceId id, std::string_view params) const;  // after that event
};

// Whether the channel's rule keeps a state: of every event up to one, in order.
inline bool has_state(std::string_view channel) {
  return channel.starts_with("state/") || channel.starts_with("snap/");
}

class Truth final : public RuleProvider {
 public:
  std::unique_ptr<RuleChain> open(std::span<const std::size_t> rules, std::string_view channel,
                                  const Variables& variables) override;
  std::unique_ptr<RuleChain> reopen(std::unique_ptr<RuleChain> before, std::span<const std::size_t> rules,
                                    std::string_view channel, const Variables& variables) override;
  Result<std::vector<std::string>> may_subscribe(std::span<const std::size_t>, std::string_view, const Variables&,
                                                 const Identity&, std::string_view) override {
    return std::vector<std::string>();
  }
  Result<std::string> request(std::size_t, const Identity&, std::string_view, std::string_view) override {
    return fail(Errc::no_such_method, "the simulator has none");
  }
  // Learns epochs and how much history is left.
  void look(const Channels& channels);

  // Something came for that channel, and no source saw it: after all that the channel has of its source by now, and
  // after `then`, where it stood when that came. `asked`: those who wait know that theirs is not at work yet.
  void missed(const std::string& channel, bool asked, const Position& then);
  // The hub says that nothing since that position is missing.
  void check_recovered(const std::string& channel, const Position& since);

  Life* current(const std::string& channel);
  Life* find(const std::string& channel, const std::string& epoch);
  // A publication's data, and the number in it.
  std::string make_data(std::uint64_t& n, const std::string& owner, int size, int split, bool drop);
  bool was_dropped(std::uint64_t n) const { return n < dropped_.size() && dropped_[n]; }

  std::map<std::string, std::deque<Life>> channels;

 private:
  friend class Witness;
  std::uint64_t next_n_ = 1;
  std::vector<bool> dropped_;
};

}  // namespace weir::sim
