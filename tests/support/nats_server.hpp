// A real nats-server of a test's own, with JetStream on disk, and a client to publish with.
#pragma once
#include <nats/nats.h>

#include <cstdint>
#include <string>
#include <vector>

#include "support/server_process.hpp"

namespace weir::test {

class NatsServer {
 public:
  // In `folder`, which must be there. `config`: more lines of its configuration file.
  explicit NatsServer(const std::string& folder, const std::string& config = "", bool jetstream = true);
  void start();  // on the same port, with what is on disk
  void kill() { process_.end(SIGKILL); }
  void freeze() { process_.freeze(); }
  void thaw() { process_.thaw(); }
  std::uint16_t port() const { return port_; }
  std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }

 private:
  const std::string folder_;
  const std::uint16_t port_;
  ServerProcess process_;
};

// A client as anybody would write it with cnats. It waits for the server, also for one that comes back.
class NatsClient {
 public:
  explicit NatsClient(const std::string& url);
  NatsClient(const NatsClient&) = delete;
  NatsClient& operator=(const NatsClient&) = delete;
  ~NatsClient();
  void publish(const std::string& subject, const std::string& data,
               const std::vector<std::pair<std::string, std::string>>& headers = {});
  void flush();
  // JetStream. publish_stored() returns when it is stored, once, however often it had to try.
  void add_stream(const std::string& name, const std::string& subjects, std::int64_t messages_max = -1,
                  std::int32_t message_bytes_max = -1);
  std::vector<std::string> stored(const std::string& stream);  // the data of its messages, in order
  void publish_stored(const std::string& subject, const std::string& data, const std::string& message_id);
  // Of a consumer: delivered and not acknowledged; not yet delivered.
  std::int64_t ack_pending(const std::string& stream, const std::string& durable);
  std::int64_t asking(const std::string& stream, const std::string& durable);  // requests that wait for messages
  std::int64_t unread(const std::string& stream, const std::string& durable);
  void remove_consumer(const std::string& stream, const std::string& durable);
  void remove_stream(const std::string& name);
  void remove_message(const std::string& stream, std::uint64_t sequence);
  std::int64_t stored_ms(const std::string& stream, std::uint64_t sequence);  // when, in Unix milliseconds

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* js_ = nullptr;
};

}  // namespace weir::test
