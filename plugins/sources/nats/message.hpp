// Makes an event of a NATS message, and messages. Threads: [strand].
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weir/sdk/emitter.hpp"
#include "weir/sdk/json.hpp"

typedef struct __natsMsg natsMsg;

namespace weir::nats {

// A text with places that a message fills: {subject}, {2} (a token of the subject, from 1; {-1} is the last one),
// {header:Name} (empty if it is not there).
class Template {
 public:
  Template() = default;
  // Errors: Failure(WEIR_E_CONFIG) that names the value.
  explicit Template(const sdk::json::Value& text);
  bool empty() const { return parts_.empty(); }
  void fill(std::string& out, natsMsg* message, std::string_view subject) const;

 private:
  enum class What : std::uint8_t { text, subject, token, header };
  struct Part {
    What what;
    std::string text;  // of kind text; a header's name
    int token = 0;
  };
  std::vector<Part> parts_;
};

struct MessageConfig {
  sdk::Data payload = sdk::Data::any;
  Template event, key, id;
  Template time;  // RFC 3339 or Unix milliseconds
  // Which of them go into an event's data, beside the payload: names, and what names begin with, followed by *.
  std::vector<std::string> headers;
};

// The texts of one event after the other, in the same memory.
class MessageReader {
 public:
  explicit MessageReader(const MessageConfig& config) : config_(config) {}
  // What it returns lives until the next call, and as long as the message.
  sdk::Event event_of(natsMsg* message);

 private:
  void with_headers(natsMsg* message, std::string_view payload);  // as data_

  const MessageConfig& config_;
  std::string event_, key_, id_, time_, data_;
};

// One message to publish. Control characters in headers become spaces. Throws std::bad_alloc.
class MessageWriter {
 public:
  MessageWriter(const std::string& subject, const std::string& reply, std::string_view data);
  void header(const char* name, std::string_view value);
  std::int64_t wire_bytes() const { return wire_bytes_; }  // of headers and data, as the server counts them
  std::shared_ptr<natsMsg> take() { return std::move(message_); }

 private:
  std::shared_ptr<natsMsg> message_;
  std::int64_t wire_bytes_;
  bool headers_ = false;
};

// Its first `most` bytes, or a few less: never in the middle of a character.
std::string_view cut(std::string_view text, std::size_t most);

// A header's value; empty if there is none.
std::string_view header(natsMsg* message, const char* name);
std::string_view data_of(natsMsg* message);
// What an answer is as JSON: itself, or a string of it, or {"base64":...} of what is no UTF-8; of nothing null.
std::string as_json(std::string_view data);

// Where a message of a consumer stands, read from the subject that it is acknowledged on.
struct Place {
  std::uint64_t stream_sequence = 0, consumer_sequence = 0, delivered = 0;
  std::int64_t time_ms = 0;
};
// False: `reply` is no such subject.
bool read_place(std::string_view reply, Place& place);

// The values of a header in which the server tells that a request for messages is over: "100", "404", "408", "409";
// empty for a message of the stream.
std::string_view status_of(natsMsg* message);
std::string_view description_of(natsMsg* message);  // and its reason in words

}  // namespace weir::nats
