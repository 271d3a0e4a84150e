// Any bytes as what a client sends on a connection with compression: cut anywhere, they come out the same, only first
// bytes of messages are changed, and there are as many messages as a reader would count.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "protocol/deflate_marks.hpp"

namespace {

// How many messages begin, as RFC 6455 section 5.2 lays frames out; and where frames begin: `first` has a 1 there.
std::size_t count_messages(const std::string& bytes, std::string& first) {
  std::size_t messages = 0;
  first.assign(bytes.size(), '0');
  for (std::size_t i = 0; i < bytes.size();) {
    const auto at = [&](std::size_t k) { return static_cast<unsigned char>(bytes[k]); };
    first[i] = '1';
    const unsigned opcode = at(i) & 0x0fU;
    if (opcode == 1 || opcode == 2) ++messages;
    if (i + 1 >= bytes.size()) break;
    std::uint64_t length = at(i + 1) & 0x7fU;
    const std::size_t more = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (i + 2 + more > bytes.size()) break;
    if (more != 0) length = 0;
    for (std::size_t k = 0; k < more; ++k) length = length << 8 | at(i + 2 + k);
    const std::size_t header = 2 + more + ((at(i + 1) & 0x80U) != 0 ? 4 : 0);
    if (header + i > bytes.size() || length > bytes.size() - i - header) break;
    i += header + static_cast<std::size_t>(length);
  }
  return messages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = 1 + data[0];
  const std::string sent(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string whole = sent, parts = sent, first;
  weir::DeflateMarks at_once, in_parts;
  at_once.pass(whole.data(), whole.size());
  for (std::size_t i = 0; i < parts.size(); i += step) in_parts.pass(&parts[i], std::min(step, parts.size() - i));
  if (whole != parts) std::abort();
  const std::size_t messages = count_messages(sent, first);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    if (whole[i] == sent[i]) continue;
    const auto before = static_cast<unsigned char>(sent[i]), after = static_cast<unsigned char>(whole[i]);
    if (first[i] != '1' || (before & 0x70U) != 0x40 || after != ((before & 0x80U) | 2U)) std::abort();
  }
  for (std::size_t i = 0; i < messages; ++i)
    if (at_once.next() != in_parts.next()) std::abort();
  if (at_once.next() != weir::DeflateMarks::Message::plain) std::abort();
  return 0;
}
