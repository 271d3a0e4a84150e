#include "integration/hub_fixture.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace weir::test {

bool wait_until(const std::function<bool()>& fact, std::int64_t within_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(within_ms);
  while (!fact()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

Json Client::next(std::int64_t within_ms) {
  auto text = socket_->receive(within_ms);
  if (!text) {
    ADD_FAILURE() << "no frame: " << text.error().message;
    return nullptr;
  }
  return Json::parse(*text);
}

Json Client::next(const std::string& type, std::int64_t within_ms) {
  for (;;) {
    const Json frame = next(within_ms);
    if (frame.is_null() || frame["type"] == type) return frame;
  }
}

Json Client::ask(const Json& frame) {
  say(frame);
  for (;;) {
    const Json answer = next();
    if (answer.is_null() || (answer.contains("id") && answer["id"] == frame["id"])) return answer;
  }
}

net::WsClient::Closed Client::end() {
  while (socket_->receive(kPatienceMs)) {
  }
  const auto closed = socket_->closed();
  if (!closed) ADD_FAILURE() << "the connection did not end";
  return closed.value_or(net::WsClient::Closed{});
}

RawSocket::RawSocket(std::uint16_t port, int receive_buffer_bytes)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (receive_buffer_bytes != 0)
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  sockaddr_in there{};
  there.sin_family = AF_INET;
  there.sin_port = htons(port);
  there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0)
    throw std::runtime_error("no hub there");
  ::fcntl(fd_, F_SETFL, O_NONBLOCK);
}

RawSocket::~RawSocket() { ::close(fd_); }

std::size_t RawSocket::say(std::string_view bytes) {
  const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

bool RawSocket::say_all(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd p{fd_, POLLOUT, 0};
    if (::poll(&p, 1, static_cast<int>(kPatienceMs)) != 1 || (p.revents & (POLLERR | POLLHUP)) != 0) return false;
    bytes.remove_prefix(say(bytes));
  }
  return true;
}

std::string RawSocket::read_until(std::string_view text, std::int64_t within_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(within_ms);
  for (;;) {
    if (const auto at = text.empty() ? std::string::npos : rest_.find(text); at != std::string::npos) {
      std::string out = rest_.substr(0, at + text.size());
      rest_.erase(0, out.size());
      return out;
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd p{fd_, POLLIN, 0};
    if (ended_ || left <= 0 || ::poll(&p, 1, static_cast<int>(left)) != 1) return std::exchange(rest_, {});
    char part[65536];
    const ssize_t n = ::recv(fd_, part, sizeof part, 0);
    if (n <= 0)
      ended_ = true;
    else
      rest_.append(part, static_cast<std::size_t>(n));
  }
}

std::string RawSocket::upgrade(std::string_view path, std::string_view headers) {
  say_all("GET " + std::string(path) +
          " HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
          "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
          std::string(headers) + "\r\n");
  return read_until("\r\n\r\n");
}

std::string RawSocket::frame(unsigned opcode, std::string_view payload) {
  std::string out{static_cast<char>(0x80U | opcode)};
  const auto size = payload.size();
  if (size < 126)
    out += static_cast<char>(0x80U | size);
  else if (size < 65536)
    ((out += static_cast<char>(0xfe)) += static_cast<char>(size >> 8)) += static_cast<char>(size & 0xff);
  else
    throw std::runtime_error("too long for a frame of a test");
  return (out += std::string(4, '\0')) += payload;  // a mask of zeros changes nothing
}

HubTest::HubTest() {
  std::string name = (std::filesystem::temp_directory_path() / "weir-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = name;
}

HubTest::~HubTest() {
  hub_.reset();
  std::error_code ec;
  std::filesystem::remove_all(folder_, ec);
}

void HubTest::write(const std::string& name, const std::string& text, bool append) const {
  std::ofstream(folder_ + "/" + name, append ? std::ios::app : std::ios::trunc) << text;
}

SetupResult HubTest::load(const std::string& manifest, int threads) {
  write("hub.toml", "listen = \"127.0.0.1:0\"\nthreads = " + std::to_string(threads) +
                        "\nplugins = [\"" WEIR_BINARY_DIR "/lib/weir\", \"" WEIR_BINARY_DIR "/lib/weir-tests\"]\n" +
                        manifest);
  LoadOptions options;
  options.scripts_folder = WEIR_SOURCE_DIR "/scripts";
  return set_up(folder_ + "/hub.toml", options);
}
ReloadReport HubTest::reload(const std::string& manifest, int threads) { return hub_->reload(load(manifest, threads)); }
void HubTest::start(const std::string& manifest) {
  SetupResult result = load(manifest, 2);
  for (const auto& p : result.problems) ADD_FAILURE() << p.text();
  ASSERT_TRUE(result.setup);
  hub_ = std::make_unique<Hub>(std::move(result.setup));
  const auto ok = hub_->start();
  ASSERT_TRUE(ok) << ok.error().message;
  const std::string address = hub_->address();
  port_ = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

std::shared_ptr<const Instance> HubTest::instance(const std::string& name) {
  for (const Plugins::View& view : hub_->plugins().views())
    if (view.name == name) return view.instance;
  ADD_FAILURE() << "no plugin " << name;
  return nullptr;
}

std::string HubTest::problems(const std::string& manifest) {
  write("hub.toml", "listen = \"127.0.0.1:0\"\nplugins = [\"" WEIR_BINARY_DIR "/lib/weir\", \"" WEIR_BINARY_DIR
                    "/lib/weir-tests\"]\n" +
                        manifest);
  LoadOptions options;
  options.for_check = true;
  options.scripts_folder = WEIR_SOURCE_DIR "/scripts";
  SetupResult result = set_up(folder_ + "/hub.toml", options);
  std::string all;
  for (const auto& p : result.problems) all += p.text() + "\n";
  return all;
}

Result<std::unique_ptr<net::WsClient>> HubTest::try_connect(const std::string& path,
                                                            std::vector<std::pair<std::string, std::string>> headers) {
  net::WsClient::Settings s;
  s.port = port_;
  s.path = path;
  s.headers = std::move(headers);
  return net::WsClient::connect(s, kPatienceMs);
}

Client HubTest::connect(const std::string& path, std::vector<std::pair<std::string, std::string>> headers,
                        int receive_buffer_bytes) {
  net::WsClient::Settings s;
  s.port = port_;
  s.path = path;
  s.headers = std::move(headers);
  s.receive_buffer_bytes = receive_buffer_bytes;
  auto socket = net::WsClient::connect(s, kPatienceMs);
  if (!socket) throw std::runtime_error("connect: " + socket.error().message);
  return Client(std::move(*socket));
}

std::string HubTest::raw(const std::string& bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in there{};
  there.sin_family = AF_INET;
  there.sin_port = htons(port_);
  there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  timeval patience{kPatienceMs / 1000, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t n = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
    char part[4096];
    for (ssize_t n; (n = ::recv(fd, part, sizeof part, 0)) > 0;) answer.append(part, static_cast<std::size_t>(n));
  }
  ::close(fd);
  return answer;
}

HttpAnswer HubTest::http(const std::string& method, const std::string& path, const std::string& body,
                         const std::string& headers) {
  const std::string answer =
      raw(method + " " + path + " HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: " +
          std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body);
  HttpAnswer a;
  const auto split = answer.find("\r\n\r\n");
  if (answer.size() > 12) a.status = std::atoi(answer.c_str() + 9);
  a.head = answer.substr(0, split);
  if (split != std::string::npos) a.body = answer.substr(split + 4);
  return a;
}

}  // namespace weir::test
