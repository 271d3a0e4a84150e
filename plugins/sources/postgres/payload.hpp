// Makes an event of a notification. Threads: [strand].
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weir/sdk/emitter.hpp"
#include "weir/sdk/json.hpp"

namespace weir::postgres {

// A text with places that a notification fills: {subject}, its channel; {field:name}, a member of the object that its
// payload is (a string's text, a number or boolean as it is written; else empty).
class Template {
 public:
  Template() = default;
  // Errors: Failure(WEIR_E_CONFIG) that names the value.
  explicit Template(const sdk::json::Value& text);
  bool empty() const { return parts_.empty(); }
  bool wants_fields() const;
  bool is_channel() const { return parts_.size() == 1 && parts_[0].what == What::subject; }
  // `payload` may be null: no JSON.
  void fill(std::string& out, std::string_view channel, const sdk::json::Value* payload) const;

 private:
  enum class What : std::uint8_t { text, subject, field };
  struct Part {
    What what;
    std::string text;  // of kind text; a field's name
  };
  std::vector<Part> parts_;
};

struct PayloadConfig {
  enum class Kind : std::uint8_t { any, json, text };
  Kind kind = Kind::any;
  Template subject, event, key, id;
};

// The texts of one event after the other, in the same memory.
class PayloadReader {
 public:
  explicit PayloadReader(const PayloadConfig& config);
  // What `event` says lives until the next call, and as long as what was given. False: no JSON, where JSON is asked
  // for.
  bool event_of(std::string_view channel, std::string_view payload, sdk::Event& event);

 private:
  const PayloadConfig& config_;
  const bool parses_;
  std::string subject_, event_, key_, id_;
};

// At most so many bytes of it, never half a character: the hub would not take an event with a name that is too long.
std::string_view cut(std::string_view text, std::size_t most);

}  // namespace weir::postgres
