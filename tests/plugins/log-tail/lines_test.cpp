// What a line is: its end, its limit, and one that comes in pieces.
#include <algorithm>

#include "tail_rig.hpp"

namespace weir::log_tail::test {
namespace {

class LinesTest : public ::testing::Test {
 protected:
  TailRig rig;
  const LogFolder& folder = rig.folder;
};

TEST_F(LinesTest, LinesEndWithLineFeedOrCarriageReturnAndLineFeed) {
  rig.start({"a.log"});
  folder.append("a.log", "unix\ndos\r\n\n\r\nmiddle\rof\nend\r\r\n");
  EXPECT_EQ(rig.read(), (Items{"unix", "dos", "", "", "middle\rof", "end\r"}));
}

TEST_F(LinesTest, ALineWaitsForItsNewline) {
  rig.start({"a.log"});
  const Writer writer(folder.at("a.log"));
  for (const char* part : {"a", "b", "", "c"}) {
    writer.write(part);
    EXPECT_EQ(rig.read(), Items{});
  }
  rig.pass(60'000);
  EXPECT_EQ(rig.read(), Items{});
  writer.write("\r");
  EXPECT_EQ(rig.read(), Items{});
  writer.write("\nd");
  EXPECT_EQ(rig.read(), (Items{"abc"}));
}

TEST_F(LinesTest, ALineOfExactlyTheLimitIsWholeAndOneMoreByteIsCut) {
  rig.options.line_bytes_max = 64;
  rig.start({"a.log"});
  const std::string full(64, 'x');
  folder.append("a.log", full + "\n" + full + "\r\n" + full + "y\n");
  EXPECT_EQ(rig.read(), (Items{full, full, full + " +65"}));
}

TEST_F(LinesTest, AHugeLineIsCutHoweverItComes) {
  rig.start({"a.log"});
  const std::string part(90'000, 'x');
  folder.append("a.log", part);
  EXPECT_EQ(rig.read(), Items{});
  for (int i = 0; i < 20; ++i) folder.append("a.log", part);
  EXPECT_EQ(rig.read(), Items{});
  folder.append("a.log", "\nnext\n");
  EXPECT_EQ(rig.read(), (Items{std::string(65536, 'x') + " +1890000", "next"}));
}

TEST_F(LinesTest, ACutNeverSplitsACharacter) {
  rig.options.line_bytes_max = 64;
  rig.start({"a.log"});
  folder.append("a.log", std::string(63, 'x') + "\u00e9\n" + std::string(62, 'x') + "\u00e9y\n" + std::string(61, 'x') +
                             "\U0001F600\n");
  EXPECT_EQ(rig.read(),
            (Items{std::string(63, 'x') + " +65", std::string(62, 'x') + "\u00e9 +65", std::string(61, 'x') + " +65"}));
}

TEST_F(LinesTest, UnfinishedLinesOfManyFilesAreReadAgainRatherThanKept) {
  rig.start({"*.log"});
  const std::string part(60'000, 'x');
  for (int i = 0; i < 30; ++i) folder.append(std::to_string(i) + ".log", part);
  EXPECT_TRUE(rig.read().empty());
  for (int i = 0; i < 30; ++i) folder.append(std::to_string(i) + ".log", std::to_string(i) + "\r\n");
  rig.settle();
  Items expected;
  for (int i = 0; i < 30; ++i) expected.push_back(part + std::to_string(i));
  Items got = rig.sink.take();
  std::sort(got.begin(), got.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_TRUE(got == expected);
}

}  // namespace
}  // namespace weir::log_tail::test
