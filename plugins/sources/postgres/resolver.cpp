#include "resolver.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <mutex>
#include <thread>

namespace weir::postgres {

struct Resolver::Work {
  explicit Work(std::string of) : name(std::move(of)), fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Work() { ::close(fd); }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  const std::string name;
  const int fd;  // readable when it is done
  std::mutex mutex;
  bool done = false;  // guarded by mutex, as is found
  Found found;
};

Resolver::Found Resolver::system_lookup(const std::string& name) {
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

void Resolver::start(const sdk::Host& host, const std::string& name, std::function<void(Found)> call) {
  watch_.end();
  bool running = false;
  if (work_ && work_->name == name) {
    const std::lock_guard lock(work_->mutex);
    running = !work_->done;
  }
  if (!running) {
    auto work = std::make_shared<Work>(name);
    try {
      std::thread([work, lookup = lookup_] {
        Found found = lookup(work->name);
        const std::lock_guard lock(work->mutex);
        work->found = std::move(found);
        work->done = true;
        const std::uint64_t one = 1;
        if (::write(work->fd, &one, sizeof one) < 0) return;  // can't be: the counter is 0
      }).detach();
    } catch (const std::exception& e) {  // the machine has none left
      return call({{}, std::string("no thread for it: ") + e.what()});
    }
    work_ = std::move(work);
  }
  const auto heard = [this, work = work_, call](std::uint32_t) {
    watch_.end();
    Found found;
    {
      const std::lock_guard lock(work->mutex);
      found = work->found;
    }
    call(std::move(found));
  };
  if (!watch_.start(host, work_->fd, WEIR_WATCH_READ, heard)) call({{}, "the hub can't watch a descriptor"});
}

}  // namespace weir::postgres
