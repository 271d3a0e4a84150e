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
  if (away_since_ms_ == 0) away_since_ms_ = host_.steady_ms();
  told_.state(false, why);
}

// First LISTEN, then the gap: what is sent in between is not lost, and who catches up after the gap misses nothing.
void Listener::ready() {
  std::string sql;
  for (const std::string& channel : config_.listen) sql += "listen " + quoted_name(channel) + ";";
  connection_.ask(sql, [this](const Result& result) {
    if (!result.ok()) return connection_.end(result.error());
    connection_.well();
    // The first time, too: who subscribed before then, or to the instance that was here until a reload, can't know.
    if (!listened_) {
      told_.lost("the hub listens to PostgreSQL from now on; what was sent before did not come here");
    } else {
      const std::int64_t away_ms = away_since_ms_ == 0 ? 0 : host_.steady_ms() - away_since_ms_;
      told_.lost("the connection to PostgreSQL was down for " + std::to_string((away_ms + 999) / 1000) +
                 " s; what was sent meanwhile did not come here");
    }
    listened_ = true;
    away_since_ms_ = 0;
    told_.state(true, {});
  });
}

}  // namespace weir::postgres
