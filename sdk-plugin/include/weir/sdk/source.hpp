// The base of a source written in C++. The derived class is made by the hub's create(): its constructor takes
// (Host, const json::Value& config), looks at the config only, and throws Failure(WEIR_E_CONFIG, ...) if it can't be
// used. Life: constructor -> start -> (pause <-> resume, accepted)* -> stop -> destructor. Threads: [strand].
// Exceptions become a status and a message at the border; one from start() makes the instance failed.
#pragma once
#include <string_view>

#include "weir/sdk/emitter.hpp"
#include "weir/sdk/host.hpp"
#include "weir/sdk/json.hpp"

namespace weir::sdk {

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
  // End all work and join all threads.
  virtual void stop() = 0;
};

}  // namespace weir::sdk
