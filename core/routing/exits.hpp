// The ways out of a shard's channels to plugins (`to` in the manifest). A channel's events go to the sink's queue as
// they get their place; when that is full, they are read from the channel's history once it has room again, in order,
// each once. What history does not hold any more by then is lost to the sink: counted, and told. Threads: [shard].
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "routing/channel_log.hpp"
#include "routing/outgoing.hpp"
#include "routing/routes.hpp"

namespace weir {

class Exits {
 public:
  class Port {
   public:
    virtual ~Port() = default;
    // Gives events to that instance, from the front, and says how many it took. When it took fewer than all, has_room()
    // is called later.
    virtual std::size_t hand_over(const std::string& plugin, std::span<Outgoing> events) = 0;
    // Events of a channel left its history before the sink had room for them.
    virtual void lost(const std::string& plugin, std::string_view channel, std::uint64_t count) = 0;
  };
  struct Sink;
  // One channel's way out to one sink; held by the channel.
  struct Exit {
    Sink* sink = nullptr;
    std::string channel;
    std::string route;  // what makes it the same after a reload
    std::shared_ptr<const std::string> subject;
    SequenceId sent = 0;  // everything up to here was handed over or is in the burst
    bool reads = false;   // stands in sink->behind
  };
  struct Sink {
    std::string plugin;
    std::vector<Outgoing> fresh;  // of this burst, in order ...
    std::vector<Exit*> of;        // ... and whose they are; null: closed meanwhile
    std::deque<Exit*> behind;     // those that read from history, in turns
    bool full = false;
  };
  using FindLog = std::function<ChannelLog*(const std::string& channel)>;

  Exits(Port& port, FindLog log) : port_(port), log_(std::move(log)) {}

  // A channel's ways out by its route, beginning behind the log's head; those of `before` that are the same go on where
  // they are.
  std::vector<std::unique_ptr<Exit>> open(const ChannelRoute& route, const std::string& channel,
                                          const Variables& variables, const ChannelLog& log,
                                          std::vector<std::unique_ptr<Exit>> before = {});
  void close(std::vector<std::unique_ptr<Exit>>& exits, const ChannelLog& log);  // the channel ends
  static bool behind(const std::vector<std::unique_ptr<Exit>>& exits);

  void committed(Exit& exit, const EventPtr& event);
  // After a burst: what came in it goes out. True: there is more to do, call again soon.
  bool flush();
  void has_room(const std::string& plugin);
  bool owes() const;  // there is something that a sink has not got yet

 private:
  void hand_over(Sink& sink);
  bool read_on(Sink& sink);

  Port& port_;
  const FindLog log_;
  std::map<std::string, std::unique_ptr<Sink>, std::less<>> sinks_;
};

}  // namespace weir
