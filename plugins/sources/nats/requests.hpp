// Methods answered by whoever listens on a subject: NATS' request and reply. All answers come by one subscription, in
// any order; each names the request by the last token of its subject. At most 8,192 requests and 16 MiB of their
// parameters wait at once. Threads: [strand].
#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "inbox.hpp"
#include "link.hpp"
#include "weir/sdk/host.hpp"
#include "weir/sdk/responder.hpp"

namespace weir::nats {

class Requests {
 public:
  Requests(const sdk::Host& host, Link& link);

  void request(const sdk::Request& request, sdk::Reply reply);
  void cancel(std::uint64_t token);
  // The server says that our user may not publish to this subject. False: nobody waits for an answer from there.
  bool refused(std::string_view subject);
  // The answers to what is asked would come to a connection that is over.
  void away(const std::string& why);
  std::size_t waiting() const { return waiting_.size(); }
  std::uint64_t asked() const { return asked_; }

 private:
  static constexpr std::size_t kMost = 8'192, kBytesMost = 16 * 1024 * 1024;
  struct Waiting {
    sdk::Reply reply;
    std::string subject;
    std::int64_t until_ms;
    std::size_t bytes;
  };
  using Found = std::unordered_map<std::uint64_t, Waiting>::iterator;
  void listen();
  void answers();
  static void answer(Waiting& waiting, natsMsg* message);
  Waiting forget(Found which);
  void too_late();

  sdk::Host host_;
  Link& link_;
  std::string inbox_;  // empty before the first request: a user who asks nothing needs no right to hear answers
  std::shared_ptr<Inbox> answers_;
  std::unordered_map<std::uint64_t, Waiting> waiting_;          // by token
  std::set<std::pair<std::int64_t, std::uint64_t>> deadlines_;  // of waiting_
  std::size_t bytes_ = 0;                                       // of their parameters
  std::uint64_t asked_ = 0;
  sdk::Timer timer_;
};

}  // namespace weir::nats
