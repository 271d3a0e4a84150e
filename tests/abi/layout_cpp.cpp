// The headers as C++20.
#include "layout.h"

#include <type_traits>

static_assert(std::is_trivial_v<weir_event> && std::is_standard_layout_v<weir_event>);
static_assert(std::is_standard_layout_v<weir_host> && std::is_standard_layout_v<weir_plugin>);
