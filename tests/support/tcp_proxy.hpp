// A link that can be cut: forwards connections to a port of 127.0.0.1. While it is cut nothing goes through, and nobody
// is told, as behind a cable that was pulled. With WEIR_TEST_CUT=nft in the environment the kernel drops the packets
// (a network namespace of one's own: tests/sources/faults.sh), and sends again after heal() what was not said to have
// come; else the proxy holds them back, which takes no privilege. Threads: one of its own; the functions may be called
// from any.
#pragma once
#include <atomic>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

namespace weir::test {

class TcpProxy {
 public:
  explicit TcpProxy(std::uint16_t to);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;
  std::uint16_t port() const { return port_; }
  // What the proxy holds back is lost with the connections it was in: after heal() those answer nothing any more, they
  // are reset.
  void cut();
  void heal();
  // Takes only so many more connections; others wait until the next call.
  void admit(int connections) { admits_ = connections; }
  // The same for a while and without a loss, however the link is cut: what was held back goes on after let_go().
  // Nothing goes through any more when hold() returns.
  void hold();
  void let_go() { mode_ = Mode::open; }

 private:
  enum class Mode : int { open, held, cut, reset };
  struct Pair {
    int client, server;
  };
  void run();
  const std::uint16_t to_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::atomic<Mode> mode_ = Mode::open, seen_ = Mode::open;  // as wanted; as the thread does
  std::atomic<int> admits_ = std::numeric_limits<int>::max();
  std::atomic<bool> over_ = false;
  std::vector<Pair> pairs_;
  std::thread thread_;
};

}  // namespace weir::test
