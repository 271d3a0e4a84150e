#include "streams.hpp"

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <memory>

namespace weir::redis {
namespace {

TEST(RedisEntryIdTest, ReadsAndOrders) {
  EntryId a, b;
  ASSERT_TRUE(EntryId::read("1770724800000-3", a));
  EXPECT_EQ(a.text(), "1770724800000-3");
  ASSERT_TRUE(EntryId::read("1770724800000", b));
  EXPECT_EQ(b.text(), "1770724800000-0");
  EXPECT_LT(b, a);
  ASSERT_TRUE(EntryId::read("1770724800000-10", b));
  EXPECT_LT(a, b);  // as numbers, not as texts
  for (const char* wrong : {"", "-", "1-", "-1", "a-1", "1-a", "1-1-1", "$"})
    EXPECT_FALSE(EntryId::read(wrong, a)) << wrong;
}

// A reply as the server would send it.
std::unique_ptr<redisReply, void (*)(void*)> reply(const std::string& resp) {
  redisReader* reader = redisReaderCreate();
  redisReaderFeed(reader, resp.data(), resp.size());
  void* out = nullptr;
  EXPECT_EQ(redisReaderGetReply(reader, &out), REDIS_OK);
  redisReaderFree(reader);
  return {static_cast<redisReply*>(out), &freeReplyObject};
}

TEST(RedisDataTest, OneFieldOrAll) {
  const auto fields = reply("*4\r\n$1\r\na\r\n$7\r\n{\"n\":1}\r\n$1\r\nb\r\n$3\r\nx\"y\r\n");
  bool as_it_is = false;
  EXPECT_EQ(data_of(*fields, "", as_it_is), R"({"a":"{\"n\":1}","b":"x\"y"})");
  EXPECT_FALSE(as_it_is);
  EXPECT_EQ(data_of(*fields, "a", as_it_is), R"({"n":1})");
  EXPECT_TRUE(as_it_is);
  EXPECT_EQ(data_of(*fields, "missing", as_it_is), R"({"a":"{\"n\":1}","b":"x\"y"})");
  EXPECT_FALSE(as_it_is);
}

// Bytes that are no text made the whole object something that is no JSON.
TEST(RedisDataTest, BytesAreWrittenAsBase64) {
  const auto fields = reply("*4\r\n$1\r\na\r\n$2\r\n\xff\x01\r\n$1\r\n\xfe\r\n$1\r\nx\r\n");
  bool as_it_is = false;
  EXPECT_EQ(data_of(*fields, "", as_it_is), R"({"a":{"base64":"/wE="},"base64:/g==":"x"})");
}

}  // namespace
}  // namespace weir::redis
