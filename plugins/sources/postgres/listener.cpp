#include "listener.hpp"

namespace weir::postgres {

std::string quoted_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

Listener::Listener(const sdk::Host& host, const Config& config, Told told)
    : host_(host),
      config_(config),
      told_(std::move(told)),
      connection_(host, config.address, config.ping_ms,
                  {[this] { ready(); }, [this](const std::string& why) { away(why); },
                   [this](std::string_view channel, std::string_view payload) { told_.notified(channel, payload); }}) {}

void Listener::away(const std::string& why) {
  if (away_since_ == 0) away_since_ = host_.now_ms();
  told_.state(false, why);
}

// First LISTEN, then the gap: what is sent in between is not lost, and who catches up after the gap misses nothing.
void Listener::ready() {
  std::string sql;
  for (const std::string& channel : config_.listen) sql += "listen " + quoted_name(channel) + ";";
  connection_.ask(sql, [this](const Result& result) {
    if (!result.ok()) return connection_.end(result.error());
    connection_.well();
    told_.state(true, {});
    if (listened_) told_.lost(away_since_ == 0 ? 0 : host_.now_ms() - away_since_);
    listened_ = true;
    away_since_ = 0;
  });
}

}  // namespace weir::postgres
