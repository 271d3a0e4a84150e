#include "net/ws_client.hpp"

#include <deque>

#include "base/json.hpp"
#include "net/beast.hpp"

namespace weir::net {
namespace {

Errc code_for(unsigned status) {
  switch (status) {
    case 400:
      return Errc::bad_request;
    case 401:
      return Errc::unauthorized;
    case 403:
      return Errc::forbidden;
    case 404:
      return Errc::not_found;
    case 429:
      return Errc::rate_limited;
    default:
      return Errc::unavailable;
  }
}

class BeastClient final : public WsClient {
 public:
  explicit BeastClient(const Settings& settings) : settings_(settings), ws_(io_) {}
  ~BeastClient() override {
    error_code ec;
    ws_.next_layer().close(ec);
    io_.restart();
    io_.run_for(std::chrono::milliseconds(100));  // lets the handlers see that it is over
  }

  Result<void> open(std::int64_t timeout_ms) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    error_code ec;
    const auto address = asio::ip::make_address(settings_.host == "localhost" ? "127.0.0.1" : settings_.host, ec);
    if (ec) return fail(Errc::unavailable, "\"" + settings_.host + "\" is no address");
    const tcp::endpoint there(address, settings_.port);
    tcp::socket& socket = ws_.next_layer();
    socket.open(there.protocol(), ec);
    if (settings_.receive_buffer_bytes != 0)
      socket.set_option(asio::socket_base::receive_buffer_size(settings_.receive_buffer_bytes), ec);
    if (!run(
            deadline, [&](auto done) { socket.async_connect(there, done); }, ec) ||
        ec)
      return fail(Errc::unavailable, "no hub at " + settings_.host + ":" + std::to_string(settings_.port) +
                                         (ec ? ": " + ec.message() : ": no answer in time"));
    socket.set_option(tcp::no_delay(true), ec);
    ws_.read_message_max(settings_.message_bytes_max);
    ws_.set_option(websocket::stream_base::decorator([this](websocket::request_type& r) {
      r.set(http::field::user_agent, "weir");
      if (!settings_.subprotocol.empty()) r.set(http::field::sec_websocket_protocol, settings_.subprotocol);
      for (const auto& [name, value] : settings_.headers) r.set(name, value);
    }));
    websocket::response_type response;
    const std::string host = settings_.host + ":" + std::to_string(settings_.port);
    if (!run(
            deadline, [&](auto done) { ws_.async_handshake(response, host, settings_.path, done); }, ec))
      return fail(Errc::timeout, "no answer to the handshake in time");
    if (ec == websocket::error::upgrade_declined) {
      json::Doc doc;
      std::string message = std::string(response.reason());
      if (const std::string body = response.body(); doc.parse(body))
        if (const auto m = doc.root().find("error").find("message"); m.is(json::Kind::string)) message = m.string();
      return fail(code_for(response.result_int()), std::to_string(response.result_int()) + ": " + message);
    }
    if (ec) return fail(Errc::unavailable, "the handshake failed: " + ec.message());
    read_next();
    return {};
  }

  Result<void> send(std::string_view text, std::int64_t timeout_ms) override { return write(text, true, timeout_ms); }
  Result<void> send_binary(std::string_view bytes, std::int64_t timeout_ms) override {
    return write(bytes, false, timeout_ms);
  }

  Result<std::string> receive(std::int64_t timeout_ms) override {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (messages_.empty() && !closed_) {
      io_.restart();
      if (io_.run_one_until(deadline) == 0)
        return fail(Errc::timeout, "nothing came within " + std::to_string(timeout_ms) + " ms");
    }
    if (messages_.empty())
      return fail(Errc::unavailable, "closed with " + std::to_string(closed_->code) + " " + closed_->reason);
    std::string message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }

  std::optional<Closed> closed() const override { return closed_; }

  void close(std::uint16_t code) override {
    if (closed_) return;
    error_code ec;
    (void)run(
        std::chrono::steady_clock::now() + std::chrono::seconds(5),
        [&](auto done) { ws_.async_close(static_cast<websocket::close_code>(code), done); }, ec);
  }
  void cut() override {
    error_code ec;
    ws_.next_layer().set_option(asio::socket_base::linger(true, 0), ec);
    ws_.next_layer().close(ec);
  }

 private:
  // Starts an operation and runs the loop until it is done. False: the deadline came first.
  template <class Start>
  bool run(std::chrono::steady_clock::time_point deadline, Start start, error_code& ec) {
    auto state = std::make_shared<std::pair<bool, error_code>>(false, error_code{});
    start([state](error_code result, auto&&...) { *state = {true, result}; });
    while (!state->first) {
      io_.restart();
      if (io_.run_one_until(deadline) == 0) return false;
    }
    ec = state->second;
    return true;
  }

  Result<void> write(std::string_view bytes, bool text, std::int64_t timeout_ms) {
    if (closed_) return fail(Errc::unavailable, "the connection has ended");
    error_code ec;
    ws_.text(text);
    const std::string copy(bytes);
    if (!run(
            std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms),
            [&](auto done) { ws_.async_write(asio::buffer(copy), done); }, ec)) {
      cut();  // the write still points at `copy`; with the socket closed it ends now
      io_.restart();
      io_.run_for(std::chrono::milliseconds(100));
      return fail(Errc::timeout, "the other side did not read in time");
    }
    if (ec) return fail(Errc::unavailable, "the connection has ended: " + ec.message());
    return {};
  }

  void read_next() {
    ws_.async_read(buffer_, [this](error_code ec, std::size_t) {
      if (ec) {
        closed_ = Closed{};
        // Once a close frame has come, how the socket ended behind it does not matter.
        if (ec == websocket::error::closed || ws_.reason().code != websocket::close_code::none)
          closed_ = Closed{static_cast<std::uint16_t>(ws_.reason().code), std::string(ws_.reason().reason.c_str())};
        return;
      }
      messages_.push_back(beast::buffers_to_string(buffer_.data()));
      buffer_.consume(buffer_.size());
      read_next();
    });
  }

  const Settings settings_;
  asio::io_context io_{1};
  websocket::stream<tcp::socket> ws_;
  beast::flat_buffer buffer_;
  std::deque<std::string> messages_;
  std::optional<Closed> closed_;
};

}  // namespace

Result<std::unique_ptr<WsClient>> WsClient::connect(const Settings& settings, std::int64_t timeout_ms) {
  auto client = std::make_unique<BeastClient>(settings);
  if (auto ok = client->open(timeout_ms); !ok) return ok.error();
  return std::unique_ptr<WsClient>(std::move(client));
}

}  // namespace weir::net
