#include "routing/audience.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <string>

#include "base/ids.hpp"
#include "routing/feed.hpp"

namespace weir {
namespace {

class NoPort final : public ConnectionPort {
 public:
  void close(CloseCode, std::string_view) override {}
  void read(bool) override {}
  void ping() override {}
};

// An audience, and beside it the same attachments in a plain list that is asked one by one.
class Crowd {
 public:
  Attachment& join(std::initializer_list<const char*> filters) {
    std::vector<FilterPtr> parsed;
    for (const char* text : filters) {
      auto f = Filter::parse(text);
      EXPECT_TRUE(f) << text;
      parsed.push_back(*f);
    }
    return join(std::move(parsed));
  }
  Attachment& join(std::vector<FilterPtr> filters) {
    connections_.emplace_back(connections_.size() + 1, port_, endpoint_);
    Attachment& a = attachments_.emplace_back();
    a.id = connections_.size();
    a.connection = &connections_.back();
    for (FilterPtr& f : filters) a.grants.push_back({nullptr, std::move(f), 0, 0});
    audience.put(a);
    return a;
  }
  static EventPtr event(const std::string& data, const std::string& name = "e", const std::string& key = "") {
    Draft d;
    d.event = name;
    d.id = "1";
    d.key = key;
    d.data = data;
    return Event::make("c", "k", 1, d);
  }
  std::multiset<std::uint64_t> receivers(const EventPtr& event) {
    std::multiset<std::uint64_t> found;
    const EventView view(*event);
    audience.each_wanting(view, [&](Attachment& a, Connection& c) {
      EXPECT_EQ(a.connection, &c);
      found.insert(a.id);
    });
    return found;
  }
  std::multiset<std::uint64_t> receivers_one_by_one(const EventPtr& event) const {
    std::multiset<std::uint64_t> found;
    for (const Attachment& a : attachments_)
      if (a.audience_group != nullptr && std::any_of(a.grants.begin(), a.grants.end(), [&](const Grant& g) {
            return !g.filter || g.filter->matches(EventView(*event));
          }))
        found.insert(a.id);
    return found;
  }
  std::deque<Attachment>& attachments() { return attachments_; }
  Audience audience;

 private:
  NoPort port_;
  EndpointRule endpoint_;
  std::deque<Connection> connections_;
  std::deque<Attachment> attachments_;
};
using Ids = std::multiset<std::uint64_t>;

TEST(AudienceTest, AnEqualityFindsThoseWhoNamedTheValue) {
  Crowd crowd;
  for (const char* f : {R"({"data.i":"a"})", R"({"data.i":"b"})", R"({"data.i":["b","c"]})", R"({"data.i":1})"})
    crowd.join({f});
  crowd.join(std::vector<FilterPtr>{nullptr});
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"i":"a"})")), (Ids{1, 5}));
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"i":"b"})")), (Ids{2, 3, 5}));
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"i":"\u0062"})")), (Ids{2, 3, 5}));
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"i":1.0})")), (Ids{4, 5}));
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"i":"1"})")), Ids{5});
  EXPECT_EQ(crowd.receivers(Crowd::event("{}")), Ids{5});
  EXPECT_EQ(crowd.receivers(Crowd::event("7")), Ids{5});
}

TEST(AudienceTest, AnArrayFindsEachOnceWhateverItHoldsTwice) {
  Crowd crowd;
  crowd.join({R"({"data.t":["x","y"]})"});
  crowd.join({R"({"data.t":"y"})"});
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"t":["x","y","y",{"z":1},[1]]})")), (Ids{1, 2}));
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"t":[]})")), Ids{});
}

TEST(AudienceTest, SeveralGrantsOfOneAttachmentDeliverOnce) {
  Crowd crowd;
  crowd.join({R"({"data.i":"a"})", R"({"event":"e"})"});
  Attachment& all = crowd.join({R"({"data.i":"a"})"});
  all.grants.push_back({nullptr, nullptr, 0, 0});
  crowd.audience.put(all);
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"i":"a"})")), (Ids{1, 2}));
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"i":"b"})")), (Ids{1, 2}));
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"i":"a"})", "f")), (Ids{1, 2}));
  EXPECT_EQ(crowd.receivers(Crowd::event(R"({"i":"b"})", "f")), Ids{2});
}

TEST(AudienceTest, NumbersOfEveryKindAreTheSameWhereTheyAreEqual) {
  Crowd crowd;
  for (const char* f : {R"({"data":0})", R"({"data":9007199254740993})", R"({"data":1e400})", R"({"data":-1e400})",
                        R"({"data":0.1})", R"({"data":-5})", R"({"data":9223372036854775807})"})
    crowd.join({f});
  for (const char* data : {"0", "-0", "-0.0", "0e9", "9007199254740993", "9007199254740992", "1e999", "-1e999", "0.1",
                           "1e-1", "-5", "5", "-5.0", "9223372036854775807", "9223372036854775806"}) {
    const EventPtr e = Crowd::event(data);
    EXPECT_EQ(crowd.receivers(e), crowd.receivers_one_by_one(e)) << data;
  }
}

TEST(AudienceTest, ThoseWhoLeaveWhileItIsWalkedAreGone) {
  Crowd crowd;
  for (int i = 0; i < 6; ++i) crowd.join({i % 2 == 0 ? R"({"data.i":"a"})" : R"({"event":{"$prefix":"e"}})"});
  const EventPtr e = Crowd::event(R"({"i":"a"})");
  std::size_t visited = 0;
  crowd.audience.each_wanting(EventView(*e), [&](Attachment& a, Connection&) {
    ++visited;
    crowd.audience.remove(a);
  });
  EXPECT_EQ(visited, 6U);
  EXPECT_TRUE(crowd.audience.empty());
  EXPECT_EQ(crowd.receivers(e), Ids{});
  crowd.audience.put(crowd.attachments()[0]);
  EXPECT_EQ(crowd.receivers(e), Ids{1});
}

// Whatever the filters and whoever comes and goes, the index finds exactly those whom asking each of them would find.
TEST(AudienceTest, FindsWhomAskingEachWouldFind) {
  Random random(20261125);
  const auto pick = [&](auto&&... texts) {
    const std::string all[] = {texts...};
    return all[random.below(sizeof...(texts))];
  };
  const auto value = [&] { return pick("1", "1.0", "2", "\"a\"", "\"b\"", "\"\\u0061\"", "null", "true", "false"); };
  const auto place = [&] {
    return pick("data.a", "data.b", "data.a.b", "data.t.0", "event", "key", "channel", "data");
  };
  std::function<std::string(int)> filter = [&](int depth) -> std::string {
    const std::string p = "\"" + place() + "\":";
    switch (random.below(depth > 0 ? 12 : 9)) {
      case 0:
      case 1:
      case 2:
        return "{" + p + value() + "}";
      case 3:
        return "{" + p + "[" + value() + "," + value() + "]}";
      case 4:
        return "{" + p + "{\"$in\":[" + value() + "," + value() + "," + value() + "]}}";
      case 5:
        return "{" + p + "{\"$ne\":" + value() + "}}";
      case 6:
        return "{" + p + value() + ",\"" + place() + "\":{\"$exists\":" + pick("true", "false") + "}}";
      case 7:
        return "{" + p + "{\"$glob\":\"*\"}}";
      case 8:
        return "{\"event\":\"" + pick("a*", "b", "*") + "\"}";
      case 9:
        return "{\"$and\":[" + filter(depth - 1) + "," + filter(depth - 1) + "]}";
      case 10:
        return "{\"$or\":[" + filter(depth - 1) + "," + filter(depth - 1) + "]}";
      default:
        return "{\"$not\":" + filter(depth - 1) + "}";
    }
  };
  std::size_t found = 0;
  for (int round = 0; round < 60; ++round) {
    Crowd crowd;
    for (int step = 0; step < 60; ++step) {
      if (random.below(3) != 0 || crowd.attachments().empty()) {
        std::vector<FilterPtr> filters;
        for (std::uint64_t n = 1 + random.below(5) / 4; n != 0; --n)
          filters.push_back(random.below(12) == 0 ? nullptr : *Filter::parse(filter(2)));
        crowd.join(std::move(filters));
      } else {
        Attachment& a = crowd.attachments()[random.below(crowd.attachments().size())];
        if (a.audience_group != nullptr)
          crowd.audience.remove(a);
        else
          crowd.audience.put(a);
      }
      const std::string data =
          random.below(8) == 0
              ? value()
              : "{\"a\":" + pick(value(), "{\"b\":" + value() + "}", "[" + value() + "," + value() + "]") +
                    ",\"b\":" + value() + ",\"t\":[" + value() + "]}";
      const EventPtr e = Crowd::event(data, pick("a", "ab", "b", "1"), pick("", "a", "1"));
      const Ids expected = crowd.receivers_one_by_one(e);
      ASSERT_EQ(crowd.receivers(e), expected) << data;
      found += expected.size();
    }
  }
  EXPECT_GT(found, 10'000U);
}

}  // namespace
}  // namespace weir
