// One WebSocket client: between the socket (net) and the shard (routing).
// Threads: [shard].
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "net/http.hpp"
#include "server/admission.hpp"
#include "server/revocations.hpp"
#include "server/shard_host.hpp"

namespace weir {

class Hub;

class Client final : public net::WsHandler {
 public:
  // `asked`: taken before a provider vouched for `identity`.
  Client(Hub& hub, ShardHost& host, const EndpointRule& endpoint, const net::Request& request,
         std::optional<Identity> identity, std::unique_ptr<Registry::Place> place, Revocations::Mark asked);

  Outbox& opened(net::WsSocket& socket) override;
  void text(std::string_view message) override { host_.shard().receive(*connection_, message); }
  void binary(std::string_view) override {
    host_.shard().refuse_frame(*connection_, fail(Errc::bad_frame, "a binary frame; weir.v1 is JSON in text frames"),
                               CloseCode::policy);
  }
  void heard() override { host_.shard().heard(*connection_); }
  void drained() override { host_.shard().drained(*connection_); }
  bool wants_drained() const override { return host_.shard().wants_drained(*connection_); }
  void ending() override { connection_->closing = true; }
  void closed() override;

  // The handshake as providers are shown it (Authenticator::describe); empty where the endpoint asks none.
  const std::string& described() const { return described_; }
  Registry::Place& place() { return *place_; }
  const Connection& connection() const { return *connection_; }

 private:
  friend class ShardHost;
  struct Opening;  // needed until the handshake is done
  Hub& hub_;
  ShardHost& host_;
  const EndpointRule& endpoint_;
  std::string described_;
  std::unique_ptr<Opening> opening_;
  std::unique_ptr<Registry::Place> place_;
  Connection* connection_ = nullptr;
  std::size_t listed_at_ = 0;  // in ShardHost::clients()

 public:
  ~Client() override;
};

}  // namespace weir
