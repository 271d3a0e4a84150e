#include "support/tcp_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "support/server_process.hpp"

namespace weir::test {
namespace {

// False: one of them is gone.
bool forward(int from, int to) {
  std::array<char, 65536> bytes;
  const auto got = ::recv(from, bytes.data(), bytes.size(), 0);
  if (got <= 0) return false;
  for (ssize_t sent = 0; sent < got;) {
    const auto more = ::send(to, bytes.data() + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
    if (more <= 0) return false;
    sent += more;
  }
  return true;
}

bool by_nft() {
  const char* how = std::getenv("WEIR_TEST_CUT");
  return how != nullptr && std::string_view(how) == "nft";
}
void nft(const std::string& command) {
  if (std::system(("nft '" + command + "'").c_str()) != 0) throw std::runtime_error("nft can't do: " + command);
}

void close_both(int a, int b) {
  ::close(a);
  ::close(b);
}

}  // namespace

TcpProxy::TcpProxy(std::uint16_t to) : to_(to) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = local(0);
  socklen_t size = sizeof address;
  ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
  ::listen(listener_, 64);
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

TcpProxy::~TcpProxy() {
  over_ = true;
  thread_.join();
  for (const Pair& p : pairs_) close_both(p.client, p.server);
  ::close(listener_);
}

void TcpProxy::cut() {
  if (!by_nft()) return void(mode_ = Mode::cut);
  const std::string port = std::to_string(port_);
  nft("add rule inet weir in tcp dport " + port + " drop; add rule inet weir in tcp sport " + port + " drop");
}

void TcpProxy::heal() {
  if (!by_nft()) return void(mode_ = Mode::reset);
  nft("flush chain inet weir in");
}

void TcpProxy::hold() {
  mode_ = Mode::held;
  while (seen_ != Mode::held) std::this_thread::yield();
}

void TcpProxy::run() {
  while (!over_) {
    seen_ = mode_.load();
    if (mode_ == Mode::reset) {
      mode_ = Mode::open;
      for (const Pair& p : pairs_) close_both(p.client, p.server);
      pairs_.clear();
    }
    if (mode_ == Mode::cut || mode_ == Mode::held) {
      ::poll(nullptr, 0, 1);
      continue;
    }
    std::vector<pollfd> fds{{admits_ > 0 ? listener_ : -1, POLLIN, 0}};
    for (const Pair& p : pairs_) {
      fds.push_back({p.client, POLLIN, 0});
      fds.push_back({p.server, POLLIN, 0});
    }
    if (::poll(fds.data(), fds.size(), 5) <= 0 || mode_ != Mode::open) continue;
    std::vector<Pair> left;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const Pair& p = pairs_[i];
      bool well = true;
      if (fds[1 + 2 * i].revents != 0) well = forward(p.client, p.server);
      if (well && fds[2 + 2 * i].revents != 0) well = forward(p.server, p.client);
      if (well)
        left.push_back(p);
      else
        close_both(p.client, p.server);
    }
    pairs_ = std::move(left);
    if (fds[0].revents == 0) continue;
    --admits_;
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = local(to_);
    if (client >= 0 && ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
      pairs_.push_back({client, server});
    else
      close_both(client, server);
  }
}

}  // namespace weir::test
