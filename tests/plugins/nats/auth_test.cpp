// Who we are, and whom we trust: every way to say so, beside a server that insists on it. A refusal has a reason that
// names no secret.
#include <cstdlib>
#include <fstream>

#include "fixture.hpp"
#include "support/nkeys.hpp"

namespace weir::test {
namespace {

struct NatsAuthTest : NatsPluginTest {
  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = folder / name;
    std::ofstream(path) << text;
    return path;
  }
  // Runs an instance of its own; its last state and reason once it is no longer starting.
  sdk::testing::SeenState tried(const std::string& json) {
    FakeHost own;
    SourceRig nats(own, weir_plugin_entry, json);
    EXPECT_EQ(nats.start(), WEIR_OK) << nats.error().message;
    EXPECT_TRUE(own.run_until(
        [&] { return own.last_state() == WEIR_STATE_RUNNING || own.last_state() == WEIR_STATE_RETRYING; }, 20'000));
    for (const auto& log : own.logs) logs += log.message + log.fields + "\n";
    return own.states.empty() ? sdk::testing::SeenState{} : own.states.back();
  }
  void expect_refused(const std::string& json, const std::string& part) {
    const auto state = tried(json);
    EXPECT_EQ(state.state, WEIR_STATE_RETRYING) << state.reason;
    EXPECT_NE(state.reason.find(part), std::string::npos) << state.reason;
    EXPECT_EQ((state.reason + logs).find("s3cret"), std::string::npos) << state.reason << logs;
  }
  void expect_let_in(const std::string& json) {
    const auto state = tried(json);
    EXPECT_EQ(state.state, WEIR_STATE_RUNNING) << state.reason;
  }
  std::string logs;
};

TEST_F(NatsAuthTest, UserAndPassword) {
  NatsServer server(folder, "authorization { users: [ {user: anna, password: \"s3cret\"} ] }\n");
  expect_let_in(config(server, R"("user":"anna","password":"s3cret")"));
  expect_refused(config(server, R"("user":"anna","password":"s3cret-but-wrong")"), "Authorization Violation");
  expect_refused(config(server, ""), "Authorization Violation");
}

TEST_F(NatsAuthTest, Token) {
  NatsServer server(folder, "authorization { token: \"s3cret\" }\n");
  expect_let_in(config(server, R"("token":"s3cret")"));
  expect_refused(config(server, R"("token":"s3cret-but-wrong")"), "Authorization Violation");
}

TEST_F(NatsAuthTest, NKey) {
  const NKey user(NKey::Kind::user), stranger(NKey::Kind::user);
  NatsServer server(folder, "authorization { users: [ { nkey: " + user.public_key() + " } ] }\n");
  const auto with = [&](const NKey& named, const NKey& signs) {
    return config(server, R"("nkey":")" + named.public_key() + R"(","nkey_seed":")" +
                              write("user.nk", signs.seed() + "\n") + "\"");
  };
  expect_let_in(with(user, user));
  expect_refused(with(stranger, stranger), "Authorization Violation");
  expect_refused(with(user, stranger), "Authorization Violation");  // it can't sign for that name
}

TEST_F(NatsAuthTest, CredentialsOfAnOperator) {
  const NKey op(NKey::Kind::operators), account(NKey::Kind::account), user(NKey::Kind::user),
      stranger(NKey::Kind::account);
  const std::string limits =
      R"({"type":"account","version":2,"limits":{"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1}})";
  const std::string rights = R"({"type":"user","version":2,"subs":-1,"data":-1,"payload":-1})";
  NatsServer server(folder,
                    "operator: " + write("op.jwt", op.jwt(op, "op", R"({"type":"operator","version":2})")) +
                        "\nresolver: MEMORY\nresolver_preload: { " + account.public_key() + ": " +
                        op.jwt(account, "account", limits) + " }\n",
                    false);
  const auto with = [&](const NKey& issuer) {
    return config(server, R"("credentials":")" +
                              write("user.creds", credentials(issuer.jwt(user, "user", rights), user.seed())) + "\"");
  };
  expect_let_in(with(account));
  expect_refused(with(stranger), "Authorization Violation");
  expect_refused(config(server, ""), "Authorization Violation");
  // Read at every attempt, and it may be gone by then.
  FakeHost own;
  SourceRig nats(own, weir_plugin_entry, with(account));
  std::filesystem::remove(folder / "user.creds");
  ASSERT_EQ(nats.start(), WEIR_OK);
  EXPECT_TRUE(own.run_until([&] { return own.last_state() == WEIR_STATE_RETRYING; }, 20'000));
  EXPECT_NE(own.states.back().reason.find("user.creds"), std::string::npos) << own.states.back().reason;
}

TEST_F(NatsAuthTest, Tls) {
  // Two authorities; each has signed a server's and a client's certificate.
  const auto run = [&](const std::string& command) {
    ASSERT_EQ(std::system(("cd '" + folder.string() + "' && { " + command + "; } > openssl.log 2>&1").c_str()), 0)
        << command;
  };
  write("server.ext", "subjectAltName=IP:127.0.0.1,DNS:nats.test\n");
  write("client.ext", "extendedKeyUsage=clientAuth\n");
  for (const std::string ca : {"ours", "theirs"}) {
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" + ca + " -keyout " +
        ca + "-ca.key -out " + ca + "-ca.pem");
    for (const std::string who : {"server", "client"})
      run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + who + " -keyout " + ca + "-" +
          who + ".key -out req.pem && openssl x509 -req -in req.pem -days 2 -CA " + ca + "-ca.pem -CAkey " + ca +
          "-ca.key -CAcreateserial -extfile " + who + ".ext -out " + ca + "-" + who + ".pem");
  }
  const auto file = [&](const std::string& name) { return (folder / name).string(); };
  const std::string tls = "tls { cert_file: \"" + file("ours-server.pem") + "\", key_file: \"" +
                          file("ours-server.key") + "\", ca_file: \"" + file("ours-ca.pem") + "\"";
  NatsServer server(folder, tls + " }\n", false);
  const auto trusting = [&](const std::string& ca, const std::string& more = "") {
    return R"("tls":{"ca":")" + file(ca + "-ca.pem") + "\"" + more + "}";
  };
  expect_let_in(config(server, trusting("ours")));
  expect_let_in(config(server, trusting("ours", R"(,"server_name":"nats.test")")));
  expect_refused(config(server, trusting("theirs")), "unable to get local issuer certificate");
  expect_refused(config(server, trusting("ours", R"(,"server_name":"elsewhere.test")")), "hostname mismatch");
  expect_refused(config(server, R"("tls":{"ca":")" + write("empty.pem", "") + "\"}"), "tls.ca");
  expect_refused(config(server, ""), "certificate");  // it insists on TLS, and that of the system is tried

  const std::filesystem::path second = folder / "second";
  std::filesystem::create_directories(second);
  NatsServer mutual(second, tls + ", verify: true }\n", false);
  const auto being = [&](const std::string& ca) {
    return trusting(
        "ours", R"(,"certificate":")" + file(ca + "-client.pem") + R"(","key":")" + file(ca + "-client.key") + "\"");
  };
  expect_let_in(config(mutual, being("ours")));
  expect_refused(config(mutual, being("theirs")), "does not take our certificate");
  expect_refused(config(mutual, trusting("ours")), "does not take our certificate");
}

}  // namespace
}  // namespace weir::test
