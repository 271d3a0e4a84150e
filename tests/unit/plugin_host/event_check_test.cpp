#include "plugin_host/event_check.hpp"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

weir_str str(std::string_view text) { return {text.data(), text.size()}; }

json::Doc doc;

std::string wrong_with(const weir_event& event, std::uint32_t stride, const EventBounds& bounds = {}) {
  std::string made;
  std::string wrong = wrong_with_event(event, stride, bounds, doc, made);
  EXPECT_EQ(made, "");
  return wrong;
}

weir_event good() {
  weir_event e{};
  e.struct_size = sizeof e;
  e.subject = str("a/b");
  e.event = str("line");
  e.data = str("{\"x\":[1,null]}");
  return e;
}

TEST(EventCheckTest, TheEdgesOfEachLength) {
  const EventBounds bounds{.subject_max = 4, .name_max = 4, .data_max = 4, .id_max = 4, .key_max = 4, .cursor_max = 4};
  const auto wrong = [&](weir_str weir_event::*field, std::string_view text) {
    weir_event e = good();
    e.data = str("null");
    e.*field = str(text);
    return !wrong_with(e, sizeof e, bounds).empty();
  };
  for (const auto field :
       {&weir_event::subject, &weir_event::event, &weir_event::id, &weir_event::key, &weir_event::cursor}) {
    EXPECT_FALSE(wrong(field, "1234"));
    EXPECT_TRUE(wrong(field, "12345"));
    EXPECT_EQ(wrong(field, ""), field == &weir_event::event);
  }
  EXPECT_FALSE(wrong(&weir_event::data, "1234"));
  EXPECT_TRUE(wrong(&weir_event::data, "12345"));
  EXPECT_FALSE(wrong(&weir_event::data, ""));
}

TEST(EventCheckTest, DataIsJson) {
  const auto check = [](std::string_view data) {
    weir_event e = good();
    e.data = str(data);
    return wrong_with(e, sizeof e);
  };
  EXPECT_EQ(check("{}"), "");
  EXPECT_EQ(check("\"text\""), "");
  EXPECT_NE(check("{").find("data is not JSON"), std::string::npos);
  EXPECT_NE(check("1 2"), "");
  EXPECT_NE(check("\"\xff\""), "");
  EXPECT_NE(check(std::string(1000, '[') + std::string(1000, ']')), "");
}

TEST(EventCheckTest, ANewerAndBiggerEventIsTaken) {
  struct {
    weir_event event;
    char more[64];
  } bigger{good(), {}};
  bigger.event.struct_size = sizeof bigger;
  EXPECT_EQ(wrong_with_batch(&bigger.event, sizeof bigger, 1), "");
  EXPECT_EQ(wrong_with(bigger.event, sizeof bigger), "");
  bigger.event.struct_size = sizeof bigger + 8;  // larger than its place
  EXPECT_NE(wrong_with(bigger.event, sizeof bigger), "");
}

TEST(EventCheckTest, NothingIsAlwaysRight) { EXPECT_EQ(wrong_with_batch(nullptr, 0, 0), ""); }

TEST(EventCheckTest, TheIndexesOfABatchAreKeptWithinBounds) {
  BatchIndex indexes;
  const std::string small = "[1,2]";
  std::string large = "[0";
  for (int i = 1; i < 150'000; ++i) large += ",0";
  large += ']';
  std::string made;
  const auto check = [&](const std::string& data) {
    weir_event e = good();
    e.data = str(data);
    ASSERT_EQ(wrong_with_event(e, sizeof e, {}, indexes.next(), made), "");
    indexes.checked();
  };
  indexes.begin();
  check(small);
  check("");
  check(large);
  check(large);
  for (int i = 0; i < 10; ++i) check(small);
  ASSERT_EQ(indexes.kept().size(), 4U);  // then there are nodes enough
  EXPECT_EQ(indexes.kept()[0].root().count(), 2U);
  EXPECT_FALSE(indexes.kept()[1].whole());
  EXPECT_EQ(indexes.kept()[2].root().count(), 150'000U);
  indexes.trim();
  EXPECT_TRUE(indexes.kept().empty());
  for (int i = 0; i < 300; ++i) check(small);
  EXPECT_EQ(indexes.kept().size(), BatchIndex::kEventsMax);
}

}  // namespace
}  // namespace weir
