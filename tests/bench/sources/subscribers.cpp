#include "bench/sources/subscribers.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include "bench/sources/usage.hpp"
#include "support/server_process.hpp"
#include "support/ws_decode.hpp"

namespace weir::bench {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;

// A client's frame: masked with zeros, which changes nothing.
std::string client_frame(unsigned opcode, std::string_view payload) {
  if (payload.size() > 125) throw std::runtime_error("a frame of more than 125 bytes is not needed here");
  std::string out{static_cast<char>(0x80U | opcode), static_cast<char>(0x80U | payload.size()), 0, 0, 0, 0};
  return out += payload;
}

void say(int fd, std::string_view bytes) {
  if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error("a subscriber could not send");
}

}  // namespace

void Tally::add_to(std::string& out) const {
  std::array<char, 200> line{};
  std::snprintf(line.data(), line.size(), "%llu deliveries, skipped %llu, doubled or out of order %llu, gaps %llu",
                static_cast<unsigned long long>(delivered), static_cast<unsigned long long>(skipped),
                static_cast<unsigned long long>(repeated), static_cast<unsigned long long>(gaps));
  out += line.data();
  if (!complaint.empty()) out += "; the first complaint: " + complaint;
}

Subscribers::Subscribers(std::uint16_t port, int count, const std::string& channel, const EventText& text,
                         std::uint64_t first)
    : text_(text), all_(static_cast<std::size_t>(count), One{-1, first, {}}), poll_(::epoll_create1(EPOLL_CLOEXEC)) {
  for (One& one : all_) {
    open(one, port, channel);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &one;
    ::epoll_ctl(poll_, EPOLL_CTL_ADD, one.fd, &event);
  }
  thread_ = std::thread([this] { run(); });
}

Subscribers::~Subscribers() {
  (void)stop();
  for (const One& one : all_) ::close(one.fd);
  ::close(poll_);
}

void Subscribers::open(One& one, std::uint16_t port, const std::string& channel) {
  one.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in there = test::local(port);
  if (::connect(one.fd, reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0)
    throw std::runtime_error("the hub does not take a connection");
  say(one.fd, "GET /ws HTTP/1.1\r\nhost: 127.0.0.1:" + std::to_string(port) +
                  "\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
                  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  say(one.fd, client_frame(1, R"({"type":"subscribe","id":1,"channel":")" + channel + "\"}"));
  // The answer to the upgrade, `connected` and `ack`; events that are behind the ack stay for the thread.
  std::size_t head = std::string::npos;
  for (bool acknowledged = false; !acknowledged;) {
    std::array<char, 4096> part;
    const ssize_t n = ::recv(one.fd, part.data(), part.size(), 0);
    if (n <= 0) throw std::runtime_error("the hub has ended a subscriber's connection: " + one.rest);
    one.rest.append(part.data(), static_cast<std::size_t>(n));
    if (head == std::string::npos) {
      if ((head = one.rest.find("\r\n\r\n")) == std::string::npos) continue;
      if (!one.rest.starts_with("HTTP/1.1 101")) throw std::runtime_error("no upgrade: " + one.rest);
      one.rest.erase(0, head + 4);
    }
    while (!acknowledged) {
      const auto frame = testing::decode_ws(one.rest);
      if (!frame) break;
      if (frame->payload.starts_with(R"({"type":"error")"))
        throw std::runtime_error("no subscription: " + std::string(frame->payload));
      acknowledged = frame->payload.starts_with(R"({"type":"ack")");
      one.rest.erase(0, frame->size);
    }
  }
  ::fcntl(one.fd, F_SETFL, O_NONBLOCK);
}

void Subscribers::run() {
  std::vector<char> buffer(kReadBytes * 2);
  std::array<epoll_event, 128> events;
  while (!over_.load(std::memory_order_relaxed)) {
    const int n = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), 50);
    for (int i = 0; i < n; ++i) {
      One& one = *static_cast<One*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (!read(one, buffer)) {
        if (tally_.complaint.empty()) tally_.complaint = "the hub has ended a connection";
        ::epoll_ctl(poll_, EPOLL_CTL_DEL, one.fd, nullptr);
      }
    }
    delivered_.store(tally_.delivered, std::memory_order_relaxed);
  }
  tally_.cpu_ns = thread_cpu_ns();
}

bool Subscribers::read(One& one, std::vector<char>& buffer) {
  if (buffer.size() < one.rest.size() + kReadBytes) buffer.resize(one.rest.size() + kReadBytes);
  std::memcpy(buffer.data(), one.rest.data(), one.rest.size());
  const ssize_t n = ::recv(one.fd, buffer.data() + one.rest.size(), kReadBytes, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (n <= 0) return false;
  const std::int64_t now = steady_ns();
  std::string_view bytes(buffer.data(), one.rest.size() + static_cast<std::size_t>(n));
  while (const auto found = testing::decode_ws(bytes)) {
    if (found->opcode == 9)
      say(one.fd, client_frame(10, found->payload));
    else
      frame(one, found->payload, now);
    bytes.remove_prefix(found->size);
  }
  one.rest.assign(bytes);
  return true;
}

void Subscribers::frame(One& one, std::string_view payload, std::int64_t now) {
  const auto stamp = text_.read_frame(payload);
  if (!stamp) {
    if (payload.starts_with(R"({"type":"gap")")) ++tally_.gaps;
    if (tally_.complaint.empty()) tally_.complaint = payload.substr(0, 500);
    return;
  }
  ++tally_.delivered;
  tally_.latencies.add(now - stamp->made_ns);
  if (stamp->number < one.next) {
    ++tally_.repeated;
    return;
  }
  tally_.skipped += stamp->number - one.next;
  one.next = stamp->number + 1;
}

bool Subscribers::wait(std::uint64_t deliveries) const {
  using namespace std::chrono_literals;
  auto progress = std::chrono::steady_clock::now();
  for (std::uint64_t before = delivered(); delivered() < deliveries;) {
    std::this_thread::sleep_for(2ms);
    if (const auto now = std::chrono::steady_clock::now(); delivered() != before)
      before = delivered(), progress = now;
    else if (now - progress > 10s)
      return false;
  }
  return true;
}

const Tally& Subscribers::stop() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
  return tally_;
}

}  // namespace weir::bench
