// Where the events come from: a real server with two lanes that know nothing of each other, one for the hub and one for
// a bare consumer, which is what anybody would write with the same client library. Errors: std::runtime_error.
// Threads: one.
#pragma once
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bench/sources/event_text.hpp"

namespace weir::bench {

enum class Lane : int { hub, bare };
inline std::string name_of(Lane lane) { return lane == Lane::hub ? "hub" : "bare"; }  // a subject, key, topic, file

class Upstream {
 public:
  virtual ~Upstream() = default;
  virtual EventText::Kind kind() const { return EventText::Kind::json; }
  // For the manifest: a plugin that emits what is in the hub's lane, with the subject name_of(Lane::hub).
  virtual std::string library() const = 0;
  virtual std::string config() const = 0;
  // What a bare consumer in another process needs to know; empty: there is no such consumer.
  virtual std::string address() const { return {}; }
  virtual void publish(Lane lane, const std::vector<std::string>& events) = 0;
  virtual void settle() {}  // returns when all of it is with the server
};

// Takes one event's text; false: that was the last one wanted.
using Take = std::function<bool(std::string_view)>;
using Ready = std::function<void()>;  // from now on nothing is missed

struct SourceKind {
  const char* name;
  bool keeps;                                                    // what the hub does not take now
  std::unique_ptr<Upstream> (*make)(const std::string& folder);  // a folder of its own, that is there and empty
  void (*consume)(const std::string& address, const Ready& ready, const Take& take);
};

std::unique_ptr<Upstream> nats_core(const std::string& folder);
std::unique_ptr<Upstream> nats_stream(const std::string& folder);
std::unique_ptr<Upstream> redis_channel(const std::string& folder);
std::unique_ptr<Upstream> redis_stream(const std::string& folder);
std::unique_ptr<Upstream> postgres_outbox(const std::string& folder);
std::unique_ptr<Upstream> postgres_listen(const std::string& folder);
std::unique_ptr<Upstream> log_file(const std::string& folder);
void consume_nats_core(const std::string& address, const Ready& ready, const Take& take);
void consume_nats_stream(const std::string& address, const Ready& ready, const Take& take);
void consume_redis_channel(const std::string& address, const Ready& ready, const Take& take);
void consume_redis_stream(const std::string& address, const Ready& ready, const Take& take);
void consume_postgres_outbox(const std::string& address, const Ready& ready, const Take& take);
void consume_postgres_listen(const std::string& address, const Ready& ready, const Take& take);

inline constexpr SourceKind kSources[] = {
    {"nats", false, nats_core, consume_nats_core},
    {"jetstream", true, nats_stream, consume_nats_stream},
    {"redis", false, redis_channel, consume_redis_channel},
    {"redis-stream", true, redis_stream, consume_redis_stream},
    {"postgres-listen", false, postgres_listen, consume_postgres_listen},
    {"postgres-outbox", true, postgres_outbox, consume_postgres_outbox},
    {"log-tail", true, log_file, nullptr},
};

}  // namespace weir::bench
