#include "resolver.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "weir/sdk/testing.hpp"

namespace weir::postgres {
namespace {

using sdk::testing::FakeHost;

// A name server that does not answer until it is told to.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  int asked = 0;
};

TEST(PostgresResolverTest, ALookupThatHangsHoldsUpNobodyAndIsNotBegunTwice) {
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
    const sdk::Host host(hub.raw());
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

TEST(PostgresResolverTest, WhatTheSystemKnowsIsFoundAndWhatItDoesNotIsSaid) {
  EXPECT_FALSE(Resolver::system_lookup("localhost").addresses.empty());
  const auto none = Resolver::system_lookup("no such name");
  EXPECT_TRUE(none.addresses.empty());
  EXPECT_FALSE(none.why.empty());
}

}  // namespace
}  // namespace weir::postgres
