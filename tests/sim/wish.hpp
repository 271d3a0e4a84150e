// What a simulated client wants, in two forms: as it is said to the hub, and as plain C++ that decides which events it
// means. Threads: one.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "routing/pattern.hpp"
#include "routing/routes.hpp"
#include "sim/truth.hpp"

namespace weir::sim {

// A filter, said and meant. The meaning does not use the hub's filters.
struct SimFilter {
  enum class Kind { none, name, names, size, owner, not_name, both };
  Kind kind = Kind::none;
  std::string text;
  int at_least = 0;
  std::string word;
  bool matches(const Record& r) const;
  std::string json() const;
  static SimFilter make(Random& random);
};

// Who a client is and what it may see; the hub learns the same from routes and identities.
struct User {
  Identity identity;
  bool may_see(const std::string& channel) const;
  bool may_see(const std::string& channel, const Record& r) const {
    return may_see(channel) && (!channel.starts_with("mine/") || r.owner == identity.subject);
  }
};

// How far one subscription has come in one channel: every event up to here that it wants has come, or was said to be
// lost.
struct Cursor {
  std::string epoch;
  SequenceId at = 0;
  bool unknown = false;  // the hub said that it does not know: the next event begins anew
};

struct Wish {
  std::string text;
  std::optional<Pattern> pattern;
  SimFilter filter;
  ReplayRequest replay;
  std::string params = "{}";
  std::uint64_t request = 0;
  bool acked = false;
  std::map<std::string, Cursor> cursors;
  std::map<std::string, Position> heads_when_asked;  // pattern
  std::int64_t replay_left = 0;
  std::map<std::string, SequenceId> heads;  // where the channels stood: what is announced ends there
  bool replay_checked = true;               // false once another subscription or a gap makes the count meaningless
  std::unique_ptr<Wish> replaces;           // what it replaces, until the answer is there
  bool answered = false;                    // by the channel's owner; the frame may wait for others
  bool late = false;                        // it was let in before the source was at work
  bool gap_owed = false;                    // and is to hear of that
  bool may_lack = false;                    // the answer said that it has not recovered
  // Channels whose state it was promised and has not got: where nothing was to be replayed it begins there.
  std::set<std::string> state_due;
  bool covers(const std::string& channel) const { return pattern ? pattern->matches(channel) : text == channel; }
};

}  // namespace weir::sim
