// The page that `GET /` answers with: page/index.html, built into the program.
#pragma once
#include <string_view>

namespace weir {
std::string_view built_in_page();
}
