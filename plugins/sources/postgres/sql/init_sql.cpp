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

std::string with_variable(std::string_view sql, std::string_view name, std::string_view value) {
  std::string out(sql);
  for (const char quote : {'"', '\''}) {
    const std::string place = ":" + in_quotes(name, quote);
    const std::string text = in_quotes(value, quote);
    for (std::size_t at = 0; (at = out.find(place, at)) != std::string::npos; at += text.size())
      out.replace(at, place.size(), text);
  }
  return out;
}

std::string init_sql(const InitOptions& options) {
  std::string sql(sql_outbox());
  const auto add = [&sql](std::string_view text) { (sql += '\n') += text; };
  add(options.notify ? sql_wake_notify() : sql_wake_poll());
  if (!options.reader.empty()) add(with_variable(sql_reader(), "reader", options.reader));
  if (!options.role.empty()) add(with_variable(sql_reader_role(), "role", options.role));
  if (!options.writer_role.empty()) add(with_variable(sql_writer_role(), "writer_role", options.writer_role));
  return with_variable(sql, "schema", options.schema);
}

}  // namespace weir::postgres
