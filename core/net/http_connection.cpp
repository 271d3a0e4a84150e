// Accepts connections, reads HTTP requests and writes their answers; a request to upgrade is handed to ws_connection.
#include <atomic>

#include "base/json.hpp"
#include "base/log.hpp"
#include "net/beast.hpp"
#include "net/http.hpp"
#include "net/loop_impl.hpp"
#include "net/ws_connection.hpp"

namespace weir::net {
namespace {

constexpr int kBacklog = 4096;            // a storm of reconnects waits in the kernel instead of being refused
constexpr std::size_t kBodyExtra = 4096;  // what stands around the data in the body of a publication
constexpr std::int64_t kKeepAliveMs = 60'000;
constexpr std::size_t kRefusedMax =
    1024;  // connections beyond limits.connections that are told why; others are just closed
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool is_http(std::string_view scheme) { return beast::iequals(scheme, "http") || beast::iequals(scheme, "https"); }

std::string error_body(Errc code, std::string_view message) {
  return "{\"error\":{\"code\":\"" + std::string(to_word(code)) + "\",\"message\":" + json::quoted(message) + "}}";
}

class HttpConnection;

class HttpExchange final : public Exchange {
 public:
  HttpExchange(std::shared_ptr<HttpConnection> connection, Request request)
      : connection_(std::move(connection)), request_(std::move(request)) {}
  ~HttpExchange() override {
    if (connection_ && !stopping())
      respond({500, "application/json", error_body(Errc::internal, "the request was not answered"), {}});
  }
  const Request& request() const override { return request_; }
  void add_header(std::string name, std::string value) override {
    more_.emplace_back(std::move(name), std::move(value));
  }
  Loop& loop() override;
  std::unique_ptr<Admission>& admission() override;
  void respond(Response response) override;
  void upgrade(std::shared_ptr<WsHandler> handler, std::string_view subprotocol, bool deflate) override;

 private:
  bool stopping() const;  // then nobody is there to write an answer
  std::shared_ptr<HttpConnection> connection_;
  Request request_;
  Headers more_;
};

struct Shared {  // what all connections of a listener have in common; outlives it as long as one of them lives
  explicit Shared(const Limits& l) : limits(l) {}
  const Limits& limits;
  Listener::Handler handler;
  Listener::Admit admit;
  std::atomic<std::size_t> open{0};
  std::atomic<bool> stopping{false};
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(Socket socket, std::string peer, std::size_t loop_index, Loop& loop, std::shared_ptr<Shared> shared)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        peer_(std::move(peer)),
        loop_index_(loop_index),
        loop_(loop),
        shared_(std::move(shared)) {
    ++shared_->open;
  }
  ~HttpConnection() { --shared_->open; }

  void start() {
    error_code ec;
    if (shared_->open > static_cast<std::size_t>(shared_->limits.connections) + kRefusedMax) {
      socket_.close(ec);
      return;
    }
    auto admitted = shared_->admit(peer_);
    if (!admitted) {
      keep_alive_ = false;
      return write({http_status(admitted.error().code),
                    "application/json",
                    error_body(admitted.error().code, admitted.error().message),
                    {{"retry-after", "2"}}});
    }
    admission_ = std::move(*admitted);
    read(shared_->limits.handshake_ms);
  }

  std::unique_ptr<Admission>& admission() { return admission_; }
  Loop& loop() { return loop_; }
  bool stopping() const { return shared_->stopping; }

  void write(Response r) {
    auto response = std::make_shared<http::response<http::string_body>>();
    response->version(version_);
    response->result(static_cast<unsigned>(r.status));
    response->set(http::field::server, "weir");
    if (!r.content_type.empty()) response->set(http::field::content_type, r.content_type);
    for (const auto& [name, value] : r.headers)
      if (value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos)
        response->set(name, value);  // else it would begin another header
    if (shared_->stopping) keep_alive_ = false;
    response->keep_alive(keep_alive_);
    response->body() = std::move(r.body);
    response->prepare_payload();
    if (r.status == 204) response->erase(http::field::content_length);  // RFC 9110 section 8.6
    if (head_) response->body().clear();
    deadline(shared_->limits.handshake_ms);
    http::async_write(socket_, *response, [self = shared_from_this(), response](error_code ec, std::size_t) {
      if (ec || !self->keep_alive_) return self->shutdown();
      self->read(kKeepAliveMs);
    });
  }

  void upgrade(std::shared_ptr<WsHandler> handler, std::string_view subprotocol, bool deflate) {
    timer_.cancel();
    const auto rest = buffer_.data();
    start_websocket({std::move(socket_), std::move(message_),
                     std::string(static_cast<const char*>(rest.data()), rest.size()), std::string(subprotocol), deflate,
                     std::move(handler), &loop_, &shared_->limits});
  }

 private:
  void deadline(std::int64_t ms) {
    timer_.expires_after(std::chrono::milliseconds(ms));
    timer_.async_wait([weak = weak_from_this()](error_code ec) {
      if (ec) return;
      if (auto self = weak.lock()) self->socket_.close(ec);
    });
  }

  void read(std::int64_t within_ms) {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_->limits.http_header_bytes));
    parser_->body_limit(static_cast<std::uint64_t>(shared_->limits.data_bytes) + kBodyExtra);
    deadline(within_ms);
    http::async_read_header(socket_, buffer_, *parser_,
                            [self = shared_from_this()](error_code ec, std::size_t) { self->on_head(ec); });
  }

  // A body that is too large by its own account has been refused here already, before it is sent.
  void on_head(error_code ec) {
    if (ec) return on_read(ec);
    const auto& head = parser_->get();
    version_ = 11;
    head_ = false;
    if (!well_formed(head)) return;
    if (parser_->is_done()) return on_read(ec);
    if (head.version() < 11 || head.count(http::field::expect) == 0) return read_body();
    asio::async_write(socket_, asio::buffer(kContinue), [self = shared_from_this()](error_code failed, std::size_t) {
      if (failed)
        self->on_read(failed);
      else
        self->read_body();
    });
  }

  // What Beast lets pass although it leaves open whose the bytes behind it are, or which hub is meant. Answers, and
  // false, if there is anything.
  bool well_formed(const http::request_header<>& head) {
    const auto hosts = head.count(http::field::host);
    if (hosts > 1 || (hosts == 0 && head.version() >= 11)) {  // RFC 9112 section 3.2
      refuse(400, Errc::bad_request,
             hosts == 0 ? "the header host is missing" : "the header host stands there more than once");
      return false;
    }
    const auto codings = head.count(http::field::transfer_encoding);
    if (codings != 0 && head.version() < 11) {  // RFC 9112 section 6.1
      refuse(400, Errc::bad_request, "transfer-encoding is not for HTTP/1.0");
      return false;
    }
    if (codings > 1 || (codings == 1 && !beast::iequals(head[http::field::transfer_encoding], "chunked"))) {
      refuse(501, Errc::bad_request, "this hub knows no transfer-encoding but chunked");
      return false;
    }
    if (codings != 0 && head.count(http::field::content_length) != 0) {
      refuse(400, Errc::bad_request, "transfer-encoding and content-length exclude each other");
      return false;
    }
    if (head.version() >= 11 && head.count(http::field::expect) != 0 &&
        !beast::iequals(head[http::field::expect], "100-continue")) {  // RFC 9110 section 10.1.1
      refuse(417, Errc::bad_request, "this hub meets no expectation but 100-continue");
      return false;
    }
    return true;
  }

  void read_body() {
    http::async_read(socket_, buffer_, *parser_,
                     [self = shared_from_this()](error_code ec, std::size_t) { self->on_read(ec); });
  }

  void on_read(error_code ec) {
    timer_.cancel();
    version_ = 11;
    head_ = false;
    if (ec == http::error::body_limit)
      return refuse(413, Errc::too_large,
                    "the body is larger than limits.data_bytes allows (" + std::to_string(shared_->limits.data_bytes) +
                        " bytes)");
    if (ec == http::error::header_limit)
      return refuse(431, Errc::too_large,
                    "the headers are larger than limits.http_header_bytes allows (" +
                        std::to_string(shared_->limits.http_header_bytes) + " bytes)");
    if (ec == http::error::end_of_stream || (ec && ec.category() == asio::error::get_system_category()))
      return shutdown();
    if (ec) return refuse(400, Errc::bad_request, "not HTTP that this hub understands: " + ec.message());
    message_ = parser_->release();
    keep_alive_ = message_.keep_alive();
    version_ = message_.version();
    head_ = message_.method() == http::verb::head;
    Request request;
    request.method = std::string(message_.method_string());
    std::string_view target(message_.target().data(), message_.target().size());
    std::string_view authority;
    if (const auto scheme = target.find("://"); scheme != std::string_view::npos && is_http(target.substr(0, scheme))) {
      // The absolute form, which proxies use; its host is then the one that counts (RFC 9112 section 3.2.2).
      target.remove_prefix(scheme + 3);
      const auto end = std::min(target.find_first_of("/?"), target.size());
      authority = target.substr(0, end);
      target.remove_prefix(end);
      if (authority.empty()) return refuse(400, Errc::bad_request, "the target names no host");
    }
    const auto mark = target.find('?');
    request.path = target.substr(0, mark);
    if (request.path.empty()) request.path = "/";
    if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
    for (const auto& field : message_)
      request.headers.emplace_back(lower({field.name_string().data(), field.name_string().size()}),
                                   field.name() == http::field::host && !authority.empty()
                                       ? std::string(authority)
                                       : std::string(field.value()));
    request.body = std::move(message_.body());
    message_.body().clear();
    request.peer = peer_;
    request.upgrade = websocket::is_upgrade(message_);
    shared_->handler(loop_index_, std::make_shared<HttpExchange>(shared_from_this(), std::move(request)));
  }

  void refuse(int status, Errc code, const std::string& message) {
    keep_alive_ = false;
    write({status, "application/json", error_body(code, message), {}});
  }

  // Unread bytes would turn the end into a reset that may overtake the answer, so they are read away first, for a
  // moment.
  void shutdown() {
    error_code ec;
    socket_.shutdown(Socket::shutdown_send, ec);
    if (ec) return;
    deadline(1000);
    drain();
  }
  void drain() {
    buffer_.clear();
    socket_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](error_code ec, std::size_t) {
      if (!ec) return self->drain();
      self->timer_.cancel();
      self->socket_.close(ec);
    });
  }

  Socket socket_;
  asio::steady_timer timer_;
  const std::string peer_;
  const std::size_t loop_index_;
  Loop& loop_;
  const std::shared_ptr<Shared> shared_;
  std::unique_ptr<Admission> admission_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::request<http::string_body> message_;
  bool keep_alive_ = true, head_ = false;
  unsigned version_ = 11;
};

bool HttpExchange::stopping() const { return connection_->stopping(); }
Loop& HttpExchange::loop() { return connection_->loop(); }
std::unique_ptr<Admission>& HttpExchange::admission() { return connection_->admission(); }
void HttpExchange::respond(Response response) {
  response.headers.insert(response.headers.end(), std::make_move_iterator(more_.begin()),
                          std::make_move_iterator(more_.end()));
  if (const auto c = std::exchange(connection_, nullptr)) c->write(std::move(response));
}
void HttpExchange::upgrade(std::shared_ptr<WsHandler> handler, std::string_view subprotocol, bool deflate) {
  if (const auto c = std::exchange(connection_, nullptr)) c->upgrade(std::move(handler), subprotocol, deflate);
}

class BeastListener final : public Listener {
 public:
  BeastListener(std::vector<Loop*> loops, std::shared_ptr<Shared> shared)
      : loops_(std::move(loops)),
        shared_(std::move(shared)),
        acceptor_(loops_[0]->impl().io),
        pause_(loops_[0]->impl().io) {}

  Result<void> bind(const std::string& host, std::uint16_t port) {
    error_code ec;
    const std::string where = host + ":" + std::to_string(port);
    const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, ec);
    if (ec)
      return fail(Errc::bad_request,
                  "listen: \"" + host + "\" is no address; write an IPv4 or IPv6 address, or localhost");
    const tcp::endpoint here(address, port);
    acceptor_.open(here.protocol(), ec);
    if (!ec) acceptor_.set_option(asio::socket_base::reuse_address(true), ec);
    if (!ec) acceptor_.bind(here, ec);
    if (!ec) acceptor_.listen(kBacklog, ec);
    if (ec == asio::error::make_error_code(static_cast<asio::error::basic_errors>(EADDRNOTAVAIL)))
      return fail(
          Errc::bad_request,
          "listen: " + where + ": this machine has no such address; 127.0.0.1 is itself, 0.0.0.0 every address it has");
    if (ec)
      return fail(Errc::unavailable,
                  "listen: " + where + ": " + ec.message() +
                      (ec == asio::error::address_in_use
                           ? "; another program listens there, choose another port or 0 for any free one"
                           : ""));
    const auto real = acceptor_.local_endpoint(ec);
    address_ = (real.address().is_v6() ? "[" + real.address().to_string() + "]" : real.address().to_string()) + ":" +
               std::to_string(real.port());
    accept();
    return {};
  }
  std::string address() const override { return address_; }
  void stop() override {
    shared_->stopping = true;
    error_code ec;
    acceptor_.close(ec);
    pause_.cancel();
  }
  std::size_t http_connections() const override { return shared_->open; }

 private:
  void accept() {
    const std::size_t turn = next_++ % loops_.size();
    acceptor_.async_accept(loops_[turn]->impl().io, [this, turn](error_code ec, Socket socket) {
      if (ec == asio::error::operation_aborted || shared_->stopping) return;
      if (ec) {
        // No descriptors left, most likely. Try again in a while instead of spinning; those who wait, wait in the
        // backlog.
        log::warn("net", "can't accept a connection: " + ec.message());
        pause_.expires_after(std::chrono::milliseconds(100));
        pause_.async_wait([this](error_code cancelled) {
          if (!cancelled) accept();
        });
        return;
      }
      socket.set_option(tcp::no_delay(true), ec);
      socket.set_option(asio::socket_base::send_buffer_size(static_cast<int>(shared_->limits.socket_send_bytes / 2)),
                        ec);  // the kernel doubles it
      const auto remote = socket.remote_endpoint(ec);
      if (!ec) {
        std::string peer = remote.address().to_string();
        asio::post(loops_[turn]->impl().io, [turn, peer = std::move(peer), s = std::move(socket), shared = shared_,
                                             loop = loops_[turn]]() mutable {
          std::make_shared<HttpConnection>(std::move(s), std::move(peer), turn, *loop, std::move(shared))->start();
        });
      }
      accept();
    });
  }

  std::vector<Loop*> loops_;
  std::shared_ptr<Shared> shared_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::size_t next_ = 0;
  std::string address_;
};

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const auto& [n, v] : headers)
    if (n == name) return v;
  return {};
}

Result<std::unique_ptr<Listener>> Listener::open(const ListenerSettings& settings, std::vector<Loop*> loops,
                                                 Handler handler, Admit admit) {
  auto shared = std::make_shared<Shared>(*settings.limits);
  shared->handler = std::move(handler);
  shared->admit = std::move(admit);
  auto made = std::make_unique<BeastListener>(std::move(loops), std::move(shared));
  if (auto ok = made->bind(settings.host, settings.port); !ok) return ok.error();
  return std::unique_ptr<Listener>(std::move(made));
}

}  // namespace weir::net
