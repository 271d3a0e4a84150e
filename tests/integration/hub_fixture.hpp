// A real hub inside the test's process: real sockets on a free port, real plugins, real Lua; and clients to talk to it.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "net/ws_client.hpp"
#include "server/hub.hpp"

namespace weir::test {

using Json = nlohmann::json;
inline constexpr std::int64_t kPatienceMs = 20'000;  // how long a fact may take before the test fails; never waited out

// Waits until it is true. False: it did not come true in time.
bool wait_until(const std::function<bool()>& fact, std::int64_t within_ms = kPatienceMs);

class Client {
 public:
  explicit Client(std::unique_ptr<net::WsClient> socket) : socket_(std::move(socket)) {}
  net::WsClient& socket() { return *socket_; }
  void say(const Json& frame) { ASSERT_TRUE(socket_->send(frame.dump())); }
  Json next(std::int64_t within_ms = kPatienceMs);  // the next frame; a null and a failure if none comes
  Json next(const std::string& type,
            std::int64_t within_ms = kPatienceMs);  // the next of that type, others are passed over
  Json ask(const Json& frame);                      // says it and returns the ack or error that has its id
  // How the connection ended, after everything that came before was passed over.
  net::WsClient::Closed end();

 private:
  std::unique_ptr<net::WsClient> socket_;
};

// A socket without a WebSocket client behind it, for what a well-behaved one would not do. Small buffers, never waits
// in say().
class RawSocket {
 public:
  explicit RawSocket(std::uint16_t port, int receive_buffer_bytes = 0);
  ~RawSocket();
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;
  std::size_t say(
      std::string_view bytes);  // how many of them the kernel took; 0 when it is full or the other side is gone
  bool say_all(std::string_view bytes);  // waits until it took all. False: it did not in time
  // Reads until `text` has come, or the end, or for too long; returns everything so far that has not been returned yet.
  std::string read_until(std::string_view text, std::int64_t within_ms = kPatienceMs);
  std::string read_all(std::int64_t within_ms = kPatienceMs) { return read_until({}, within_ms); }
  bool ended() const { return ended_; }  // the other side has closed
  // Asks to become a WebSocket; what comes back, up to the end of the head.
  // headers: further ones, each with its line end.
  std::string upgrade(std::string_view path = "/ws", std::string_view headers = {});
  // Masked, final. 0x40 beside the opcode: marked as compressed.
  static std::string frame(unsigned opcode, std::string_view payload);

 private:
  int fd_;
  bool ended_ = false;
  std::string rest_;
};

struct HttpAnswer {
  int status = 0;
  std::string head, body;
  Json json() const { return Json::parse(body, nullptr, false); }
};

class HubTest : public ::testing::Test {
 protected:
  HubTest();
  ~HubTest() override;
  // A folder of this test's own, gone with it.
  const std::string& folder() const { return folder_; }
  void write(const std::string& name, const std::string& text, bool append = false) const;
  // Starts a hub from a manifest; `listen` and the built plugins' folder are put in front of it.
  void start(const std::string& manifest);
  // Lets the running hub take another manifest.
  ReloadReport reload(const std::string& manifest, int threads = 2);
  // The same, expecting that it does not load; returns every problem, a line each.
  std::string problems(const std::string& manifest);
  Hub& hub() { return *hub_; }
  // A plugin's instance that runs now; what keeps it can answer for it after a reload has exchanged it.
  std::shared_ptr<const Instance> instance(const std::string& name);
  std::uint16_t port() const { return port_; }
  Client connect(const std::string& path = "/ws", std::vector<std::pair<std::string, std::string>> headers = {},
                 int receive_buffer_bytes = 0);
  Result<std::unique_ptr<net::WsClient>> try_connect(const std::string& path,
                                                     std::vector<std::pair<std::string, std::string>> headers = {});
  HttpAnswer http(const std::string& method, const std::string& path, const std::string& body = {},
                  const std::string& headers = {});
  // Sends bytes as they are and returns everything that comes until the other side closes.
  std::string raw(const std::string& bytes);
  void stop() { hub_.reset(); }
  SetupResult load(const std::string& manifest, int threads = 2);

 private:
  std::string folder_;
  std::unique_ptr<Hub> hub_;
  std::uint16_t port_ = 0;
};

}  // namespace weir::test
