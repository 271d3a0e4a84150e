#include "base/ids.hpp"

#include <sys/random.h>

#include <cstring>
#include <stdexcept>

namespace weir {
namespace {
void fill_random(void* into, std::size_t size) {
  auto* p = static_cast<unsigned char*>(into);
  while (size != 0) {
    const ssize_t n = ::getrandom(p, size, 0);
    if (n <= 0) throw std::runtime_error("the operating system gives no randomness");
    p += n;
    size -= static_cast<std::size_t>(n);
  }
}

constexpr std::string_view kBase32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";  // Crockford's
constexpr std::array<char, 128> kBase32Next = [] {
  std::array<char, 128> next{};
  for (std::size_t i = 0; i + 1 < kBase32.size(); ++i) next[static_cast<unsigned char>(kBase32[i])] = kBase32[i + 1];
  return next;
}();
}  // namespace

std::uint64_t Random::next() {
  std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  fill_random(&seed, sizeof seed);
  return seed;
}

std::string random_token(std::size_t bytes) {
  std::string raw(bytes, '\0'), out;
  fill_random(raw.data(), raw.size());
  constexpr char kHex[] = "0123456789abcdef";
  for (const char c : raw) (out += kHex[static_cast<unsigned char>(c) >> 4]) += kHex[c & 15];
  return out;
}

std::string_view IdMaker::event_id(UnixMs now) {
  if (now > last_ms_) {
    last_ms_ = now;
    const std::uint64_t high = random_.next() & 0x7FFF;  // the top bit stays free, so that counting up never overflows
    const std::uint64_t low = random_.next();
    auto time = static_cast<std::uint64_t>(now);
    for (std::size_t i = 10; i-- > 0; time >>= 5) text_[i] = kBase32[time & 31];
    // 80 bits as 16 characters: the upper 16 bits and the lower 64.
    unsigned __int128 rest = (static_cast<unsigned __int128>(high) << 64) | low;
    for (std::size_t i = 26; i-- > 10; rest >>= 5) text_[i] = kBase32[static_cast<unsigned>(rest) & 31];
  } else {  // also when the clock went back: ids keep growing. Counted up in the text itself
    std::size_t i = text_.size() - 1;
    for (; text_[i] == 'Z'; --i) text_[i] = '0';
    text_[i] = kBase32Next[static_cast<unsigned char>(text_[i])];
  }
  return {text_.data(), text_.size()};
}

std::string IdMaker::epoch() {
  constexpr char kAlphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
  std::uint64_t bits = random_.next();
  std::string out(12, '0');
  for (char& c : out) {
    c = kAlphabet[bits & 31];
    bits >>= 5;
  }
  return out;
}

}  // namespace weir
