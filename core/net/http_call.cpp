#include "net/http_call.hpp"

#include "net/beast.hpp"

namespace weir::net {

Result<HttpReply> http_call(const HttpCall& call) {
  const std::string there =
      (call.host.find(':') == std::string::npos ? call.host : "[" + call.host + "]") + ":" + std::to_string(call.port);
  error_code ec;
  const auto address = asio::ip::make_address(call.host == "localhost" ? "127.0.0.1" : call.host, ec);
  if (ec) return fail(Errc::bad_request, "\"" + call.host + "\" is no address; give one such as 127.0.0.1");
  asio::io_context io;
  beast::tcp_stream stream(io);
  stream.expires_after(std::chrono::milliseconds(call.timeout_ms));  // for all of it
  http::request<http::string_body> request(http::string_to_verb(call.method), call.target, 11);
  request.set(http::field::host, there);
  request.set(http::field::user_agent, "weir");
  for (const auto& [name, value] : call.headers) request.set(name, value);
  request.body() = call.body;
  request.prepare_payload();
  http::response_parser<http::string_body> parser;
  parser.body_limit(64U * 1024 * 1024);
  beast::flat_buffer buffer;
  const char* step = "connecting";
  stream.async_connect(tcp::endpoint(address, call.port), [&](error_code e) {
    if (ec = e; ec) return;
    step = "asking";
    http::async_write(stream, request, [&](error_code e2, std::size_t) {
      if (ec = e2; ec) return;
      step = "waiting for the answer";
      http::async_read(stream, buffer, parser, [&](error_code e3, std::size_t) { ec = e3; });
    });
  });
  io.run();
  if (ec == beast::error::timeout)
    return fail(Errc::timeout, "no answer from " + there + " within " + std::to_string(call.timeout_ms) + " ms");
  if (ec) return fail(Errc::unavailable, "no hub at " + there + ": " + ec.message() + " while " + step);
  return HttpReply{static_cast<int>(parser.get().result_int()), parser.get().body()};
}

}  // namespace weir::net
