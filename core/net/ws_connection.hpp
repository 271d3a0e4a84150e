// Turns an accepted socket into a WebSocket. For core/net only.
#pragma once
#include "net/beast.hpp"
#include "net/http.hpp"

namespace weir::net {

struct WsStart {
  Socket socket;
  http::request<http::string_body> request;  // the handshake
  std::string early;                         // bytes that came behind it
  std::string subprotocol;
  bool deflate;  // compressed messages are agreed on if the client offers them
  std::shared_ptr<WsHandler> handler;
  Loop* loop;
  const Limits* limits;
};
void start_websocket(WsStart start);

}  // namespace weir::net
