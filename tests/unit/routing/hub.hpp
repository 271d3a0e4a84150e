// A hub of a few shards in one thread, for tests: mail lies in queues until it is delivered, sockets are clients that
// read when they are told to, and time moves by hand. Threads: one.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "routing/shard.hpp"
#include "support/manual_clock.hpp"
#include "support/ws_decode.hpp"

namespace weir::testing {

// What stands at a path such as "data.code": the text of a string, else its JSON; empty when there is nothing.
inline std::string at(std::string_view frame, std::string_view path) {
  json::Doc doc;
  if (!doc.parse(frame)) return "not JSON";
  json::Value v = doc.root();
  while (v && !path.empty()) {
    const auto dot = std::min(path.find('.'), path.size());
    v = v.find(path.substr(0, dot));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  if (!v) return {};
  return v.is(json::Kind::string) ? v.string() : std::string(v.raw());
}

inline ChannelRoute route(std::string_view pattern) { return ChannelRoute(*Pattern::parse(pattern)); }

inline Identity person(std::string subject, std::vector<std::string> scopes = {}) {
  Identity i;
  i.provider = "keys";
  i.key = subject;
  i.subject = std::move(subject);
  i.scopes = std::move(scopes);
  return i;
}

class Client final : public ConnectionPort {
 public:
  explicit Client(Shard& shard, unsigned deflate_bits = 0) : shard_(shard), deflate_bits_(deflate_bits) {}
  unsigned deflate_bits() const override { return deflate_bits_; }
  void close(CloseCode code, std::string_view) override {
    if (!closed_with) closed_with = code;
  }
  void read(bool go_on) override { reading = go_on; }
  void ping() override { ++pings; }

  void say(std::string_view frame) { shard_.receive(*connection, frame); }
  // All that waits in the outbox, as JSON.
  std::vector<std::string> take() {
    std::vector<std::string> frames;
    std::vector<iovec> parts(connection->outbox.frames());
    const std::size_t count = connection->outbox.gather(parts);
    EXPECT_EQ(count, parts.size());
    for (std::size_t i = 0; i < count; ++i) {
      const auto frame = decode_ws({static_cast<const char*>(parts[i].iov_base), parts[i].iov_len});
      EXPECT_TRUE(frame);
      if (!frame) continue;
      EXPECT_TRUE(!frame->compressed || deflate_bits_ != 0);
      compressed += frame->compressed ? 1 : 0;
      const auto text = frame->compressed ? inflater_.inflate(frame->payload, 1U << 30) : frame->payload;
      EXPECT_TRUE(text);
      if (text) frames.emplace_back(*text);
    }
    connection->outbox.sent(connection->outbox.bytes());
    if (!closed_with && shard_.wants_drained(*connection)) shard_.drained(*connection);
    return frames;
  }
  // The one frame that waits.
  std::string answer() {
    const auto frames = take();
    EXPECT_EQ(frames.size(), 1U);
    return frames.empty() ? std::string() : frames.back();
  }
  std::string ask(std::string_view frame) {
    say(frame);
    return answer();
  }

  Connection* connection = nullptr;
  std::optional<CloseCode> closed_with;
  bool reading = true;
  int pings = 0;
  int compressed = 0;  // frames taken so far that were

 private:
  Shard& shard_;
  const unsigned deflate_bits_;
  Inflater inflater_;
};

class Hub {
 public:
  explicit Hub(std::vector<ChannelRoute> channels, unsigned shards = 1, const Limits& limits_ = {}) : limits(limits_) {
    const auto routes = std::make_shared<const Routes>(std::move(channels));
    for (ShardId id = 0; id < shards; ++id) {
      hosts_.push_back(std::make_unique<Host>(*this, id));
      Shard::Settings s;
      s.id = id;
      s.count = shards;
      s.routes = routes;
      s.limits = &limits;
      s.clock = &clock;
      s.seed = 7 + id;
      shards_.push_back(std::make_unique<Shard>(s, *hosts_.back()));
    }
  }

  Shard& shard(ShardId id = 0) { return *shards_[id]; }
  // Connects; the greeting has been read.
  Client& connect(std::optional<Identity> identity = Identity(), ShardId on = 0, const EndpointRule& endpoint = {},
                  unsigned deflate_bits = 0) {
    endpoints_.push_back(endpoint);
    clients_.push_back(std::make_unique<Client>(shard(on), deflate_bits));
    Client& c = *clients_.back();
    c.connection = &shard(on).open(c, endpoints_.back(), std::move(identity), "test");
    EXPECT_EQ(at(c.answer(), "type"), "connected");
    return c;
  }
  // Time passes as the host of a shard lets it pass.
  void advance(std::int64_t ms) {
    while (ms > 0) {
      const std::int64_t step = std::min<std::int64_t>(ms, 50);
      clock.advance(step);
      ms -= step;
      for (auto& s : shards_) s->tick();
    }
  }
  bool deliver_one(ShardId from, ShardId to) {
    auto& queue = mail_[{from, to}];
    if (queue.empty()) return false;
    Mail mail = std::move(queue.front());
    queue.pop_front();
    shard(to).deliver(std::move(mail));
    return true;
  }
  void deliver(ShardId from, ShardId to) {
    while (deliver_one(from, to)) continue;
  }
  // Until no mail is left.
  void run(const std::function<void()>& after_each = [] {}) {
    for (bool more = true; more;) {
      more = false;
      for (ShardId from = 0; from < shards_.size(); ++from)
        for (ShardId to = 0; to < shards_.size(); ++to)
          if (deliver_one(from, to)) {
            more = true;
            after_each();
          }
    }
  }
  // Everything that one client is owed.
  std::vector<std::string> read_all(Client& c) {
    std::vector<std::string> all;
    for (run(); !c.connection->outbox.empty(); run())
      for (std::string& frame : c.take()) all.push_back(std::move(frame));
    return all;
  }
  // A name that starts so and belongs to that shard.
  std::string name_on(ShardId owner, const std::string& prefix) {
    for (int i = 0;; ++i)
      if (shard().owner(prefix + std::to_string(i)) == owner) return prefix + std::to_string(i);
  }
  // A source publishes, on the shard that owns the channel.
  void publish(std::string_view channel, std::string_view data = "1") {
    Draft d;
    d.event = "e";
    d.data = data;
    shard(shard().owner(channel)).publish(channel, std::move(d), {});
  }

  // What the side of the sources says: to the owner of a channel, or to all of a pattern.
  template <class T>
  void tell(const std::string& what, const T& mail) {
    for (ShardId id = 0; id < shards_.size(); ++id)
      if (has_wildcard(what) || shard().owner(what) == id) shard(id).deliver(letter(T(mail)));
  }
  void awake(const std::string& what, const mail::Subject& subject) {
    tell(what, mail::Awake{what, asks[what], std::nullopt, subject});
  }
  // Those who wait have waited long enough.
  void late(const std::string& what) { tell(what, mail::Awake{.what = what, .ask = asks[what], .late = true}); }
  void asleep(const std::string& what, const mail::Subject& subject) { tell(what, mail::Asleep{what, subject}); }

  struct Auth {
    ConnectionId connection;
    std::string token, id;
  };
  ManualClock clock;
  Limits limits;
  std::vector<Auth> auths;                    // asked, not yet answered
  std::set<ShardId> full;                     // shards whose mailbox is
  std::size_t sink_room = 1'000'000;          // what sinks take
  std::vector<std::string> sent;              // "plugin subject data", "plugin lost N of channel"
  std::vector<std::string> demands;           // "+channel", "-channel"
  std::map<std::string, std::uint64_t> asks;  // the newest of each
  std::vector<ResponderAsk> asked;

 private:
  class Host final : public ShardPort {
   public:
    Host(Hub& hub, ShardId id) : hub_(hub), id_(id) {}
    void mail(ShardId to, Mail mail) override { hub_.mail_[{id_, to}].push_back(std::move(mail)); }
    bool full(ShardId of) const override { return hub_.full.contains(of); }
    std::size_t hand_over(const std::string& plugin, std::span<Outgoing> events) override {
      std::size_t taken = 0;
      for (; taken < events.size() && hub_.sink_room > 0; ++taken, --hub_.sink_room)
        hub_.sent.push_back(plugin + " " + *events[taken].subject + " " + std::string(events[taken].event->data()));
      return taken;
    }
    void lost(const std::string& plugin, std::string_view channel, std::uint64_t count) override {
      hub_.sent.push_back(plugin + " lost " + std::to_string(count) + " of " + std::string(channel));
    }
    void demand(const std::string& channel, std::uint64_t ask) override {
      hub_.demands.push_back((ask != 0 ? "+" : "-") + channel);
      if (ask != 0) hub_.asks[channel] = ask;
    }
    void watched(const Pattern& pattern, const Scopes* scopes) override {
      std::string text = (scopes != nullptr ? "+" : "-") + pattern.text();
      if (scopes != nullptr)
        for (const std::string& scope : *scopes) text += " " + scope;
      hub_.demands.push_back(std::move(text));
    }
    void request(ResponderAsk ask) override { hub_.asked.push_back(std::move(ask)); }
    void authenticate(Connection& connection, std::string token, std::string id) override {
      hub_.auths.push_back({connection.id, std::move(token), std::move(id)});
    }

   private:
    Hub& hub_;
    const ShardId id_;
  };

  std::deque<EndpointRule> endpoints_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<std::pair<ShardId, ShardId>, std::deque<Mail>> mail_;  // from, to
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace weir::testing
