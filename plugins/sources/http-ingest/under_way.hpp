// Requests that wait for their events' places in the hub, and what becomes of them.
// Events have numbers, from 1, in the order in which they are emitted; the hub accepts or refuses them in this order.
// Threads: [strand].
#pragma once
#include <cstdint>
#include <list>
#include <vector>

#include "weir/sdk/http.hpp"

namespace weir::http_ingest {

class UnderWay {
 public:
  struct Request {
    sdk::HttpReply reply;
    std::uint64_t first = 1, last = 0;    // the numbers of its own events; last < first: it has none
    std::vector<std::uint32_t> places{};  // which of the request's events they are, from 1
    std::vector<std::uint64_t> others{};  // events of other requests under way that have the same ids
    std::size_t duplicates = 0;
    std::vector<std::uint64_t> refused{};  // of its own
    bool again = false;                    // one of the others was refused: it may be sent again
  };

  // Answers at once when there is nothing to wait for.
  void add(Request request);
  // Every event up to this one that was not refused has its place.
  void accepted(std::uint64_t number);
  void refused(std::uint64_t number);
  // Nothing more will be heard of them.
  void give_up();
  std::size_t size() const { return requests_.size(); }
  std::uint64_t accepted_up_to() const { return accepted_; }

 private:
  bool done(const Request& request) const;
  static void answer(Request& request);

  std::list<Request> requests_;
  std::uint64_t accepted_ = 0;
};

}  // namespace weir::http_ingest
