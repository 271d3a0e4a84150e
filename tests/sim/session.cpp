#include "sim/session.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "routing/attachment.hpp"
#include "routing/feed.hpp"
#include "support/ws_decode.hpp"

namespace weir::sim {
namespace {
// What the answers of one client and the hub's notices may take besides events: bounded by requests in flight.
constexpr std::size_t kControlBytesMax = 16 * 1024;

std::string text(json::Value v, std::string_view name) {
  const json::Value found = v.find(name);
  return found.is(json::Kind::string) ? found.string() : std::string();
}
SequenceId number_of(json::Value v, std::string_view name) {
  const json::Value found = v.find(name);
  return found.is(json::Kind::number) && found.integer() ? static_cast<SequenceId>(*found.integer()) : 0;
}
}  // namespace

Session::Session(int number_, ShardId shard_, Client& client_, Truth& truth, const Limits& limits, bool verbose)
    : number(number_), shard(shard_), client(client_), truth_(truth), limits_(limits), verbose_(verbose) {}

void Session::fail(const std::string& what) const {
  throw Violation("session " + std::to_string(number) + ": " + what);
}

// ---------------------------------------------------------------- the socket

void Session::close(CloseCode code, std::string_view) {
  if (gone) fail("the hub closes a socket that is gone");
  if (closed_with) return;
  look();
  closed_with = code;
  if (code != CloseCode::too_slow) return;
  // As the real socket does: what a slow reader is still owed is not sent, but no frame is cut.
  connection->outbox.drop_unsent();
  const std::size_t keep = taken_of_first_ != 0 ? 1 : 0;
  if (connection->outbox.frames() != keep)
    fail("drop_unsent kept " + std::to_string(connection->outbox.frames()) + " frames");
  waiting_.resize(keep);
}
void Session::read(bool go_on) {
  if (gone) fail("the hub paces a socket that is gone");
  reading = go_on;
}
void Session::ping() {
  if (gone) fail("the hub pings a socket that is gone");
}

void Session::look() {
  if (gone || connection == nullptr) return;
  const Outbox& outbox = connection->outbox;
  if (connection->in_flight > 100'000) fail("in_flight went below zero");
  if (outbox.frames() < waiting_.size()) fail("frames vanished from the outbox");
  if (outbox.frames() == waiting_.size()) return;
  if (closed_with == CloseCode::too_slow)
    fail("a frame enters the outbox of a connection that is closed as too slow: what was dropped before it is a hole");
  std::vector<iovec> parts(outbox.frames());
  outbox.gather(parts);
  std::size_t fresh = 0;
  for (std::size_t i = waiting_.size(); i < parts.size(); ++i) fresh += parts[i].iov_len;
  std::size_t before = outbox.bytes() - fresh;
  for (std::size_t i = waiting_.size(); i < parts.size(); ++i) {
    const std::string_view bytes(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    waiting_.push_back(judge(bytes, before));
    before += bytes.size();
  }
}

std::size_t Session::take(std::size_t bytes) {
  iovec parts[8];
  const std::size_t count = connection->outbox.gather(parts);
  std::size_t taken = 0;
  for (std::size_t i = 0; i < count && taken < bytes; ++i) {
    std::size_t n = std::min(parts[i].iov_len, bytes - taken);
    taken += n;
    const Waiting& w = waiting_.front();
    if (w.bytes.compare(taken_of_first_, n, std::string_view(static_cast<const char*>(parts[i].iov_base), n)) != 0)
      fail("the bytes on the wire are not those that entered the outbox");
    taken_of_first_ += n;
    if (taken_of_first_ < w.bytes.size()) break;
    if (!w.channel.empty()) client.positions[w.channel] = w.at;
    waiting_.pop_front();
    taken_of_first_ = 0;
  }
  connection->outbox.sent(taken);
  if (connection->outbox.frames() != waiting_.size()) fail("the outbox counts other frames than were sent");
  return taken;
}

// ---------------------------------------------------------------- what the client says

std::uint64_t Session::next_request(Asked asked) {
  asked_[next_id_] = std::move(asked);
  return next_id_++;
}

bool Session::alone(const Wish& wish, const std::string& channel) const {
  return std::none_of(wishes.begin(), wishes.end(),
                      [&](const auto& w) { return w.get() != &wish && w->covers(channel); });
}

void Session::not_alone(Wish& wish) {
  for (const auto& other : wishes) {
    if (other.get() == &wish) continue;
    if ((wish.pattern && other->pattern) || wish.covers(other->text) || other->covers(wish.text))
      wish.replay_checked = other->replay_checked = false;
  }
}

std::string Session::subscribe(const std::vector<std::string>& names, bool many, const SimFilter& filter,
                               const ReplayRequest& replay) {
  Asked asked{Asked::Kind::subscribe, {}, 0, {}, names};
  const std::uint64_t id = next_request(std::move(asked));
  std::string list;
  for (const std::string& name : names) {
    if (!list.empty()) list += ',';
    list += json::quoted(name);
    auto old = std::find_if(wishes.begin(), wishes.end(), [&](const auto& w) { return w->text == name; });
    if (old != wishes.end() && (*old)->request == id) continue;  // twice in one frame
    auto wish = std::make_unique<Wish>();
    wish->text = name;
    if (has_wildcard(name)) wish->pattern = *Pattern::parse_wildcard(name);
    wish->filter = filter;
    wish->replay = replay;
    wish->request = id;
    if (old != wishes.end()) {
      wish->replaces = std::move(*old);
      wishes.erase(old);
    }
    if (wish->pattern)
      for (auto& [channel, lives] : truth_.channels)
        if (const Life* life = truth_.current(channel); life != nullptr && wish->covers(channel))
          wish->heads_when_asked[channel] = {life->epoch, life->head()};
    wishes.push_back(std::move(wish));
    not_alone(*wishes.back());
  }
  std::string out = "{\"type\":\"subscribe\",\"id\":" + std::to_string(id) +
                    (many ? ",\"channels\":[" + list + "]" : ",\"channel\":" + list);
  if (const std::uint64_t p = id % 4; p != 0) {
    const std::string params = p == 3 && id % 16 == 3 ? "{\"fails\":true}" : "{\"p\":" + std::to_string(p) + "}";
    out += ",\"params\":" + params;
    for (const auto& w : wishes)
      if (w->request == id) w->params = params;
  }
  if (filter.kind != SimFilter::Kind::none) out += ",\"filter\":" + filter.json();
  switch (replay.kind) {
    case ReplayRequest::Kind::none:
      break;
    case ReplayRequest::Kind::last:
      out += ",\"replay\":\"last\"";
      break;
    case ReplayRequest::Kind::count:
      out += ",\"replay\":" + std::to_string(replay.count);
      break;
    case ReplayRequest::Kind::since:
      out += ",\"replay\":{\"epoch\":" + json::quoted(replay.since.epoch) +
             ",\"sequenceId\":" + std::to_string(replay.since.sequence_id) + "}";
  }
  return out + "}";
}

std::string Session::unsubscribe(const std::string& name) {
  const bool known = std::any_of(wishes.begin(), wishes.end(), [&](const auto& w) { return w->text == name; });
  const auto id = next_request({Asked::Kind::unsubscribe, name, known ? 1U : 0U, {}, {}});
  return "{\"type\":\"unsubscribe\",\"id\":" + std::to_string(id) + ",\"channel\":" + json::quoted(name) + "}";
}

// The hub keeps a publisher's ids apart from those of others.
std::string Session::as_kept(const std::string& dedupe) const {
  const Identity& who = client.user.identity;
  return dedupe.empty() ? dedupe : who.provider + '\n' + who.key + '\n' + dedupe;
}

std::string Session::publish(const std::string& channel, std::uint64_t n, const std::string& name,
                             const std::string& data, const std::string& dedupe, bool with_id) {
  std::string out = "{\"type\":\"publish\"";
  if (with_id)
    out += ",\"id\":" + std::to_string(next_request({Asked::Kind::publish, channel, n, as_kept(dedupe), {}}));
  out += ",\"channel\":" + json::quoted(channel) + ",\"event\":\"" + name + "\",\"data\":" + data;
  if (!dedupe.empty()) out += ",\"dedupe\":\"" + dedupe + "\"";
  return out + "}";
}

std::string Session::plain(const std::string& type) {
  if (type == "pong") return "{\"type\":\"pong\"}";
  const auto id = next_request({});
  return "{\"type\":\"" + type + "\",\"id\":" + std::to_string(id) + "}";
}

std::string Session::auth(const std::string& token) {
  const auto id = next_request({Asked::Kind::auth, {}, 0, {}, {}});
  return "{\"type\":\"auth\",\"id\":" + std::to_string(id) + ",\"token\":\"" + token + "\"}";
}

// ---------------------------------------------------------------- what the hub says

Session::Waiting Session::judge(std::string_view bytes, std::size_t before) {
  const auto frame = testing::decode_ws(bytes);
  if (!frame || frame->size != bytes.size() || frame->opcode != 1) fail("an outbox frame is not one whole text frame");
  std::string_view said = frame->payload;
  if (frame->compressed) {
    if (deflate_bits() == 0) fail("a compressed message for a client that takes none");
    const auto inflated = inflater_.inflate(frame->payload, 1 << 20);
    if (!inflated) fail("a compressed message does not inflate: " + inflated.error().message);
    said = *inflated;
    if (said.size() <= frame->payload.size()) fail("a message that did not get smaller was compressed");
    if (deflate_bits() < 15 && said.size() > std::size_t{1} << deflate_bits()) fail("a window is too small for this");
    ++compressed_seen;
  }
  if (auto ok = doc_.parse(said); !ok) fail("a frame is not JSON: " + ok.error().message + ": " + std::string(said));
  if (verbose_) std::fprintf(stderr, "      s%d < %s\n", number, std::string(said.substr(0, 200)).c_str());
  const json::Value v = doc_.root();
  const std::string type = text(v, "type");
  if (type != "event" &&
      before + bytes.size() > static_cast<std::size_t>(limits_.outbox_bytes) + 8192 + kControlBytesMax)
    fail("the outbox holds " + std::to_string(before) + " bytes and grows by answers and notices");
  if (!greeted_ && type != "connected") fail("the first frame is " + type);
  Waiting w{std::string(bytes), {}, {}};
  if (type == "connected") {
    if (greeted_) fail("connected twice");
    greeted_ = true;
  } else if (type == "event") {
    Waiting e = on_event(v, before);
    e.bytes = std::move(w.bytes);
    return e;
  } else if (type == "gap") {
    on_gap(v.find("data"));
  } else if (type == "snapshot") {
    on_snapshot(v);
  } else if (type == "ack" || type == "error" || type == "pong") {
    const std::uint64_t id = number_of(v, "id");
    const json::Value data = v.find("data");
    if (id == 0) {
      if (type != "error") fail("an answer without an id: " + std::string(said));
      on_no_snapshot(text(data, "message"));
      on_ended(text(data, "message"));
      return w;
    }
    const auto found = asked_.find(id);
    if (found == asked_.end())
      fail("request " + std::to_string(id) + " is answered twice, or was never made: " + std::string(said));
    const Asked asked = std::move(found->second);
    asked_.erase(found);
    if (type == "ack")
      on_ack(id, asked, data);
    else if (type == "error")
      on_error(id, asked, data);
    else if (asked.kind != Asked::Kind::other)
      fail("a pong answers something else");
  } else if (type != "ping" && type != "closing") {
    fail("a frame of type " + type);
  }
  return w;
}

bool Session::wanted(const Wish& wish, const std::string& channel, const Record& r) const {
  return wish.covers(channel) && client.user.may_see(channel, r) && wish.filter.matches(r);
}

bool Session::in_gap(const Order& o, const std::string& epoch, SequenceId id) const {
  return o.epoch == epoch &&
         std::any_of(o.gaps.begin(), o.gaps.end(), [&](const auto& g) { return g.first <= id && id <= g.second; });
}

void Session::check_none_lost(const Wish& wish, const std::string& channel, const Life& life, SequenceId from,
                              SequenceId to) const {
  const auto o = orders_.find(channel);
  for (SequenceId id = from; id <= to; ++id)
    if (wanted(wish, channel, life.at(id)) &&
        (o == orders_.end() || (!in_gap(o->second, life.epoch, id) && !o->second.out_of_line.contains(id))))
      fail("event " + std::to_string(id) + " of " + channel + " is lost for the subscription to " + wish.text +
           " (its position " + std::to_string(from - 1) + ", the channel's head " + std::to_string(life.head()) + ")");
}

Session::Waiting Session::on_event(json::Value v, std::size_t before) {
  ++events_seen;
  const std::string channel = text(v, "channel"), epoch = text(v, "epoch");
  const SequenceId id = number_of(v, "sequenceId");
  const bool replay = v.find("isReplay").boolean();
  const std::string where = "event " + std::to_string(id) + " of " + channel + (replay ? " (replay)" : "");
  replays_seen += replay ? 1 : 0;
  if (before >= static_cast<std::size_t>(limits_.outbox_bytes) && before != 0)
    fail(where + " enters an outbox that is full: " + std::to_string(before) + " bytes of " +
         std::to_string(limits_.outbox_bytes));
  const Life* life = truth_.find(channel, epoch);
  if (life == nullptr) fail(where + " is of an epoch that never was: " + epoch);
  if (id == 0 || id > life->head()) fail(where + " was never published");
  const Record& r = life->at(id);
  if (v.find("data").raw() != r.data || text(v, "event") != r.name || text(v, "key") != r.key)
    fail(where + " is not what was published: " + std::string(v.raw()));
  if (!client.user.may_see(channel, r)) fail(where + " reaches somebody who may not see it");

  bool allowed = false;
  for (const auto& wish : wishes)
    for (const Wish* w = wish.get(); w != nullptr; w = w->replaces.get())
      allowed = allowed || (w->acked && wanted(*w, channel, r));
  if (!allowed)
    fail(where + " was not subscribed to, or comes before the acknowledgement, or does not match the filter");

  Order& o = order(channel);
  if (o.epoch != epoch) {
    const Order earlier = std::exchange(o, Order{});
    o.epoch = epoch;
    // What was picked of a life that has ended since may still be owed when the answer already stands in the next one.
    if (life->over) {
      o.replay_high = life->head();
      o.answered = {earlier.epoch, earlier.replay_low, earlier.replay_high};
    } else if (earlier.answered.epoch == epoch) {
      o.replay_low = earlier.answered.replay_low;
      o.replay_high = earlier.answered.replay_high;
    }
  }
  if (id <= o.last) {
    // Alone, only replays may go back. With several subscriptions, what "last" picked for one comes before what another
    // is owed.
    if ((!replay && o.extra == 0) || (!o.fresh && o.extra == 0))
      fail(where + " comes again, or too late: " + std::to_string(o.last) + " was there before");
    if (!o.fresh) --o.extra;
  }
  o.fresh = false;
  o.last = id;
  o.received.insert(id);
  if (has_state(channel)) model_event(channel, epoch, id, replay);
  if (replay && id > o.replay_high)
    fail(where + " was published after the subscription stood at " + std::to_string(o.replay_high));
  if (!replay && id <= o.replay_low)
    fail(where + " was published before the subscription stood at " + std::to_string(o.replay_low) +
         " but is no replay");
  // What "last" picked for one subscription may still be on its way when another one, to the same channel, is told that
  // its own replay has a hole there, also when that other one has ended since.
  const bool picked = replay && std::any_of(wishes.begin(), wishes.end(), [&](const auto& w) {
                        return w->acked && w->replay.kind == ReplayRequest::Kind::last && wanted(*w, channel, r);
                      });
  const bool asked_again = std::any_of(o.returning.begin(), o.returning.end(),
                                       [&](const auto& g) { return g.first <= id && id <= g.second; });
  if (in_gap(o, epoch, id) && !picked && !(replay && asked_again))
    fail(where + " comes after a gap said that it does not");

  for (const auto& wish : wishes) {
    if (!wish->acked || !wish->covers(channel)) continue;
    const auto head = wish->heads.find(channel);
    const bool announced = head == wish->heads.end() || id <= head->second;  // else the state had it before it came
    if (replay && announced && wish->replay_checked && --wish->replay_left < 0)
      fail(where + " is one replay more than was announced");
    if (replay && wish->replay_checked && wish->replay.kind == ReplayRequest::Kind::last && !wish->pattern)
      for (SequenceId later = id + 1;
           later <= std::min(o.replay_high, head == wish->heads.end() ? o.replay_high : head->second); ++later)
        if (life->at(later).name == r.name && wanted(*wish, channel, life->at(later)))
          fail(where + " is not the newest of its name");
    if (replay && life->over && (wish->pattern || picked))
      continue;  // from before that life ended; the next one counts
    // Where a pattern began in a life that had ended before its acknowledgement is not told anywhere.
    const SequenceId start = wish->pattern && life->over ? id - 1 : 0;
    auto [at, made] = wish->cursors.try_emplace(channel, Cursor{epoch, start, false});
    Cursor& c = at->second;
    if (c.epoch != epoch) {
      if (!wish->pattern && !c.unknown) fail(where + " is of another epoch than the subscription, and no gap said so");
      c = Cursor{epoch, c.unknown ? id - 1 : start, false};
    }
    if (c.unknown) c = Cursor{epoch, std::max(c.at, id), false};
    if (replay && !wish->replay_checked) {
      o.out_of_line.insert(id);
      continue;
    }
    if (id <= c.at) continue;
    check_none_lost(*wish, channel, *life, c.at + 1, id - 1);
    c.at = id;
  }
  return {{}, channel, {epoch, id}};
}

// Is `channel` followed by one subscription by name that wants everything?
bool Session::modelled(const std::string& channel) const {
  const Wish* by = nullptr;
  for (const auto& wish : wishes) {
    if (!wish->covers(channel)) continue;
    if (by != nullptr || wish->pattern || wish->filter.kind != SimFilter::Kind::none || wish->replaces ||
        wish->params.find("fails") != std::string::npos)
      return false;
    by = wish.get();
  }
  return by != nullptr && by->acked;
}

void Session::on_snapshot(json::Value v) {
  ++snapshots_seen;
  const std::string channel = text(v, "channel"), epoch = text(v, "epoch");
  const SequenceId at = number_of(v, "sequenceId");
  const std::string where = "the state of " + channel + " at " + std::to_string(at);
  const Life* life = truth_.find(channel, epoch);
  if (life == nullptr || at > life->head()) fail(where + " is of what never was");
  if (!has_state(channel)) fail(where + ", which has none");
  bool asked = false;
  for (const auto& wish : wishes) {
    if (wish->pattern && wish->covers(channel)) wish->replay_checked = false;  // as in subscribed_pattern()
    const bool whose = wish->acked && wish->covers(channel) && life->state(at, wish->params) == v.find("data").raw();
    asked = asked || whose;
    if (!whose || wish->state_due.erase(channel) == 0 || wish->replay.kind != ReplayRequest::Kind::none) continue;
    Cursor& c = wish->cursors.try_emplace(channel, Cursor{epoch, at, false}).first->second;
    if (c.epoch == epoch) c.at = std::max(c.at, at);
  }
  if (!asked) fail(where + " is wrong, or nobody asked for it with these params: " + std::string(v.raw()));
  Order& o = order(channel);
  if (o.epoch != epoch) {
    o = Order{};
    o.epoch = epoch;
  }
  o.replay_high = std::max(o.replay_high, at);
  models_[channel] = Model{epoch, at, true};
}

// One that was promised can't be given.
void Session::on_no_snapshot(const std::string& message) {
  if (message.find("can't be given: asked to") == std::string::npos) return;
  for (const auto& wish : wishes)
    if (wish->params.find("fails") != std::string::npos)
      std::erase_if(wish->state_due, [&](const std::string& channel) {
        return message.find(json::quoted(channel)) != std::string::npos;
      });
}

// A subscription to a channel on demand that has ended with its channel.
void Session::on_ended(const std::string& message) {
  if (message.find(" begins anew; subscribe to it again") == std::string::npos) return;
  const auto ended = std::find_if(wishes.begin(), wishes.end(), [&](const auto& w) {
    return !w->pattern && message.find(json::quoted(w->text)) != std::string::npos;
  });
  if (ended == wishes.end() || !(*ended)->acked) fail("what was not subscribed to has ended: " + message);
  const auto cursor = (*ended)->cursors.find((*ended)->text);
  const Life* life = cursor == (*ended)->cursors.end() ? nullptr : truth_.find((*ended)->text, cursor->second.epoch);
  if (life == nullptr || !life->over) fail("a subscription has ended although its channel has not: " + message);
  wishes.erase(ended);
}

// What comes as new must be the next thing that the state does not have.
void Session::model_event(const std::string& channel, const std::string& epoch, SequenceId id, bool replay) {
  const auto found = models_.find(channel);
  if (found == models_.end()) return;
  Model& m = found->second;
  const std::string where = "event " + std::to_string(id) + " of " + channel;
  if (!modelled(channel)) {
    m.good = false;
    return;
  }
  if (replay) {
    if (m.good && m.epoch == epoch && id > m.at) fail(where + " is said to be in the state of " + std::to_string(m.at));
    return;
  }
  if (m.good && (m.epoch != epoch || id != m.at + 1))
    fail(where + " does not follow the state at " + std::to_string(m.at) + " of " + m.epoch);
  m.at = id;
}

bool Session::waits_for(std::uint64_t attachment, std::uint64_t request) const {
  return !gone && std::any_of(connection->attachments.begin(), connection->attachments.end(), [&](const auto& entry) {
    return entry.second->id == attachment && entry.second->request == request;
  });
}

std::vector<std::string> Session::answered() {
  std::vector<std::string> channels;
  for (const auto& wish : wishes) {
    if (gone || wish->pattern || wish->answered) continue;
    for (const auto& [feed, a] : connection->attachments)
      wish->answered = wish->answered || (a->feed->channel == wish->text && a->request != 0 && !a->group);
    if (wish->answered) channels.push_back(wish->text);
  }
  return channels;
}

void Session::let_in_late(const std::string& channel) {
  for (const auto& wish : wishes)
    if (wish->text == channel) wish->late = true;
}

bool Session::was_let_in_late(const std::string& channel, const std::string& epoch) const {
  return !gone && std::any_of(wishes.begin(), wishes.end(), [&](const auto& w) {
    const auto cursor = w->cursors.find(channel);
    return w->text == channel && w->acked && w->late && cursor != w->cursors.end() && cursor->second.epoch == epoch;
  });
}

void Session::hears_of_late(const std::string& channel) {
  bool hears = false;
  for (const auto& wish : wishes) {
    if (gone || !wish->covers(channel)) continue;
    if (wish->late && wish->acked) wish->gap_owed = true;
    // What is not acknowledged yet may stand in the place of a subscription that was.
    hears = hears || wish->late || wish->pattern || !wish->acked;
  }
  if (hears) ++late_gaps_[channel];
}

void Session::on_gap(json::Value data) {
  ++gaps_seen;
  const std::string channel = text(data, "channel"), reason = text(data, "reason");
  const SequenceId from = number_of(data, "from"), to = number_of(data, "to"), count = number_of(data, "count");
  if (std::none_of(wishes.begin(), wishes.end(),
                   [&](const auto& w) { return w->covers(channel) && client.user.may_see(channel); }))
    fail("a gap of " + channel + ", which was not subscribed to");
  if (reason == "upstream" || reason == kNotAtWorkYet) {
    // Several become one for who comes back from before them, without a count, and in an outbox that has no room.
    if (from != 0 || to != 0 || count % 3 != 0) fail("a source's gap was changed: " + std::string(data.raw()));
    bool resumed = false;
    for (const auto& wish : wishes) {
      if (!wish->covers(channel)) continue;
      wish->gap_owed = false;
      resumed = resumed || wish->may_lack;
    }
    if (reason == kNotAtWorkYet && !resumed && late_gaps_[channel]-- <= 0)
      fail("a gap says that the source of " + channel + " was not at work, but nobody was let in before it was");
    return;
  }
  models_[channel].good = false;  // until the next snapshot
  if (reason == "overflow" || reason == "conflated") return on_loss(channel, data, from, to, count);
  Order& o = order(channel);
  for (const auto& wish : wishes) {
    if (!wish->covers(channel)) continue;
    wish->replay_checked = false;
    if (from == 0) wish->cursors[channel].unknown = true;
  }
  if (reason == "epoch_changed") return;
  if (reason != "history" || from == 0 || to < from || count != to - from + 1)
    fail("a gap that makes no sense: " + std::string(data.raw()));
  const Life* life = truth_.find(channel, text(data, "epoch"));
  if (life == nullptr || to > life->head()) fail("a gap beyond what was published: " + std::string(data.raw()));
  if (!life->over && to > life->head() - life->kept)
    fail("a gap of what history still holds: " + std::string(data.raw()));
  if (o.epoch != life->epoch) {
    o = Order{};
    o.epoch = life->epoch;
  }
  o.gaps.emplace_back(from, to);
}

// What a policy that loses events lost: exactly those that were wanted, and none of them comes, neither before nor
// later.
void Session::on_loss(const std::string& channel, json::Value data, SequenceId from, SequenceId to,
                      std::uint64_t count) {
  const std::string reason = text(data, "reason");
  Order& o = order(channel);
  const std::string where = "the gap " + std::to_string(from) + " to " + std::to_string(to) + " of " + channel;
  const bool conflates = channel.starts_with("latest/");
  if (!conflates && !channel.starts_with("oldest/") && !channel.starts_with("newest/") && !channel.starts_with("snap/"))
    fail(where + " on a channel that loses nothing");
  if ((reason == "conflated") != conflates && reason != "overflow") fail(where + " has the reason " + reason);
  const Life* life = truth_.find(channel, text(data, "epoch"));
  if (life == nullptr || from == 0 || to < from || to > life->head()) fail(where + " makes no sense");
  if (o.epoch != life->epoch) {
    o = Order{};
    o.epoch = life->epoch;
  }
  std::uint64_t wanted_by_somebody = 0;
  const Wish* only = nullptr;
  bool several = false;
  for (const auto& wish : wishes) {
    if (!wish->acked || !wish->covers(channel)) continue;
    several = several || only != nullptr || wish->replaces;
    only = wish.get();
  }
  for (SequenceId id = from; id <= to; ++id) {
    const bool is_wanted = std::any_of(wishes.begin(), wishes.end(),
                                       [&](const auto& w) { return w->acked && wanted(*w, channel, life->at(id)); });
    wanted_by_somebody += is_wanted ? 1 : 0;
    if (is_wanted && o.received.contains(id)) fail(where + " names event " + std::to_string(id) + ", which has come");
  }
  if (!several && only != nullptr) {
    if (count != wanted_by_somebody)
      fail(where + " counts " + std::to_string(count) + " events, but " + std::to_string(wanted_by_somebody) +
           " were wanted");
    if (!wanted(*only, channel, life->at(from)) || !wanted(*only, channel, life->at(to)))
      fail(where + " does not begin and end with what was wanted");
  }
  losses_seen += count;
  o.gaps.emplace_back(from, to);
  o.losses.emplace_back(from, to);
}

void Session::on_ack(std::uint64_t id, const Asked& asked, json::Value data) {
  switch (asked.kind) {
    case Asked::Kind::other:
      return;
    case Asked::Kind::auth:
      authenticated = true;
      return;
    case Asked::Kind::unsubscribe:
      // A subscribe that was not answered yet has been answered by an error just before, which has taken it off the
      // list.
      if (std::erase_if(wishes, [&](const auto& w) { return w->text == asked.channel; }) == 0 && asked.n == 0)
        fail("an unsubscribe of nothing succeeds");
      return;
    case Asked::Kind::publish: {
      if (data.find("dropped").is(json::Kind::boolean)) {
        if (!truth_.was_dropped(asked.n)) fail("a publication is said to be dropped, but was not");
        return;
      }
      const Life* life = truth_.find(text(data, "channel"), text(data, "epoch"));
      const SequenceId at = number_of(data, "sequenceId");
      if (life == nullptr || at == 0 || at > life->head() || text(data, "channel") != asked.channel)
        fail("a publication has a place that is none: " + std::string(data.raw()));
      if (data.find("duplicate")) {
        if (asked.dedupe.empty() || life->at(at).dedupe != asked.dedupe)
          fail("a publication is said to be a duplicate of something else");
        return;
      }
      if (life->at(at).n != asked.n)
        fail("a publication is said to stand where another one stands: " + std::string(data.raw()));
      auto& last = last_published_[asked.channel];
      if (last.first == life->epoch && at <= last.second) fail("publications of one client changed their order");
      last = {life->epoch, at};
      return;
    }
    case Asked::Kind::subscribe:
      break;
  }
  const auto find = [&](const std::string& name) -> Wish& {
    for (const auto& w : wishes)
      if (w->text == name && w->request == id) return *w;
    fail("a subscription that is not wanted any more is acknowledged: " + name);
  };
  if (const auto list = data.find("channels"); list.is(json::Kind::array)) {
    std::set<std::string> told;
    list.each_element([&](json::Value one) {
      if (!told.insert(text(one, "channel")).second) fail("a channel is acknowledged twice in one frame");
      subscribed(find(text(one, "channel")), one);
    });
    // Left out is only what is being unsubscribed right now.
    const auto now = asked_.find(in_call_);
    for (const auto& w : wishes)
      if (w->request == id && !w->acked && (now == asked_.end() || now->second.channel != w->text))
        fail("the acknowledgement forgot " + w->text);
    return;
  }
  Wish& wish = find(text(data, "channel"));
  if (wish.pattern)
    subscribed_pattern(wish, data);
  else
    subscribed(wish, data);
}

void Session::subscribed(Wish& wish, json::Value data) {
  const std::string& channel = wish.text;
  const std::string epoch = text(data, "epoch");
  const SequenceId head = number_of(data, "sequenceId");
  const std::uint64_t replayed = number_of(data, "replayed");
  const bool recovered = data.find("recovered").boolean();
  const Life* life = truth_.find(channel, epoch);
  const auto wrong = [&](const std::string& what) {
    fail("the acknowledgement " + what + ": " + std::string(data.raw()));
  };
  if (life == nullptr || head > life->head()) wrong("names a position that never was");
  if (!client.user.may_see(channel)) wrong("is for a channel that is not allowed");
  const bool filtered = wish.filter.kind != SimFilter::Kind::none || channel.starts_with("mine/");
  if (data.find("filter").is(json::Kind::null) == filtered) wrong("does not say the filter in force");
  wish.acked = true;
  wish.replaces.reset();
  wish.cursors.clear();
  wish.replay_left = static_cast<std::int64_t>(replayed);

  const auto matching = [&](SequenceId after) {
    std::uint64_t count = 0;
    for (SequenceId id = after + 1; id <= head; ++id) count += wanted(wish, channel, life->at(id)) ? 1 : 0;
    return count;
  };
  const auto start_of = [&](std::uint64_t count) {  // so that this many of those up to head match
    SequenceId start = head;
    for (; count != 0; --start) {
      if (start == 0) wrong("announces more replays than there are events");
      if (wanted(wish, channel, life->at(start))) --count;
    }
    return start;
  };
  Cursor cursor{epoch, head, false};
  switch (wish.replay.kind) {
    case ReplayRequest::Kind::none:
      if (replayed != 0 || recovered) wrong("promises a replay that was not asked for");
      break;
    case ReplayRequest::Kind::last:
      if (recovered) wrong("says recovered without a position");
      break;
    case ReplayRequest::Kind::count:
      if (replayed > wish.replay.count || recovered) wrong("promises more than was asked for");
      cursor.at = start_of(replayed);
      break;
    case ReplayRequest::Kind::since: {
      const Position& p = wish.replay.since;
      const bool same = p.epoch == epoch && p.sequence_id <= head;
      if (recovered && !same) wrong("says recovered from another epoch");
      if (recovered && replayed != matching(p.sequence_id))
        wrong("says recovered, but " + std::to_string(matching(p.sequence_id)) + " events are to be replayed");
      cursor.at = same ? p.sequence_id : start_of(replayed);
    }
  }
  if (wish.late && recovered) wrong("says recovered although the source was not at work");
  wish.may_lack = wish.replay.kind == ReplayRequest::Kind::since && !recovered;
  wish.cursors[channel] = cursor;
  wish.heads[channel] = head;
  const bool snapshot = data.find("snapshot").is(json::Kind::boolean) && data.find("snapshot").boolean();
  if (snapshot != (has_state(channel) && !recovered)) wrong("is wrong about a snapshot");
  wish.state_due.clear();
  if (snapshot) wish.state_due.insert(channel);
  models_.erase(channel);
  Order& o = order(channel);
  const bool by_itself = alone(wish, channel) && wish.replay_checked;
  if (o.epoch != epoch) {
    o = Order{};
    o.epoch = epoch;
    o.replay_low = by_itself ? head : 0;
    o.replay_high = head;
  }
  o.replay_low = by_itself ? head : std::min(o.replay_low, head);
  o.replay_high = by_itself ? head : std::max(o.replay_high, head);
  if (wish.replay.kind != ReplayRequest::Kind::none) {
    o.fresh = true;
    o.returning = o.losses;
    if (by_itself)
      o.out_of_line.clear();
    else
      o.extra += 2;
  }
}

void Session::subscribed_pattern(Wish& wish, json::Value data) {
  const auto wrong = [&](const std::string& what) {
    fail("the acknowledgement " + what + ": " + std::string(data.raw()));
  };
  wish.acked = true;
  wish.replaces.reset();
  wish.replay_left = static_cast<std::int64_t>(number_of(data, "replayed"));
  if (wish.replay.kind == ReplayRequest::Kind::none && wish.replay_left != 0)
    wrong("promises a replay that was not asked for");
  std::uint64_t most = 0, least = 0;
  for (auto& [channel, lives] : truth_.channels) {
    if (!wish.covers(channel) || !client.user.may_see(channel)) continue;
    ++most;
    // Not only the life that goes on: one that has ended meanwhile may have been picked from before.
    const Life* life = lives.empty() || lives.back().epoch.empty() ? nullptr : &lives.back();
    if (life == nullptr) continue;
    const auto before = wish.heads_when_asked.find(channel);
    const SequenceId low = before == wish.heads_when_asked.end() || before->second.epoch != life->epoch
                               ? 0
                               : before->second.sequence_id,
                     high = life->head();
    if (before != wish.heads_when_asked.end() && lives.size() == 1 && !life->over) ++least;
    wish.cursors[channel] = Cursor{life->epoch, high, false};
    // Where each of them stood is not told: what came from then until the state was made comes as a replay, too.
    if (has_state(channel)) wish.replay_checked = false;
    if (has_state(channel) && !life->over) wish.state_due.insert(channel);
    Order& o = order(channel);
    const bool by_itself = alone(wish, channel) && wish.replay_checked;
    if (o.epoch != life->epoch) {
      o = Order{};
      o.epoch = life->epoch;
      o.replay_low = by_itself ? low : 0;
      o.replay_high = high;
    }
    o.replay_low = by_itself ? low : std::min(o.replay_low, low);
    o.replay_high = by_itself ? high : std::max(o.replay_high, high);
    if (wish.replay.kind == ReplayRequest::Kind::none) continue;
    o.fresh = true;
    o.returning = o.losses;
    if (!by_itself) o.extra += 2;
  }
  const std::uint64_t said = number_of(data, "channels");
  if (said > most || said < least)
    wrong("counts other channels than the " + std::to_string(least) + " to " + std::to_string(most) + " there are");
}

void Session::on_error(std::uint64_t id, const Asked& asked, json::Value data) {
  const std::string code = text(data, "code"), message = text(data, "message");
  if (asked.kind == Asked::Kind::auth) return;
  if (asked.kind == Asked::Kind::unsubscribe) {
    if (std::any_of(wishes.begin(), wishes.end(), [&](const auto& w) { return w->text == asked.channel && w->acked; }))
      fail("a subscription can't be ended: " + message);
    return;
  }
  if (asked.kind != Asked::Kind::subscribe) return;
  // Refused at once, the frame has no effect. Refused by the channel's shard, what it replaced has gone already.
  const bool at_once = in_call_ == id && code != "not_found" && message.find("limits.channels)") == std::string::npos;
  for (std::size_t i = 0; i < wishes.size();) {
    Wish& w = *wishes[i];
    for (Wish* p = &w; p->replaces; p = p->replaces.get())
      if (p->replaces->request == id) {
        p->replaces.reset();
        break;
      }
    if (w.request != id) {
      ++i;
    } else if (at_once && w.replaces) {
      auto old = std::move(w.replaces);
      wishes[i++] = std::move(old);
    } else {
      wishes.erase(wishes.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

void Session::settled() {
  if (!waiting_.empty()) fail("frames wait in the outbox of a client that reads");
  if (!asked_.empty()) fail("request " + std::to_string(asked_.begin()->first) + " was never answered");
  if (connection->in_flight != 0)
    fail("in_flight is " + std::to_string(connection->in_flight) + " but nothing is in flight");
  if (!reading) fail("the hub does not read from a client that is owed nothing");
  for (const auto& wish : wishes) {
    if (!wish->acked) fail("the subscription to " + wish->text + " was never acknowledged");
    if (wish->gap_owed) fail(wish->text + " was subscribed to before its source was at work, and no gap says so");
    if (wish->replay_checked && wish->replay_left != 0)
      fail("the subscription to " + wish->text + " misses " + std::to_string(wish->replay_left) +
           " replays that were announced");
    for (auto& [channel, lives] : truth_.channels) {
      const Life* life = truth_.current(channel);
      if (life == nullptr || !wish->covers(channel) || !client.user.may_see(channel)) continue;
      auto [at, made] = wish->cursors.try_emplace(channel, Cursor{life->epoch, 0, false});
      Cursor& c = at->second;
      if (c.unknown) continue;
      if (c.epoch != life->epoch) {
        if (!wish->pattern) fail("the subscription to " + channel + " is still in an earlier epoch");
        c = Cursor{life->epoch, 0, false};
      }
      check_none_lost(*wish, channel, *life, c.at + 1, life->head());
      c.at = life->head();
      const auto model = models_.find(channel);
      if (model != models_.end() && model->second.good && modelled(channel) && model->second.epoch == life->epoch &&
          model->second.at != life->head())
        fail("the client's state of " + channel + " stands at " + std::to_string(model->second.at) + " of " +
             std::to_string(life->head()));
    }
    for (const std::string& channel : wish->state_due)
      if (!wish->pattern) fail("the subscription to " + wish->text + " never got the state of " + channel);
  }
}

}  // namespace weir::sim
