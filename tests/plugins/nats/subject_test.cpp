#include "subject.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>

namespace weir::nats {
namespace {

TEST(NatsSubjectTest, WhatCanBePublishedTo) {
  for (const char* good : {"a", "a.b", "$SYS.a", "a*b.c", "a>b", "größe.x"}) EXPECT_EQ(unpublishable(good), "") << good;
  EXPECT_NE(unpublishable("").find("empty"), std::string::npos);
  EXPECT_NE(unpublishable("a.*").find("wildcard"), std::string::npos);
  EXPECT_NE(unpublishable("a.>").find("wildcard"), std::string::npos);
  EXPECT_NE(unpublishable("a b").find("space"), std::string::npos);
  for (const char* wrong : {"a..b", ".a", "a.", "."})
    EXPECT_NE(unpublishable(wrong).find("empty token"), std::string::npos) << wrong;
  EXPECT_NE(unpublishable("a\r\nPUB x"), "");
}

TEST(NatsSubjectTest, FromTheHubsWordsAndBack) {
  for (const auto& [hub, nats] : std::initializer_list<std::pair<const char*, const char*>>{
           {"a", "a"}, {"a.*", "a.*"}, {"a.**", "a.>"}, {"**", ">"}, {"*.b.**", "*.b.>"}}) {
    EXPECT_EQ(from_hub(hub), nats);
    EXPECT_EQ(to_hub(nats), hub);
  }
  for (const char* wrong : {"", "a..b", "a.>", ">", "**.a", "a b"}) EXPECT_EQ(from_hub(wrong), "") << wrong;
}

TEST(NatsSubjectTest, MatchesCoversOverlaps) {
  EXPECT_TRUE(matches("a.*.c", "a.b.c"));
  EXPECT_FALSE(matches("a.*.c", "a.b.c.d"));
  EXPECT_FALSE(matches("a.>", "a"));
  EXPECT_TRUE(matches("a.>", "a.b.c"));
  EXPECT_TRUE(covers("a.>", "a.*.c"));
  EXPECT_TRUE(covers("a.>", "a.>"));
  EXPECT_TRUE(covers("a.>", "a.b.>"));
  EXPECT_FALSE(covers("a.*", "a.>"));
  EXPECT_FALSE(covers("a.b.>", "a.>"));
  EXPECT_FALSE(covers("a.*.c", "*.b.c"));
  EXPECT_TRUE(overlap("a.*.c", "*.b.c"));
  EXPECT_TRUE(overlap("a.>", "*.b"));
  EXPECT_FALSE(overlap("a.>", "a"));
  EXPECT_FALSE(overlap("a.*", "b.*"));
}

// Against what the words mean: over all subjects of up to three tokens of two letters.
TEST(NatsSubjectTest, CoversAndOverlapsAreWhatMatchesSays) {
  std::vector<std::string> subjects, patterns;
  const auto grow = [](const std::vector<std::string>& words, std::vector<std::string>& out) {
    std::vector<std::string> last = {""};
    for (int length = 0; length < 3; ++length) {
      std::vector<std::string> next;
      for (const auto& head : last)
        for (const auto& word : words)
          if (!head.ends_with(">")) next.push_back(head.empty() ? word : head + "." + word);
      out.insert(out.end(), next.begin(), next.end());
      last = next;
    }
  };
  grow({"a", "b", "c", "d"}, subjects);  // a letter more than patterns have: * and > stand for all
  grow({"a", "b", "*", ">"}, patterns);
  for (const auto& wide : patterns)
    for (const auto& narrow : patterns) {
      bool all = true, some = false;
      for (const auto& s : subjects) {
        all = all && (!matches(narrow, s) || matches(wide, s));
        some = some || (matches(narrow, s) && matches(wide, s));
      }
      // Three tokens are all that is tried, so > there is as good as *.
      if (!narrow.ends_with(">") || std::count(narrow.begin(), narrow.end(), '.') != 2) {
        EXPECT_EQ(covers(wide, narrow), all) << wide << " " << narrow;
      }
      EXPECT_EQ(overlap(wide, narrow), some) << wide << " " << narrow;
    }
}

}  // namespace
}  // namespace weir::nats
