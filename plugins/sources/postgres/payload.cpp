#include "payload.hpp"

#include <algorithm>
#include <optional>

namespace weir::postgres {

using sdk::json::Kind;
using sdk::json::Value;

Template::Template(const Value& value) {
  const std::string& text = value.as_string();
  std::size_t at = 0;
  while (at < text.size()) {
    const auto open = text.find('{', at);
    if (open != at) parts_.push_back({What::text, text.substr(at, open - at)});
    if (open == std::string::npos) break;
    const auto close = text.find('}', open);
    const std::string place = text.substr(open + 1, close == std::string::npos ? close : close - open - 1);
    if (close != std::string::npos && place == "subject")
      parts_.push_back({What::subject, {}});
    else if (close != std::string::npos && place.starts_with("field:") && place.size() > 6)
      parts_.push_back({What::field, place.substr(6)});
    else
      throw value.wrong("{subject} or {field:name} in braces", sdk::json::quoted(text.substr(open)));
    at = close + 1;
  }
}

bool Template::wants_fields() const {
  return std::any_of(parts_.begin(), parts_.end(), [](const Part& p) { return p.what == What::field; });
}

void Template::fill(std::string& out, std::string_view channel, const Value* payload) const {
  out.clear();
  for (const Part& part : parts_) {
    if (part.what == What::text) {
      out += part.text;
    } else if (part.what == What::subject) {
      out += channel;
    } else if (const Value* field = payload == nullptr ? nullptr : payload->find(part.text); field != nullptr) {
      if (field->is(Kind::string) || field->is(Kind::number)) out += field->text;
      if (field->is(Kind::boolean)) out += field->boolean ? "true" : "false";
    }
  }
}

std::string_view cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
  return text.substr(0, most);
}

PayloadReader::PayloadReader(const PayloadConfig& config)
    : config_(config),
      parses_(config.kind == PayloadConfig::Kind::json || config.subject.wants_fields() ||
              config.event.wants_fields() || config.key.wants_fields() || config.id.wants_fields()) {}

bool PayloadReader::event_of(std::string_view channel, std::string_view payload, sdk::Event& event) {
  std::optional<Value> parsed;
  if (parses_) {
    try {
      parsed = sdk::json::parse(payload);
    } catch (const sdk::Failure&) {
      if (config_.kind == PayloadConfig::Kind::json) return false;
    }
  }
  const Value* fields = parsed ? &*parsed : nullptr;
  config_.subject.fill(subject_, channel, fields);
  config_.event.fill(event_, channel, fields);
  config_.key.fill(key_, channel, fields);
  config_.id.fill(id_, channel, fields);
  event.subject = subject_.empty() ? channel : cut(subject_, 1024);
  event.event = event_.empty() ? std::string_view("message") : cut(event_, 255);
  event.key = cut(key_, 1024);
  event.id = cut(id_, 255);
  event.data = payload;
  event.kind = config_.kind == PayloadConfig::Kind::text   ? sdk::Data::text
               : config_.kind == PayloadConfig::Kind::json ? sdk::Data::json
                                                           : sdk::Data::any;
  return true;
}

}  // namespace weir::postgres
