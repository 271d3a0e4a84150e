// Reads what the hub wants to know of a shared library before any of its code runs: the plugin note, and for the
// checker which symbols it exports. Works on the bytes of the file alone, which may be anything: every offset is
// checked. ELF64, little-endian, of this machine's kind; the bytes must outlive the ElfFile. Threads: plain values.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace weir {

struct PluginNote {
  std::uint16_t abi_major = 0, abi_minor = 0;
};

struct ElfSymbol {
  std::string name;
  bool unique = false;  // STB_GNU_UNIQUE: one object for all libraries of the process, whatever the visibility says
};

class ElfFile {
 public:
  // Errors: bad_request - not an ELF file, not a shared library, of another machine, or cut short.
  static Result<ElfFile> parse(std::string_view bytes);
  // Errors: bad_request - no note, two of them, or one that is not as weir/abi/plugin.h makes it.
  Result<PluginNote> plugin_note() const;
  // The symbols that others can see. Errors: bad_request - the tables are broken.
  Result<std::vector<ElfSymbol>> exported_symbols() const;

 private:
  explicit ElfFile(std::string_view bytes) : bytes_(bytes) {}
  std::string_view bytes_;
};

// Says whether this hub takes a plugin of that version, and if not, what to do about it.
// Errors: bad_request - "plugin ABI 2.0, this hub speaks 1.x; ...".
Result<void> check_abi(std::uint16_t abi_major, std::uint16_t abi_minor);

}  // namespace weir
