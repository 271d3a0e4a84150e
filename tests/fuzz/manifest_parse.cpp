// Any bytes as a manifest: TOML, JSON, and as a plugin's schema. The first byte chooses.
// Nothing may crash, throw or take long; a manifest comes out exactly when there is no problem.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "manifest/manifest.hpp"
#include "manifest/schema.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 's') {
    if (const auto schema = weir::Schema::parse(text)) {
      weir::tree::Node value;
      value.kind = weir::tree::Node::Kind::object;
      std::vector<weir::tree::Problem> problems;
      schema->check(value, "config", problems);
      schema->fill_defaults(value);
    }
    return 0;
  }
  weir::LoadOptions options;
  if (data[0] == 'o') {  // the text is a --set as well
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) options.set.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  const auto result = weir::parse_manifest(data[0] == 'j' ? "hub.json" : "hub.toml", text, options);
  if (result.manifest.has_value() != result.problems.empty()) std::abort();
  for (const auto& problem : result.problems)
    if (problem.message.empty()) std::abort();
  return 0;
}
