// An instance of a plugin, and the border that it can't get across: every call that comes out of a plugin is checked
// here, every call into it runs on its strand, and nothing that it does wrong reaches further than a log line
// ("plugin misbehaving: ...") with the instance's name.
// A stop() that takes longer than kStopMs is given up: the thread and the instance are left behind, the hub goes on.
// Threads: create(), start(), stop() and the end of an instance are [main]; the rest as it says.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "plugin_host/event_check.hpp"
#include "plugin_host/library.hpp"
#include "weir/abi/host.h"

namespace weir {

class Border;  // the hub's side of weir_host; lives as long as the process
class PendingCalls;
class FlowInstance;

inline constexpr std::int64_t kCreateMs = 5'000;
inline constexpr std::int64_t kStopMs = 5'000;

// Values as in weir/abi/host.h.
enum class InstanceState : std::int32_t { created = 0, starting, running, degraded, retrying, failed, stopped };
std::string_view to_word(InstanceState state);

struct InstanceStatus {
  InstanceState state = InstanceState::created;
  std::string reason;  // a sentence, or empty
  UnixMs since = 0;
};

struct InstanceCounters {
  std::uint64_t emitted = 0;          // events offered
  std::uint64_t accepted = 0;         // events that the hub took
  std::uint64_t refused_full = 0;     // offered when there was no room; the source offers them again
  std::uint64_t refused_invalid = 0;  // events that were wrong
  std::uint64_t refused_closed = 0;   // offered when the instance was stopped
  std::uint64_t gaps = 0;
  std::uint64_t late_done = 0;         // answers that nobody waited for (any more)
  std::uint64_t misbehaved = 0;        // rules of the ABI that were broken
  std::uint64_t calls_after_stop = 0;  // any but log()
  std::uint64_t slow_callbacks = 0;    // callbacks beyond 100 ms
  std::uint64_t sent = 0;              // events that a sink took
  std::uint64_t undeliverable = 0;     // events that a sink could never deliver
  std::uint64_t requests = 0;          // that a responder or an HTTP handler was asked
};

class Instance {
 public:
  const std::string& name() const { return name_; }
  const Library& library() const { return *library_; }
  // What /health shows; a callback that does not return for seconds is part of it. [any]
  InstanceStatus status() const;
  virtual InstanceCounters counters() const;                    // [any]
  std::vector<std::pair<std::string, double>> metrics() const;  // sorted by name [any]

  // Lets the plugin's start() run and returns at once; status() tells how it went.
  void start();
  // Whether the plugin's start() has returned, well or not. [any]
  bool start_returned() const { return start_returned_; }
  // Everything that it was asked has been answered, or its deadline has passed. [any]
  virtual bool idle() const = 0;
  // Lets the plugin's stop() and destroy() run and waits. After it no callback of this instance comes any more.
  // False: it took longer than `deadline_ms` and was left behind.
  bool stop(std::int64_t deadline_ms = kStopMs);

  // The table that the plugin was given. For the conformance checker. [any]
  const weir_host* host() const;

 protected:
  Instance(std::string name, std::shared_ptr<const Library> library);
  virtual ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  // The system has no thread or descriptor for one more.
  static Error no_room(const std::string& name, const std::system_error& error);

  using CreateFn = weir_status (*)(const weir_host*, weir_str, void**, weir_error*);
  using StartFn = weir_status (*)(void*, weir_error*);
  using EndFn = void (*)(void*);
  struct Calls {
    CreateFn create;
    StartFn start;
    EndFn stop, destroy;
  };
  // Lets create() run and waits for it.
  Result<void> create(const Calls& calls, const std::string& config_json, std::string* json_pointer);
  virtual void on_stopped() {}  // [main], after the plugin's stop or when it is left behind

  // When `holder` is the last one: stops, and deletes unless the instance was left behind.
  static void end(Instance* instance);

  const std::string name_;
  const std::shared_ptr<const Library> library_;
  Border* const border_;      // owned by the process
  void* instance_ = nullptr;  // the plugin's own; [strand], constant between create() and stop()
  // Whether the plugin's start() went well: else nothing but stop() and destroy() is called. [strand]
  bool started() const { return started_; }

 private:
  Calls calls_{};
  std::atomic<bool> start_returned_{false};
  bool started_ = false;  // [strand]
  bool ended_ = false;    // [main] stop() ran
  bool left_behind_ = false;
};

// Who a client proved to be.
struct AuthIdentity {
  std::string subject;
  std::vector<std::string> scopes;   // "*": every scope
  std::string attributes = "{}";     // JSON text, an object
  std::string key;                   // what revocation and connections_max count by
  UnixMs expires_at_ms = 0;          // 0: never
  std::int64_t connections_max = 0;  // 0: no limit
  std::string provider;              // the instance that vouches for it
};

// Errors: internal - it is not what weir/abi/auth.h asks for; the message says what is wrong.
Result<AuthIdentity> parse_identity(std::string_view json, std::string provider);

class AuthInstance final : public Instance {
 public:
  // A key is not valid any more: close the connections that have it. [any]
  using Revoke = std::function<void(const std::string& provider, std::string_view key, std::string_view reason)>;
  // no_credential: nothing in the request is for this provider; the next one may be asked. [any]
  using Answered = std::function<void(Result<AuthIdentity> identity, bool no_credential)>;

  // Errors: as FlowInstance::create().
  static Result<std::shared_ptr<AuthInstance>> create(std::string name, std::shared_ptr<const Library> library,
                                                      const std::string& config_json, Revoke revoke,
                                                      std::string* json_pointer = nullptr);

  // Asks; `answered` is called exactly once, maybe before this returns: with the answer, at the deadline, or at stop().
  // Errors there: unauthorized, forbidden, unavailable, timeout, internal. [any]
  void authenticate(std::string request_json, std::uint32_t deadline_ms, Answered answered);
  bool idle() const override;
  InstanceCounters counters() const override;

 private:
  friend class Border;
  AuthInstance(std::string name, std::shared_ptr<const Library> library, Revoke revoke);
  ~AuthInstance() override;
  void done(std::uint64_t token, weir_status status, std::string_view json);  // [any]
  void on_stopped() override;

  const Revoke revoke_;
  const std::unique_ptr<PendingCalls> pending_;
};

}  // namespace weir
