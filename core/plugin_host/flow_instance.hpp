// An instance through which events and requests flow: a source, a sink, a responder, an HTTP handler, or several of
// these at once, as its library offers. Threads: create(), start(), stop() and the end are [main]; the rest [any].
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugin_host/demand.hpp"
#include "plugin_host/instance.hpp"
#include "plugin_host/outlet.hpp"

struct weir_http_request;

namespace weir {

// What the server does for such instances. Called on any thread, from several at once, until stop() has returned.
class FlowPort {
 public:
  virtual ~FlowPort() = default;
  // `indexes`: of the data of the first events, as far as they were kept; for the time of the call.
  // Takes the first *accepted of `count` events that stand `stride` bytes apart; they have been checked; empty data
  // means null. WEIR_OK, WEIR_PAUSE (all taken) or WEIR_E_FULL (*accepted taken); after the latter two it calls
  // resume() later.
  virtual weir_status emit(FlowInstance& source, const weir_event* events, std::uint32_t stride, std::uint32_t count,
                           std::span<const json::Doc> indexes, std::uint32_t* accepted) = 0;
  // The source lost events upstream; count 0: not known how many.
  virtual void gap(FlowInstance& source, std::string_view subject, std::uint64_t count, std::string_view reason) = 0;
  // The sink, which had refused some of what it was offered, has room again.
  virtual void room(FlowInstance& /*sink*/) {}
  // The hub's figures, as JSON, for `done`, later and on any thread. False: there are none.
  virtual bool figures(std::function<void(std::string)> /*done*/) { return false; }
};

// A client's request for a responder.
struct MethodCall {
  std::string method, subject;
  std::string params_json, identity_json;
};
struct HttpCall {
  std::string method, path, query_json, headers_json, body, peer, identity_json;
};
// What an HTTP handler answered.
struct HttpAnswer {
  int status = 200;
  std::string content_type, body;
  std::vector<std::pair<std::string, std::string>> headers;
};
// Errors: internal - it is not what weir/abi/http.h asks for; the message says what is wrong.
Result<HttpAnswer> parse_http_answer(std::string_view json);

class FlowInstance final : public Instance {
 public:
  struct Settings {
    EventBounds bounds{};
    Outlet::Bounds outlet{};
    std::int64_t linger_ms = 10'000;  // how long a subject stays active after the last who watched it has left
  };
  // `config_json`: checked against the schema and filled with its defaults by the caller. `port` must outlive stop().
  // Errors: bad_request - the plugin refuses the config, with its message; *json_pointer then says where, if it knows.
  //         unavailable, internal - create() did not return in time, or did something that is not allowed.
  static Result<std::shared_ptr<FlowInstance>> create(std::string name, std::shared_ptr<const Library> library,
                                                      const std::string& config_json, FlowPort& port,
                                                      const Settings& settings, std::string* json_pointer = nullptr);
  static Result<std::shared_ptr<FlowInstance>> create(std::string name, std::shared_ptr<const Library> library,
                                                      const std::string& config_json, FlowPort& port) {
    return create(std::move(name), std::move(library), config_json, port, Settings{});
  }

  // What a reload changes of the settings holds for what comes after.
  void use(const Settings& settings);

  // --- a source ---
  // Tell the plugin, on its strand. Of calls that come faster than it works, the last counts.
  void pause();
  void resume();
  // Everything up to this cursor has its place; refused(): but for something since the cursor before, which found none.
  void accepted(std::string_view cursor);
  void refused(std::string_view cursor);
  // Somebody watches what `subject` feeds, or does not any more.
  Demand& demand() { return *demand_; }
  // Calls that back in `ms`, once, whatever the instance's strand does; at once when too many wait, and never when it
  // stops before. A number for forget().
  std::uint64_t after(std::uint32_t ms, std::function<void()> call);
  void forget(std::uint64_t after);
  // No subscriber waits longer than that to be let in. An activation is made and answered all the same.
  static constexpr std::uint32_t kActivateMs = 3'000;

  // --- a sink ---
  // Takes events from the front and says how many. Fewer than all: FlowPort::room() when it is worth trying again.
  std::size_t offer(std::span<Outgoing> events);
  // What an instance before this one, which has stopped, did not get rid of goes first. How many events are lost
  // because this one is no sink.
  std::size_t take_over(FlowInstance& before);
  // Nobody takes its place: how many events go with it.
  std::size_t give_up() { return outlet_->hand_on(nullptr); }
  std::size_t waiting() const { return outlet_->size(); }
  bool empty() const { return outlet_->empty(); }

  // --- a responder, an HTTP handler ---
  // `answered` is called exactly once, maybe before this returns: with the answer, at the deadline, or at stop().
  // Errors there: what the plugin says; timeout, unavailable, internal.
  void request(std::shared_ptr<const MethodCall> call, std::uint32_t deadline_ms,
               std::function<void(Result<std::string>)> answered);
  void handle(std::shared_ptr<const HttpCall> call, std::uint32_t deadline_ms,
              std::function<void(Result<HttpAnswer>)> answered);

  bool idle() const override;
  InstanceCounters counters() const override;

 private:
  friend class Border;
  FlowInstance(std::string name, std::shared_ptr<const Library> library, FlowPort& port, const Settings& settings);
  ~FlowInstance() override;
  weir_status emit(const weir_event* events, std::uint32_t stride, std::uint32_t count,
                   std::uint32_t* accepted);  // [any]
  void tell_soon(const char* what);           // [any]
  void tell();                                // [strand]
  void sink_ready();                          // [any]
  void done(std::uint64_t token, weir_status status, std::string_view json);
  void figures(void (*fn)(void*, weir_str), void* arg);  // [strand]
  void on_stopped() override;

  // Lets `call` run on the strand with a token; `end` is told once how it went, the plugin's JSON or an error.
  using End = std::function<void(Result<std::string_view>)>;
  // `cancel`: the plugin's, told of a token whose deadline has passed; may be null. `bytes`: what the call holds.
  using Cancel = void (*)(void*, std::uint64_t);
  void ask(const char* what, std::uint32_t deadline_ms, std::size_t bytes, Cancel cancel,
           std::function<weir_status(std::uint64_t token)> call, End end);
  void activate(const std::string& subject, std::uint32_t activation);  // [strand]
  void activated(std::uint32_t activation, weir_status status, std::string_view json);
  Error error_of(weir_status status, std::string_view json) const;

  struct Told;
  FlowPort& port_;
  std::atomic<std::uint64_t> data_max_;
  const std::unique_ptr<Told> told_;  // what the plugin is to be told next
  std::atomic<std::uint64_t> requests_{0};
  const std::shared_ptr<std::atomic<std::size_t>> asked_bytes_ = std::make_shared<std::atomic<std::size_t>>(0);
  const std::unique_ptr<PendingCalls> pending_;    // null: it is asked nothing
  const std::unique_ptr<PendingCalls> deadlines_;  // of after(); null: not on demand
  const std::unique_ptr<Outlet> outlet_;
  const std::unique_ptr<Demand> demand_;
};

}  // namespace weir
