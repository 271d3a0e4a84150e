// Undoes Content-Encoding: gzip, within a bound. Threads: pure functions, [any].
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace weir::http_ingest {

// Errors: Refused(400) - it is broken or cut off; Refused(413) - more than bytes_max come out of it. Never holds more.
std::string gunzip(std::string_view bytes, std::size_t bytes_max);

}  // namespace weir::http_ingest
