// What sources read out of texts that others wrote: where a NATS message stands, ids of Redis' entries, lines of a
// program, and the templates of a manifest.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "exec/child.hpp"
#include "nats/message.hpp"
#include "redis/streams.hpp"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

std::vector<std::string> lines(std::string_view bytes, std::size_t step) {
  weir::exec::LineSplitter splitter(64);
  std::vector<std::string> out;
  const auto line = [&](std::string_view l) {
    must(!l.empty() && l.size() <= 64);
    out.emplace_back(l);
  };
  for (std::size_t i = 0; i < bytes.size(); i += step) splitter.feed(bytes.substr(i, step), line);
  splitter.end(line);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  weir::nats::Place place;
  (void)weir::nats::read_place(text, place);
  (void)weir::nats::read_place("$JS.ACK." + std::string(text), place);

  weir::redis::EntryId id, again;
  if (weir::redis::EntryId::read(text, id)) must(weir::redis::EntryId::read(id.text(), again) && id == again);

  const auto whole = lines(text, size + 1);
  must(lines(text, 1) == whole && lines(text, 7) == whole);

  weir::sdk::json::Value value;
  value.kind = weir::sdk::json::Kind::string;
  value.text = text;
  try {
    const weir::nats::Template made(value);
    must(made.empty() == text.empty());
  } catch (const weir::sdk::Failure&) {
  }
  return 0;
}
