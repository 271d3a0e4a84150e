// Where a server is and who we are there: a connection string of libpq taken apart, so that names can be looked up
// without libpq, which would wait for them. What the string leaves out comes from the usual PG... environment.
// Threads: plain values.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "weir/sdk/json.hpp"

namespace weir::postgres {

struct Address {
  struct Server {
    std::string host;      // a name, an address, the folder of a Unix socket; empty: libpq's own default
    std::string hostaddr;  // the address, if the string has it
    std::string port;
    bool needs_lookup() const;
  };
  std::vector<Server> servers;                               // one at least; each has its turn
  std::vector<std::pair<std::string, std::string>> options;  // all but host, hostaddr and port
  std::string text() const;                                  // for people, without secrets
};

// `url`: postgres://user@host:5432/database or "host=... dbname=...". `password` may be empty.
// Errors: Failure(WEIR_E_CONFIG).
Address parse_address(const sdk::json::Value& url, const std::string& password);

}  // namespace weir::postgres
