#include "weir/sdk/resolver.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>

#include "weir/sdk/testing.hpp"

namespace weir::sdk {
namespace {

using testing::FakeHost;

// A name server that does not answer until it is told to.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  int asked = 0;
};

TEST(SdkResolverTest, ALookupThatHangsHoldsUpNobodyAndIsNotBegunTwice) {
  FakeHost hub;
  const auto gate = std::make_shared<Gate>();
  const auto lookup = [gate](const std::string& name) {
    std::unique_lock lock(gate->mutex);
    ++gate->asked;
    gate->changed.wait(lock, [&] { return gate->open; });
    return Resolver::Found{{"of " + name}, ""};
  };
  Resolver::Found found;
  int answers = 0;
  {
    const Host host(hub.raw());
    Resolver resolver(lookup);
    const auto heard = [&](Resolver::Found f) { found = std::move(f), ++answers; };
    resolver.start(host, "db", heard);
    resolver.forget();
    resolver.start(host, "db", heard);
    hub.run_ready();
    EXPECT_EQ(answers, 0);
    {
      const std::lock_guard lock(gate->mutex);
      gate->open = true;
    }
    gate->changed.notify_all();
    ASSERT_TRUE(hub.run_until([&] { return answers == 1; }));
    EXPECT_EQ(found.addresses, std::vector<std::string>{"of db"});
    EXPECT_EQ(gate->asked, 1);
    resolver.start(host, "db", heard);
    ASSERT_TRUE(hub.run_until([&] { return answers == 2; }));
    EXPECT_EQ(gate->asked, 2);
    gate->open = false;  // nobody reads it now
    resolver.start(host, "db", heard);
  }  // it ends without waiting for the one that hangs
  EXPECT_EQ(answers, 2);
  {
    const std::lock_guard lock(gate->mutex);
    gate->open = true;
  }
  gate->changed.notify_all();
}

// While the name server was away each of two names began another thread in its turn.
TEST(SdkResolverTest, EachNameHasOneLookupUnderWay) {
  FakeHost hub;
  const Host host(hub.raw());
  const auto gate = std::make_shared<Gate>();
  Resolver resolver([gate](const std::string& name) {
    std::unique_lock lock(gate->mutex);
    ++gate->asked;
    gate->changed.wait(lock, [&] { return gate->open; });
    return Resolver::Found{{"of " + name}, ""};
  });
  std::vector<std::string> found;
  for (int turn = 0; turn < 3; ++turn)
    for (const char* name : {"db1", "db2"})
      resolver.start(host, name, [&](const Resolver::Found& f) { found = f.addresses; });
  EXPECT_EQ(gate.use_count(), 2 + 2);  // here, in the resolver, and in each thread
  {
    const std::lock_guard lock(gate->mutex);
    gate->open = true;
  }
  gate->changed.notify_all();
  ASSERT_TRUE(hub.run_until([&] { return !found.empty(); }));
  EXPECT_EQ(found, std::vector<std::string>{"of db2"});  // the last one that was asked for
}

// The name was never looked up again: one lookup was thought to be under way for ever.
TEST(SdkResolverTest, WithoutAThreadItFailsAndTheNextTimeItDoesNot) {
  struct Lookup {
    Lookup(const std::shared_ptr<bool>& no_room) : full(no_room) {}
    Lookup(const Lookup& other) : full(other.full) {
      if (*full) throw std::bad_alloc();  // what is copied for the thread is as good as the thread itself
    }
    Resolver::Found operator()(const std::string&) const { return {{"1"}, ""}; }
    std::shared_ptr<bool> full;
  };
  const auto full = std::make_shared<bool>(false);
  FakeHost hub;
  const Host host(hub.raw());
  Resolver resolver{Lookup(full)};
  Resolver::Found found;
  int answers = 0;
  const auto heard = [&](Resolver::Found f) { found = std::move(f), ++answers; };
  *full = true;
  resolver.start(host, "db", heard);
  ASSERT_EQ(answers, 1);
  EXPECT_TRUE(found.addresses.empty());
  EXPECT_NE(found.why.find("no thread for it"), std::string::npos) << found.why;
  *full = false;
  resolver.start(host, "db", heard);
  ASSERT_TRUE(hub.run_until([&] { return answers == 2; }));
  EXPECT_EQ(found.addresses, std::vector<std::string>{"1"});
}

TEST(SdkResolverTest, WhatTheSystemKnowsIsFoundAndWhatItDoesNotIsSaid) {
  EXPECT_FALSE(Resolver::system_lookup("localhost").addresses.empty());
  const auto none = Resolver::system_lookup("no such name");
  EXPECT_TRUE(none.addresses.empty());
  EXPECT_FALSE(none.why.empty());
}

}  // namespace
}  // namespace weir::sdk
