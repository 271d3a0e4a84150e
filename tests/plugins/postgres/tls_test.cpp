// The plugin and a server that speaks TLS: answers and rows of all sizes come whole.
#include <openssl/ssl.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

#include "postgres_rig.hpp"

namespace weir::test {
namespace {

// The shared server speaks TLS as long as one of these lives.
class Tls {
 public:
  static std::string file(const PostgresServer& server, const std::string& what) {
    return server.socket_folder() + "/tls." + what;
  }
  explicit Tls(const PostgresServer& server)
      : sql_("host=" + server.socket_folder() + " port=" + std::to_string(server.port()) +
             " user=weir dbname=postgres") {
    const std::string key = file(server, "key"), certificate = file(server, "crt");
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x "
        "-days 2 -keyout " +
        key + " -out " + certificate + " 2>/dev/null && chmod 600 " + key +
        " && chown --reference=" + server.socket_folder() + " " + key;
    EXPECT_EQ(std::system(command.c_str()), 0);
    set("ssl_cert_file = '" + certificate + "'");
    set("ssl_key_file = '" + key + "'");
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

// Speaks TLS in front of a server, as a pooler or a newer server does: an answer goes out at once, its last 32 KiB in
// records that are as large as they may be. The next one to connect is served when the one before has gone.
class TlsFront {
 public:
  explicit TlsFront(const PostgresServer& server) : to_(server.port()) {
    SSL_CTX_use_certificate_file(context_, Tls::file(server, "crt").c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context_, Tls::file(server, "key").c_str(), SSL_FILETYPE_PEM);
    const sockaddr_in address = local(port_);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 5), 0);
    thread_ = std::thread([this] {
      while (wait(listener_, -1)) serve(::accept(listener_, nullptr, nullptr));
    });
  }
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;
  ~TlsFront() {
    over_ = true;
    thread_.join();
    ::close(listener_);
    SSL_CTX_free(context_);
  }
  std::uint16_t port() const { return port_; }

 private:
  // Until one of them can be read; false: over.
  bool wait(int a, int b) const {
    std::array<pollfd, 2> fds{pollfd{a, POLLIN, 0}, pollfd{b, POLLIN, 0}};
    while (!over_)
      if (::poll(fds.data(), fds.size(), 20) > 0) return true;
    return false;
  }
  void serve(int client) const {
    std::array<char, 65536> bytes;
    if (::recv(client, bytes.data(), 8, MSG_WAITALL) == 8 && ::send(client, "S", 1, MSG_NOSIGNAL) == 1) {
      const int server = ::socket(AF_INET, SOCK_STREAM, 0);
      const sockaddr_in address = local(to_);
      if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) relay(client, server);
      ::close(server);
    }
    ::close(client);
  }
  void relay(int client, int server) const {
    SSL* ssl = SSL_new(context_);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    SSL_set_accept_state(ssl);
    std::array<char, 65536> bytes;
    std::string answer;
    const auto received = [&bytes](int fd) { return ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT); };
    while (wait(client, server)) {
      if (const auto n = received(client); n > 0)
        BIO_write(in, bytes.data(), static_cast<int>(n));
      else if (n == 0)
        break;
      for (int n = 0; (n = SSL_read(ssl, bytes.data(), static_cast<int>(bytes.size()))) > 0;)
        if (::send(server, bytes.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) != n) break;
      if (const auto n = received(server); n > 0)
        answer.append(bytes.data(), static_cast<std::size_t>(n));
      else if (n == 0)
        break;
      // The server is ready for the next question: that was all.
      if (answer.size() >= 6 && answer.compare(answer.size() - 6, 5, std::string("Z\0\0\0\5", 5)) == 0) {
        for (std::size_t at = 0, size = 0; at < answer.size(); at += size) {
          const std::size_t left = answer.size() - at;
          size = left <= kRecord ? left : std::min(kRecord, (left - 1) % kRecord + 1);
          SSL_write(ssl, answer.data() + at, static_cast<int>(size));
        }
        answer.clear();
      }
      char* records = nullptr;
      const long size = BIO_get_mem_data(out, &records);
      if (size > 0 && ::send(client, records, static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) break;
      (void)BIO_reset(out);
    }
    SSL_free(ssl);
  }

  static constexpr std::size_t kRecord = 16'384;
  const std::uint16_t to_, port_ = free_port();
  SSL_CTX* const context_ = SSL_CTX_new(TLS_server_method());
  const int listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

struct PostgresTlsTest : PostgresTest {
  std::string with_tls(const std::string& more) const {
    return "{\"url\":\"" + db.url(server.port()) + "?sslmode=require\"," + more + "}";
  }
  Tls tls{server};
};

TEST_F(PostgresTlsTest, RowsOfAllSizesComeWhole) {
  sql.say(
      "insert into weir.outbox (topic, data) select 'a', to_json(repeat('x', g * 527)) from generate_series(1, 120) g");
  SourceRig rig(hub, weir_plugin_entry, with_tls(R"("outbox":{"poll":"20ms","keep":0})"));
  ASSERT_TRUE(until([&] { return sql.say("show ssl") == "on"; }));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 120; })) << reason();
  for (std::size_t i = 0; i < 120; ++i) ASSERT_EQ(hub.events[i].data.size(), (i + 1) * 527 + 2);
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

// What libpq had no room for stayed in OpenSSL, and no socket became readable for it: the answer stopped in its middle.
TEST_F(PostgresTlsTest, WhatIsLeftOfARecordIsReadWithoutTheSocket) {
  sql.say("create schema api");
  sql.say(
      "create function api.text(params jsonb, identity jsonb) returns jsonb language sql as "
      "$$ select to_jsonb(repeat('x', (params #>> '{}')::int)) $$");
  const TlsFront front(server);
  SourceRig rig(hub, weir_plugin_entry,
                "{\"url\":\"" + db.url(front.port()) +
                    R"(?sslmode=require","ping":"60s","functions":{"schema":"api","pool":1}})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING)) << reason();
  sdk::testing::ResponderSide api(hub, weir_plugin_entry, rig.instance());
  for (const std::size_t bytes : {10U, 32'700U, 33'000U, 40'000U, 60'000U}) {
    const auto token = api.ask("text", "", std::to_string(bytes), 100'000);
    ASSERT_TRUE(until([&] { return hub.answers.count(token) != 0; })) << bytes;
    ASSERT_EQ(hub.answers[token].json.size(), bytes + 2) << hub.answers[token].json.substr(0, 200);
  }
}

}  // namespace
}  // namespace weir::test
