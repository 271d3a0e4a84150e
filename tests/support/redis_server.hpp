// A real redis-server of a test's own, with its data on disk, and a client to drive it with.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "support/server_process.hpp"

struct redisContext;
struct redisReply;

namespace weir::test {

class RedisServer {
 public:
  // In `folder`, which must be there. `options`: more of its command line.
  explicit RedisServer(const std::string& folder, std::vector<std::string> options = {});
  void start();  // on the same port, with what is on disk
  void kill() { process_.end(SIGKILL); }
  void freeze() { process_.freeze(); }
  void thaw() { process_.thaw(); }
  std::uint16_t port() const { return port_; }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

 private:
  const std::string folder_;
  const std::vector<std::string> options_;
  const std::uint16_t port_;
  ServerProcess process_;
};

// A client as anybody would write it with hiredis. It connects anew when the server was away, and when it has not
// answered for `patience_s`: a command that must not be carried out twice takes more of it than the server stands
// still.
class RedisClient {
 public:
  explicit RedisClient(std::uint16_t port, std::string password = "", int patience_s = 1);
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;
  ~RedisClient();
  // The reply as text: a number, a status, an error, the elements of an array in brackets. Tries until there is one.
  std::string say(const std::vector<std::string>& command);
  std::int64_t number(const std::vector<std::string>& command);
  // What all entries of a stream have in this field, in their order.
  std::vector<std::string> values(const std::string& stream, const std::string& field);
  std::int64_t subscribers(const std::string& channel);
  // Entry number `n` (from 1) of a stream, once, however often it had to try.
  void add(const std::string& stream, int n, const std::string& field, const std::string& value);

 private:
  void ask(const std::vector<std::string>& command, const std::function<void(const redisReply&)>& heard);
  const std::uint16_t port_;
  const std::string password_;
  const int patience_s_;
  redisContext* context_ = nullptr;
};

}  // namespace weir::test
