#include "plugin_host/elf_file.hpp"

#include <gtest/gtest.h>

#include "abi/hub_rig.hpp"
#include "base/ids.hpp"
#include "weir/abi/version.h"

namespace weir::test {
namespace {

std::string golden() { return *read_library_file(plugin_path("golden")); }

TEST(ElfFileTest, ReadsTheNoteAndTheOneExport) {
  const std::string bytes = golden();
  const auto elf = ElfFile::parse(bytes);
  ASSERT_TRUE(elf) << elf.error().message;
  const auto note = elf->plugin_note();
  ASSERT_TRUE(note) << note.error().message;
  EXPECT_EQ(note->abi_major, 1);
  EXPECT_EQ(note->abi_minor, 0);
  const auto symbols = elf->exported_symbols();
  ASSERT_TRUE(symbols);
  ASSERT_EQ(symbols->size(), 1u);
  EXPECT_EQ(symbols->front().name, "weir_plugin_entry");
  EXPECT_FALSE(symbols->front().unique);
}

TEST(ElfFileTest, SaysWhatAFileIsThatItDoesNotTake) {
  EXPECT_EQ(ElfFile::parse("").error().message, "not an ELF file");
  EXPECT_EQ(ElfFile::parse("hello").error().message, "not an ELF file");
  EXPECT_EQ(ElfFile::parse("\x7f"
                           "ELF")
                .error()
                .message,
            "a broken ELF file: it ends within its header");
  std::string other = golden();
  other[18] = 40;  // e_machine: ARM
  EXPECT_EQ(ElfFile::parse(other).error().message, "an ELF file for another kind of machine");
  other = golden();
  other[16] = 1;  // e_type: an object file
  EXPECT_EQ(ElfFile::parse(other).error().message, "an ELF file, but not a shared library");
}

// Not a fuzzer, but the same idea in every run: foreign bytes never lead outside.
TEST(ElfFileTest, DamagedBytesNeverCrashIt) {
  const std::string whole = golden();
  Random random(1);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = whole;
    const std::size_t reach = round % 2 == 0 ? 1024 : bytes.size();  // mostly where the headers are
    for (int i = 0; i < 4; ++i) bytes[random.below(reach)] = static_cast<char>(random.next());
    if (round % 5 == 0) bytes.resize(random.below(bytes.size()));
    const auto elf = ElfFile::parse(bytes);
    if (!elf || !elf->plugin_note() || !elf->exported_symbols()) ++refused;
  }
  EXPECT_GT(refused, 1000);
}

TEST(CheckAbiTest, AnyMinorOfOurMajorIsTaken) {
  EXPECT_TRUE(check_abi(WEIR_ABI_MAJOR, 0));
  EXPECT_TRUE(check_abi(WEIR_ABI_MAJOR, 999));
  EXPECT_FALSE(check_abi(0, 9));
  EXPECT_EQ(check_abi(2, 0).error().message, "plugin ABI 2.0, this hub speaks 1.x; rebuild it with this hub's SDK");
}

}  // namespace
}  // namespace weir::test
