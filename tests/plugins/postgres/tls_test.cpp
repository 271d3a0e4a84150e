// The plugin and a server that speaks TLS: answers and rows of all sizes come whole.
#include <array>
#include <cstdio>

#include "postgres_rig.hpp"

namespace weir::test {
namespace {

// The shared server speaks TLS as long as one of these lives.
class Tls {
 public:
  explicit Tls(const PostgresServer& server)
      : sql_("host=" + server.socket_folder() + " port=" + std::to_string(server.port()) +
             " user=weir dbname=postgres") {
    const std::string name = server.socket_folder() + "/tls";
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x "
        "-days 2 -keyout " +
        name + ".key -out " + name + ".crt 2>&1 && chmod 600 " + name +
        ".key && chown --reference=" + server.socket_folder() + " " + name + ".key " + name + ".crt";
    EXPECT_EQ(std::system(command.c_str()), 0);
    set("ssl_cert_file = '" + name + ".crt'");
    set("ssl_key_file = '" + name + ".key'");
    set("ssl = on");
    sql_.say("select pg_reload_conf()");
  }
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;
  ~Tls() {
    set("ssl = off");
    sql_.say("select pg_reload_conf()");
  }

 private:
  void set(const std::string& what) { sql_.say("alter system set " + what); }
  PostgresClient sql_;
};

struct PostgresTlsTest : PostgresTest {
  std::string with_tls(const std::string& more) const {
    return "{\"url\":\"" + db.url(server.port()) + "?sslmode=require\"," + more + "}";
  }
  Tls tls{server};
};

TEST_F(PostgresTlsTest, RowsOfAllSizesComeWhole) {
  sql.say(
      "insert into weir.outbox (topic, data) select 'a', to_json(repeat('x', g * 211)) from generate_series(1, 300) g");
  SourceRig rig(hub, weir_plugin_entry, with_tls(R"("outbox":{"poll":"20ms","keep":0})"));
  ASSERT_TRUE(until([&] { return sql.say("show ssl") == "on"; }));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 300; })) << reason();
  for (std::size_t i = 0; i < 300; ++i) ASSERT_EQ(hub.events[i].data.size(), (i + 1) * 211 + 2);
  EXPECT_EQ(hub.metrics["reconnects"], 0);
}

TEST_F(PostgresTlsTest, AnswersOfAllSizesComeWhole) {
  sql.say("create schema api");
  sql.say(
      "create function api.text(params jsonb, identity jsonb) returns jsonb language sql as "
      "$$ select to_jsonb(repeat('x', (params #>> '{}')::int)) $$");
  SourceRig rig(hub, weir_plugin_entry, with_tls(R"("functions":{"schema":"api","pool":1})"));
  ASSERT_TRUE(until([&] { return sql.say("show ssl") == "on"; }));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING)) << reason();
  sdk::testing::ResponderSide api(hub, weir_plugin_entry, rig.instance());
  for (std::size_t bytes = 1; bytes < 1'000'000; bytes = bytes * 3 / 2 + 777) {
    const auto token = api.ask("text", "", std::to_string(bytes), 30'000);
    ASSERT_TRUE(until([&] { return hub.answers.count(token) != 0; })) << bytes;
    ASSERT_EQ(hub.answers[token].json.size(), bytes + 2) << hub.answers[token].json.substr(0, 200);
  }
}

}  // namespace
}  // namespace weir::test
