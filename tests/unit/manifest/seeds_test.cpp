#include <algorithm>

#include "unit/manifest/support.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace weir {
namespace {

TEST(ManifestFuzzSeedsTest, NoneOfTheSeedsDoesHarm) {
  std::size_t count = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(std::string(WEIR_SOURCE_DIR) + "/tests/fuzz/corpus/manifest_parse")) {
    const std::string text = testing::read_file(file.path().string());
    EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()), 0)
        << file.path();
    ++count;
  }
  EXPECT_GE(count, 10U);
}

TEST(ManifestFuzzSeedsTest, CutAnywhereTheyDoNoHarmEither) {
  for (const auto& file :
       std::filesystem::directory_iterator(std::string(WEIR_SOURCE_DIR) + "/tests/fuzz/corpus/manifest_parse")) {
    const std::string text = testing::read_file(file.path().string());
    for (std::size_t length = 0; length < std::min<std::size_t>(text.size(), 400); length += 3)
      LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), length);
  }
}

}  // namespace
}  // namespace weir
