// Any bytes as a script: the woven one compiles exactly if the original does.
#include <cstdint>
#include <cstdlib>
#include <lua.hpp>
#include <string>
#include <string_view>

#include "rules/instrument.hpp"

namespace {

bool compiles(lua_State* L, std::string_view text) {
  const bool good = luaL_loadbuffer(L, text.data(), text.size(), "=x") == 0;
  lua_settop(L, 0);
  return good;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static lua_State* const L = luaL_newstate();
  std::string_view text(reinterpret_cast<const char*>(data), size);
  // A header line is skipped by the loader before the compiler sees it; a NUL ends some of the compiler's lines early.
  if (text.starts_with('#') || text.starts_with("\xEF\xBB\xBF") || text.find('\0') != std::string_view::npos ||
      size > 4096)
    return 0;
  const auto woven = weir::rules::instrument("x", text);
  if (woven && compiles(L, *woven) != compiles(L, text)) std::abort();
  return 0;
}
