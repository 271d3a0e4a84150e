// Requests that wait for their events' places in the hub, and what becomes of them.
// Events have numbers, from 1, in the order in which they are emitted; the hub accepts or refuses them in this order.
// So have requests, in the order in which they came. Who has an event that another request has, too, waits for that
// request as a whole: a number for each event would be 4,096 of them in each of 4,096 requests.
// Threads: [strand].
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "seen_ids.hpp"
#include "weir/sdk/http.hpp"

namespace weir::http_ingest {

class UnderWay {
 public:
  struct Request {
    sdk::HttpReply reply;
    std::uint64_t number = 0;                // of the request
    std::uint64_t first = 1, last = 0;       // the numbers of its own events; last < first: it has none
    std::optional<HashedId> signature{};     // where there is a time in it
    std::vector<std::uint32_t> places{};     // which of the request's events they are, from 1
    std::vector<std::uint64_t> waits_for{};  // requests under way that have the same ids; ascending, each once
    std::size_t duplicates = 0;
    std::vector<std::uint64_t> refused{};  // of its own
    bool no_place = false;                 // one of its own may have found none
    bool again = false;                    // not all of one that it waited for was taken: it may be sent again
    bool owns(std::uint64_t event) const { return first <= event && event <= last; }
  };

  // not_taken: called for a request that is about to be told that nothing of it, or not all of it for sure, was taken.
  explicit UnderWay(std::function<void(const Request&)> not_taken) : not_taken_(std::move(not_taken)) {}

  // Answers at once when there is nothing to wait for. Its number is higher than those before.
  void add(Request request);
  // Every event up to this one that was not refused has its place.
  void accepted(std::uint64_t number);
  // The hub called it wrong.
  void refused(std::uint64_t number);
  // Of the events that are not accepted, up to this one, at least one found no place. accepted() follows.
  void no_place(std::uint64_t number);
  bool has(std::uint64_t request) const { return requests_.contains(request); }
  // Makes `request` wait for the one under way with this signature, if there is one.
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
  void send_again_with(std::uint64_t gone);

  const std::function<void(const Request&)> not_taken_;
  std::map<std::uint64_t, Request> requests_;  // by number
  std::uint64_t accepted_ = 0;
};

}  // namespace weir::http_ingest
