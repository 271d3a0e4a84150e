// What the hub answers over plain HTTP, and where a request becomes a WebSocket:
//   GET /            the built-in page          GET /health /ready            anybody
//   GET /stats /subscriptions                   admins (api.admin_scope)
//   POST /api/v1/channels/{channel}/events      publish
//   POST /api/v1/reload                         admins: reads the manifest again
//   GET <endpoint>   upgrade to weir.v1; or a plugin answers there, and below
// Threads: [shard] of the exchange.
#pragma once
#include <functional>
#include <string>

#include "net/http.hpp"
#include "server/shard_host.hpp"

namespace weir {

class Hub;

class HttpApi {
 public:
  explicit HttpApi(Hub& hub);
  void handle(ShardHost& shard, net::ExchangePtr exchange);

 private:
  using Known = std::function<void(Identity)>;
  void upgrade(ShardHost& shard, const EndpointRule& endpoint, net::ExchangePtr exchange);
  void to_plugin(const EndpointRule& endpoint, net::ExchangePtr exchange);
  void publish(ShardHost& shard, std::string_view channel_in_path, net::ExchangePtr exchange);
  // Goes on once it is known who asks; otherwise answers. Without any auth in the manifest everybody is let through.
  void identified(net::ExchangePtr exchange, Known known);
  void admin(net::ExchangePtr exchange, std::function<void()> allowed);
  void reload(const net::ExchangePtr& exchange);
  std::string page() const;
  bool may_ask(const net::ExchangePtr& exchange, bool by_own_name, bool to_publish) const;
  bool page_may_publish(const net::Request& r) const;
  void preflight(const net::ExchangePtr& exchange);

  Hub& hub_;
  const std::string page_;  // as built in
};

}  // namespace weir
