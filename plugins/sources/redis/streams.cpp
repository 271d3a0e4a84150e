#include "streams.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace weir::redis {

bool EntryId::read(std::string_view text, EntryId& id) {
  const auto dash = text.find('-');
  const auto number = [](std::string_view part, std::uint64_t& out) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), out);
    return error == std::errc() && end == part.data() + part.size();
  };
  id.number = 0;
  return number(text.substr(0, dash), id.ms) &&
         (dash == std::string_view::npos || number(text.substr(dash + 1), id.number));
}

std::string data_of(const redisReply& fields, const std::string& field, bool& as_it_is) {
  as_it_is = false;
  std::string out = "{";
  for (std::size_t i = 0; i + 1 < fields.elements; i += 2) {
    const auto name = text_of(fields.element[i]), value = text_of(fields.element[i + 1]);
    if (!field.empty() && name == field) {
      as_it_is = true;
      return std::string(value);
    }
    if (i != 0) out += ',';
    sdk::json::append_string(out, name);
    out += ':';
    sdk::json::append_string(out, value);
  }
  return out += '}';
}

Streams::Streams(const sdk::Host& host, const Config& config, Told told)
    : host_(host),
      config_(config),
      stream_(*config_.stream),
      told_(std::move(told)),
      reader_(host, config_.address,
              {[this] { ready(); }, [this](redisReply& reply) { read(reply); },
               [this](const std::string& why) { away(why, writer_); }}),
      writer_(host, config_.address,
              {[this] { ready(); }, [this](redisReply& reply) { answered(reply); },
               [this](const std::string& why) { away(why, reader_); }}) {
  for (const auto& key : stream_.keys) streams_.push_back({key, {}, true});
}

void Streams::open() {
  reader_.open();
  writer_.open();
  ticks_.start(host_, 250, 250, [this] { tick(); });
}

// One of the two is gone. The other one goes, too, so that both begin anew and no reply belongs to what was before.
void Streams::away(const std::string& why, Connection& other) {
  if (std::exchange(ending_, true)) return;
  other.end(why);
  ending_ = false;
  reading_ = waiting_ = false;
  asked_.clear();
  asked_of_.clear();
  again_.cancel();
  told_.state(false, why);
}

// Both are there: what was acknowledged and may not have arrived goes first.
void Streams::ready() {
  if (!reader_.ready() || !writer_.ready()) return;
  for (const Done& done : done_) send(done);
  make_groups();
}

void Streams::make_groups() {
  reading_ = false;
  groups_left_ = streams_.size();
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    asked_.push_back(Asked::group);
    asked_of_.push_back(i);
    // One that is gone is made anew behind what was read of it.
    const Stream& s = streams_[i];
    writer_.send(
        {"XGROUP", "CREATE", s.key, stream_.group, s.last == EntryId{} ? stream_.from : s.last.text(), "MKSTREAM"});
  }
}

// --- What the connection that acknowledges hears ---------------------------------------------------------------------

void Streams::answered(redisReply& reply) {
  if (asked_.empty()) return;
  const Asked asked = asked_.front();
  const std::size_t stream = asked_of_.front();
  asked_.pop_front();
  asked_of_.pop_front();
  const std::string error = reply.type == REDIS_REPLY_ERROR ? std::string(text_of(&reply)) : std::string();
  switch (asked) {
    case Asked::group:
      if (!error.empty() && !error.starts_with("BUSYGROUP")) {
        told_.state(false, "stream \"" + streams_[stream].key + "\": " + error + "; tried again every 2 s");
        again_.start(host_, 2'000, 0, [this] { make_groups(); });
        return;
      }
      if (--groups_left_ != 0) return;
      reading_ = true;
      waiting_ = false;
      for (Stream& s : streams_) s.pending = true;
      reader_.well();
      writer_.well();
      told_.state(true, {});
      return ask();
    case Asked::acknowledge:
      // An error means that the group is gone, and with it what it was waiting for.
      counts_.acknowledged += done_.front().ids.size();
      done_.pop_front();
      return;
    case Asked::claim:
      if (!error.empty() || reply.type != REDIS_REPLY_ARRAY || reply.elements < 2) return;
      streams_[stream].claim_from = std::string(text_of(reply.element[0]));
      for (std::size_t i = 0; reply.elements > 2 && i < reply.element[2]->elements; ++i)  // Redis 7 says what is gone
        told_.lost(streams_[stream].key, "the entry " + std::string(text_of(reply.element[2]->element[i])) +
                                             " was removed before it was read");
      return take(stream, *reply.element[1], true);
    case Asked::ping:
      return;
  }
}

void Streams::acknowledge(std::size_t stream, std::vector<std::string> ids) {
  done_.push_back({stream, std::move(ids)});
  if (writer_.ready()) send(done_.back());
}

void Streams::send(const Done& done) {
  std::vector<std::string> command = {"XACK", streams_[done.stream].key, stream_.group};
  command.insert(command.end(), done.ids.begin(), done.ids.end());
  asked_.push_back(Asked::acknowledge);
  asked_of_.push_back(done.stream);
  writer_.send(command);
}

void Streams::accepted(std::uint64_t cursor) {
  for (InFlight& f : in_flight_) {
    if (f.cursor > cursor) break;
    f.done = true;
  }
  settle();
}

void Streams::refused(std::uint64_t cursor) {
  for (InFlight& f : in_flight_)
    if (f.cursor == cursor) f.done = true;
  settle();
}

void Streams::settle() {
  constexpr std::size_t kIdsAtOnce = 500;
  std::vector<std::vector<std::string>> all(streams_.size());
  for (; !in_flight_.empty() && in_flight_.front().done; in_flight_.pop_front()) {
    const InFlight& f = in_flight_.front();
    auto& ids = all[f.stream];
    ids.push_back(f.id.text());
    if (ids.size() == kIdsAtOnce) acknowledge(f.stream, std::exchange(ids, {}));
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    if (!all[i].empty()) acknowledge(i, std::move(all[i]));
  ask();
}

// --- Entries --------------------------------------------------------------------------------------------------------

void Streams::ask() {
  if (!reading_ || waiting_ || paused_) return;
  const std::int64_t room = stream_.in_flight - static_cast<std::int64_t>(in_flight_.size());
  if (room <= 0) return;
  // The server counts for each stream.
  const auto count = std::max<std::int64_t>(1, std::min(room, kAtOnce) / static_cast<std::int64_t>(streams_.size()));
  std::vector<std::string> command = {"XREADGROUP",     "GROUP", stream_.group,
                                      stream_.consumer, "COUNT", std::to_string(count)};
  const auto behind = std::find_if(streams_.begin(), streams_.end(), [](const Stream& s) { return s.pending; });
  pending_ = behind != streams_.end();
  if (pending_) {
    reading_pending_ = static_cast<std::size_t>(behind - streams_.begin());
    command.insert(command.end(), {"STREAMS", behind->key, behind->last.text()});
  } else {
    command.insert(command.end(), {"BLOCK", std::to_string(kWaitMs), "STREAMS"});
    for (const Stream& s : streams_) command.push_back(s.key);
    for (std::size_t i = 0; i < streams_.size(); ++i) command.emplace_back(">");
  }
  waiting_ = true;
  read_asked_ms_ = host_.now_ms();
  reader_.send(command);
}

void Streams::read(redisReply& reply) {
  waiting_ = false;
  if (reply.type == REDIS_REPLY_ERROR) {
    const std::string error(text_of(&reply));
    if (error.starts_with("NOGROUP")) {
      host_.warn("a group or its stream was removed; it is made anew", "{\"error\":" + sdk::json::quoted(error) + "}");
      return make_groups();
    }
    reading_ = false;
    told_.state(false, error + "; tried again every 2 s");
    again_.start(host_, 2'000, 0, [this] { make_groups(); });
    return;
  }
  bool any = false;
  for (std::size_t i = 0; reply.type == REDIS_REPLY_ARRAY && i < reply.elements; ++i) {
    const redisReply& of = *reply.element[i];
    if (of.type != REDIS_REPLY_ARRAY || of.elements != 2) continue;
    const auto found = std::find_if(streams_.begin(), streams_.end(),
                                    [&](const Stream& s) { return s.key == text_of(of.element[0]); });
    if (found == streams_.end()) continue;
    any = any || of.element[1]->elements != 0;
    take(static_cast<std::size_t>(found - streams_.begin()), *of.element[1], false);
  }
  if (pending_ && !any) streams_[reading_pending_].pending = false;
  if (!told_.full()) ask();
}

bool Streams::known(std::size_t stream, const EntryId& id) const {
  const std::string text = id.text();
  return std::any_of(in_flight_.begin(), in_flight_.end(),
                     [&](const InFlight& f) { return f.stream == stream && f.id == id; }) ||
         std::any_of(done_.begin(), done_.end(), [&](const Done& d) {
           return d.stream == stream && std::find(d.ids.begin(), d.ids.end(), text) != d.ids.end();
         });
}

void Streams::take(std::size_t index, const redisReply& entries, bool claimed) {
  Stream& s = streams_[index];
  for (std::size_t i = 0; i < entries.elements; ++i) {
    const redisReply& entry = *entries.element[i];
    EntryId id;
    if (entry.type != REDIS_REPLY_ARRAY || entry.elements < 2 || !EntryId::read(text_of(entry.element[0]), id))
      continue;
    // Entries of another consumer are older than what came here, and new all the same.
    const bool again = claimed ? known(index, id) : id <= s.last || (stream_.claim_ms != 0 && known(index, id));
    if (again) {
      ++counts_.again;
      if (!claimed && !known(index, id)) acknowledge(index, {id.text()});
      continue;
    }
    // The server has handed these out; it still does so when there is room again.
    if (told_.full() || static_cast<std::int64_t>(in_flight_.size()) >= stream_.in_flight) {
      if (!claimed) s.pending = true;
      return;
    }
    if (!claimed) s.last = id;
    if (entry.element[1]->type != REDIS_REPLY_ARRAY) {  // removed while it was on its way
      told_.lost(s.key, "the entry " + id.text() + " was removed before it was read");
      acknowledge(index, {id.text()});
      continue;
    }
    if (claimed) ++counts_.claimed;
    ++counts_.entries;
    in_flight_.push_back({++cursor_, index, id});
    told_.entry(s.key, id, *entry.element[1], cursor_);
  }
}

void Streams::tick() {
  if (!reader_.ready() || !writer_.ready()) return;
  const std::int64_t now = host_.now_ms();
  if (waiting_ && now - std::max(read_asked_ms_, reader_.heard_ms()) > kWaitMs + config_.ping_ms)
    return reader_.end("it does not answer");
  if (asked_.empty()) {
    asked_ms_ = now;
    if (now - writer_.heard_ms() > config_.ping_ms) {
      asked_.push_back(Asked::ping);
      asked_of_.push_back(0);
      writer_.send({"PING"});
    }
  } else if (now - std::max(asked_ms_, writer_.heard_ms()) > config_.ping_ms + 1'000) {
    return writer_.end("it does not answer");
  }
  const bool behind = std::any_of(streams_.begin(), streams_.end(), [](const Stream& st) { return st.pending; });
  if (stream_.claim_ms != 0 && reading_ && !behind && !paused_ &&
      now - claimed_ms_ >= std::max<std::int64_t>(500, stream_.claim_ms / 2)) {
    claimed_ms_ = now;
    const std::int64_t room = stream_.in_flight - static_cast<std::int64_t>(in_flight_.size());
    for (std::size_t i = 0; room > 0 && i < streams_.size(); ++i) {
      asked_.push_back(Asked::claim);
      asked_of_.push_back(i);
      writer_.send({"XAUTOCLAIM", streams_[i].key, stream_.group, stream_.consumer, std::to_string(stream_.claim_ms),
                    streams_[i].claim_from, "COUNT", std::to_string(std::min(room, kAtOnce))});
    }
  }
  ask();
}

}  // namespace weir::redis
