// Makes an event of a NATS message. Threads: [strand].
#pragma once
#include <cstdint>
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
};

// The texts of one event after the other, in the same memory.
class MessageReader {
 public:
  explicit MessageReader(const MessageConfig& config) : config_(config) {}
  // What it returns lives until the next call, and as long as the message.
  sdk::Event event_of(natsMsg* message);

 private:
  const MessageConfig& config_;
  std::string event_, key_, id_;
};

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
