// Who listens on a subject, and perhaps answers, as anybody would write it with cnats. It waits for the server, also
// for one that comes back. Threads: any; `answer` runs on a thread of cnats.
#pragma once
#include <nats/nats.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace weir::test {

struct Heard {
  std::string subject, data;
  std::string id, event, key, time;  // headers of ours
};

class NatsListener {
 public:
  using Answer = std::function<void(natsConnection*, natsMsg*)>;
  NatsListener(const std::string& url, const std::string& subject, Answer answer = {});
  NatsListener(const NatsListener&) = delete;
  NatsListener& operator=(const NatsListener&) = delete;
  ~NatsListener();
  std::vector<Heard> heard() const;
  std::size_t count() const;

 private:
  Answer answer_;
  mutable std::mutex mutex_;
  std::vector<Heard> heard_;  // guarded by mutex_
  natsConnection* connection_ = nullptr;
  natsSubscription* subscription_ = nullptr;
};

// What `message` says in a header; empty if it is not there.
std::string header_of(natsMsg* message, const char* name);
// Answers `message` with `data` and these headers.
void answer_with(natsConnection* connection, natsMsg* message, const std::string& data,
                 const std::vector<std::pair<std::string, std::string>>& headers = {});

}  // namespace weir::test
