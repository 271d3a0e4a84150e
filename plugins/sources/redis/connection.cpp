#include "connection.hpp"

#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace weir::redis {
namespace {

constexpr std::uint64_t kConnectMs = 3'000;

std::string word(int error) { return std::generic_category().message(error); }

int socket_for(int family, std::string& why) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) why = word(errno);
  return fd;
}

// A socket on its way to be connected, or -1 and why not.
int connect_to(const sockaddr* to, socklen_t size, std::string& why) {
  const int fd = socket_for(to->sa_family, why);
  if (fd < 0 || ::connect(fd, to, size) == 0 || errno == EINPROGRESS) return fd;
  why = word(errno);
  ::close(fd);
  return -1;
}

int connect_to(const std::string& path, std::string& why) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path) return why = "the path is too long for a socket", -1;
  std::memcpy(to.sun_path, path.data(), path.size());
  return connect_to(reinterpret_cast<const sockaddr*>(&to), sizeof to, why);
}

// An address in numbers.
struct AddressCloser {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Numeric = std::unique_ptr<addrinfo, AddressCloser>;
Numeric numeric(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  return Numeric(::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) == 0 ? found : nullptr);
}

int connect_to(const addrinfo& to, std::string& why) {
  const int fd = connect_to(to.ai_addr, to.ai_addrlen, why);
  const int on = 1;
  if (fd >= 0) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// Servers, and not only old ones, quote a command that they do not know, with the password in it.
std::string without_secret(std::string_view error, const std::string& password) {
  constexpr std::size_t kEnough = 8;
  const auto args = error.find(", with args");
  const bool tells = error.find(std::string_view(password).substr(0, kEnough)) != std::string_view::npos;
  if (args == std::string_view::npos && !tells) return std::string(error);
  if (args != std::string_view::npos && error.substr(0, args).find(password) == std::string_view::npos)
    return std::string(error.substr(0, args));
  return std::string(error.substr(0, error.find(' '))) + " (to AUTH)";
}

}  // namespace

void ReaderCloser::operator()(redisReader* reader) const { redisReaderFree(reader); }

std::string_view text_of(const redisReply* reply) {
  if (reply == nullptr || reply->str == nullptr) return {};
  return {reply->str, static_cast<std::size_t>(reply->len)};
}

bool passes(std::string_view error) {
  // The last two are those of a cluster, which is not supported: nothing must get lost for that.
  constexpr std::array<std::string_view, 12> words = {"LOADING", "BUSY",       "READONLY",    "MASTERDOWN",
                                                      "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN",
                                                      "OOM",     "NOAUTH",     "MOVED ",      "ASK "};
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return error.starts_with(word); });
}

Connection::Connection(const sdk::Host& host, const Address& address, Told told, sdk::Resolver::Lookup lookup)
    : host_(host), address_(address), told_(std::move(told)), resolver_(std::move(lookup)) {}

void Connection::open() {
  close();
  timer_.start(host_, kConnectMs, 0, [this] { end("no answer within 3 s"); });
  std::string why;
  if (!address_.socket.empty()) {
    const int fd = connect_to(address_.socket, why);
    return begin(fd, why);
  }
  if (const auto to = numeric(address_.host, address_.port)) {
    const int fd = connect_to(*to, why);
    return begin(fd, why);
  }
  resolver_.start(host_, address_.host, [this](const sdk::Resolver::Found& found) {
    if (found.addresses.empty()) return end(found.why);
    // Where the name has several addresses each has its turn.
    const auto to = numeric(found.addresses[attempts_++ % found.addresses.size()], address_.port);
    std::string wrong = "the address is none";
    const int fd = to ? connect_to(*to, wrong) : -1;
    begin(fd, wrong);
  });
}

// Goes on with a socket that is on its way to be connected, or says why there is none.
void Connection::begin(int fd, const std::string& why) {
  fd_ = fd;
  if (fd_ < 0) return end(why);
  connecting_ = true;
  reader_.reset(redisReaderCreate());
  watch();
}

void Connection::close() {
  ++life_;
  timer_.cancel();
  resolver_.forget();
  watch_.end();
  watched_ = 0;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  connecting_ = ready_ = false;
  out_.clear();
}

void Connection::end(const std::string& why) {
  close();
  const std::uint64_t ms = backoff_.next_ms();
  timer_.start(host_, ms, 0, [this] { open(); });
  told_.away("no connection to Redis at " + address_.text() + ": " + why + "; it is tried again all the time");
}

void Connection::watch() {
  const std::uint32_t wanted = (paused_ && ready_ ? 0U : std::uint32_t{WEIR_WATCH_READ}) |
                               (connecting_ || !out_.empty() ? std::uint32_t{WEIR_WATCH_WRITE} : 0U);
  if (wanted == watched_) return;
  watch_.end();
  watched_ = wanted;
  if (wanted != 0 && !watch_.start(host_, fd_, wanted, [this](std::uint32_t events) { on_event(events); }))
    end("the hub can't watch its socket");
}

void Connection::connected() {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return end(word(error));
  connecting_ = false;
  greetings_ = 1;
  auth_ = !address_.password.empty();
  if (!address_.user.empty())
    ++greetings_, send({"AUTH", address_.user, address_.password});
  else if (!address_.password.empty())
    ++greetings_, send({"AUTH", address_.password});
  if (address_.database != 0) ++greetings_, send({"SELECT", std::to_string(address_.database)});
  send({"CLIENT", "SETNAME", "weir"});
}

// False: the server does not want us.
bool Connection::greeted(redisReply& reply) {
  const auto error = reply.type == REDIS_REPLY_ERROR ? text_of(&reply) : std::string_view();
  // An old server, or one with ACLs, may not let us have a name; everything else matters.
  const bool name_only = greetings_ == 1 && (error.starts_with("NOPERM") || error.starts_with("ERR unknown") ||
                                             error.starts_with("ERR Unknown"));
  const bool of_auth = std::exchange(auth_, false);
  if (!error.empty() && !name_only) {
    end(of_auth ? without_secret(error, address_.password) : std::string(error));
    return false;
  }
  if (--greetings_ != 0) return true;
  ready_ = true;
  ++openings_;
  timer_.cancel();
  watch();
  told_.ready();
  return true;
}

void Connection::on_event(std::uint32_t events) {
  if (connecting_) {
    connected();
    if (fd_ < 0) return;
  }
  const auto life = life_;
  if ((events & (WEIR_WATCH_READ | WEIR_WATCH_ERROR)) != 0) read();
  if (life == life_ && (events & WEIR_WATCH_WRITE) != 0) flush();
}

void Connection::serve(int ms) {
  pollfd one = {fd_, static_cast<short>(out_.empty() ? POLLIN : POLLIN | POLLOUT), 0};
  if (fd_ < 0 || ::poll(&one, 1, ms) <= 0) return;
  const bool more = (one.revents & ~POLLOUT) != 0;
  on_event((more ? std::uint32_t{WEIR_WATCH_READ} : 0U) |
           ((one.revents & POLLOUT) != 0 ? std::uint32_t{WEIR_WATCH_WRITE} : 0U));
}

void Connection::read() {
  std::array<char, 64 * 1024> bytes;
  const auto life = life_;
  const auto got = ::recv(fd_, bytes.data(), bytes.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got == 0) return end("the server has closed it");
  if (got < 0) return end(word(errno));
  heard_ms_ = host_.steady_ms();
  if (redisReaderFeed(reader_.get(), bytes.data(), static_cast<std::size_t>(got)) != REDIS_OK)
    return end(reader_->errstr);
  for (;;) {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK)
      return end(std::string("what it says is no RESP: ") + reader_->errstr);
    if (raw == nullptr) return;
    struct Freed {
      void* reply;
      ~Freed() { freeReplyObject(reply); }
    } const freed{raw};
    auto& reply = *static_cast<redisReply*>(raw);
    if (greetings_ > 0)
      (void)greeted(reply);
    else
      told_.reply(reply);
    if (life != life_) return;
  }
}

void Connection::append(const std::vector<std::string>& command) {
  if (fd_ < 0 || connecting_) return;
  std::vector<const char*> words;
  std::vector<std::size_t> sizes;
  for (const auto& text : command) {
    words.push_back(text.data());
    sizes.push_back(text.size());
  }
  char* made = nullptr;
  const int size = redisFormatCommandArgv(&made, static_cast<int>(words.size()), words.data(), sizes.data());
  if (size < 0) return end("not enough memory");
  out_.append(made, static_cast<std::size_t>(size));
  redisFreeCommand(made);
}

void Connection::flush() {
  if (fd_ < 0 || connecting_) return;
  while (!out_.empty()) {
    const auto sent = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) break;  // full for now; an error shows when it is read
    out_.erase(0, static_cast<std::size_t>(sent));
  }
  watch();
}

void Connection::pause(bool paused) {
  paused_ = paused;
  if (fd_ >= 0 && !connecting_) watch();
}

}  // namespace weir::redis
