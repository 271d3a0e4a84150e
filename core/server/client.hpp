// One WebSocket client: between the socket (net) and the shard (routing).
// Threads: [shard].
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "net/http.hpp"
#include "server/admission.hpp"
#include "server/shard_host.hpp"

namespace weir {

class Client final : public net::WsHandler {
 public:
  Client(ShardHost& host, const EndpointRule& endpoint, const net::Request& request, std::optional<Identity> identity, std::unique_ptr<Registry::Place> place)
      : host_(host), endpoint_(endpoint), request_(request), identity_(std::move(identity)), place_(std::move(place)) {
    request_.body.clear();
    if (!endpoint.auth_by_frame) request_ = {};  // the handshake is looked at again only for an `auth` frame
    peer_ = request.peer;
  }

  Outbox& opened(net::WsSocket& socket) override {
    connection_ = &host_.shard().open(socket, endpoint_, std::move(identity_), peer_);
    connection_->user = this;
    return connection_->outbox;
  }
  void text(std::string_view message) override { host_.shard().receive(*connection_, message); }
  void binary(std::string_view) override {
    host_.shard().refuse_frame(*connection_, fail(Errc::bad_frame, "a binary frame; weir.v1 is JSON in text frames"), CloseCode::policy);
  }
  void heard() override { host_.shard().heard(*connection_); }
  void drained() override { host_.shard().drained(*connection_); }
  bool wants_drained() const override { return host_.shard().wants_drained(*connection_); }
  void ending() override { connection_->closing = true; }
  void closed() override {
    host_.shard().closed(*connection_);
    connection_ = nullptr;
  }

  const net::Request& request() const { return request_; }
  Registry::Place& place() { return *place_; }

 private:
  ShardHost& host_;
  const EndpointRule& endpoint_;
  net::Request request_;
  std::string peer_;
  std::optional<Identity> identity_;
  std::unique_ptr<Registry::Place> place_;
  Connection* connection_ = nullptr;
};

}  // namespace weir
