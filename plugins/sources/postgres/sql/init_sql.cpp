#include "init_sql.hpp"

#include "sql.hpp"

namespace weir::postgres {
namespace {

std::string in_quotes(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) out.append(c == quote ? 2 : 1, c);
  return out + quote;
}

}  // namespace

std::string with_variables(std::string_view sql, const std::map<std::string, std::string, std::less<>>& values) {
  std::string out;
  for (std::size_t at = 0; at < sql.size();) {
    const char quote = sql[at] == ':' && at + 1 < sql.size() ? sql[at + 1] : ' ';
    const auto end = quote == '"' || quote == '\'' ? sql.find(quote, at + 2) : std::string_view::npos;
    const auto found = end == std::string_view::npos ? values.end() : values.find(sql.substr(at + 2, end - at - 2));
    if (found == values.end()) {
      out += sql[at++];
    } else {
      out += in_quotes(found->second, quote);
      at = end + 1;
    }
  }
  return out;
}

std::string init_sql(const InitOptions& options) {
  std::string sql(sql_outbox());
  const auto add = [&sql](std::string_view text) { (sql += '\n') += text; };
  add(options.notify ? sql_wake_notify() : sql_wake_poll());
  if (!options.reader.empty()) add(sql_reader());
  if (!options.role.empty()) add(sql_reader_role());
  if (!options.writer_role.empty()) add(sql_writer_role());
  return with_variables(sql, {{"schema", options.schema},
                              {"reader", options.reader},
                              {"role", options.role},
                              {"writer_role", options.writer_role}});
}

}  // namespace weir::postgres
