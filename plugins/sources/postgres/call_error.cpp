#include "call_error.hpp"

#include "payload.hpp"

namespace weir::postgres {
namespace {

constexpr std::size_t kMessageBytes = 1'000;  // the hub drops longer ones

struct Said {
  std::string_view state;
  weir_status status;
  std::string_view code;
};

// RAISE EXCEPTION '...' USING ERRCODE = 'WR404': the protocol's codes by their HTTP status.
constexpr Said kSaid[] = {
    {"P0001", WEIR_E_INVALID, "bad_request"},    {"WR400", WEIR_E_INVALID, "bad_request"},
    {"WR401", WEIR_E_FORBIDDEN, "unauthorized"}, {"WR403", WEIR_E_FORBIDDEN, "forbidden"},
    {"WR404", WEIR_E_NOT_FOUND, "not_found"},    {"WR413", WEIR_E_INVALID, "too_large"},
    {"WR429", WEIR_E_FULL, "rate_limited"},      {"WR503", WEIR_E_UNAVAILABLE, "unavailable"},
    {"WR504", WEIR_E_TIMEOUT, "timeout"},
};

}  // namespace

CallError call_error(std::string_view state, std::string_view message, bool inside) {
  for (const Said& said : kSaid)
    if (said.state == state) return {said.status, said.code, std::string(cut(message, kMessageBytes)), true};
  const auto is_class = [state](std::string_view two) { return state.substr(0, 2) == two; };
  if (!inside && (state == "42883" || state == "3F000"))
    return {WEIR_E_NOT_FOUND, "no_such_method", "the database has no function for this method"};
  if (state == "42501") return {WEIR_E_FORBIDDEN, "forbidden", "the database does not allow it"};
  if (state == "57014") return {WEIR_E_TIMEOUT, "timeout", "the database took too long, and was told to stop", true};
  if (is_class("22") && state != "22012")  // who divides by zero is the function's author
    return {WEIR_E_INVALID, "bad_request", "the database can't use these parameters: a value has the wrong form", true};
  if (is_class("23"))
    return {WEIR_E_INVALID, "bad_request", "the database does not take it: it would break a constraint", true};
  if (is_class("40") || state == "55P03")
    return {WEIR_E_UNAVAILABLE, "unavailable", "somebody else changed the same; nothing was done, try again", true};
  if (is_class("08") || is_class("53") || is_class("57") || state == "25006")
    return {WEIR_E_UNAVAILABLE, "unavailable", "the database can't do it right now; nothing was done"};
  return {WEIR_E_INTERNAL, "internal", "the database failed to answer; the hub's log says why"};
}

}  // namespace weir::postgres
