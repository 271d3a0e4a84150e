// Which subjects of core NATS are subscribed to: those of the manifest, which always are, and those that somebody
// watches; none that another one covers. Where two overlap and neither covers the other, a message comes once by each,
// and the one that is there longer takes it. Its work grows with the number of subjects when they change, and with the
// number of overlapping wildcards for a message. Threads: plain values.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir::nats {

class Demand {
 public:
  struct Upstream {
    std::function<std::uint32_t(const std::string& subject)> subscribe;  // answers with a number above those of before
    std::function<void(std::uint32_t subscription)> leave;
  };
  // `once`: upstream sees to it that a message comes by one subscription only, as it does for a queue group.
  Demand(Upstream upstream, bool once) : upstream_(std::move(upstream)), once_(once) {}

  void always(const std::string& subject);
  // Both in the words of NATS. They return the subjects, watched before and after, whose messages come by another
  // subscription from now on: some may be missing or come twice meanwhile.
  std::vector<std::string> activate(const std::string& subject);
  std::vector<std::string> deactivate(const std::string& subject);
  // Whether a message that came by this subscription is the one to take.
  bool takes(std::uint32_t subscription, std::string_view subject) const;

  bool empty() const { return wanted_.empty(); }
  bool has_always() const { return always_ != 0; }
  std::vector<std::string> active() const;

 private:
  struct Subscription {
    std::string subject;
    std::vector<std::uint32_t> before;  // older ones that overlap with it
  };
  std::vector<std::string> add(const std::string& subject);
  bool covered(std::string_view subject) const;
  void subscribe(const std::string& subject);
  void forget(std::uint32_t id, std::vector<std::string>& moved);

  Upstream upstream_;
  const bool once_;
  std::map<std::string, bool, std::less<>> wanted_;  // true: always
  std::size_t always_ = 0;
  std::map<std::uint32_t, Subscription> subscriptions_;
  std::vector<std::uint32_t> wild_;  // those with wildcards: only they can cover another one, or overlap with one
  std::unordered_map<std::string, std::uint32_t> by_subject_;
};

}  // namespace weir::nats
