// The rules of one channel as the routing sees them; the Lua engine stands behind (core/rules).
// Threads: [channel].
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "routing/draft.hpp"
#include "routing/event.hpp"
#include "routing/identity.hpp"

namespace weir {

struct RuleVerdict {
  bool keep = true;
  std::string reason{};  // when not kept: what the rule said, or what went wrong; counted, told to the publisher
  bool failed = false;   // not kept because a rule failed (error or budget), not because it decided so
};

class RuleChain {
 public:
  virtual ~RuleChain() = default;
  // Runs the rules in order; each sees what the one before made. Kept: `draft` is the event now (unchanged bytes stay
  // the same string), and `more` has the further events that a rule split it into, in order behind it. Never throws and
  // never takes longer than the budget of its rules.
  virtual RuleVerdict run(Draft& draft, std::vector<Draft>& more) = 0;

  // One of the rules wants to be asked about what clients publish (`on_publish`).
  virtual bool asks_publishers() const = 0;
  // Then called before run() for what a client publishes. Not kept: it may not.
  virtual RuleVerdict may_publish(const Identity& who, const Draft& draft) = 0;

  // One of the rules keeps a state of the channel (`reduce`, `snapshot`). What follows is called only then.
  virtual bool has_state() const = 0;
  // The state takes in an event that has got its place; in their order, each once.
  virtual void reduce(const Event& event) = 0;
  // The state for somebody who asks, as JSON text. `params`: a JSON object. Errors: unavailable - the rule failed.
  virtual Result<std::string> snapshot(std::string_view params) = 0;
};

// Opens the chain of one channel. One provider per shard; it outlives its chains.
class RuleProvider {
 public:
  virtual ~RuleProvider() = default;
  // `rules`: indices into the manifest's list of distinct rules (manifest.hpp, Manifest::rules).
  virtual std::unique_ptr<RuleChain> open(std::span<const std::size_t> rules, std::string_view channel,
                                          const Variables& variables) = 0;
  // The same after the rules have been replaced (a reload): what `before` knew of the channel goes over where the rule
  // is the same, or takes the other one's state. `before` may be null.
  virtual std::unique_ptr<RuleChain> reopen(std::unique_ptr<RuleChain> before, std::span<const std::size_t> rules,
                                            std::string_view channel, const Variables& variables) = 0;
  // Asks the rules' `on_subscribe`: the filters that the subscription must have, as JSON texts. Not on the channel's
  // shard but on that of the connection. Errors: forbidden - a rule says no; internal - one failed.
  virtual Result<std::vector<std::string>> may_subscribe(std::span<const std::size_t> rules, std::string_view channel,
                                                         const Variables& variables, const Identity& who,
                                                         std::string_view params) = 0;
  // A client's request to that rule (`on_request`): the answer, as JSON text. `params`: JSON text.
  // Errors: what the rule says; internal - it failed; unavailable - it is quarantined.
  virtual Result<std::string> request(std::size_t rule, const Identity& who, std::string_view method,
                                      std::string_view params) = 0;
};

}  // namespace weir
