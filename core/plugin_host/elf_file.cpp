#include "plugin_host/elf_file.hpp"

#include <elf.h>

#include <cstring>
#include <optional>

#include "weir/abi/plugin.h"

namespace weir {
namespace {

#if defined(__x86_64__)
constexpr std::uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
#else
#error "say here which ELF machine this is"
#endif

constexpr std::uint64_t kSymbolsMax = 1 << 20;

// A struct from anywhere in the bytes, by copy: foreign offsets are not aligned.
template <class T>
std::optional<T> at(std::string_view bytes, std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T out;
  std::memcpy(&out, bytes.data() + offset, sizeof(T));
  return out;
}

std::optional<std::string_view> part(std::string_view bytes, std::uint64_t offset, std::uint64_t size) {
  if (offset > bytes.size() || bytes.size() - offset < size) return std::nullopt;
  return bytes.substr(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

Error broken(const char* what) { return fail(Errc::bad_request, std::string("a broken ELF file: ") + what); }

}  // namespace

Result<ElfFile> ElfFile::parse(std::string_view bytes) {
  const auto header = at<Elf64_Ehdr>(bytes, 0);
  if (bytes.size() < SELFMAG || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0)
    return fail(Errc::bad_request, "not an ELF file");
  if (!header) return broken("it ends within its header");
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
      header->e_machine != kMachine)
    return fail(Errc::bad_request, "an ELF file for another kind of machine");
  if (header->e_type != ET_DYN) return fail(Errc::bad_request, "an ELF file, but not a shared library");
  if (header->e_phentsize != sizeof(Elf64_Phdr)) return broken("its program headers have an unknown size");
  if (!part(bytes, header->e_phoff, std::uint64_t{header->e_phnum} * sizeof(Elf64_Phdr)))
    return broken("its program headers lie outside");
  // The loader maps what the headers promise; behind the end of the file that is a SIGBUS instead of an error.
  for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
    const auto segment = *at<Elf64_Phdr>(bytes, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type == PT_LOAD && !part(bytes, segment.p_offset, segment.p_filesz)) return broken("it is cut short");
  }
  return ElfFile(bytes);
}

Result<PluginNote> ElfFile::plugin_note() const {
  const auto header = *at<Elf64_Ehdr>(bytes_, 0);
  std::optional<PluginNote> found;
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = *at<Elf64_Phdr>(bytes_, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type != PT_NOTE) continue;
    auto notes = part(bytes_, segment.p_offset, segment.p_filesz);
    if (!notes) return broken("a note segment lies outside");
    const std::uint64_t align = segment.p_align == 8 ? 8 : 4;
    const auto padded = [align](std::uint64_t size) { return (size + align - 1) / align * align; };
    while (notes->size() >= sizeof(Elf64_Nhdr)) {
      const auto note = *at<Elf64_Nhdr>(*notes, 0);
      const std::uint64_t desc_at = padded(sizeof(Elf64_Nhdr) + std::uint64_t{note.n_namesz});
      const auto name = part(*notes, sizeof(Elf64_Nhdr), note.n_namesz);
      const auto desc = part(*notes, desc_at, note.n_descsz);
      if (!name || !desc) return broken("a note is longer than its segment");
      if (*name == std::string_view("weir", 5) && note.n_type == WEIR_NOTE_TYPE) {
        const auto magic = at<std::uint32_t>(*desc, 0);
        const auto major = at<std::uint16_t>(*desc, 4), minor = at<std::uint16_t>(*desc, 6);
        if (!minor || *magic != WEIR_PLUGIN_MAGIC)
          return fail(Errc::bad_request, "its plugin note is garbage; WEIR_PLUGIN_NOTE() makes a right one");
        if (found)
          return fail(Errc::bad_request,
                      "it has two plugin notes; WEIR_PLUGIN_NOTE() belongs into one file of a plugin");
        found = PluginNote{*major, *minor};
      }
      const std::uint64_t next = padded(desc_at + note.n_descsz);
      notes->remove_prefix(static_cast<std::size_t>(next < notes->size() ? next : notes->size()));
    }
  }
  if (!found)
    return fail(Errc::bad_request,
                "not a Weir plugin: it has no plugin note (WEIR_PLUGIN, or WEIR_PLUGIN_NOTE() in C, makes it)");
  return *found;
}

Result<std::vector<ElfSymbol>> ElfFile::exported_symbols() const {
  const auto header = *at<Elf64_Ehdr>(bytes_, 0);
  std::vector<ElfSymbol> out;
  if (header.e_shentsize != sizeof(Elf64_Shdr)) return broken("its sections have an unknown size");
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    const auto section = at<Elf64_Shdr>(bytes_, header.e_shoff + i * sizeof(Elf64_Shdr));
    if (!section) return broken("its sections lie outside");
    if (section->sh_type != SHT_DYNSYM) continue;
    const auto names_section =
        at<Elf64_Shdr>(bytes_, header.e_shoff + std::uint64_t{section->sh_link} * sizeof(Elf64_Shdr));
    const auto table = part(bytes_, section->sh_offset, section->sh_size);
    if (!names_section || !table) return broken("its symbols lie outside");
    const auto names = part(bytes_, names_section->sh_offset, names_section->sh_size);
    if (!names || table->size() / sizeof(Elf64_Sym) > kSymbolsMax) return broken("its symbols have no names");
    for (std::size_t s = 0; s < table->size() / sizeof(Elf64_Sym); ++s) {
      const auto symbol = *at<Elf64_Sym>(*table, s * sizeof(Elf64_Sym));
      const auto bind = ELF64_ST_BIND(symbol.st_info), visibility = ELF64_ST_VISIBILITY(symbol.st_other);
      if (symbol.st_shndx == SHN_UNDEF || bind == STB_LOCAL) continue;
      if (visibility != STV_DEFAULT && visibility != STV_PROTECTED) continue;
      if (symbol.st_name >= names->size()) return broken("a symbol's name lies outside");
      const std::string_view name = names->substr(symbol.st_name);
      const std::size_t end = name.find('\0');
      if (end == std::string_view::npos) return broken("a symbol's name has no end");
      out.push_back({std::string(name.substr(0, end)), bind == STB_GNU_UNIQUE});
    }
  }
  return out;
}

Result<void> check_abi(std::uint16_t abi_major, std::uint16_t abi_minor) {
  if (abi_major == WEIR_ABI_MAJOR) return {};
  return fail(Errc::bad_request, "plugin ABI " + std::to_string(abi_major) + "." + std::to_string(abi_minor) +
                                     ", this hub speaks " + std::to_string(WEIR_ABI_MAJOR) +
                                     ".x; rebuild it with this hub's SDK");
}

}  // namespace weir
