// Looks up the addresses of a name without holding up the strand. A lookup that hangs can't be called off, so it runs
// on a thread that owns what it works on and calls nothing of the hub; who asks anew while one runs waits for that one,
// so there is never more than one. stop() does not wait for it: the library stays loaded as long as the process.
// Threads: [strand].
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weir/sdk/host.hpp"

namespace weir::postgres {

class Resolver {
 public:
  struct Found {
    std::vector<std::string> addresses;  // in numbers; none: see why
    std::string why;
  };
  // `lookup` is getaddrinfo, unless a test says otherwise. It runs on the other thread.
  using Lookup = std::function<Found(const std::string& name)>;
  explicit Resolver(Lookup lookup = system_lookup) : lookup_(std::move(lookup)) {}
  ~Resolver() { forget(); }
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  void start(const sdk::Host& host, const std::string& name, std::function<void(Found)> call);
  void forget() { watch_.end(); }  // the call does not come any more
  static Found system_lookup(const std::string& name);

 private:
  struct Work;
  Lookup lookup_;
  std::shared_ptr<Work> work_;  // the last one that was begun
  sdk::FdWatch watch_;
};

}  // namespace weir::postgres
