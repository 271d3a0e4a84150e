// The base of a source written in C++. The derived class is made by the hub's create(): its constructor takes
// (Host, const json::Value& config), looks at the config only, and throws Failure(WEIR_E_CONFIG, ...) if it can't be
// used. Life: constructor -> start -> (pause <-> resume, accepted)* -> stop -> destructor. Threads: [strand].
// Exceptions become a status and a message at the border; one from start() makes the instance failed.
#pragma once
#include <string_view>

#include "weir/sdk/emitter.hpp"
#include "weir/sdk/host.hpp"
#include "weir/sdk/json.hpp"
#include "weir/sdk/pending.hpp"

namespace weir::sdk {

// What the first subscriber of a subject waits for.
class Activation : public Pending {
 public:
  using Pending::Pending;
  // It is on its way, and what there is of the past has been emitted. Also when the upstream is away: it will come.
  void ready() { give(WEIR_OK, {}); }
  void not_found(std::string_view message) { give_error(WEIR_E_NOT_FOUND, message); }
  void refuse(weir_status status, std::string_view message) { give_error(status, message); }
};

class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  // Begin to work and return at once; connect in the background and say so with host.state().
  virtual void start() = 0;
  // Stop reading (with an Emitter: emitter.pause()), and go on (emitter.resume()).
  virtual void pause() = 0;
  virtual void resume() = 0;
  // Everything up to this cursor has its place in the hub; now it may be acknowledged upstream.
  virtual void accepted(std::string_view /*cursor*/) {}
  // Just before accepted() of that cursor: since the one before, at least one event found no place in the hub.
  virtual void refused(std::string_view /*cursor*/) {}
  // Somebody watches what `subject` feeds, where the manifest says `on_demand`: begin to emit what comes under it, and
  // say so. See weir/abi/source.h. Only for a plugin whose manifest JSON has "on_demand".
  virtual void activate(std::string_view /*subject*/, Activation activation) {
    activation.refuse(WEIR_E_INVALID, "this source does not work on demand");
  }
  virtual void deactivate(std::string_view /*subject*/) {}
  // End all work and join all threads.
  virtual void stop() = 0;
};

}  // namespace weir::sdk
