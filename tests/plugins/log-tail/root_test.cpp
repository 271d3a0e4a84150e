// Nothing outside the root is ever read, or told of: names, links, exchanges while somebody looks, and what is no file.
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <atomic>
#include <thread>

#include "demand_rig.hpp"
#include "reach.hpp"

namespace weir::log_tail::test {
namespace {

class RootTest : public DemandTest {
 protected:
  RootTest() {
    folder.make_folder("outside");
    folder.append("outside/secret.log", "secret\n");
    folder.make_folder("root/a");
    folder.append("root/a/out.log", "one\n");
  }
  void refused(const std::string& subject) {
    const auto answer = activate(subject);
    EXPECT_EQ(answer.status, WEIR_E_NOT_FOUND) << subject;
    EXPECT_EQ(sdk::json::parse(answer.json).required("message").as_string(),
              "there is no log " + sdk::json::quoted(subject));
  }
  void nothing_leaked() const {
    for (const auto& e : hub.events) EXPECT_EQ(e.data.find("secret"), std::string::npos) << e.subject << e.data;
    for (const auto& gap : hub.gaps) EXPECT_EQ(gap.reason.find("outside"), std::string::npos) << gap.reason;
  }
};

TEST_F(RootTest, ANameThatLeadsOutOrIsNoneIsNotFound) {
  start();
  for (const char* name : {"",
                           ".",
                           "..",
                           "/",
                           "//",
                           "a/",
                           "/a/out.log",
                           "a//out.log",
                           "./a/out.log",
                           "a/./out.log",
                           "a/../a/out.log",
                           "../outside/secret.log",
                           "a/../../outside/secret.log",
                           "a",
                           "a/no.log",
                           "no/out.log",
                           "a/out.log/",
                           "a/out.log/x",
                           "a/out.log\n",
                           "a\x01/out.log",
                           "a/out.log\x7f"})
    refused(name);
  refused(folder.at("outside/secret.log"));
  refused(folder.at("root/a/out.log"));
  refused(std::string("a/out.log\0", 10));
  refused(std::string("a/out.log\0.txt", 14));
  refused(std::string(300, 'x'));
  refused(std::string(5000, 'x'));
  std::string deep = "a";
  for (int i = 0; i < 3000; ++i) deep += "/a";
  refused(deep);
  EXPECT_EQ(hub.events.size(), 0U);
  EXPECT_EQ(status_of("a/out.log"), WEIR_OK);
}

TEST_F(RootTest, ALinkThatLeadsOutIsAsIfNothingWasThere) {
  folder.link("../../outside/secret.log", "root/a/relative.log");
  folder.link(folder.at("outside/secret.log"), "root/a/absolute.log");
  folder.link("../../outside/missing.log", "root/a/missing.log");
  folder.link("/proc/self/environ", "root/a/magic.log");
  folder.link("../outside", "root/folder");
  folder.link(folder.at("outside"), "root/absolute");
  folder.link("..", "root/up");
  folder.link("round", "root/round");
  folder.link("a/relative.log", "root/twice.log");
  start();
  for (const char* name :
       {"a/relative.log", "a/absolute.log", "a/missing.log", "a/magic.log", "folder/secret.log", "folder/missing.log",
        "absolute/secret.log", "up/outside/secret.log", "up/root/a/out.log", "round", "twice.log"})
    refused(name);
  EXPECT_EQ(hub.events.size(), 0U);
  EXPECT_EQ(open_below(folder.path()), 0U);
}

TEST_F(RootTest, ALinkThatStaysInsideIsFollowedAndMayBeTurned) {
  folder.append("root/a/day1.log", "one\n");
  folder.link("day1.log", "root/a/current");
  folder.link("a", "root/same");
  start(R"(,"poll":"100ms")");
  ASSERT_EQ(status_of("same/current"), WEIR_OK);
  folder.append("root/a/day2.log", "two\n");
  folder.link("day2.log", "root/a/next");
  folder.rename("root/a/next", "root/a/current");
  ASSERT_TRUE(comes("same/current", {"one", "<replaced>", "two"}));
  folder.link("../../outside/secret.log", "root/a/evil");
  folder.rename("root/a/evil", "root/a/current");
  settle();
  folder.append("outside/secret.log", "more secret\n");
  settle();
  EXPECT_EQ(seen("same/current"), (Lines{"one", "<replaced>", "two"}));
  nothing_leaked();
}

TEST_F(RootTest, TheRootItselfMayBeALink) {
  folder.rename("root", "real");
  folder.link("real", "root");
  start(R"(,"poll":"100ms")");
  ASSERT_EQ(status_of("a/out.log"), WEIR_OK);
  folder.rename("real/a/out.log", "real/a/out.log.1");
  folder.append("real/a/out.log", "two\n");
  ASSERT_TRUE(comes("a/out.log", {"one", "<renamed>", "two"}));
  refused("../outside/secret.log");
}

TEST_F(RootTest, WhatIsNoRegularFileIsNotOpened) {
  ASSERT_EQ(::mkfifo(folder.at("root/a/fifo").c_str(), 0600), 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder.at("root/a/socket");
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const bool device = ::mknod(folder.at("root/a/null").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0;  // root may
  folder.append("root/a/out.log.1.gz", "packed");
  start();
  for (const char* name : {"a", "a/fifo", "a/socket", "a/out.log.1.gz"}) refused(name);
  if (device) refused("a/null");
  // A writer of a FIFO that nobody has open for reading is told so.
  EXPECT_EQ(::open(folder.at("root/a/fifo").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC), -1);
  EXPECT_EQ(errno, ENXIO);
  ::close(socket);
}

TEST_F(RootTest, WhatIsLeftOutIsNotThereByAnyName) {
  folder.append("root/a/secret.log", "secret\n");
  folder.link("secret.log", "root/a/other.log");
  folder.link("out.log", "root/a/turned.log");
  start(R"(,"exclude":["secret.*"],"poll":"100ms")");
  refused("a/secret.log");
  refused("a/other.log");
  ASSERT_EQ(status_of("a/turned.log"), WEIR_OK);
  folder.link("secret.log", "root/a/evil");
  folder.rename("root/a/evil", "root/a/turned.log");
  settle();
  EXPECT_EQ(seen("a/turned.log"), (Lines{"one"}));
}

// The pattern was compared with where the root leads to, and what was left out was delivered.
TEST_F(RootTest, WhatIsLeftOutByItsPathStaysSoWhereTheRootIsALink) {
  folder.rename("root", "release");
  folder.link("release", "root");
  folder.make_folder("release/private");
  folder.append("release/private/x.log", "secret\n");
  folder.append("release/private/out.log", "secret\n");
  folder.link("private", "release/latest");
  folder.link("../private/x.log", "release/a/link.log");
  start(R"(,"max_open":16,"poll":"100ms","exclude":[)" + sdk::json::quoted(folder.at("root/private/*")) + "]");
  for (const char* name : {"private/x.log", "latest/x.log", "a/link.log"}) refused(name);
  ASSERT_EQ(status_of("a/out.log"), WEIR_OK);
  folder.rename("release/a", "release/b");
  folder.link("private", "release/a");
  settle();
  EXPECT_EQ(seen("a/out.log"), Lines{"one"});
  // Without a descriptor to spare it is looked at all the same.
  for (int i = 0; i < 20; ++i) {
    const std::string name = std::to_string(i) + ".log";
    folder.append("root/" + name, "");
    ASSERT_EQ(status_of(name), WEIR_OK);
  }
  for (const char* name : {"latest/x.log", "b/link.log"}) refused(name);
  nothing_leaked();
}

TEST_F(RootTest, AFileThatMayNotBeReadIsForbidden) {
  folder.append("root/a/closed.log", "secret\n");
  ASSERT_EQ(::chmod(folder.at("root/a/closed.log").c_str(), 0), 0);
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  start();
  const int before = ::setfsuid(65534);  // root may read everything; others only stay who they are
  const auto answer = activate("a/closed.log");
  const weir_status other = status_of("a/out.log");
  ::setfsuid(static_cast<uid_t>(before));
  EXPECT_EQ(answer.status, WEIR_E_FORBIDDEN);
  EXPECT_EQ(answer.json, R"({"message":"the log \"a/closed.log\" can't be opened: Permission denied"})");
  EXPECT_EQ(other, WEIR_OK);
}

// Rotation is the moment in which somebody may put something else in its place.
TEST_F(RootTest, AFileThatIsReplacedByALinkToOutsideIsNotFollowed) {
  start(R"(,"poll":"100ms")");
  ASSERT_EQ(status_of("a/out.log"), WEIR_OK);
  const Writer old(folder.at("root/a/out.log"));
  folder.rename("root/a/out.log", "root/a/out.log.1");
  folder.link("../../outside/secret.log", "root/a/out.log");
  old.write("two\n");
  ASSERT_TRUE(comes("a/out.log", {"one", "two"}));
  folder.append("outside/secret.log", "more secret\n");
  settle();
  EXPECT_EQ(seen("a/out.log"), (Lines{"one", "two"}));
  EXPECT_EQ(open_below(folder.at("outside")), 0U);
  folder.remove("root/a/out.log");
  folder.append("root/a/out.log", "three\n");
  ASSERT_TRUE(comes("a/out.log", {"one", "two", "<renamed>", "three"}));
  nothing_leaked();
}

TEST_F(RootTest, AFolderThatIsReplacedByALinkToOutsideIsNotEntered) {
  folder.append("outside/out.log", "secret\n");
  folder.append("outside/out.log.1", "secret of yesterday\n");
  start(R"(,"poll":"100ms")");
  ASSERT_EQ(status_of("a/out.log"), WEIR_OK);
  folder.rename("root/a", "root/b");
  folder.link("../outside", "root/a");
  folder.append("root/b/out.log", "two\n");
  ASSERT_TRUE(comes("a/out.log", {"one", "two"}));
  folder.append("outside/out.log", "more secret\n");
  folder.rename("outside/out.log", "outside/out.log.2");
  folder.append("outside/out.log", "new secret\n");
  settle();
  EXPECT_EQ(open_below(folder.at("outside")), 0U);
  folder.remove("root/a");
  folder.rename("root/b", "root/a");
  folder.append("root/a/out.log", "three\n");
  ASSERT_TRUE(comes("a/out.log", {"one", "two", "three"}));
  nothing_leaked();
}

// Somebody exchanges a folder and a link to outside as fast as the system lets him, while logs are opened and rotated.
TEST_F(RootTest, ExchangesWhileItIsOpenedNeverLetAnythingOut) {
  folder.append("outside/out.log", "secret\n");
  folder.append("outside/out.log.1", "secret\n");
  folder.link("../outside", "root/evil");
  folder.link("../../outside/secret.log", "root/a/evil.log");
  folder.append("root/a/file.log", "one\n");
  start(R"(,"poll":"100ms")");
  std::atomic<bool> over = false;
  std::thread other([&] {
    const std::string a = folder.at("root/a"), evil = folder.at("root/evil");
    const std::string file = folder.at("root/a/file.log"), link = folder.at("root/a/evil.log");
    while (!over) {
      ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, evil.c_str(), RENAME_EXCHANGE);
      ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, evil.c_str(), RENAME_EXCHANGE);
      ::renameat2(AT_FDCWD, file.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE);
      ::renameat2(AT_FDCWD, file.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE);
    }
  });
  int begun = 0, absent = 0;
  for (int i = 0; i < 4000 && (i < 400 || begun < 20 || absent < 20); ++i) {
    const char* const name = i % 2 == 0 ? "a/out.log" : "a/file.log";
    const std::uint64_t token = source->activate(name);
    hub.run_ready();
    ++(hub.answers.count(token) != 0 && hub.answers[token].status != WEIR_OK ? absent : begun);
    if (i % 16 == 0) hub.advance(100);
    source->deactivate(name);
  }
  over = true;
  other.join();
  EXPECT_GT(begun, 0);
  EXPECT_GT(absent, 0);
  nothing_leaked();
}

// What kernels before 5.6 do.
TEST_F(RootTest, StepByStepNoLinkIsFollowedAtAll) {
  folder.link("a", "root/same");
  folder.link("out.log", "root/a/current");
  folder.link("../../outside/secret.log", "root/a/evil.log");
  folder.link("../outside", "root/evil");
  const Descriptor root(::open(folder.at("root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto error_of = [&](const std::string& name) {
    const Descriptor file(open_beneath_by_steps(root.get(), name, O_RDONLY | O_NONBLOCK));
    return file.get() >= 0 ? 0 : errno;
  };
  EXPECT_EQ(error_of("a/out.log"), 0);
  EXPECT_EQ(error_of("."), 0);
  EXPECT_EQ(error_of("no.log"), ENOENT);
  EXPECT_EQ(error_of("same/out.log"), ENOTDIR);
  EXPECT_EQ(error_of("a/current"), ELOOP);
  EXPECT_EQ(error_of("a/evil.log"), ELOOP);
  EXPECT_EQ(error_of("evil/secret.log"), ENOTDIR);
  EXPECT_EQ(error_of("a/../a/out.log"), EXDEV);
  EXPECT_EQ(error_of("../outside/secret.log"), EXDEV);
  EXPECT_EQ(error_of(".."), EXDEV);
}

}  // namespace
}  // namespace weir::log_tail::test
