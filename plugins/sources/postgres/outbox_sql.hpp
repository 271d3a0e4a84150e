// What the reader of an outbox asks the server. `$n` are parameters; see each. Threads: plain values.
#pragma once
#include <cstdint>
#include <string>

namespace weir::postgres {

struct OutboxSql {
  // row_bytes: larger rows come without their data.
  OutboxSql(const std::string& schema, std::int64_t row_bytes);
  std::string setup;   // settings of the session, and LISTEN for what the trigger says
  std::string lock;    // 1 reader -> whether it is ours now
  std::string holder;  // 1 reader, 2 process id that was ours -> who has it, and whether that one was sent away
  std::string enter;   // 1 reader, 2 "t": begin at now
  std::string place;   // 1 reader -> seen, reading, last_id, top_id, cluster, holder, this cluster, top_xid
  std::string survey;  // 1 seen, 2 reading, 3 top_id, 4 top_xid or null -> seen, reading, last id given out or null: no
                       // right, CACHE, rows to renumber, whether top_id is the row of another transaction now
  std::string renumber;  // rows whose transactions are still to come
  std::string sleep;     // -> whether those who write from now on will notify: "own", "guest" or "no"
  std::string wake;      // they need not any more; after "own"
  std::string store;     // 1 reader, 2 seen, 3 reading, 4 last_id, 5 top_id, 6 cluster, 7 holder, 8 top_xid or null
  // Makes the two that follow: to plan them for each batch would cost the server more than a small batch itself.
  std::string prepare;
  static constexpr const char* look = "weir_look";  // 1 seen, 2 reading or null -> reading, smallest id, transactions
                                                    // that were running in `seen`
  static constexpr const char* page = "weir_page";  // 1 seen, 2 reading, 3 last_id, 4 smallest id, 5 transactions, 6
                                                    // rows at most, 7 bytes at most, 8 "f": without their texts
  std::string clean;  // 1 milliseconds, 2 behind this id -> how many, the greatest id of these
};

inline constexpr int kCleanRows = 1'000;
}  // namespace weir::postgres
