#include "routing/delivery.hpp"

#include <algorithm>
#include <utility>

#include "protocol/server_frame.hpp"

namespace weir {
namespace {
// How many of a connection's attachments may hold a chunk at a time: a thousand subscriptions must not pin a thousand.
constexpr std::uint32_t kFetchingMax = 4;
// Where only the newest counts, a reader that has fallen this far behind is better served by skipping than by queueing.
constexpr std::size_t kFreshBytes = 64 * 1024;

bool keeps_fresh(OverflowPolicy policy) {
  return policy == OverflowPolicy::drop_oldest || policy == OverflowPolicy::latest ||
         policy == OverflowPolicy::snapshot;
}
}  // namespace

// How much of history lies in an outbox at a time: enough to keep a fast socket busy, little enough that live channels
// of the same connection find room beside it, also where outbox_bytes is small.
std::size_t Delivery::read_ahead() const { return std::min<std::size_t>(256 * 1024, outbox_max() / 4); }

// As much as limits.outbox_bytes, and of what is left of limits.outboxes_bytes a quarter: whoever needs much gets less
// and less of it, and there is some left for those who need little. An empty outbox always takes one frame.
std::size_t Delivery::outbox_max() const {
  const std::size_t most = static_cast<std::size_t>(limits_.outboxes_bytes) / shard_count_;
  const std::size_t left = most - std::min(most, Frame::alive());
  return std::min(static_cast<std::size_t>(limits_.outbox_bytes), left / 4);
}

std::size_t Delivery::outbox_max(OverflowPolicy policy) const {
  return keeps_fresh(policy) ? std::min(outbox_max(), kFreshBytes) : outbox_max();
}

// What all lagging attachments of a connection keep is bounded together. One event, however large, is kept where no
// other one is: else a large event could never be the newest.
std::size_t Delivery::lag_room(const Attachment& a, std::size_t event) const {
  const std::size_t max = static_cast<std::size_t>(limits_.outbox_bytes) / 4;
  const std::size_t others = a.connection->lag_bytes - (a.lag ? a.lag->bytes() : 0);
  return others == 0 ? std::max(max, event) : max - std::min(max, others);
}

SequenceId Delivery::reached(const Attachment& a) {
  if (a.state != Attachment::State::live) return a.at;
  return a.lag ? a.lag->first() - 1 : a.feed->last;
}

void Delivery::push(Connection& c, const FramePtr& frame) {
  if (c.dirty && c.deflate_bits == 0 && !c.closing)
    c.outbox.push(frame);  // all that send() would do
  else
    port_.send(c, frame);
  ++c.delivered;
  ++counters_.delivered;
}

void Delivery::say_gap(Connection& connection, const Feed& feed, const Gap& gap) {
  ++counters_.gaps;
  port_.send(connection, text_frame(server_frame::gap(feed.channel, feed.epoch, gap)));
}

bool Delivery::full(const Connection& c) const { return !c.outbox.empty() && c.outbox.bytes() >= outbox_max(); }

void Delivery::say_source_gap(Attachment& a) {
  if (const auto gap = std::exchange(a.source_gap, nullptr)) say_gap(*a.connection, *a.feed, *gap);
}

void Delivery::source_gap(Attachment& a, const Gap& gap) {
  if (!a.source_gap) {
    a.source_gap = std::make_unique<Gap>(gap);
  } else {
    Gap& both = *a.source_gap;
    both.count = both.count == 0 || gap.count == 0 ? 0 : both.count + gap.count;
    both.reason = gap.reason;
  }
  owe_state(a, Owed::again);
  const bool live = a.state == Attachment::State::live && !a.lag;
  if (!live && a.state != Attachment::State::reading) return;  // said when it goes on
  Connection& c = *a.connection;
  if (live && full(c)) c.port.flush_early();
  if (!full(c)) say_source_gap(a);
  if (!live || (!a.source_gap && !owes_state(a))) return;
  pause(a);  // what comes now must not overtake it
  go_on(a);
}

// ---------------------------------------------------------------- live

void Delivery::deliver(Feed& f, const EventPtr& event) {
  f.last = event->sequence_id();
  if (f.live.empty()) return;
  const FramePtr frame(new Frame(event, Frame::For::several));
  const std::size_t size = frame->bytes().size(), max = outbox_max(f.route->overflow);
  f.live.each_wanting(EventView(*event, doc_), [&](Attachment& a, Connection& c) {
    if (c.lagging != 0 && a.lag) return overflow(a, event);
    if (c.outbox.bytes() + size > max && !c.outbox.empty()) {
      c.port.flush_early();
      if (c.outbox.bytes() + size > max && !c.outbox.empty()) return overflow(a, event);
    }
    push(c, frame);
  });
}

// There is no room for an event that the attachment wants.
void Delivery::overflow(Attachment& a, const EventPtr& event) {
  Connection& c = *a.connection;
  if (!a.lag) ++counters_.overflows;
  switch (a.feed->route->overflow) {
    case OverflowPolicy::catch_up:
      pause(a);
      a.at = event->sequence_id() - 1;
      return wait(a);
    case OverflowPolicy::disconnect:
      ++counters_.disconnected_slow;
      pause(a);
      a.at = event->sequence_id() - 1;
      // What waits in the outbox is dropped now. Anything sent behind it would hide the hole: the client would come
      // back with a position beyond events that it never got.
      c.closing = true;
      return c.port.close(CloseCode::too_slow, "the reader was too slow for channel " + a.feed->channel);
    case OverflowPolicy::drop_oldest:
    case OverflowPolicy::drop_newest:
    case OverflowPolicy::latest:
    case OverflowPolicy::snapshot:
      break;
  }
  const std::size_t room = lag_room(a, event->memory()), before = a.lag ? a.lag->bytes() : 0;
  if (a.lag) {
    a.lag->add(event, room);
  } else {
    a.lag = std::make_unique<Lag>(a.feed->route->overflow, event, room);
    ++c.lagging;
    wait(a);
  }
  c.lag_bytes += a.lag->bytes() - before;
}

// Says and delivers what a lagging attachment is owed, while there is room.
void Delivery::catch_up_lag(Attachment& a) {
  if (a.source_gap && full(*a.connection)) return wait(a);
  say_source_gap(a);
  if (a.feed->route->overflow == OverflowPolicy::snapshot && a.feed->route->gives_snapshots() &&
      std::none_of(a.grants.begin(), a.grants.end(), [](const Grant& g) { return g.part; }))
    return ask_for_state(a);
  Connection& c = *a.connection;
  const std::string_view reason = a.feed->route->overflow == OverflowPolicy::latest ? "conflated" : "overflow";
  const std::size_t max = std::min(read_ahead(), outbox_max(a.feed->route->overflow));
  while (!a.lag->empty()) {
    if (!c.outbox.empty() && c.outbox.bytes() >= max) return wait(a);
    const std::size_t before = a.lag->bytes();
    const Lag::Item item = *a.lag->next();
    c.lag_bytes -= before - a.lag->bytes();
    if (item.before.count != 0) {
      counters_.missed += item.before.count;
      say_gap(c, *a.feed, {item.before.from, item.before.to, item.before.count, std::string(reason)});
    }
    if (item.event) push(c, FramePtr(new Frame(item.event)));
  }
  end_lag(a);
  if (!owes_state(a)) return;
  pause(a);
  go_on(a);
}

void Delivery::end_lag(Attachment& a) {
  if (!a.lag) return;
  a.connection->lag_bytes -= a.lag->bytes();
  --a.connection->lagging;
  a.lag.reset();
}

void Delivery::go_live(Attachment& a) {
  a.state = Attachment::State::live;
  a.chunk = {};
  a.chunked = false;
  a.feed->live.put(a);
}

void Delivery::pause(Attachment& a) {
  if (a.state != Attachment::State::live) return;
  a.at = reached(a);  // what it was owed while it lagged is read from history, as far as that still has it
  end_lag(a);
  a.feed->live.remove(a);
  a.state = Attachment::State::reading;
}

void Delivery::refresh(Attachment& a) {
  if (a.state != Attachment::State::live) return;
  if (!a.lag) return a.feed->live.put(a);
  // What it is owed was kept for grants that are not the same any more, perhaps of an identity that may see less: it is
  // read from history instead.
  pause(a);
  go_on(a);
}

// Whoever was live has missed what lies between, unless it all came by; it reads that from history.
void Delivery::advance(Feed& f, SequenceId head) {
  if (head <= f.last) return;
  std::vector<Attachment*> missed;
  for (Attachment* a : f.attachments)
    if (a->state == Attachment::State::live) missed.push_back(a);
  for (Attachment* a : missed) pause(*a);
  f.last = head;
  for (Attachment* a : missed) go_on(*a);
}

// The state of its channel instead of what it missed. It goes on lagging until that has come: whatever the state has in
// it is missed as an event.
void Delivery::ask_for_state(Attachment& a) {
  Connection& c = *a.connection;
  if (a.read != 0) return;  // has asked
  if ((!c.outbox.empty() && c.outbox.bytes() >= read_ahead()) || c.fetching >= kFetchingMax) return wait(a);
  a.fetches = true;
  ++c.fetching;
  owe_state(a, Owed::lagged);
  ask(a);
}

// What it lags behind with will not come any more.
void Delivery::say_lost(Attachment& a) {
  const Lag::Hole hole = a.lag->all();
  counters_.missed += hole.count;
  say_gap(*a.connection, *a.feed, {hole.from, hole.to, hole.count, "overflow"});
}

void Delivery::new_life(Feed& f, const std::string& epoch) {
  if (f.epoch == epoch) return;
  std::vector<Attachment*> were_live;
  for (Attachment* a : f.attachments) {
    if (a->state == Attachment::State::live) {
      were_live.push_back(a);
      if (a->lag) say_lost(*a);
    } else if (!f.epoch.empty() && a->placed && (a->at < f.last || a->chunk_gap)) {
      // Whoever was still owed something of the life before will not get it, and a range of that life means nothing
      // beside positions of this one.
      a->chunk_gap = Gap{0, 0, 0, "epoch_changed"};
      a->gap_for = nullptr;
    }
    if (!f.epoch.empty()) owe_state(*a, Owed::again);
    if (a->picked_for == nullptr) a->chunk.clear(), a->chunk_next = 0, a->chunked = false;  // it is of that life, too
  }
  for (Attachment* a : were_live) pause(*a);
  f.epoch = epoch;
  f.last = 0;  // also when nothing was known yet: what came by then may have been of an earlier life, and an answer
               // says how far this one is
  for (Attachment* a : f.attachments) {
    a->at = 0;
    for (Grant& g : a->grants) g.from = g.head = 0;
  }
  for (Attachment* a : were_live) go_on(*a);
}

// ---------------------------------------------------------------- from history

// A replay is what came before every subscription that wants it; what one of them is owed live is none.
Delivery::Wanted Delivery::wants(const Attachment& a, const EventView& event) {
  const SequenceId id = event.event().sequence_id();
  Wanted wanted = Wanted::no;
  for (const Grant& g : a.grants) {
    if (id <= g.from || (id <= g.head && wanted != Wanted::no) || (g.filter && !g.filter->matches(event))) continue;
    if (id > g.head) return Wanted::live;
    wanted = Wanted::replay;
  }
  return wanted;
}

void Delivery::wait(Attachment& a) {
  if (a.waits) return;
  a.waits = true;
  a.connection->waiting.push_back(&a);
}

void Delivery::fetched(Attachment& a) {
  if (!a.fetches) return;
  a.fetches = false;
  Connection& c = *a.connection;
  --c.fetching;
  while (c.fetching < kFetchingMax && !c.queued.empty()) {
    Attachment& next = *c.queued.front();
    c.queued.erase(c.queued.begin());
    next.queues = false;
    if (next.state == Attachment::State::reading) go_on(next);
  }
}

void Delivery::pick(Attachment& a, const Subscription& subscription, std::vector<EventPtr> events) {
  a.chunk = std::move(events);
  a.chunk_next = 0;
  a.chunked = true;
  a.chunk_upto = 0;
  a.picked_for = &subscription;
}

// Whatever else it waits for is still on its way.
void Delivery::forget_picked(Attachment& a) {
  a.chunk.clear();
  a.chunk_next = 0;
  a.chunked = false;
  a.picked_for = nullptr;
}

void Delivery::forget_chunk(Attachment& a) {
  forget_picked(a);
  a.chunk_gap.reset();
  a.gap_for = nullptr;
  a.read = 0;
  fetched(a);
}

bool Delivery::owes_state(const Attachment& a) {
  return std::any_of(a.grants.begin(), a.grants.end(), [](const Grant& g) { return g.snapshot != Owed::none; });
}

void Delivery::owe_state(Attachment& a, Owed why, const Subscription* subscription) {
  if (!a.feed->route->gives_snapshots()) return;
  for (Grant& g : a.grants)
    if (g.part)
      g.snapshot = Owed::none;
    else if (g.subscription == subscription || (subscription == nullptr && g.snapshot != Owed::start))
      g.snapshot = why;
}

FramePtr Delivery::frame_of(Feed& f, const SnapshotPtr& snapshot) {
  auto shared = f.snapshot.lock();
  if (!shared || f.snapshot_of != snapshot.get()) {
    shared = std::make_shared<const SharedBytes>(snapshot, std::string_view(snapshot->frame));
    f.snapshot = shared;
    f.snapshot_of = snapshot.get();
  }
  return FramePtr(new Frame(std::move(shared)));
}

// The state has come, as it stood at m.head; everything up to there has come by, too.
void Delivery::settle_state(Attachment& a, mail::Chunk& m) {
  Connection& c = *a.connection;
  const bool lags = a.lag != nullptr;
  say_source_gap(a);
  if (lags) {
    say_lost(a);
    end_lag(a);
  }
  if (m.gap) say_gap(c, *a.feed, *m.gap);
  bool failed = false, sent = false;
  for (Grant& g : a.grants) {
    if (g.snapshot == Owed::lagged && !lags) g.snapshot = Owed::none;  // it reads from history after all
    const auto asked = std::find_if(m.states.begin(), m.states.end(), [&](const mail::Chunk::State& s) {
      return g.snapshot != Owed::none && s.params == g.subscription->params;
    });
    if (asked == m.states.end()) {  // granted since
      if (g.snapshot == Owed::lagged) g.snapshot = Owed::again;
      continue;
    }
    const Owed why = std::exchange(g.snapshot, Owed::none);
    failed |= asked->snapshot == nullptr;
    if (asked->snapshot == nullptr) continue;
    port_.send(c, frame_of(*a.feed, asked->snapshot));
    ++counters_.snapshots;
    sent = true;
    if (why == Owed::start && g.subscription->replay.kind == ReplayRequest::Kind::none)
      g.from = std::max(g.from, asked->snapshot->at);
  }
  if (failed)
    port_.send(
        c, text_frame(server_frame::error({}, fail(Errc::unavailable, "the state of " + json::quoted(a.feed->channel) +
                                                                          " can't be given: " + m.state_error))));
  SequenceId from = m.head;  // nobody wants what is before
  for (Grant& g : a.grants) {
    if (sent) g.head = std::max(g.head, m.head);  // what the client's state has in it comes as a replay, if at all
    from = std::min(from, g.from);
  }
  a.at = std::max(a.at, from);
}

void Delivery::go_on(Attachment& a) {
  Connection& c = *a.connection;
  Feed& f = *a.feed;
  a.state = Attachment::State::reading;
  if (a.read != 0 || c.closing) return;
  if (a.source_gap && full(c)) return wait(a);
  say_source_gap(a);
  if (a.chunk_gap) {
    const Gap gap = *std::exchange(a.chunk_gap, std::nullopt);
    if (gap.from != 0 && gap.from <= a.at + 1)
      a.at = std::max(a.at, gap.to);  // said once, whatever becomes of the chunk
    say_gap(c, f, gap);
  }
  const bool state = owes_state(a);  // comes before what there is of events
  while (!state && a.chunk_next < a.chunk.size()) {
    if (!c.outbox.empty() && c.outbox.bytes() >= read_ahead()) return wait(a);
    const EventPtr& event = a.chunk[a.chunk_next++];
    const SequenceId id = event->sequence_id();
    const Wanted wanted = a.picked_for != nullptr ? Wanted::replay : wants(a, EventView(*event, doc_));
    if (wanted != Wanted::no)
      push(c, wanted == Wanted::replay ? FramePtr(new Frame(event->replay_frame())) : FramePtr(new Frame(event)));
    a.at = std::max(a.at, std::min(id, a.chunk_upto));
  }
  if (!state && a.chunked) {
    a.chunked = false;
    a.at = std::max(a.at, a.chunk_upto);
    a.picked_for = nullptr;
    a.chunk.clear();
    a.chunk_next = 0;
  }
  if (!state && a.at >= f.last && f.sure) {
    go_live(a);
    return fetched(a);
  }
  if (!c.outbox.empty() && c.outbox.bytes() >= read_ahead()) {
    fetched(a);
    return wait(a);
  }
  if (!c.queued.empty()) fetched(a);  // others get their turn after each chunk
  if (!a.fetches) {
    if (c.fetching >= kFetchingMax) {
      if (!a.queues) c.queued.push_back(&a);
      a.queues = true;
      return;
    }
    a.fetches = true;
    ++c.fetching;
  }
  ask(a);
}

// Its owner for what comes next: the state if that is owed, else the next stretch of history.
void Delivery::ask(Attachment& a) {
  const Feed& f = *a.feed;
  a.read = next_id();
  mail::Read read{shard_, a.id, a.read, f.channel, {f.epoch, a.at}};
  for (const Grant& g : a.grants)
    if (g.snapshot != Owed::none) read.snapshots.push_back(g.subscription->params);
  port_.to_owner(f.channel, letter(std::move(read)));
}

void Delivery::chunk(Attachment& a, mail::Chunk& m) {
  Feed& f = *a.feed;
  f.sure = true;
  new_life(f, m.epoch);
  advance(f, m.head);
  if (!m.states.empty()) {
    settle_state(a, m);
    if (owes_state(a)) pause(a);
    if (a.state == Attachment::State::reading) return go_on(a);
    return fetched(a);
  }
  a.chunk = std::move(m.events);
  a.chunk_next = 0;
  a.chunk_upto = m.upto;
  a.chunked = true;
  a.chunk_gap = std::move(m.gap);
  a.gap_for = nullptr;
  if (a.chunk_gap) owe_state(a, Owed::again);
  if (a.state == Attachment::State::reading) go_on(a);
}

void Delivery::drained(Connection& connection) {
  // Taken off the list first: those that have to wait again are put back behind the others, so that all get their turn.
  std::vector<Attachment*> turn;
  turn.swap(connection.waiting);
  for (Attachment* a : turn) a->waits = false;
  for (Attachment* a : turn) {
    if (a->state == Attachment::State::reading)
      go_on(*a);
    else if (a->lag)
      catch_up_lag(*a);
  }
}

void Delivery::end(Attachment& a) {
  const Feed& f = *a.feed;
  say_source_gap(a);
  if (a.state == Attachment::State::live) {
    if (a.lag) say_lost(a);
  } else if (a.at < f.last || a.chunk_gap || a.chunk_next < a.chunk.size()) {
    say_gap(*a.connection, f, Gap{0, 0, 0, "epoch_changed"});
  }
}

void Delivery::forget(Attachment& a) {
  pause(a);
  forget_chunk(a);
  Connection& c = *a.connection;
  if (a.waits) std::erase(c.waiting, &a);
  if (a.queues) std::erase(c.queued, &a);
}

}  // namespace weir
