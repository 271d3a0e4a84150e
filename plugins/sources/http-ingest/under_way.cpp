#include "under_way.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace weir::http_ingest {

void UnderWay::add(Request request) {
  if (done(request)) return answer(request);
  requests_.emplace(request.number, std::move(request));
}

void UnderWay::accepted(std::uint64_t number) {
  accepted_ = std::max(accepted_, number);
  answer_done();
}

void UnderWay::refused(std::uint64_t event) {
  for (auto& [number, r] : requests_) {
    if (!r.owns(event)) continue;
    r.refused.push_back(event);
    send_again_with(number);
  }
  answer_done();
}

void UnderWay::no_place(std::uint64_t up_to) {
  for (auto& [number, r] : requests_) {
    if (r.first > r.last || r.first > up_to || r.last <= accepted_) continue;
    r.no_place = true;
    send_again_with(number);
  }
}

void UnderWay::wait_for_the_same(const HashedId& signature, Request& request) const {
  for (const auto& [number, r] : requests_) {
    if (r.signature != signature) continue;
    request.waits_for.push_back(number);
    request.again = request.again || r.again || r.no_place || !r.refused.empty();
  }
}

const UnderWay::Request* UnderWay::find(std::uint64_t token) const {
  for (const auto& [number, r] : requests_)
    if (r.reply.token() == token) return &r;
  return nullptr;
}

void UnderWay::take_back(std::uint64_t token) {
  const auto it = std::find_if(requests_.begin(), requests_.end(),
                               [&](const auto& entry) { return entry.second.reply.token() == token; });
  if (it == requests_.end()) return;
  it->second.no_place = true;
  send_again_with(it->first);
  answer(it->second);
  requests_.erase(it);
  answer_done();
}

// Whoever left out an event because it is in that request has it not taken either, and has nothing to wait for.
void UnderWay::send_again_with(std::uint64_t gone) {
  for (auto it = requests_.upper_bound(gone); it != requests_.end(); ++it) {
    Request& r = it->second;
    if (!std::binary_search(r.waits_for.begin(), r.waits_for.end(), gone)) continue;
    r.waits_for.clear();
    r.again = true;
    send_again_with(it->first);  // the very same request again waits for this one
  }
}

void UnderWay::answer_done() {
  for (auto it = requests_.begin(); it != requests_.end();) {
    if (!done(it->second)) {
      ++it;
      continue;
    }
    answer(it->second);
    it = requests_.erase(it);
  }
}

void UnderWay::give_up() {
  for (auto& [number, r] : requests_)
    r.reply.error(
        WEIR_E_UNAVAILABLE,
        "the hub is stopping, and whether the events have their place is not known; send them again, with the "
        "same ids if they have some");
  requests_.clear();
}

// The hub refuses in the order of numbers, so the refused ones at the end are those that stand last in `refused`.
bool UnderWay::done(const Request& r) const {
  std::uint64_t wanted = r.last;
  for (auto it = r.refused.rbegin(); it != r.refused.rend() && *it == wanted; ++it) --wanted;
  if (wanted >= r.first && wanted > accepted_) return false;
  // They are done in their order, or send_again_with() has ended the waiting.
  return r.waits_for.empty() || !has(r.waits_for.back());
}

void UnderWay::answer(Request& r) {
  const std::size_t own = r.last + 1 - r.first, accepted = own - r.refused.size();
  const std::string counts =
      "\"accepted\":" + std::to_string(accepted) + ",\"duplicates\":" + std::to_string(r.duplicates);
  if (r.no_place || r.again) {
    not_taken_(r);
    return r.reply.error(WEIR_E_FULL,
                         r.no_place
                             ? "one of the events, or of those that were handed over together with them, found no "
                               "place in the hub, whose log says why; send the request again"
                             : "another request, which has an event with the same id, was not taken as a whole; send "
                               "this one again");
  }
  if (!r.refused.empty()) {
    if (accepted == 0) not_taken_(r);
    std::string places;
    for (const std::uint64_t number : r.refused)
      (places += places.empty() ? "" : ",") += std::to_string(r.places[number - r.first]);
    const std::string message = "the hub did not take " + std::to_string(r.refused.size()) + " of the " +
                                std::to_string(own) +
                                " new events, most likely because they are larger than its limits.data_bytes; its log "
                                "says why" +
                                (accepted == 0 ? "" : ". The others have their place");
    return r.reply.json(413, "{\"error\":{\"code\":\"too_large\",\"message\":" + sdk::json::quoted(message) + "}," +
                                 counts + ",\"refused\":[" + places + "]}");
  }
  const bool nothing_new = own == 0 && r.duplicates != 0;
  r.reply.json(own == 0 ? 200 : 202, "{" + counts + (nothing_new ? ",\"duplicate\":true}" : "}"));
}

}  // namespace weir::http_ingest
