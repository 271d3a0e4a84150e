// Which files are followed, from where on, and what is said when something can't be read.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>

#include "tail_rig.hpp"

namespace weir::log_tail::test {
namespace {

class FollowingTest : public ::testing::Test {
 protected:
  TailRig rig;
  const LogFolder& folder = rig.folder;
};

std::string numbered(int from, int to) {
  std::string text;
  for (int i = from; i <= to; ++i) text += std::to_string(i) + "\n";
  return text;
}

TEST_F(FollowingTest, AFileBeginsWithItsLastLines) {
  rig.options.backlog = 3;
  folder.append("a.log", numbered(1, 1000));
  rig.start({"a.log"});
  EXPECT_EQ(rig.read(), (Items{"998", "999", "1000"}));
}

TEST_F(FollowingTest, ABacklogLongerThanTheFileIsTheWholeFile) {
  folder.append("a.log", numbered(1, 3));
  rig.start({"a.log"});
  EXPECT_EQ(rig.read(), (Items{"1", "2", "3"}));
}

TEST_F(FollowingTest, ABacklogOfNothingBeginsAtTheEndButNotInsideALine) {
  rig.options.backlog = 0;
  folder.append("a.log", "1\n2\nhal");
  rig.start({"a.log"});
  EXPECT_EQ(rig.read(), Items{});
  folder.append("a.log", "f\n3\n");
  EXPECT_EQ(rig.read(), (Items{"half", "3"}));
}

TEST_F(FollowingTest, ABacklogIsFoundAcrossChunks) {
  rig.options.backlog = 3;
  const std::string wide(50'000, 'x');
  folder.append("a.log", wide + "1\n" + wide + "2\n" + wide + "3\n" + wide + "4\n");
  rig.start({"a.log"});
  EXPECT_EQ(rig.read(), (Items{wide + "2", wide + "3", wide + "4"}));
}

TEST_F(FollowingTest, AnEndlessBacklogIsNotSearchedToItsBeginning) {
  rig.options.backlog = 2;
  const std::string endless(kBacklogBytesMax + 100'000, 'x');
  folder.append("a.log", "1\n" + endless + "\n2\n");
  rig.start({"a.log"});
  EXPECT_EQ(rig.read(), (Items{"2"}));
}

TEST_F(FollowingTest, AFileThatAppearsLaterIsReadFromItsBeginning) {
  rig.options.backlog = 1;
  rig.start({"*.log"});
  folder.append("b.log", numbered(1, 3));
  EXPECT_EQ(rig.read(), (Items{"1", "2", "3"}));
}

TEST_F(FollowingTest, AFolderThatAppearsLaterIsFollowed) {
  rig.start({"new/*/a.log"});
  ASSERT_EQ(rig.sink.states.size(), 1U);
  EXPECT_NE(rig.sink.states[0].find("nothing matches"), std::string::npos);
  folder.make_folder("new");
  rig.settle();
  folder.make_folder("new/1");
  rig.settle();
  folder.append("new/1/a.log", "one\n");
  EXPECT_EQ(rig.read(), (Items{"one"}));
  EXPECT_EQ(rig.sink.states.back(), "running");
}

TEST_F(FollowingTest, AWholeTreeThatAppearsAtOnceIsFollowed) {
  rig.start({"x/y/z/*.log"});
  folder.make_folder("x/y/z");
  folder.append("x/y/z/a.log", "one\n");
  EXPECT_EQ(rig.read(), (Items{"one"}));
  folder.append("x/y/z/b.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"two"}));
}

TEST_F(FollowingTest, WhenTheOnlyFileIsGoneForLongThatIsSaid) {
  folder.append("a.log", "one\n");
  rig.start({"*.log"});
  EXPECT_EQ(rig.sink.states, (Items{"running"}));
  folder.remove("a.log");
  rig.settle();
  EXPECT_EQ(rig.sink.states, (Items{"running"}));
  rig.pass(Tailer::kLookMs + Tailer::kNothingMs + 1000);
  EXPECT_EQ(rig.sink.states.size(), 2U);
  EXPECT_NE(rig.sink.states.back().find("nothing matches"), std::string::npos);
}

TEST_F(FollowingTest, PatternsWorkInFoldersAndNames) {
  for (const char* name : {"web1", "web2", "db1"}) folder.make_folder(name);
  folder.append("web1/a.log", "web1\n");
  folder.append("web2/b.log", "web2\n");
  folder.append("db1/a.log", "db1\n");
  folder.append("web1/a.txt", "text\n");
  folder.append("web1/.hidden.log", "hidden\n");
  rig.start({"web?/[ab].log"});
  EXPECT_EQ(rig.read(), (Items{"web1", "web2"}));
}

TEST_F(FollowingTest, ExcludedFilesAreLeftOut) {
  rig.options.exclude = {"debug*", folder.at("sub/*.log")};
  folder.make_folder("sub");
  folder.append("a.log", "a\n");
  folder.append("debug.log", "debug\n");
  folder.append("sub/b.log", "b\n");
  rig.start({"*.log", "sub/*.log"});
  EXPECT_EQ(rig.read(), (Items{"a"}));
  folder.append("debug2.log", "debug\n");
  EXPECT_EQ(rig.read(), Items{});
}

TEST_F(FollowingTest, ThePathIsToldOnlyWhenTwoFilesHaveTheSameName) {
  folder.make_folder("1");
  folder.append("1/a.log", "one\n");
  rig.start({"[12]/a.log"});
  folder.make_folder("2");
  rig.settle();
  folder.append("2/a.log", "two\n");
  rig.settle();
  folder.append("1/a.log", "three\n");
  rig.settle();
  EXPECT_EQ(rig.sink.origins, (Items{"a.log", folder.at("2/a.log"), folder.at("1/a.log")}));
}

TEST_F(FollowingTest, RelativePatternsStartAtTheWorkingDirectory) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  rig.options.files = {"*.log", "./b.txt"};
  folder.append("b.txt", "b\n");
  rig.start({});
  folder.append("a.log", "one\n");
  EXPECT_EQ(rig.read(), (Items{"b", "one"}));
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"<renamed>", "two"}));
  rig.tailer.reset();
  std::filesystem::current_path(before);
}

TEST_F(FollowingTest, OnlyRegularFilesAreFollowed) {
  ASSERT_EQ(::mkfifo(folder.at("fifo.log").c_str(), 0644), 0);
  folder.make_folder("folder.log");
  folder.link("/dev/null", "device.log");
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  folder.at("s.log").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  rig.start({"*.log"});
  rig.pass(10'000);
  ::close(socket);
  EXPECT_EQ(rig.sink.said.size(), 4U) << "each is said once";
  EXPECT_EQ(rig.tailer->files(), 0U);
}

TEST_F(FollowingTest, AFileWithTwoNamesIsReadOnce) {
  folder.append("a.log", "one\n");
  std::filesystem::create_hard_link(folder.at("a.log"), folder.at("b.log"));
  rig.start({"*.log"});
  EXPECT_EQ(rig.read(), (Items{"one"}));
  EXPECT_EQ(rig.sink.said.size(), 1U);
}

TEST_F(FollowingTest, AFileThatMayNotBeReadIsNamedInTheStateAndTriedAgain) {
  const bool root = ::geteuid() == 0;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  folder.append("a.log", "one\n");
  folder.append("b.log", "two\n");
  ASSERT_EQ(::chmod(folder.at("a.log").c_str(), 0), 0);
  ASSERT_TRUE(!root || ::seteuid(65534) == 0);  // to root nothing is forbidden
  rig.start({"*.log"});
  EXPECT_EQ(rig.read(), (Items{"two"}));
  ASSERT_EQ(rig.sink.states.size(), 1U);
  EXPECT_NE(rig.sink.states[0].find(folder.at("a.log") + ": Permission denied"), std::string::npos)
      << rig.sink.states[0];
  ASSERT_TRUE(!root || ::seteuid(0) == 0);
  ASSERT_EQ(::chmod(folder.at("a.log").c_str(), 0644), 0);
  rig.pass(1000);
  EXPECT_EQ(rig.read(), (Items{"one"}));
  EXPECT_EQ(rig.sink.states.back(), "running");
}

TEST_F(FollowingTest, AFolderThatMayNotBeEnteredIsNamedInTheState) {
  const bool root = ::geteuid() == 0;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  folder.make_folder("closed");
  folder.append("closed/a.log", "one\n");
  ASSERT_EQ(::chmod(folder.at("closed").c_str(), 0), 0);
  ASSERT_TRUE(!root || ::seteuid(65534) == 0);
  rig.start({"closed/a.log", "closed/*.log"});
  ASSERT_TRUE(!root || ::seteuid(0) == 0);
  ASSERT_EQ(::chmod(folder.at("closed").c_str(), 0755), 0);
  ASSERT_EQ(rig.sink.states.size(), 1U);
  EXPECT_NE(rig.sink.states[0].find("can't look at " + folder.at("closed/a.log") + ": Permission denied"),
            std::string::npos);
  EXPECT_NE(rig.sink.states[0].find("can't read the folder " + folder.at("closed") + ": Permission denied"),
            std::string::npos);
  rig.pass(Tailer::kLookMs + 1000);
  EXPECT_EQ(rig.read(), (Items{"one"}));
  EXPECT_EQ(rig.sink.states.back(), "running");
}

TEST_F(FollowingTest, AFileWithoutASizeIsNotReadAgainAndAgain) {
  rig.start({"/proc/self/status"});
  rig.pass(5000);
  EXPECT_EQ(rig.read(), Items{});
}

TEST_F(FollowingTest, WithoutDescriptorsLeftTheStateSaysSo) {
  folder.append("a.log", "one\n");
  rig.start({"*.log"});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(next);
  const rlimit small{static_cast<rlim_t>(next) + 1, before.rlim_max};  // one for the folder, which is given back
  folder.append("b.log", "two\n");
  folder.append("c.log", "three\n");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &small), 0);
  rig.pass(5000);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_NE(rig.sink.states.back().find("Too many open files"), std::string::npos) << rig.sink.states.back();
  rig.pass(5000);
  EXPECT_EQ(rig.read().size(), 3U);
  EXPECT_EQ(rig.sink.states.back(), "running");
}

TEST_F(FollowingTest, NamesThatOnlyResembleEachOtherAreDifferentFiles) {
  rig.start({"*.log"});
  for (const char* name : {"app.log", "app2.log", "app-2.log", "app.2.log"})
    folder.append(name, std::string(name) + "\n");
  EXPECT_EQ(rig.read().size(), 4U);
  folder.rename("app.log", "app.log.1");
  folder.append("app-3.log", "app-3.log\n");
  folder.append("app.log", "app.log\n");
  rig.sink.origins.clear();
  rig.settle();
  std::sort(rig.sink.origins.begin(), rig.sink.origins.end());  // between files no order is promised
  EXPECT_EQ(rig.sink.origins, (Items{"app-3.log", "app.log", "app.log"}));
}

TEST_F(FollowingTest, AFullSinkStopsInTheMiddleOfAChunkAndGoesOnThere) {
  rig.start({"a.log"});
  folder.append("a.log", numbered(1, 1000));
  Items all;
  for (int turns = 0; all.size() < 1000 && turns < 1000; ++turns) {
    rig.sink.room = 7;
    rig.settle();
    EXPECT_LE(rig.sink.items.size(), 7U);
    for (std::string& item : rig.sink.take()) all.push_back(std::move(item));
  }
  std::string joined;
  for (const std::string& item : all) joined += item + "\n";
  EXPECT_EQ(joined, numbered(1, 1000));
}

TEST_F(FollowingTest, FilesAreReadInTurns) {
  rig.start({"*.log"});
  rig.sink.room = 0;
  const std::string line(1000, 'x');
  for (int i = 0; i < 1000; ++i) folder.append("big.log", line + "\n");
  folder.append("small.log", "small\n");
  rig.settle();
  rig.sink.room = SIZE_MAX;
  rig.work();
  const auto small = std::find(rig.sink.items.begin(), rig.sink.items.end(), "small");
  EXPECT_LE(small - rig.sink.items.begin(), 2 * static_cast<std::ptrdiff_t>(kChunkBytes / 1000));
  EXPECT_EQ(rig.sink.items.size(), 1001U);
}

TEST_F(FollowingTest, HundredsOfFilesAreFollowed) {
  rig.start({"*.log"});
  for (int i = 0; i < 500; ++i) folder.append(std::to_string(i) + ".log", std::to_string(i) + "\n");
  EXPECT_EQ(rig.read().size(), 500U);
  for (int i = 0; i < 500; ++i) folder.append(std::to_string(i) + ".log", "again\n");
  EXPECT_EQ(rig.read().size(), 500U);
  EXPECT_EQ(rig.tailer->files(), 500U);
}

TEST_F(FollowingTest, WhatInotifyLostIsFoundByLooking) {
  folder.append("a.log", "");
  rig.start({"*.log"});
  folder.append("a.log", "one\n");
  folder.append("b.log", "two\n");
  rig.pass(Tailer::kLookMs + 500);  // ticks alone: nobody asks inotify
  EXPECT_EQ(rig.sink.take(), (Items{"one", "two"}));
}

TEST_F(FollowingTest, AnOverflowOfInotifyCostsNoData) {
  folder.append("a.log", "");
  folder.append("c.log", "before\n");
  rig.start({"*.log", "new/*.log"});
  rig.sink.take();
  folder.append("a.log", "one\n");
  folder.append("b.log", "two\n");
  folder.rename("c.log", "c.log.1");
  folder.append("c.log", "three\n");
  folder.make_folder("new");
  folder.append("new/d.log", "four\n");
  rig.lose_news();
  EXPECT_EQ(rig.read(), Items{});  // so nobody can know
  rig.overflow();
  Items came = rig.sink.take();
  std::sort(came.begin(), came.end());  // between files no order is promised
  EXPECT_EQ(came, (Items{"<renamed>", "four", "one", "three", "two"}));
  // What the overflow made the tailer look at is watched as ever.
  folder.append("b.log", "five\n");
  folder.append("new/d.log", "six\n");
  EXPECT_EQ(rig.read(), (Items{"five", "six"}));
}

TEST_F(FollowingTest, AnOverflowWithoutALossReadsNothingTwice) {
  folder.append("a.log", "one\n");
  rig.start({"*.log"});
  EXPECT_EQ(rig.read(), (Items{"one"}));
  folder.append("a.log", "two\n");
  rig.overflow();
  EXPECT_EQ(rig.read(), (Items{"two"}));
  rig.overflow();
  EXPECT_EQ(rig.read(), Items{});
}

}  // namespace
}  // namespace weir::log_tail::test
