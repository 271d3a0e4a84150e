#include "server/revocations.hpp"

#include <gtest/gtest.h>

#include "support/manual_clock.hpp"

namespace weir::test {
namespace {

using weir::testing::ManualClock;

Identity who(const std::string& key) {
  Identity i;
  i.provider = "keys";
  i.key = key;
  return i;
}

// Symptom: a key that was revoked while its connection was being opened stayed in.
TEST(RevocationsTest, OneThatComesAfterTheProviderWasAskedCounts) {
  ManualClock clock;
  Revocations r(20'000, clock);
  const auto asked = r.mark();
  EXPECT_FALSE(r.since(asked, who("a")));
  r.add("keys", "a", "revoked by hand");
  EXPECT_EQ(r.since(asked, who("a")), "revoked by hand");
  EXPECT_FALSE(r.since(asked, who("b")));
  Identity elsewhere = who("a");
  elsewhere.provider = "other";
  EXPECT_FALSE(r.since(asked, elsewhere));
}

TEST(RevocationsTest, AKeyThatIsGivenOutAgainIsNotHeldAgainstItsOwner) {
  ManualClock clock;
  Revocations r(20'000, clock);
  r.add("keys", "a", "gone");
  EXPECT_FALSE(r.since(r.mark(), who("a")));
}

TEST(RevocationsTest, TheyAreKeptForTheirTimeAndNeverTooMany) {
  ManualClock clock;
  Revocations r(20'000, clock);
  const auto asked = r.mark();
  r.add("keys", "a", "gone");
  clock.advance(20'000);
  r.add("keys", "b", "gone");
  EXPECT_TRUE(r.since(asked, who("a")));
  clock.advance(1);
  r.add("keys", "c", "gone");
  EXPECT_FALSE(r.since(asked, who("a")));
  for (std::size_t i = 0; i < kRevocationsMax + 10; ++i) r.add("keys", std::to_string(i), "gone");
  EXPECT_EQ(r.size(), kRevocationsMax);
}

}  // namespace
}  // namespace weir::test
