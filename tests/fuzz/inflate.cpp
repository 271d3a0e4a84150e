// Any bytes as the payload of a compressed message: it is inflated within its limit, or refused, and what comes behind
// it is none the worse for it. What is inflated comes back the same once we have compressed it.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "protocol/deflate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMax = 100'000;
  static weir::Inflater inflater;
  static weir::Deflater deflater(1);
  const auto got = inflater.inflate({reinterpret_cast<const char*>(data), size}, kMax);
  if (got) {
    if (got->size() > kMax) std::abort();
    const std::string text(*got);
    if (const auto again = deflater.deflate(text); !again.empty()) {
      if (again.size() >= text.size()) std::abort();
      const auto back = inflater.inflate(again, text.size());
      if (!back || *back != text) std::abort();
    }
  } else if (got.error().message.empty()) {
    std::abort();
  }
  const auto hello = inflater.inflate(std::string_view("\xf2\x48\xcd\xc9\xc9\x07\x00", 7), 5);
  if (!hello || *hello != "Hello") std::abort();
  return 0;
}
