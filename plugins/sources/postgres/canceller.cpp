#include "canceller.hpp"

#include <libpq-fe.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <thread>

namespace weir::postgres {
namespace {

struct Work {
  explicit Work(PGconn* connection) : cancel(PQgetCancel(connection)), fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Work() {
    PQfreeCancel(cancel);
    ::close(fd);
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  PGcancel* const cancel;
  const int fd;  // readable when it is over
};

}  // namespace

void Canceller::start(const sdk::Host& host, pg_conn* connection, std::function<void()> over) {
  const auto work = std::make_shared<Work>(connection);
  if (work->cancel == nullptr) return over();
  try {
    std::thread([work] {
      std::array<char, 256> why{};
      (void)PQcancel(work->cancel, why.data(), static_cast<int>(why.size()));  // if not: statement_timeout ends it
      const std::uint64_t one = 1;
      if (::write(work->fd, &one, sizeof one) < 0) return;  // can't be: the counter is 0
    }).detach();
  } catch (const std::exception&) {  // the machine has none left: statement_timeout ends it
    return over();
  }
  const auto heard = [this, work, over](std::uint32_t) {
    watch_.end();
    over();
  };
  if (!watch_.start(host, work->fd, WEIR_WATCH_READ, heard)) over();
}

}  // namespace weir::postgres
