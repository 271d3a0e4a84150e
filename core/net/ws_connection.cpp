#include "net/ws_connection.hpp"

#include <sys/socket.h>

#include <array>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>

#include "base/json.hpp"
#include "net/loop_impl.hpp"
#include "protocol/deflate_marks.hpp"
#include "protocol/deflate_offer.hpp"

namespace weir::net {
namespace {

constexpr std::size_t kDrainedBytes = 128 * 1024;  // below this the outbox has room for more of history
constexpr int kLingerMs = 1'000;
constexpr int kClosingMs = 5'000;  // how long a peer may take to read what it is owed and to answer the close

// The end of a write of Beast's that has been put off. Letting go of it without finish() only frees it.
class HeldWrite {
 public:
  virtual ~HeldWrite() = default;
  virtual void finish(error_code ec) = 0;
};

// Between Beast's stream and the socket: owns the way out. What Beast writes itself (pongs, closes) is taken whole into
// the same outbox as everything else, so control frames stand at frame boundaries and nothing interleaves. During the
// handshake, when there is no outbox yet, writes go straight to the socket. A write into an outbox that is too full is
// not finished before there is room again: Beast answers pings inside a single read, so that this is what stops it from
// reading, and with it a peer that pings without reading the pongs. On the way in it takes the marks of compressed
// messages off, where those were agreed on, since Beast is not told of them (docs/decisions/0003).
class OutboxStream {
 public:
  struct Hooks {
    std::function<void()> wake;        // something entered the outbox
    std::function<void()> close_sent;  // a close frame did: nothing may follow it
  };
  using executor_type = Socket::executor_type;
  explicit OutboxStream(Socket&& socket, std::string early) : socket_(std::move(socket)), early_(std::move(early)) {}
  executor_type get_executor() { return socket_.get_executor(); }
  Socket& socket() { return socket_; }
  void take_marks() { marks_ = std::make_unique<DeflateMarks>(); }  // before anything is read
  DeflateMarks* marks() { return marks_.get(); }                    // null where nothing was agreed on
  void use(Outbox* outbox, std::size_t bytes_max, Hooks hooks) {
    outbox_ = outbox;
    bytes_max_ = bytes_max;
    hooks_ = std::move(hooks);
  }
  // No outbox any more; a write that was put off ends with an error.
  void let_go() {
    outbox_ = nullptr;
    hooks_ = {};
    if (const auto held = std::move(held_)) held->finish(asio::error::operation_aborted);
  }
  bool waits() const { return held_ != nullptr; }
  // To be called when the outbox got emptier.
  void sent() {
    if (held_ != nullptr && outbox_->bytes() <= bytes_max_)
      if (const auto held = std::move(held_)) held->finish({});
  }

  template <class Buffers, class Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    if (!early_.empty()) {
      return asio::async_initiate<Handler, void(error_code, std::size_t)>(
          [this](auto done, const Buffers& b) {
            const std::size_t n = asio::buffer_copy(b, asio::buffer(early_));
            early_.erase(0, n);
            if (marks_ != nullptr) take_marks_off(b, n);
            asio::post(get_executor(), beast::bind_front_handler(std::move(done), error_code{}, n));
          },
          handler, buffers);
    }
    if (marks_ == nullptr) return socket_.async_read_some(buffers, std::forward<Handler>(handler));
    return asio::async_initiate<Handler, void(error_code, std::size_t)>(
        [this](auto done, const Buffers& b) {
          const auto executor = asio::get_associated_executor(done, get_executor());
          const auto allocator = asio::get_associated_allocator(done);
          socket_.async_read_some(
              b,
              asio::bind_executor(executor, asio::bind_allocator(allocator, [this, b, done = std::move(done)](
                                                                                error_code ec, std::size_t n) mutable {
                                    if (n != 0) take_marks_off(b, n);
                                    std::move(done)(ec, n);
                                  })));
        },
        handler, buffers);
  }

  template <class Buffers, class Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    if (outbox_ == nullptr) return socket_.async_write_some(buffers, std::forward<Handler>(handler));
    return asio::async_initiate<Handler, void(error_code, std::size_t)>(
        [this](auto done, const Buffers& b) {
          std::string bytes = beast::buffers_to_string(b);
          const std::size_t size = bytes.size();
          const bool close = !bytes.empty() && (bytes[0] & 0x0f) == 0x8;
          outbox_->push(FramePtr(new Frame(std::move(bytes))));
          hooks_.wake();
          if (close) hooks_.close_sent();
          if (close || outbox_->bytes() <= bytes_max_)
            asio::post(get_executor(), beast::bind_front_handler(std::move(done), error_code{}, size));
          else
            held_ = std::make_unique<Held<std::decay_t<decltype(done)>>>(get_executor(), std::move(done), size);
        },
        handler, buffers);
  }

 private:
  template <class Done>
  class Held final : public HeldWrite {
   public:
    Held(executor_type executor, Done done, std::size_t size)
        : executor_(std::move(executor)), done_(std::move(done)), size_(size) {}
    void finish(error_code ec) override {
      asio::post(executor_, beast::bind_front_handler(std::move(done_), ec, ec ? 0 : size_));
    }

   private:
    executor_type executor_;
    Done done_;
    std::size_t size_;
  };

  template <class Buffers>
  void take_marks_off(const Buffers& buffers, std::size_t size) {
    for (const asio::mutable_buffer b : beast::buffers_range_ref(buffers)) {
      const std::size_t n = std::min(size, b.size());
      marks_->pass(static_cast<char*>(b.data()), n);
      size -= n;
    }
  }

  Socket socket_;
  std::string early_;
  Outbox* outbox_ = nullptr;
  std::size_t bytes_max_ = 0;
  Hooks hooks_;
  std::unique_ptr<HeldWrite> held_;
  std::unique_ptr<DeflateMarks> marks_;
};

std::string offered_extensions(const http::fields& headers) {
  std::string all;
  const auto [begin, end] = headers.equal_range(http::field::sec_websocket_extensions);
  for (auto header = begin; header != end; ++header) all.append(header->value()) += ',';
  return all;
}

// Beast's last step. The close frame may still wait in the outbox, so the socket is shut down by WsConnection::end(),
// once all that is owed has left or the time for it is over.
template <class Handler>
void async_teardown(beast::role_type, OutboxStream& stream, Handler&& handler) {
  asio::post(stream.get_executor(), beast::bind_front_handler(std::forward<Handler>(handler), error_code{}));
}
void beast_close_socket(OutboxStream& stream) {
  error_code ec;
  stream.socket().close(ec);
}

class WsConnection final : public WsSocket,
                           public SendBatch::Sender,
                           public std::enable_shared_from_this<WsConnection> {
 public:
  explicit WsConnection(WsStart&& start)
      : limits_(*start.limits),
        loop_(*start.loop),
        handler_(std::move(start.handler)),
        request_(std::move(start.request)),
        ws_(OutboxStream(std::move(start.socket), std::move(start.early))) {
    ws_.set_option(
        websocket::stream_base::timeout{websocket::stream_base::none(), websocket::stream_base::none(), false});
    std::string extensions;
    if (auto terms = start.deflate ? accept_deflate(offered_extensions(request_)) : std::nullopt) {
      extensions = std::move(terms->answer);
      deflate_bits_ = terms->window_bits;
      ws_.next_layer().take_marks();
    }
    ws_.set_option(websocket::stream_base::decorator(
        [name = std::move(start.subprotocol), extensions = std::move(extensions)](websocket::response_type& r) {
          r.set(http::field::server, "weir");
          if (!name.empty()) r.set(http::field::sec_websocket_protocol, name);
          if (!extensions.empty()) r.set(http::field::sec_websocket_extensions, extensions);
        }));
    ws_.read_message_max(static_cast<std::size_t>(limits_.frame_bytes));
    ws_.auto_fragment(false);
  }

  void run() {
    deadline(limits_.handshake_ms);
    ws_.async_accept(request_, [self = shared_from_this()](error_code ec) {
      self->timer_.reset();
      if (ec || self->gone_) return self->end();
      self->request_ = {};
      self->open();
    });
  }

  void offer(SendBatch& batch) override {
    if (writing_ || outbox_ == nullptr || gone_) return;
    outbox_->empty() ? batch.add(*this) : batch.add(*this, socket().native_handle(), *outbox_);
  }

  bool left(ssize_t bytes) override {
    if (bytes < 0) return not_sent(static_cast<int>(-bytes));
    outbox_->sent(static_cast<std::size_t>(bytes));
    if (!outbox_->empty() && !send_now()) return false;
    return leaving_ || close_code_ || ws_.next_layer().waits() || handler_->wants_drained();
  }

  void flushed() override { after_flush(); }

  void flush_early() override {
    if (!writing_ && outbox_ != nullptr && !gone_) send_now();
  }

  void close(CloseCode code, std::string_view reason) override {
    if (close_code_ || close_framed_ || gone_) return;
    close_code_ = code;
    close_reason_ = reason.substr(0, 120);  // a close frame holds 123 bytes; cut at a character
    while (!close_reason_.empty() && !json::valid_utf8(close_reason_)) close_reason_.pop_back();
    if (code == CloseCode::too_slow && outbox_ != nullptr) outbox_->drop_unsent();
    deadline(kClosingMs);
    asio::post(ws_.get_executor(), [self = shared_from_this()] { self->flush(); });
  }

  void abort(CloseCode code, std::string_view reason) override {
    const auto self = shared_from_this();
    lingers_ = false;
    farewell(code, reason);
    end();
  }

  void read(bool go_on) override {
    paused_ = !go_on;
    if (go_on && !reading_ && open_ && !gone_)
      asio::post(ws_.get_executor(), [self = shared_from_this()] { self->read_next(); });
  }

  unsigned deflate_bits() const override { return deflate_bits_; }

  void ping() override {
    if (outbox_ == nullptr || gone_) return;
    outbox_->push(FramePtr(new Frame(ws_frame(0x9, {}))));
    wake();
  }

 private:
  Socket& socket() { return ws_.next_layer().socket(); }

  // Outside the shard's rounds.
  void flush() {
    flush_posted_ = false;
    if (writing_ || outbox_ == nullptr || gone_) return;
    if (send_now()) after_flush();
  }

  void open() {
    open_ = true;
    anchor_ = shared_from_this();
    error_code ec;
    socket().non_blocking(true, ec);
    ws_.control_callback([this](websocket::frame_type type, beast::string_view) {
      if (type != websocket::frame_type::close && handler_) handler_->heard();
    });
    opened_ = true;
    outbox_ = &handler_->opened(*this);
    ws_.next_layer().use(outbox_, static_cast<std::size_t>(limits_.outbox_bytes),
                         {[this] { wake(); },
                          [this] {
                            close_framed_ = true;
                            forget_marks();
                            if (handler_) handler_->ending();
                          }});
    read_next();
  }

  // Something entered the outbox behind the shard's back (Beast's own frames): flush after this turn.
  void wake() {
    if (flush_posted_) return;
    flush_posted_ = true;
    asio::post(ws_.get_executor(), [self = shared_from_this()] { self->flush(); });
  }

  void read_next() {
    if (reading_ || paused_ || gone_ || close_started_) return;
    reading_ = true;
    ws_.async_read(buffer_, [self = shared_from_this()](error_code ec, std::size_t) { self->on_read(ec); });
  }

  void on_read(error_code ec) {
    reading_ = false;
    if (gone_) return;  // ended while this was on its way
    if (ec) return leave();
    using Message = DeflateMarks::Message;
    const std::string_view message(static_cast<const char*>(buffer_.data().data()), buffer_.size());
    DeflateMarks* const marks = ws_.next_layer().marks();
    const Message was = marks != nullptr ? marks->next() : Message::plain;
    if (!close_code_) {
      if (was != Message::plain)
        compressed(message, was == Message::text);
      else if (ws_.got_text())
        handler_->text(message);
      else
        handler_->binary(message);
    }
    buffer_.consume(buffer_.size());
    if (buffer_.capacity() > 16 * 1024) buffer_.shrink_to_fit();
    read_next();
  }

  void compressed(std::string_view payload, bool text) {
    auto& inflater = loop_.impl().inflater;
    if (inflater == nullptr) inflater = std::make_unique<Inflater>();
    const auto message = inflater->inflate(payload, static_cast<std::size_t>(limits_.frame_bytes));
    if (!message)
      refuse(message.error().code == Errc::too_large ? CloseCode::too_big : CloseCode::bad_data,
             message.error().message);
    else if (!text)
      handler_->binary(*message);
    else if (json::valid_utf8(*message))
      handler_->text(*message);
    else
      refuse(CloseCode::bad_data, "the text is not valid UTF-8");
  }

  // What Beast would close for, had it seen it. As there, what is owed so far comes before the close frame.
  void refuse(CloseCode code, std::string_view reason) {
    handler_->ending();
    close(code, reason);
  }

  // Messages are thrown away from here on, by Beast, who does not tell.
  void forget_marks() {
    if (DeflateMarks* const marks = ws_.next_layer().marks()) marks->forget();
  }

  // Gives the socket what it takes of the outbox; the rest follows when it is writable. False: the connection is
  // broken.
  bool send_now() {
    iovec parts[SendBatch::kPartsMax];
    while (!outbox_->empty()) {
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = outbox_->gather(parts);
      const ssize_t n = ::sendmsg(socket().native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return not_sent(errno);
      outbox_->sent(static_cast<std::size_t>(n));
    }
    return true;
  }

  // As send_now().
  bool not_sent(int error) {
    if (error != EAGAIN && error != EWOULDBLOCK) {
      fail_now();
      return false;
    }
    writing_ = true;
    socket().async_wait(Socket::wait_write, [self = shared_from_this()](error_code ec) {
      self->writing_ = false;
      if (!ec) self->flush();
    });
    return true;
  }

  void after_flush() {
    if (outbox_ == nullptr || gone_) return;
    ws_.next_layer().sent();
    if (leaving_) return outbox_->empty() ? end() : void();
    if (close_code_ && outbox_->empty() && !close_started_) return start_close();
    if (outbox_->bytes() <= kDrainedBytes && !close_code_ && handler_->wants_drained()) handler_->drained();
  }

  void start_close() {
    close_started_ = true;
    forget_marks();
    websocket::close_reason reason(static_cast<websocket::close_code>(static_cast<std::uint16_t>(*close_code_)),
                                   close_reason_);
    ws_.async_close(reason, [self = shared_from_this()](error_code) {
      if (!self->reading_) self->leave();
    });
  }

  // All has been said. What the outbox still holds leaves first: a close frame, if there is one, is the last of it.
  void leave() {
    if (gone_ || leaving_) return;
    if (!close_framed_ || outbox_->empty()) return end();
    leaving_ = true;
    if (timer_ == nullptr) deadline(kClosingMs);
    flush();
  }

  // A close frame without waiting for anything: for the end of the process. Not if it would stand inside a frame.
  void farewell(CloseCode code, std::string_view reason) {
    if (gone_ || outbox_ == nullptr || close_framed_) return;
    outbox_->drop_unsent();
    std::string payload{static_cast<char>(static_cast<std::uint16_t>(code) >> 8),
                        static_cast<char>(static_cast<std::uint16_t>(code) & 0xff)};
    payload += reason;
    outbox_->push(FramePtr(new Frame(ws_frame(0x8, payload))));
    iovec parts[2];
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = outbox_->gather(parts);
    (void)::sendmsg(socket().native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  void deadline(std::int64_t ms) {
    timer_ = std::make_unique<asio::steady_timer>(ws_.get_executor(), std::chrono::milliseconds(ms));
    timer_->async_wait([weak = weak_from_this()](error_code ec) {
      if (ec) return;
      if (auto self = weak.lock()) self->fail_now();
    });
  }

  // The connection can't be ended politely any more.
  void fail_now() {
    error_code ec;
    socket().shutdown(Socket::shutdown_both, ec);
    socket().close(ec);
    asio::post(ws_.get_executor(), [self = shared_from_this()] { self->end(); });
  }

  void end() {
    if (gone_) return;
    gone_ = true;
    const auto self = std::exchange(anchor_, nullptr);  // from here on only pending handlers keep it
    error_code ec;
    socket().shutdown(Socket::shutdown_send, ec);
    outbox_ = nullptr;
    ws_.next_layer().let_go();
    if (opened_) handler_->closed();
    handler_.reset();
    if (ec || !lingers_) {
      socket().close(ec);
      timer_.reset();
      return;
    }
    // What the client still sends is read and thrown away for a moment: closing with unread bytes would reset the
    // connection, and the reset could overtake the close frame that says why.
    deadline(kLingerMs);
    linger(weak_from_this().lock(), std::make_shared<std::array<char, 4096>>());
  }

  void linger(std::shared_ptr<WsConnection> self, std::shared_ptr<std::array<char, 4096>> bin) {
    socket().async_read_some(asio::buffer(*bin), [self = std::move(self), bin](error_code ec, std::size_t) {
      if (!ec) return self->linger(self, bin);
      self->timer_.reset();
      self->socket().close(ec);
    });
  }

  const Limits& limits_;
  Loop& loop_;
  std::shared_ptr<WsConnection> anchor_;  // alive while open, also when nothing is being read or written
  std::shared_ptr<WsHandler> handler_;
  http::request<http::string_body> request_;
  websocket::stream<OutboxStream, false> ws_;  // false: without Beast's own compression
  beast::flat_buffer buffer_;
  Outbox* outbox_ = nullptr;
  std::unique_ptr<asio::steady_timer> timer_;
  std::optional<CloseCode> close_code_;
  std::string close_reason_;
  unsigned deflate_bits_ = 0;
  bool open_ = false, opened_ = false, reading_ = false, paused_ = false, writing_ = false, flush_posted_ = false;
  bool close_started_ = false, close_framed_ = false, leaving_ = false, gone_ = false, lingers_ = true;
};

}  // namespace

void start_websocket(WsStart start) { std::make_shared<WsConnection>(std::move(start))->run(); }

}  // namespace weir::net
