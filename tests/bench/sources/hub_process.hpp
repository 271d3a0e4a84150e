// The hub as users run it: the program, with a manifest in a folder. Threads: one.
#pragma once
#include <cstdint>
#include <string>

#include "support/server_process.hpp"

namespace weir::bench {

// Until a line of the file begins with `begin`; returns what stands behind that. Throws after half a minute without
// one, with what the file says instead.
std::string wait_for_line(const std::string& file, const std::string& begin, int seconds = 30);

class HubProcess {
 public:
  // Ready, and its plugin "in" runs, when this returns. Throws with the hub's own words when it does not come to that.
  HubProcess(const std::string& program, const std::string& folder, const std::string& manifest);
  int pid() const { return process_.pid(); }
  std::uint16_t port() const { return port_; }
  std::uint64_t accepted() const;  // events of the source that have their place
  // Until that many are accepted. False: nothing more was for ten seconds.
  bool wait_accepted(std::uint64_t count) const;
  void reload(const std::string& manifest) const;  // done when it returns

 private:
  std::string ask(const std::string& method, const std::string& path) const;
  const std::string folder_;
  std::uint16_t port_ = 0;
  test::ServerProcess process_;
};

}  // namespace weir::bench
