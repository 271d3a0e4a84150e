// The SQL that makes an outbox, for `weir pg init`. Threads: pure functions.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace weir::postgres {

struct InitOptions {
  std::string schema = "weir";
  std::string reader;  // each empty: without
  std::string role, writer_role;
  bool notify = true;  // a trigger wakes the readers
};

// What to run, in one transaction; it may be run again at any time.
std::string init_sql(const InitOptions& options);

// Puts values where a text has variables as psql knows them: :"name" becomes a quoted name, :'name' a text. What is no
// variable stays, and values are not looked into.
std::string with_variables(std::string_view sql, const std::map<std::string, std::string, std::less<>>& values);

}  // namespace weir::postgres
