#include "streams.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "weir/sdk/text.hpp"

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
    sdk::json::append_string(out, sdk::is_utf8(name) ? std::string(name) : "base64:" + sdk::base64(name));
    out += ':';
    if (sdk::is_utf8(value))
      sdk::json::append_string(out, value);
    else
      out += "{\"base64\":\"" + sdk::base64(value) + "\"}";
  }
  return out += '}';
}

namespace {
std::size_t bytes_of(const redisReply& reply) {
  std::size_t bytes = text_of(&reply).size();
  for (std::size_t i = 0; i < reply.elements; ++i) bytes += bytes_of(*reply.element[i]);
  return bytes;
}
}  // namespace

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
  for (const auto& key : stream_.keys) streams_.push_back({.key = key});
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
  again_.cancel();
  told_.state(false, why);
}

// Both are there: what was acknowledged and may not have arrived goes first.
void Streams::ready() {
  if (!reader_.ready() || !writer_.ready()) return;
  for (const Done& done : done_) send(done);
  writer_.flush();
  make_groups();
}

void Streams::make_groups() {
  reading_ = false;
  groups_left_ = streams_.size();
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    Stream& s = streams_[i];
    s.newest_known = false;
    asked_.push_back({What::info, i});
    writer_.append({"XINFO", "STREAM", s.key});
    // One that is gone is made anew behind what was read of it.
    const bool fresh = s.last == EntryId{};
    group(i, {"XGROUP", "CREATE", s.key, stream_.group, fresh ? stream_.from : s.last.text(), "MKSTREAM"});
  }
  writer_.flush();
}

void Streams::group(std::size_t stream, std::vector<std::string> command) {
  asked_.push_back({What::group, stream});
  writer_.append(command);
}

// The group was not there. If its stream has nothing as new as what was read of it, it is not that stream any more.
void Streams::made_group(std::size_t stream) {
  Stream& s = streams_[stream];
  if (s.last == EntryId{} || !s.newest_known || s.newest >= s.last) return;
  made_anew(stream);
  ++groups_left_;
  group(stream, {"XGROUP", "SETID", s.key, stream_.group, "0"});
  writer_.flush();
}

// Its entries may have ids that there were before. What is in flight of the other one has nothing to be acknowledged.
void Streams::made_anew(std::size_t stream) {
  Stream& s = streams_[stream];
  s.last = s.pending_from = {};
  s.held.clear();
  std::erase_if(in_flight_, [&](const InFlight& f) { return f.stream == stream; });
  told_.lost(s.key, "the stream " + s.key + " was removed and made anew; it is read from its beginning");
}

void Streams::all_groups() {
  reading_ = true;
  waiting_ = false;
  for (Stream& s : streams_) {
    s.pending = true;
    // From the beginning, as acknowledgements may have got lost with a server. Where entries are claimed those before
    // the last one that came may be new, too: they are left to be claimed again.
    s.pending_from = stream_.claim_ms == 0 ? EntryId{} : s.last;
  }
  reader_.well();
  if (done_.empty()) writer_.well();
  told_.state(true, claim_failed_);
  ask();
}

// --- What the connection that acknowledges hears ---------------------------------------------------------------------

void Streams::answered(redisReply& reply) {
  if (asked_.empty()) return;
  const auto [what, stream] = asked_.front();
  asked_.pop_front();
  const std::string error = reply.type == REDIS_REPLY_ERROR ? std::string(text_of(&reply)) : std::string();
  switch (what) {
    case What::info:
      for (std::size_t i = 0; reply.type == REDIS_REPLY_ARRAY && i + 1 < reply.elements; i += 2)
        if (text_of(reply.element[i]) == "last-generated-id")
          streams_[stream].newest_known = EntryId::read(text_of(reply.element[i + 1]), streams_[stream].newest);
      // There is none; XGROUP makes one.
      if (error.starts_with("ERR no such key")) streams_[stream].newest = {}, streams_[stream].newest_known = true;
      return;
    case What::group:
      if (!error.empty() && !error.starts_with("BUSYGROUP")) {
        told_.state(false, "stream \"" + streams_[stream].key + "\": " + error + "; tried again every 2 s");
        again_.start(host_, 2'000, 0, [this] { make_groups(); });
        return;
      }
      if (error.empty()) made_group(stream);
      if (--groups_left_ == 0) all_groups();
      return;
    case What::acknowledge: {
      // Of a group that is gone it says 0. An error is one of a server that can't now, or does not let us: the entries
      // would come again when all is over, so it is told what is done until it has it.
      if (!error.empty()) return writer_.end("XACK of the stream \"" + streams_[stream].key + "\": " + error);
      const Done& done = done_.front();
      for (const EntryId& id : done.ids) streams_[done.stream].held.erase(id);
      counts_.acknowledged += done.ids.size();
      done_ids_ -= done.ids.size();
      done_.pop_front();
      writer_.well();
      return ask();
    }
    case What::claim:
      if (!error.empty()) {
        // Once: an error may quote the command, which is another one each time.
        if (passes(error) || !claim_failed_.empty()) return;
        claim_failed_ = "entries of other consumers can't be claimed: " + error;
        host_.error(claim_failed_);
        if (reading_) told_.state(true, claim_failed_);
        return;
      }
      if (!std::exchange(claim_failed_, {}).empty() && reading_) told_.state(true, "");
      if (reply.type != REDIS_REPLY_ARRAY || reply.elements < 2) return;
      streams_[stream].claim_from = std::string(text_of(reply.element[0]));
      // Redis 7 says what is gone, also of what is on its way here.
      for (std::size_t i = 0; reply.elements > 2 && i < reply.element[2]->elements; ++i) {
        const auto text = text_of(reply.element[2]->element[i]);
        if (EntryId id; EntryId::read(text, id) && streams_[stream].held.contains(id)) continue;
        told_.lost(streams_[stream].key, "the entry " + std::string(text) + " was removed before it was read");
      }
      return take(stream, *reply.element[1], true);
    case What::ping:
      return;
  }
}

void Streams::acknowledge(std::size_t stream, std::vector<EntryId> ids) {
  streams_[stream].held.insert(ids.begin(), ids.end());
  done_ids_ += ids.size();
  done_.push_back({stream, std::move(ids)});
  if (!reader_.ready() || !writer_.ready()) return;  // ready() sends it, in its turn
  send(done_.back());
  writer_.flush();
}

void Streams::send(const Done& done) {
  std::vector<std::string> command = {"XACK", streams_[done.stream].key, stream_.group};
  for (const EntryId& id : done.ids) command.push_back(id.text());
  asked_.push_back({What::acknowledge, done.stream});
  writer_.append(command);
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
  std::vector<std::vector<EntryId>> all(streams_.size());
  for (; !in_flight_.empty() && in_flight_.front().done; in_flight_.pop_front()) {
    const InFlight& f = in_flight_.front();
    auto& ids = all[f.stream];
    ids.push_back(f.id);
    if (ids.size() == kIdsAtOnce) acknowledge(f.stream, std::exchange(ids, {}));
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    if (!all[i].empty()) acknowledge(i, std::move(all[i]));
  ask();
}

// --- Entries --------------------------------------------------------------------------------------------------------

// What the server has not heard to be done counts as well: it could not be told for a long time.
std::int64_t Streams::room() const {
  return stream_.in_flight - static_cast<std::int64_t>(in_flight_.size() + done_ids_);
}

void Streams::weigh(std::size_t entries, std::size_t bytes) {
  if (entries == 0) return;
  const auto fit = kReplyBytes / static_cast<std::int64_t>(bytes / entries + 1);
  at_once_ = std::clamp<std::int64_t>(std::min(fit, 2 * at_once_), 1, kAtOnce);
}

void Streams::ask() {
  if (!reading_ || waiting_ || paused_ || told_.full()) return;
  if (room() <= 0) return;
  // The server counts for each stream.
  const auto count = std::max<std::int64_t>(1, std::min(room(), at_once_) / static_cast<std::int64_t>(streams_.size()));
  std::vector<std::string> command = {"XREADGROUP",     "GROUP", stream_.group,
                                      stream_.consumer, "COUNT", std::to_string(count)};
  const auto behind = std::find_if(streams_.begin(), streams_.end(), [](const Stream& s) { return s.pending; });
  pending_ = behind != streams_.end();
  if (pending_) {
    reading_pending_ = static_cast<std::size_t>(behind - streams_.begin());
    command.insert(command.end(), {"STREAMS", behind->key, behind->pending_from.text()});
  } else {
    command.insert(command.end(), {"BLOCK", std::to_string(kWaitMs), "STREAMS"});
    for (const Stream& s : streams_) command.push_back(s.key);
    for (std::size_t i = 0; i < streams_.size(); ++i) command.emplace_back(">");
  }
  waiting_ = true;
  read_asked_ms_ = host_.steady_ms();
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
  std::size_t entries = 0, bytes = 0;
  for (std::size_t i = 0; reply.type == REDIS_REPLY_ARRAY && i < reply.elements; ++i) {
    const redisReply& of = *reply.element[i];
    if (of.type != REDIS_REPLY_ARRAY || of.elements != 2) continue;
    const auto found = std::find_if(streams_.begin(), streams_.end(),
                                    [&](const Stream& s) { return s.key == text_of(of.element[0]); });
    if (found == streams_.end()) continue;
    any = any || of.element[1]->elements != 0;
    entries += of.element[1]->elements;
    bytes += bytes_of(*of.element[1]);
    take(static_cast<std::size_t>(found - streams_.begin()), *of.element[1], false);
  }
  weigh(entries, bytes);
  if (pending_ && !any) streams_[reading_pending_].pending = false;
  ask();
}

void Streams::take(std::size_t index, const redisReply& entries, bool claimed) {
  Stream& s = streams_[index];
  for (std::size_t i = 0; i < entries.elements; ++i) {
    const redisReply& entry = *entries.element[i];
    EntryId id;
    if (entry.type != REDIS_REPLY_ARRAY || entry.elements < 2 || !EntryId::read(text_of(entry.element[0]), id))
      continue;
    // Entries of another consumer are older than what came here, and new all the same.
    const bool known = s.held.contains(id);
    if (known || (!claimed && id <= s.last)) {
      ++counts_.again;
      if (!known) acknowledge(index, {id});
      if (!claimed) s.pending_from = std::max(s.pending_from, id);
      continue;
    }
    // The server has handed these out; it still does so when there is room again.
    if (told_.full() || room() <= 0) {
      if (claimed) return;
      if (!pending_) s.pending_from = s.last;
      s.pending = true;
      return;
    }
    if (!claimed) s.last = s.pending_from = id;
    if (entry.element[1]->type != REDIS_REPLY_ARRAY) {  // removed while it was on its way
      told_.lost(s.key, "the entry " + id.text() + " was removed before it was read");
      acknowledge(index, {id});
      continue;
    }
    if (claimed) ++counts_.claimed;
    ++counts_.entries;
    in_flight_.push_back({++cursor_, index, id});
    s.held.insert(id);
    told_.entry(s.key, id, *entry.element[1], cursor_);
  }
}

void Streams::tick() {
  if (!reader_.ready() || !writer_.ready()) return;
  const std::int64_t now = host_.steady_ms();
  if (waiting_ && now - std::max(read_asked_ms_, reader_.heard_ms()) > kWaitMs + config_.ping_ms)
    return reader_.end("it does not answer");
  if (asked_.empty()) {
    asked_ms_ = now;
    if (now - writer_.heard_ms() > config_.ping_ms) {
      asked_.push_back({What::ping});
      writer_.send({"PING"});
    }
  } else if (now - std::max(asked_ms_, writer_.heard_ms()) > config_.ping_ms + 1'000) {
    return writer_.end("it does not answer");
  }
  const bool behind = std::any_of(streams_.begin(), streams_.end(), [](const Stream& st) { return st.pending; });
  if (stream_.claim_ms != 0 && reading_ && !behind && !paused_ && !told_.full() &&
      now - claimed_ms_ >= std::max<std::int64_t>(500, stream_.claim_ms / 2)) {
    claimed_ms_ = now;
    for (std::size_t i = 0; room() > 0 && i < streams_.size(); ++i) {
      asked_.push_back({What::claim, i});
      writer_.send({"XAUTOCLAIM", streams_[i].key, stream_.group, stream_.consumer, std::to_string(stream_.claim_ms),
                    streams_[i].claim_from, "COUNT", std::to_string(std::min(room(), at_once_))});
    }
  }
  ask();
}

}  // namespace weir::redis
