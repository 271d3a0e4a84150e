// A connection without a server: what looking up a name does to the strand.
#include "connection.hpp"

#include <gtest/gtest.h>

#include <future>

#include "weir/sdk/testing.hpp"

namespace weir::redis {
namespace {

// A dead resolver held the strand for as long as it takes to give up, again and again.
TEST(RedisConnectionTest, ANameThatIsNotFoundInTimeHoldsUpNobody) {
  sdk::testing::FakeHost hub;
  std::vector<std::string> away;
  std::promise<void> over;
  int lookups = 0;
  Address address;
  address.host = "cache.test";
  {
    Connection connection(sdk::Host(hub.raw()), address,
                          {[] {}, [](redisReply&) {}, [&](const std::string& why) { away.push_back(why); }},
                          [&, wait = over.get_future().share()](const std::string& name) {
                            EXPECT_EQ(name, "cache.test");
                            ++lookups;
                            wait.wait();
                            return sdk::Resolver::Found{{}, "no such name"};
                          });
    connection.open();
    hub.advance(2'999);
    EXPECT_TRUE(away.empty());
    hub.advance(1);
    ASSERT_EQ(away.size(), 1u);
    hub.advance(200);  // it is tried again, and waits for the same lookup
    over.set_value();
    ASSERT_TRUE(hub.run_until([&] { return away.size() == 2; }));
    EXPECT_NE(away[1].find("no such name"), std::string::npos) << away[1];
    EXPECT_EQ(lookups, 1);
  }
}

}  // namespace
}  // namespace weir::redis
