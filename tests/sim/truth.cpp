#include "sim/truth.hpp"

#include <algorithm>

#include "base/json.hpp"

namespace weir::sim {
namespace {
std::string text_of(std::uint64_t n, const std::string& owner, int size, int split, bool drop) {
  std::string out = "{\"n\":" + std::to_string(n) + ",\"owner\":\"" + owner + "\",\"size\":" + std::to_string(size);
  if (split != 0) out += ",\"split\":" + std::to_string(split);
  if (drop) out += ",\"drop\":true";
  return out + ",\"pad\":\"" + std::string(static_cast<std::size_t>(size), 'x') + "\"}";
}
}  // namespace

std::string Life::state(SequenceId id, std::string_view params) const {
  std::uint64_t sum = 0;
  for (SequenceId i = 1; i <= id; ++i) sum = (sum * 31 + at(i).n) % 1'000'000'007;
  return "{\"sum\":" + std::to_string(sum) + ",\"params\":" + std::string(params) + "}";
}

class Witness final : public RuleChain {
 public:
  Witness(Truth& truth, Life& life, bool state) : truth_(truth), life_(life), state_(state) {}
  // In the place of `before`, after a reload.
  explicit Witness(Witness& before)
      : truth_(before.truth_), life_(before.life_), state_(before.state_), reduced_(before.reduced_) {
    before.replaced_ = true;
  }
  ~Witness() override {
    if (!replaced_) life_.over = true;
  }

  bool asks_publishers() const override { return false; }
  RuleVerdict may_publish(const Identity&, const Draft&) override { return {}; }
  bool has_state() const override { return state_; }
  void reduce(const Event& event) override {
    if (event.sequence_id() != ++reduced_)
      throw Violation("the state takes in event " + std::to_string(event.sequence_id()) + " as the " +
                      std::to_string(reduced_) + "th");
    if (life_.at(reduced_).data != event.data()) throw Violation("the state takes in what was not published");
  }
  Result<std::string> snapshot(std::string_view params) override {
    if (params.find("fails") != std::string_view::npos) return weir::fail(Errc::unavailable, "asked to");
    return life_.state(reduced_, params);
  }

  RuleVerdict run(Draft& draft, std::vector<Draft>& more) override {
    json::Doc doc;
    if (!doc.parse(draft.data)) throw Violation("a rule got data that is no JSON");
    const json::Value v = doc.root();
    Record r;
    r.n = static_cast<std::uint64_t>(*v.find("n").integer());
    r.owner = v.find("owner").string();
    r.size = static_cast<int>(*v.find("size").integer());
    r.name = draft.event;
    r.key = draft.key;
    r.from_source = !draft.source.empty();
    r.dedupe = draft.dedupe;
    r.data = draft.data;
    if (v.find("drop")) {
      if (truth_.dropped_.size() <= r.n) truth_.dropped_.resize(r.n + 1);
      truth_.dropped_[r.n] = true;
      return {.keep = false, .reason = "asked to"};
    }
    const std::int64_t split = v.find("split") ? *v.find("split").integer() : 0;
    life_.events.push_back(r);
    for (std::int64_t i = 0; i < split; ++i) {
      Record part = r;
      part.dedupe.clear();
      part.data = truth_.make_data(part.n, r.owner, r.size / 2, 0, false);
      part.size = r.size / 2;
      Draft d;
      d.event = draft.event;
      d.key = draft.key;
      d.data = part.data;
      more.push_back(std::move(d));
      life_.events.push_back(std::move(part));
    }
    return {};
  }

 private:
  Truth& truth_;
  Life& life_;
  const bool state_;
  SequenceId reduced_ = 0;
  bool replaced_ = false;
};

std::unique_ptr<RuleChain> Truth::open(std::span<const std::size_t>, std::string_view channel, const Variables&) {
  auto& lives = channels[std::string(channel)];
  if (!lives.empty() && !lives.back().over) throw Violation("channel " + std::string(channel) + " was opened twice");
  return std::make_unique<Witness>(*this, lives.emplace_back(), has_state(channel));
}

std::unique_ptr<RuleChain> Truth::reopen(std::unique_ptr<RuleChain> before, std::span<const std::size_t> rules,
                                         std::string_view channel, const Variables& variables) {
  if (!before) return open(rules, channel, variables);
  return std::make_unique<Witness>(static_cast<Witness&>(*before));
}

void Truth::look(const Channels& all) {
  all.each([&](const Channels::Info& info) {
    Life* life = current(info.name);
    if (life == nullptr) throw Violation("channel " + info.name + " is open, but its rules were not");
    if (life->epoch.empty()) life->epoch = info.epoch;
    if (life->epoch != info.epoch) throw Violation("channel " + info.name + " changed its epoch within one life");
    if (life->head() != info.head)
      throw Violation("channel " + info.name + " is at " + std::to_string(info.head) + ", but its rules let " +
                      std::to_string(life->head()) + " events pass");
    life->kept = info.events;
  });
}

void Truth::missed(const std::string& channel, bool asked, const Position& then) {
  Life* life = current(channel);
  if (life == nullptr) return;
  SequenceId after = life->head();
  while (after != 0 && !life->at(after).from_source) --after;
  // Who publishes to a channel whose source is just being woken does not know more than those who wait for it.
  if (after == 0 && asked && !life->let_in_late) return;
  life->missed.push_back(then.epoch == life->epoch ? std::max(after, then.sequence_id) : after);
}

void Truth::check_recovered(const std::string& channel, const Position& since) {
  const Life* life = find(channel, since.epoch);
  if (life == nullptr || since.sequence_id == 0) return;  // nobody has got anything yet
  for (const SequenceId at : life->missed)
    if (at >= since.sequence_id)
      throw Violation("nothing of " + channel + " since " + std::to_string(since.sequence_id) +
                      " is missing, the hub says, but what came upstream after event " + std::to_string(at) +
                      " was seen by no source");
}

Life* Truth::current(const std::string& channel) {
  const auto found = channels.find(channel);
  return found == channels.end() || found->second.back().over ? nullptr : &found->second.back();
}

Life* Truth::find(const std::string& channel, const std::string& epoch) {
  const auto found = channels.find(channel);
  if (found == channels.end()) return nullptr;
  for (Life& life : found->second)
    if (life.epoch == epoch) return &life;
  return nullptr;
}

std::string Truth::make_data(std::uint64_t& n, const std::string& owner, int size, int split, bool drop) {
  n = next_n_++;
  return text_of(n, owner, size, split, drop);
}

}  // namespace weir::sim
