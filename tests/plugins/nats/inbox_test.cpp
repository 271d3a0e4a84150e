#include "inbox.hpp"

#include <gtest/gtest.h>
#include <nats/nats.h>

namespace weir::nats {
namespace {

struct NatsInboxTest : ::testing::Test {
  static void SetUpTestSuite() { ASSERT_EQ(nats_Open(-1), NATS_OK); }  // what frees messages
};

natsMsg* message(const char* data) {
  natsMsg* out = nullptr;
  EXPECT_EQ(natsMsg_Create(&out, "a", nullptr, data, static_cast<int>(std::string_view(data).size())), NATS_OK);
  return out;
}
std::size_t taken(Inbox& inbox, std::size_t count, std::size_t bytes) {
  std::vector<Inbox::Came> came;
  (void)inbox.take(came, count, bytes);
  for (const auto& one : came) natsMsg_Destroy(one.message);
  return came.size();
}

TEST_F(NatsInboxTest, ABurstWakesOnce) {
  int wakes = 0;
  Inbox inbox(1'000, 1'000'000, [&] { ++wakes; });
  for (int i = 0; i < 10; ++i) inbox.put(message("1"), 1, true);
  EXPECT_EQ(wakes, 0);
  EXPECT_TRUE(inbox.unheard());  // if the last one does not come
  inbox.put(message("1"), 1);
  EXPECT_EQ(wakes, 1);
  EXPECT_FALSE(inbox.unheard());
  inbox.put(message("1"), 1);
  EXPECT_EQ(wakes, 1);  // whoever was woken has not taken all yet
  EXPECT_EQ(taken(inbox, 100, 1'000), 12u);
  for (std::size_t i = 0; i < Inbox::kWakeAt; ++i) inbox.put(message("1"), 1, true);
  EXPECT_EQ(wakes, 2);  // a long burst is not waited for
}

TEST_F(NatsInboxTest, WhoComesAgainIsNotWokenUntilThereWasNothing) {
  int wakes = 0;
  Inbox inbox(1'000, 1'000'000, [&] { ++wakes; });
  inbox.put(message("1"), 1);
  std::vector<Inbox::Came> out;
  EXPECT_FALSE(inbox.take(out, 100, 1'000, true));
  inbox.put(message("1"), 1);
  EXPECT_EQ(wakes, 1);
  EXPECT_FALSE(inbox.take(out, 100, 1'000, true));
  EXPECT_EQ(out.size(), 2u);
  EXPECT_FALSE(inbox.take(out, 100, 1'000, true));
  inbox.put(message("1"), 1);
  EXPECT_EQ(wakes, 2);
  for (const Inbox::Came& came : out) natsMsg_Destroy(came.message);
}

TEST_F(NatsInboxTest, ASliceIsBoundedInBytesToo) {
  Inbox inbox(1'000, 1'000'000, [] {});
  for (int i = 0; i < 10; ++i) inbox.put(message("0123456789"), 1);
  EXPECT_EQ(taken(inbox, 100, 25), 3u);  // the one that goes beyond is the last
  EXPECT_EQ(taken(inbox, 2, 25), 2u);
  EXPECT_EQ(taken(inbox, 100, 1'000), 5u);
}

}  // namespace
}  // namespace weir::nats
