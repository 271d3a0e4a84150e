#include "config.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace weir::postgres {
namespace {

Config parsed(const std::string& json) { return parse_config(sdk::json::parse(json)); }

std::string refused(const std::string& json) {
  try {
    (void)parsed(json);
  } catch (const sdk::Failure& f) {
    return f.json_pointer() + ": " + f.what();
  }
  return "taken";
}

std::string option(const Address& address, const std::string& key) {
  for (const auto& [name, value] : address.options)
    if (name == key) return value;
  return "";
}

TEST(PostgresConfigTest, Defaults) {
  const Config config = parsed(R"({"outbox":{}})");
  ASSERT_TRUE(config.outbox);
  EXPECT_EQ(config.outbox->schema, "weir");
  EXPECT_EQ(config.outbox->reader, "hub");
  EXPECT_EQ(config.outbox->keep_ms, 3'600'000);
  EXPECT_EQ(config.ping_ms, 10'000);
  EXPECT_EQ(config.address.servers.size(), 1u);
}

TEST(PostgresConfigTest, AUrlIsTakenApart) {
  const Address one =
      parsed(R"({"url":"postgres://anna@db.example:5433/shop?sslmode=require","listen":["a"],"password":"p"})").address;
  ASSERT_EQ(one.servers.size(), 1u);
  EXPECT_EQ(one.servers[0].host, "db.example");
  EXPECT_EQ(one.servers[0].port, "5433");
  EXPECT_TRUE(one.servers[0].needs_lookup());
  EXPECT_EQ(option(one, "user"), "anna");
  EXPECT_EQ(option(one, "dbname"), "shop");
  EXPECT_EQ(option(one, "sslmode"), "require");
  EXPECT_EQ(option(one, "password"), "p");
  EXPECT_EQ(one.text(), "db.example:5433");

  const Address many = parsed(R"({"url":"host=a,10.0.0.1,::1 port=1,2,3","listen":["a"]})").address;
  ASSERT_EQ(many.servers.size(), 3u);
  EXPECT_EQ(many.servers[1].port, "2");
  EXPECT_FALSE(many.servers[1].needs_lookup());
  EXPECT_FALSE(many.servers[2].needs_lookup());

  const Address socket = parsed(R"({"url":"host=/run/postgresql","listen":["a"]})").address;
  EXPECT_FALSE(socket.servers[0].needs_lookup());
  EXPECT_EQ(parsed(R"({"url":"hostaddr=10.0.0.2 host=x","listen":["a"]})").address.servers[0].needs_lookup(), false);
}

TEST(PostgresConfigTest, WhatTheUrlLeavesOutComesFromTheEnvironment) {
  ::setenv("PGHOST", "from.environment", 1);
  ::setenv("PGPORT", "7777", 1);
  const Address address = parsed(R"({"url":"postgres://","listen":["a"]})").address;
  ::unsetenv("PGHOST");
  ::unsetenv("PGPORT");
  EXPECT_EQ(address.servers[0].host, "from.environment");
  EXPECT_EQ(address.servers[0].port, "7777");
}

TEST(PostgresConfigTest, FunctionsNeedNothingElse) {
  const Config config = parsed(R"({"functions":{"schema":"api"}})");
  ASSERT_TRUE(config.functions);
  EXPECT_EQ(config.functions->schema, "api");
  EXPECT_EQ(config.functions->pool, 4);
  EXPECT_FALSE(config.outbox);
  EXPECT_TRUE(parsed(R"({"functions":{"schema":"api"},"outbox":{}})").outbox);
  EXPECT_TRUE(parsed(R"({"functions":{"schema":"api"},"listen":["a"]})").functions);
}

TEST(PostgresConfigTest, AQueryToCatchUpEndsWhereItsTextDoes) {
  EXPECT_EQ(parsed(R"({"listen":["a"]})").catch_up, "");
  const Config config = parsed(R"({"listen":["a"],"catch_up":"select ';' ; \n"})");
  EXPECT_EQ(config.catch_up, "select ';'");
  EXPECT_EQ(config.catch_up_timeout_ms, 30'000);
}

TEST(PostgresConfigTest, WhatIsWrongIsNamed) {
  EXPECT_NE(refused("{}").find("listen, outbox and functions"), std::string::npos);
  EXPECT_NE(refused(R"({"listen":["a"],"outbox":{}})").find("second [[plugin]]"), std::string::npos);
  EXPECT_NE(refused(R"({"listen":["a","b","a"]})").find("\"a\" twice"), std::string::npos);
  EXPECT_NE(refused("{\"listen\":[\"" + std::string(64, 'x') + "\"]}").find("/listen/0"), std::string::npos);
  EXPECT_NE(refused(R"({"url":"mysql://x","listen":["a"]})").find("/url: "), std::string::npos);
  EXPECT_NE(refused(R"({"url":"service=shop","listen":["a"]})").find("service"), std::string::npos);
  EXPECT_NE(refused(R"({"listen":["a"],"event":"{fiel:x}"})").find("/event is \"{fiel:x}\""), std::string::npos);
  EXPECT_NE(refused(R"({"catch_up":"select 1","outbox":{}})").find("/catch_up: catch_up belongs to listen"),
            std::string::npos);
  EXPECT_NE(refused(R"({"listen":["a"],"catch_up":" ;\n"})").find("/catch_up is \"\""), std::string::npos);
  EXPECT_NE(refused(R"({"functions":{}})").find("\"schema\" is missing"), std::string::npos);
  for (const char* url : {"postgres://u:s3cret@h/d", "host=h password=s3cret", "postgres://u:%s3cret@h/d"}) {
    const std::string why = refused(std::string("{\"url\":\"") + url + R"(","listen":["a"]})");
    EXPECT_NE(why, "taken") << url;
    EXPECT_EQ(why.find("s3cret"), std::string::npos) << why;
  }
}

}  // namespace
}  // namespace weir::postgres
