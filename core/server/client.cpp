#include "server/client.hpp"

#include "server/hub.hpp"

namespace weir {

struct Client::Opening {
  std::optional<Identity> identity;
  std::string peer;
  Revocations::Mark asked;
};

Client::Client(Hub& hub, ShardHost& host, const EndpointRule& endpoint, const net::Request& request,
               std::optional<Identity> identity, std::unique_ptr<Registry::Place> place, Revocations::Mark asked)
    : hub_(hub),
      host_(host),
      endpoint_(endpoint),
      opening_(std::make_unique<Opening>(Opening{std::move(identity), request.peer, asked})),
      place_(std::move(place)) {
  if (!endpoint.auth.empty()) described_ = Authenticator::describe(request, true);  // an `auth` frame may follow
}

Client::~Client() = default;

Outbox& Client::opened(net::WsSocket& socket) {
  const auto opening = std::move(opening_);
  Shard& shard = host_.shard();
  const bool known = opening->identity.has_value();
  connection_ = &shard.open(socket, endpoint_, std::move(opening->identity), std::move(opening->peer));
  connection_->user = this;
  host_.list(*this);
  // Whoever was told to go before this one was in the list of connections did not tell it.
  if (hub_.draining())
    hub_.tell_to_go(shard, *connection_);
  else if (known)
    if (const auto why = hub_.revocations().since(opening->asked, connection_->identity))
      shard.close(*connection_, CloseCode::unauthorized, *why, 1000, 5000);
  return connection_->outbox;
}

void Client::closed() {
  host_.unlist(*this);
  host_.shard().closed(*connection_);
  connection_ = nullptr;
}

}  // namespace weir
