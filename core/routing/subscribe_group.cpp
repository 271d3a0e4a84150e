#include "routing/subscribe_group.hpp"

#include "base/json.hpp"

namespace weir {

std::string SubscribeGroup::pattern_text(std::size_t channels) const {
  std::string text = "{\"channel\":";
  json::append_string(text, pattern);
  return text + ",\"pattern\":true,\"channels\":" + std::to_string(channels) +
         ",\"replayed\":" + std::to_string(replayed) + ",\"filter\":" + filter_text + "}";
}

}  // namespace weir
