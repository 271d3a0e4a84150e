// Looks up the addresses of a name without holding up the strand. A lookup that hangs can't be called off, so it runs
// on a thread that owns what it works on and calls nothing of the hub; who asks anew while one runs waits for that one,
// so there is never more than one for each name. stop() does not wait for it: the library stays loaded as long as the
// process. Threads: [strand].
#pragma once
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/sdk/host.hpp"

namespace weir::sdk {

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

  // `call` comes later, or, where there is no thread for it, at once.
  void start(const Host& host, const std::string& name, std::function<void(Found)> call) {
    watch_.end();
    std::erase_if(running_, [](const auto& work) { return work->is_done(); });
    const auto same = std::find_if(running_.begin(), running_.end(), [&](const auto& w) { return w->name == name; });
    const auto work = same != running_.end() ? *same : std::make_shared<Work>(name);
    if (same == running_.end()) {
      try {
        std::thread([work, lookup = lookup_] { run(*work, lookup); }).detach();
      } catch (const std::exception& e) {  // the machine has none left
        return call({{}, std::string("no thread for it: ") + e.what()});
      }
      running_.push_back(work);
    }
    const auto heard = [this, work, call](std::uint32_t) {
      watch_.end();
      Found found;
      {
        const std::lock_guard lock(work->mutex);
        found = work->found;
      }
      call(std::move(found));
    };
    if (!watch_.start(host, work->fd, WEIR_WATCH_READ, heard)) call({{}, "the hub can't watch a descriptor"});
  }
  void forget() { watch_.end(); }  // the call does not come any more

  static Found system_lookup(const std::string& name) {
    Found out;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &found); error != 0) {
      out.why = ::gai_strerror(error);
      return out;
    }
    for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
      std::array<char, NI_MAXHOST> text{};
      if (::getnameinfo(a->ai_addr, a->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0)
        out.addresses.emplace_back(text.data());
    }
    ::freeaddrinfo(found);
    if (out.addresses.empty()) out.why = "it has no address";
    return out;
  }

 private:
  struct Work {
    explicit Work(std::string of) : name(std::move(of)), fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
    ~Work() {
      if (fd >= 0) ::close(fd);
    }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    bool is_done() {
      const std::lock_guard lock(mutex);
      return done;
    }
    const std::string name;
    const int fd;  // readable when it is done
    std::mutex mutex;
    bool done = false;  // guarded by mutex, as is found
    Found found;
  };
  static void run(Work& work, const Lookup& lookup) {
    Found found = lookup(work.name);
    const std::lock_guard lock(work.mutex);
    work.found = std::move(found);
    work.done = true;
    const std::uint64_t one = 1;
    if (::write(work.fd, &one, sizeof one) < 0) return;  // can't be: the counter is 0
  }
  Lookup lookup_;
  std::vector<std::shared_ptr<Work>> running_;  // at the last look; each of another name
  FdWatch watch_;
};

}  // namespace weir::sdk
