// Requests that wait for their events' places in the hub, and what becomes of them.
// Events have numbers, from 1, in the order in which they are emitted; the hub accepts or refuses them in this order.
// Threads: [strand].
#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <vector>

#include "seen_ids.hpp"
#include "weir/sdk/http.hpp"

namespace weir::http_ingest {

class UnderWay {
 public:
  struct Request {
    sdk::HttpReply reply;
    std::uint64_t first = 1, last = 0;    // the numbers of its own events; last < first: it has none
    std::optional<HashedId> signature{};  // where there is a time in it
    std::uint64_t number = 0;             // of the request
    std::vector<std::uint32_t> places{};  // which of the request's events they are, from 1
    std::vector<std::uint64_t> others{};  // events of other requests under way that have the same ids
    std::size_t duplicates = 0;
    std::vector<std::uint64_t> refused{};  // of its own
    bool no_place = false;                 // one of its own may have found none
    bool again = false;                    // one of the others was refused or found no place: it may be sent again
    bool owns(std::uint64_t event) const { return first <= event && event <= last; }
  };

  // not_taken: called for a request that is about to be told that nothing of it, or not all of it for sure, was taken.
  explicit UnderWay(std::function<void(const Request&)> not_taken) : not_taken_(std::move(not_taken)) {}

  // Answers at once when there is nothing to wait for.
  void add(Request request);
  // Every event up to this one that was not refused has its place.
  void accepted(std::uint64_t number);
  // The hub called it wrong.
  void refused(std::uint64_t number);
  // Of the events that are not accepted, up to this one, at least one found no place. accepted() follows.
  void no_place(std::uint64_t number);
  // Makes `request` wait for all that the one under way with this signature waits for, if there is one.
  void wait_for_the_same(const HashedId& signature, Request& request) const;
  // The request with this token, which nobody waits for any more; null when it is not under way.
  const Request* find(std::uint64_t token) const;
  // Its events were taken back before the hub had them.
  void take_back(std::uint64_t token);
  // Nothing more will be heard of them.
  void give_up();
  std::size_t size() const { return requests_.size(); }
  std::uint64_t accepted_up_to() const { return accepted_; }

 private:
  bool done(const Request& request) const;
  void answer(Request& request);
  void answer_done();
  void send_again_with(const Request& gone);

  const std::function<void(const Request&)> not_taken_;
  std::list<Request> requests_;
  std::uint64_t accepted_ = 0;
};

}  // namespace weir::http_ingest
