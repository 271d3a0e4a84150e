// On real sockets, by the ring where the kernel has one, and without it.
#include "net/send_batch.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <string>

namespace weir::net {
namespace {

// One end has an outbox, the other is read by the test.
class Peer final : public SendBatch::Sender {
 public:
  Peer() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) throw std::runtime_error("socketpair");
    ours = ends[0];
    theirs = ends[1];
  }
  ~Peer() override {
    ::close(ours);
    if (theirs >= 0) ::close(theirs);
  }
  void owe(const FramePtr& frame) {
    outbox.push(frame);
    owed += frame->bytes();
  }
  bool left(ssize_t bytes) override {
    answers.push_back(bytes);
    if (bytes > 0) outbox.sent(static_cast<std::size_t>(bytes));
    return wants_more;
  }
  void flushed() override { ++calls; }
  void read() {
    if (theirs < 0) return;
    char buffer[65536];
    for (ssize_t n; (n = ::recv(theirs, buffer, sizeof buffer, 0)) > 0;)
      got.append(buffer, static_cast<std::size_t>(n));
  }
  void hang_up() { ::close(std::exchange(theirs, -1)); }

  int ours, theirs;
  Outbox outbox;
  std::string owed, got;
  std::vector<ssize_t> answers;
  bool wants_more = false;
  int calls = 0;
};

FramePtr frame(std::size_t size, std::size_t number) {
  std::string bytes = std::to_string(number) + ':';
  while (bytes.size() < size) bytes += static_cast<char>('a' + (bytes.size() + number) % 26);
  return FramePtr(new Frame(std::move(bytes)));
}

class SendBatchTest : public ::testing::TestWithParam<bool> {
 protected:
  void round() {
    for (Peer& p : peers)
      if (!p.outbox.empty()) batch.add(p, p.ours, p.outbox);
    batch.finish();
  }
  void expect_all_came() {
    std::size_t at = 0;
    for (Peer& p : peers) {
      p.read();
      EXPECT_TRUE(p.got == p.owed) << "peer " << at << " got " << p.got.size() << " bytes of " << p.owed.size();
      EXPECT_TRUE(p.outbox.empty()) << at;
      ++at;
    }
  }
  SendBatch batch{GetParam()};
  std::deque<Peer> peers;
};
INSTANTIATE_TEST_SUITE_P(, SendBatchTest, ::testing::Values(true, false),
                         [](const auto& p) { return p.param ? "WithRing" : "WithoutRing"; });

TEST_P(SendBatchTest, OneMessage) {
  peers.emplace_back().owe(frame(100, 1));
  round();
  expect_all_came();
  EXPECT_EQ(peers[0].answers, std::vector<ssize_t>{100});
  EXPECT_FALSE(batch.has_ring());  // not worth one
}

TEST_P(SendBatchTest, NothingToSendCallsNobody) {
  peers.emplace_back();
  batch.finish();
  EXPECT_TRUE(peers[0].answers.empty());
  EXPECT_EQ(peers[0].calls, 0);
}

TEST_P(SendBatchTest, ThoseWhoWantItAreCalledOnceAllHaveBeenSentTo) {
  peers.resize(600);
  const FramePtr f = frame(100, 1);
  for (std::size_t i = 0; i < peers.size(); ++i) {
    peers[i].wants_more = i % 3 == 0;
    if (i % 5 != 0) peers[i].owe(f);
  }
  for (Peer& p : peers) p.outbox.empty() ? batch.add(p) : batch.add(p, p.ours, p.outbox);
  batch.finish();
  for (std::size_t i = 0; i < peers.size(); ++i) EXPECT_EQ(peers[i].calls, i % 3 == 0 || i % 5 == 0 ? 1 : 0) << i;
  round();
  EXPECT_EQ(peers[0].calls, 1);  // the next round is another one
  expect_all_came();
}

TEST_P(SendBatchTest, AThousandWithTheSameFramesAndSomeWithTheirOwn) {
  peers.resize(1000);
  for (std::size_t turn = 0; turn < 5; ++turn) {
    std::vector<FramePtr> shared;
    for (std::size_t i = 0; i < 1 + turn * 9; ++i) shared.push_back(frame(50 + i * 20, turn * 100 + i));
    for (std::size_t i = 0; i < peers.size(); ++i) {
      for (const FramePtr& f : shared) peers[i].owe(f);
      if (i % 7 == 3) peers[i].owe(frame(30, i));
      if (i % 11 == 0) peers[i].owe(shared.front());
    }
    round();
    expect_all_came();
  }
}

TEST_P(SendBatchTest, SmallGroupsEachWithItsOwnRun) {
  peers.resize(600);
  for (std::size_t group = 0; group < 60; ++group) {
    std::vector<FramePtr> shared;
    for (std::size_t i = 0; i < 40; ++i) shared.push_back(frame(400, group * 40 + i));
    for (std::size_t i = 0; i < 10; ++i)
      for (const FramePtr& f : shared) peers[group * 10 + i].owe(f);
  }
  round();
  expect_all_came();
}

TEST_P(SendBatchTest, LargeFramesAreSentAsTheyAre) {
  peers.resize(8);
  const FramePtr large = frame(60'000, 1), other = frame(20'000, 2);
  for (Peer& p : peers) {
    p.owe(large);
    p.owe(other);
  }
  round();
  expect_all_came();
}

TEST_P(SendBatchTest, MoreFramesThanOneMessageHoldsComeInSeveralRounds) {
  peers.resize(6);
  for (std::size_t i = 0; i < 3 * SendBatch::kPartsMax; ++i) {
    const FramePtr f = frame(20, i);
    for (Peer& p : peers) p.owe(f);
  }
  round();
  EXPECT_EQ(peers[0].outbox.frames(), 2 * SendBatch::kPartsMax);
  round();
  round();
  expect_all_came();
}

TEST_P(SendBatchTest, ASocketThatIsFullAndOneThatIsGoneAreToldAndTheOthersSent) {
  peers.resize(7);
  const FramePtr block = frame(64 * 1024, 0);
  peers[2].hang_up();
  while (peers[4].answers.empty() || peers[4].answers.back() > 0) {  // is never read
    peers[4].owe(block);
    batch.add(peers[4], peers[4].ours, peers[4].outbox);
    batch.finish();
  }
  const FramePtr f = frame(200, 1);
  for (Peer& p : peers) p.owe(f);
  round();
  EXPECT_EQ(peers[2].answers.back(), -EPIPE);
  EXPECT_EQ(peers[4].answers.back(), -EAGAIN);
  for (const std::size_t i : {0UL, 1UL, 3UL, 5UL, 6UL}) {
    peers[i].read();
    EXPECT_EQ(peers[i].got, peers[i].owed) << i;
  }
  // What was half sent goes on where it stopped, though others have the same frame from its start.
  peers[2].outbox.drop_unsent();
  peers[2].owed.clear();
  while (!peers[4].outbox.empty()) {
    peers[4].read();
    round();
  }
  expect_all_came();
}

TEST_P(SendBatchTest, FramesOfAnEarlierRoundAreNotTakenForThoseInTheirPlace) {
  peers.resize(5);
  for (std::size_t turn = 0; turn < 50; ++turn) {  // memory of a frame that has left is used by the next
    const FramePtr a = frame(64, turn), b = frame(64, turn + 1000);
    for (Peer& p : peers) {
      p.owe(a);
      p.owe(b);
    }
    round();
  }
  expect_all_came();
}

}  // namespace
}  // namespace weir::net
