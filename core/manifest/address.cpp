#include "manifest/address.hpp"

#include <arpa/inet.h>

#include <charconv>

namespace weir::manifest {

Result<ListenAddress> parse_listen(std::string_view text) {
  const auto wrong = [](const std::string& what) {
    return fail(Errc::bad_request,
                what + R"(; write address and port, such as "127.0.0.1:8080", "[::1]:8080" or "localhost:8080")");
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("it has no port");
  const auto port_text = text.substr(colon + 1);
  std::string host(text.substr(0, colon));

  unsigned port = 0;
  const auto [end, ec] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (ec != std::errc{} || end != port_text.data() + port_text.size() || port > 65535 || port_text.size() > 5)
    return wrong("the port must be 0..65535");

  ListenAddress out;
  out.port = static_cast<std::uint16_t>(port);
  if (host == "localhost") host = "127.0.0.1";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    out.host = host.substr(1, host.size() - 2);
    in6_addr address{};
    if (out.host.find('\0') != std::string::npos || inet_pton(AF_INET6, out.host.c_str(), &address) != 1)
      return wrong("what stands in brackets is no IPv6 address");
    out.loopback = IN6_IS_ADDR_LOOPBACK(&address);
    return out;
  }
  in_addr address{};
  if (host.find('\0') != std::string::npos || inet_pton(AF_INET, host.c_str(), &address) != 1)
    return wrong(host.find(':') != std::string::npos ? "an IPv6 address stands in brackets"
                                                     : "the host is neither an address nor localhost");
  out.host = host;
  out.loopback = (ntohl(address.s_addr) >> 24) == 127;
  return out;
}

}  // namespace weir::manifest
