// Takes what sources emit, on their own threads: finds the channels, hands the events to the shards that own them, and
// pauses a source that is faster than the hub. An event counts as under way until every channel it feeds has given it
// its place; only then is its cursor handed back, in the order of emission. Bounds: limits.source_events_in_flight and
// source_bytes_in_flight for each source; of what it has lost, one round of kGapSubjectsMax gaps is under way.
// Threads: [any].
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "plugin_host/flow_instance.hpp"
#include "server/setup.hpp"
#include "server/shard_host.hpp"

namespace weir {

class Ingress final : public FlowPort {
 public:
  // What FlowPort has besides events. Before the sources start. [main]
  struct Others {
    std::function<void(const std::string& sink)> room;
    std::function<void(std::function<void(std::string)>)> figures;
  };
  static constexpr std::size_t kGapSubjectsMax = 64;
  explicit Ingress(const Limits& limits);
  void others(Others others) {
    room_ = std::move(others.room);
    figures_ = std::move(others.figures);
  }
  ~Ingress() override;
  // Before the sources start. [main]
  void shards(std::vector<ShardHost*> shards) { shards_ = std::move(shards); }
  // The sources from now on and what their subjects feed; the others have been stopped. Those that were there before
  // feed what reroute() has said. [main]
  struct Feeding {
    std::shared_ptr<FlowInstance> instance;
    std::vector<SourceRoute> routes;
  };
  void feed_from(const std::vector<Feeding>& sources);
  // A source goes on, and a reload changes the names of what it feeds: from hold() on nothing is taken of it, so that
  // what was taken gets its place while there is a channel of the old name; from reroute() on it feeds the new ones.
  // True: all that was taken has its place. [main]
  bool hold(const FlowInstance& source, const std::vector<SourceRoute>& next);
  void reroute(const FlowInstance& source, std::vector<SourceRoute> routes);

  // For the end of a source that goes on behind what was accepted: nothing more is taken of it, and true comes when it
  // has been told of everything that was. Else the next one would send again what subscribers have had.
  bool settled(const FlowInstance& source);
  // Nothing more is taken of it, and it is not resumed.
  void end(const FlowInstance& source);
  bool goes_on(const FlowInstance& source) const;  // its events have cursors

  weir_status emit(FlowInstance& source, const weir_event* events, std::uint32_t stride, std::uint32_t count,
                   std::span<const json::Doc> indexes, std::uint32_t* accepted) override;
  void gap(FlowInstance& source, std::string_view subject, std::uint64_t count, std::string_view reason) override;
  void room(FlowInstance& sink) override { room_(sink.name()); }
  bool figures(std::function<void(std::string)> done) override;

  struct Counters {
    std::uint64_t taken = 0, unrouted = 0, refused = 0, in_flight = 0, pauses = 0;
  };
  Counters counters(const std::string& source) const;

 private:
  struct Source;
  struct Batch;
  using RoutesOfSource = std::shared_ptr<const std::vector<SourceRoute>>;
  std::shared_ptr<Source> find(const std::string& name) const;       // null: not known, or not any more
  std::shared_ptr<Source> find(const FlowInstance& instance) const;  // null: that name is another one's
  void tell_gaps(const std::shared_ptr<Source>& source);
  struct Target {
    std::string channel;
    bool rules;
  };
  static std::vector<Target> channels_of(const std::string& name, const RoutesOfSource& routes,
                                         std::string_view subject);

  const Limits& limits_;
  std::function<void(const std::string&)> room_ = [](const std::string&) {};
  std::function<void(std::function<void(std::string)>)> figures_;
  std::vector<ShardHost*> shards_;
  mutable std::shared_mutex mutex_;                                   // taken once for each emit()
  std::unordered_map<std::string, std::shared_ptr<Source>> sources_;  // guarded by mutex_
};

}  // namespace weir
