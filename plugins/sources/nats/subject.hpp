// What NATS calls a subject: tokens between dots, with * for any token and, at the end, > for one or more.
// Threads: pure functions, [any].
#pragma once
#include <string>
#include <string_view>

namespace weir::nats {

// One to subscribe to; it may hold * and >.
bool subject_ok(std::string_view subject);
// One to publish to. If it is none, what is wrong with it; else empty.
std::string unpublishable(std::string_view subject);
// The hub's way to write wildcards ("orders.*", "orders.**") as that of NATS ("orders.*", "orders.>"). Empty: it is no
// subject that NATS could have.
std::string from_hub(std::string_view subject);
std::string to_hub(std::string_view subject);  // and back

bool has_wildcards(std::string_view pattern);
// `subject` has no wildcards.
bool matches(std::string_view pattern, std::string_view subject);
// Whatever matches `narrow` matches `wide`.
bool covers(std::string_view wide, std::string_view narrow);
// There may be a subject that matches both.
bool overlap(std::string_view a, std::string_view b);

}  // namespace weir::nats
