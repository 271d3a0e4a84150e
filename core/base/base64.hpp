// Bytes as text (RFC 4648, section 4, with padding). Threads: pure functions, [any].
#pragma once
#include <string>
#include <string_view>

namespace weir {

std::string base64(std::string_view bytes);

}  // namespace weir
