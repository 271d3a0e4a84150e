#include "message.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <new>
#include <utility>

#include "weir/sdk/json_check.hpp"
#include "weir/sdk/text.hpp"
#include "weir/sdk/time.hpp"

namespace weir::nats {
namespace {

// The n-th token, from 1, or from the end for negative n.
std::string_view token_of(std::string_view subject, int n) {
  if (n < 0) {
    for (;;) {
      const auto dot = subject.rfind('.');
      if (++n == 0) return dot == std::string_view::npos ? subject : subject.substr(dot + 1);
      if (dot == std::string_view::npos) return {};
      subject = subject.substr(0, dot);
    }
  }
  for (;;) {
    const auto dot = subject.find('.');
    if (--n == 0) return subject.substr(0, dot);
    if (dot == std::string_view::npos) return {};
    subject.remove_prefix(dot + 1);
  }
}

// When it happened; 0: that is no time.
std::int64_t time_of(std::string_view text) {
  if (const auto time = sdk::parse_iso8601(text)) return *time;
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  return error == std::errc() && end == text.data() + text.size() && ms > 0 ? ms : 0;
}

// What is no JSON, as JSON.
void append_text(std::string& out, std::string_view text) {
  if (sdk::is_utf8(text)) return sdk::json::append_string(out, text);
  ((out += "{\"base64\":\"") += sdk::base64(text)) += "\"}";
}

// Names or values as cnats gives them: each ends with a NUL and lives as long as the message, the list is ours.
template <class Get>
std::vector<std::string_view> listed(Get&& get) {
  const char** texts = nullptr;
  int count = 0;
  if (get(&texts, &count) != NATS_OK) return {};
  std::vector<std::string_view> out(texts, texts + count);
  std::free(texts);
  return out;
}

bool is_wanted(const std::vector<std::string>& wanted, std::string_view name) {
  return std::any_of(wanted.begin(), wanted.end(), [&](std::string_view w) {
    return w.ends_with('*') ? name.starts_with(w.substr(0, w.size() - 1)) : name == w;
  });
}

}  // namespace

std::string_view cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
  return text.substr(0, most);
}

std::string_view header(natsMsg* message, const char* name) {
  const char* value = nullptr;
  if (natsMsgHeader_Get(message, name, &value) != NATS_OK || value == nullptr) return {};
  return value;
}

std::string_view data_of(natsMsg* message) {
  return {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))};
}

std::string as_json(std::string_view data) {
  if (data.empty()) return "null";
  if (sdk::json::is_json(data)) return std::string(data);
  std::string out;
  append_text(out, data);
  return out;
}

MessageWriter::MessageWriter(const std::string& subject, const std::string& reply, std::string_view data)
    : wire_bytes_(static_cast<std::int64_t>(data.size())) {
  natsMsg* raw = nullptr;
  if (natsMsg_Create(&raw, subject.c_str(), reply.empty() ? nullptr : reply.c_str(), data.data(),
                     static_cast<int>(data.size())) != NATS_OK)
    throw std::bad_alloc();
  message_ = {raw, &natsMsg_Destroy};
}

void MessageWriter::header(const char* name, std::string_view value) {
  std::string text(value);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  if (natsMsgHeader_Set(message_.get(), name, text.c_str()) != NATS_OK) throw std::bad_alloc();
  constexpr std::int64_t kFrame = 12, kColonAndEnd = 4;  // "NATS/1.0" and two line ends; ": " and one
  if (!headers_) wire_bytes_ += kFrame;
  headers_ = true;
  wire_bytes_ += static_cast<std::int64_t>(std::string_view(name).size() + text.size()) + kColonAndEnd;
}

Template::Template(const sdk::json::Value& value) {
  const std::string& text = value.as_string();
  const auto wrong = [&](const std::string& place) {
    return value.wrong("{subject}, {1}, {-1} or {header:Name} in braces", sdk::json::quoted(place));
  };
  std::size_t at = 0;
  while (at < text.size()) {
    const auto open = text.find('{', at);
    if (open != at) parts_.push_back({What::text, text.substr(at, open - at)});
    if (open == std::string::npos) break;
    const auto close = text.find('}', open);
    const std::string place = text.substr(open + 1, close == std::string::npos ? close : close - open - 1);
    if (close == std::string::npos) throw wrong(text.substr(open));
    at = close + 1;
    if (place == "subject") {
      parts_.push_back({What::subject, {}});
    } else if (place.starts_with("header:") && place.size() > 7) {
      parts_.push_back({What::header, place.substr(7)});
    } else {
      int token = 0;
      const auto [end, error] = std::from_chars(place.data(), place.data() + place.size(), token);
      if (error != std::errc() || end != place.data() + place.size() || token == 0 || token < -100 || token > 100)
        throw wrong("{" + place + "}");
      parts_.push_back({What::token, {}, token});
    }
  }
}

void Template::fill(std::string& out, natsMsg* message, std::string_view subject) const {
  out.clear();
  for (const Part& part : parts_) {
    switch (part.what) {
      case What::text:
        out += part.text;
        break;
      case What::subject:
        out += subject;
        break;
      case What::token:
        out += token_of(subject, part.token);
        break;
      case What::header:
        out += header(message, part.text.c_str());
    }
  }
}

sdk::Event MessageReader::event_of(natsMsg* message) {
  sdk::Event event;
  event.subject = natsMsg_GetSubject(message);
  event.data = data_of(message);
  event.kind = config_.payload;
  config_.event.fill(event_, message, event.subject);
  config_.key.fill(key_, message, event.subject);
  config_.id.fill(id_, message, event.subject);
  // What a message says must not make its event get lost: the bounds of the hub.
  event.event = event_.empty() ? std::string_view("message") : cut(event_, 255);
  event.key = cut(key_, 1024);
  event.id = cut(id_, 255);
  if (!config_.time.empty()) {
    config_.time.fill(time_, message, event.subject);
    event.time_ms = time_of(time_);
  }
  if (!config_.headers.empty()) {
    with_headers(message, event.data);
    event.data = data_;
    event.kind = sdk::Data::json;
  }
  return event;
}

// {"headers":{"Trace-Id":"a","X-Tag":["1","2"]},"data":...}
void MessageReader::with_headers(natsMsg* message, std::string_view payload) {
  data_ = "{\"headers\":{";
  auto all = listed([&](const char*** texts, int* count) { return natsMsgHeader_Keys(message, texts, count); });
  std::sort(all.begin(), all.end());  // they come in no order
  bool first = true;
  for (const std::string_view name : all) {
    if (!is_wanted(config_.headers, name) || !sdk::is_utf8(name)) continue;
    if (!std::exchange(first, false)) data_ += ',';
    sdk::json::append_string(data_, name);
    const auto values = listed(
        [&](const char*** texts, int* count) { return natsMsgHeader_Values(message, name.data(), texts, count); });
    data_ += values.size() > 1 ? ":[" : ":";
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i != 0) data_ += ',';
      append_text(data_, values[i]);
    }
    if (values.size() > 1) data_ += ']';
  }
  data_ += "},\"data\":";
  if (config_.payload == sdk::Data::any && sdk::json::is_json(payload, 1))
    data_ += payload;
  else
    append_text(data_, payload);
  data_ += '}';
}

// $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>, with
// <domain>.<account> before the stream and perhaps a random token behind where the server is newer (ADR-15 of NATS).
bool read_place(std::string_view reply, Place& place) {
  if (!reply.starts_with("$JS.ACK.")) return false;
  std::array<std::string_view, 12> tokens;
  std::size_t count = 0;
  while (count < tokens.size()) {
    const auto dot = reply.find('.');
    tokens[count++] = reply.substr(0, dot);
    if (dot == std::string_view::npos) break;
    reply.remove_prefix(dot + 1);
  }
  if (count != 9 && count < 11) return false;
  const std::size_t first = count == 9 ? 4 : 6;
  const auto number = [&](std::size_t i, auto& out) {
    const auto text = tokens[i];
    return std::from_chars(text.data(), text.data() + text.size(), out).ec == std::errc();
  };
  std::int64_t ns = 0;
  if (!number(first, place.delivered) || !number(first + 1, place.stream_sequence) ||
      !number(first + 2, place.consumer_sequence) || !number(first + 3, ns))
    return false;
  place.time_ms = ns / 1'000'000;
  return true;
}

std::string_view status_of(natsMsg* message) {
  return natsMsg_GetDataLength(message) == 0 ? header(message, "Status") : std::string_view();
}

std::string_view description_of(natsMsg* message) { return header(message, "Description"); }

}  // namespace weir::nats
