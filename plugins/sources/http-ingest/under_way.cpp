#include "under_way.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace weir::http_ingest {

void UnderWay::add(Request request) {
  if (done(request)) return answer(request);
  requests_.push_back(std::move(request));
}

void UnderWay::accepted(std::uint64_t number) {
  accepted_ = std::max(accepted_, number);
  for (auto it = requests_.begin(); it != requests_.end();) {
    if (!done(*it)) {
      ++it;
      continue;
    }
    answer(*it);
    it = requests_.erase(it);
  }
}

void UnderWay::refused(std::uint64_t number) {
  for (auto it = requests_.begin(); it != requests_.end();) {
    Request& r = *it;
    if (r.first <= number && number <= r.last) r.refused.push_back(number);
    if (std::erase(r.others, number) != 0) r.again = true;
    if (done(r)) {
      answer(r);
      it = requests_.erase(it);
    } else {
      ++it;
    }
  }
}

void UnderWay::give_up() {
  for (Request& r : requests_)
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
  return std::all_of(r.others.begin(), r.others.end(), [&](std::uint64_t other) { return other <= accepted_; });
}

void UnderWay::answer(Request& r) {
  const std::size_t own = r.last + 1 - r.first, accepted = own - r.refused.size();
  const std::string counts =
      "\"accepted\":" + std::to_string(accepted) + ",\"duplicates\":" + std::to_string(r.duplicates);
  if (!r.refused.empty()) {
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
  if (r.again)
    return r.reply.error(WEIR_E_FULL,
                         "another request had an event with the same id, which found no place; send this one again");
  const bool nothing_new = own == 0 && r.duplicates != 0;
  r.reply.json(own == 0 ? 200 : 202, "{" + counts + (nothing_new ? ",\"duplicate\":true}" : "}"));
}

}  // namespace weir::http_ingest
