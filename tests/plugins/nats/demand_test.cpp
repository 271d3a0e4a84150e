#include "demand.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "subject.hpp"

namespace weir::nats {
namespace {

// What upstream has, and in which order it was told.
struct Upstream {
  std::map<std::uint32_t, std::string> subscriptions;
  std::uint32_t numbers = 0;
  std::vector<std::string> steps;
  Demand::Upstream calls() {
    return {[this](const std::string& subject) {
              steps.push_back("+" + subject);
              subscriptions[++numbers] = subject;
              return numbers;
            },
            [this](std::uint32_t id) {
              steps.push_back("-" + subscriptions.at(id));
              subscriptions.erase(id);
            }};
  }
  std::set<std::string> subjects() const {
    std::set<std::string> out;
    for (const auto& [id, subject] : subscriptions) out.insert(subject);
    return out;
  }
  // How often a message would be taken.
  int taken(const Demand& demand, const std::string& subject) const {
    int times = 0;
    for (const auto& [id, pattern] : subscriptions) times += matches(pattern, subject) && demand.takes(id, subject);
    return times;
  }
};

using Subjects = std::vector<std::string>;

TEST(NatsDemandTest, WhatIsCoveredIsNotSubscribed) {
  Upstream up;
  Demand demand(up.calls(), false);
  EXPECT_EQ(demand.activate("a.b.c"), Subjects{});
  EXPECT_EQ(demand.activate("a.b.d"), Subjects{});
  EXPECT_EQ(demand.activate("a.>"), (Subjects{"a.b.c", "a.b.d"}));  // they come by another one now
  EXPECT_EQ(up.subjects(), std::set<std::string>{"a.>"});
  EXPECT_EQ(demand.activate("a.*.c"), Subjects{});
  EXPECT_EQ(up.steps, (Subjects{"+a.b.c", "+a.b.d", "+a.>", "-a.b.c", "-a.b.d"}));  // first the new one
  up.steps.clear();
  EXPECT_EQ(demand.deactivate("a.>"), (Subjects{"a.*.c", "a.b.c", "a.b.d"}));
  EXPECT_EQ(up.steps, (Subjects{"+a.*.c", "+a.b.d", "-a.>"}));
  EXPECT_EQ(demand.deactivate("a.b.c"), Subjects{});
  EXPECT_EQ(demand.deactivate("a.*.c"), Subjects{});
  EXPECT_EQ(demand.deactivate("a.b.d"), Subjects{});
  EXPECT_TRUE(up.subscriptions.empty());
}

TEST(NatsDemandTest, WhatTheManifestNamesStays) {
  Upstream up;
  Demand demand(up.calls(), false);
  demand.always("a.>");
  demand.always("a.b");  // covered: it would come twice
  EXPECT_EQ(demand.activate("a.x"), Subjects{});
  EXPECT_EQ(demand.activate("a.>"), Subjects{});
  EXPECT_EQ(demand.deactivate("a.>"), Subjects{});
  EXPECT_EQ(demand.deactivate("a.x"), Subjects{});
  EXPECT_EQ(demand.deactivate("never"), Subjects{});
  EXPECT_EQ(up.steps, Subjects{"+a.>"});
}

TEST(NatsDemandTest, WhereTwoOverlapTheOlderOneTakesIt) {
  Upstream up;
  Demand demand(up.calls(), false);
  (void)demand.activate("a.*.c");
  (void)demand.activate("*.b.c");
  EXPECT_EQ(up.taken(demand, "a.b.c"), 1);
  EXPECT_TRUE(demand.takes(1, "a.b.c"));
  EXPECT_FALSE(demand.takes(2, "a.b.c"));
  EXPECT_TRUE(demand.takes(2, "x.b.c"));
  EXPECT_EQ(demand.deactivate("a.*.c"), Subjects{"*.b.c"});
  EXPECT_TRUE(demand.takes(2, "a.b.c"));
  EXPECT_FALSE(demand.takes(1, "a.b.c"));  // what is still on its way from before
  Upstream up2;                            // where upstream sends it to one of them only
  Demand once(up2.calls(), true);
  (void)once.activate("a.*.c");
  (void)once.activate("*.b.c");
  EXPECT_TRUE(once.takes(1, "a.b.c"));
  EXPECT_TRUE(once.takes(2, "a.b.c"));
}

// Whatever happens: the cover is minimal, and a message of what is wanted is taken once, any other never.
TEST(NatsDemandTest, AtRandom) {
  std::mt19937 random(7);
  const Subjects tokens = {"a", "b", "*"};
  const auto subject = [&] {
    std::string out;
    const std::size_t length = 1 + random() % 3;
    for (std::size_t i = 0; i < length; ++i) out += (i == 0 ? "" : ".") + tokens[random() % tokens.size()];
    if (random() % 4 == 0) out = random() % 5 == 0 ? ">" : out + ".>";
    return out;
  };
  for (int run = 0; run < 30; ++run) {
    Upstream up;
    Demand demand(up.calls(), false);
    std::set<std::string> wanted;
    for (int i = run % 3; i > 0; --i) {
      const std::string s = subject();
      demand.always(s);
      wanted.insert(s);
    }
    const std::set<std::string> always = wanted;
    for (int step = 0; step < 200; ++step) {
      const std::string s = subject();
      if (random() % 2 == 0) {
        (void)demand.activate(s);
        wanted.insert(s);
      } else {
        (void)demand.deactivate(s);
        if (!always.contains(s)) wanted.erase(s);
      }
      for (const auto& [id, one] : up.subscriptions) {
        ASSERT_TRUE(wanted.contains(one));
        for (const auto& [other, two] : up.subscriptions)
          ASSERT_TRUE(id == other || !covers(one, two)) << one << " covers " << two;
      }
      for (const char* message : {"a", "b", "x", "a.a", "a.b", "b.x", "a.b.a", "b.b.b", "x.a.b", "a.b.a.b"}) {
        const bool somebody = std::any_of(wanted.begin(), wanted.end(), [&](auto& w) { return matches(w, message); });
        ASSERT_EQ(up.taken(demand, message), somebody ? 1 : 0) << message;
      }
    }
  }
}

}  // namespace
}  // namespace weir::nats
