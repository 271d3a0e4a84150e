#include "manifest/manifest.hpp"

#include <sys/stat.h>

#include "unit/manifest/support.hpp"

namespace weir {
namespace {

using namespace testing;

TEST(ManifestTest, TheSmallestManifestHasEveryDefault) {
  const auto result = toml(kSmallest);
  const Manifest m = good(result);
  EXPECT_TRUE(result.warnings.empty()) << joined(result.warnings);
  EXPECT_EQ(m.file, "hub.toml");
  EXPECT_EQ(m.folder, ".");
  EXPECT_EQ(m.listen_host, "127.0.0.1");
  EXPECT_EQ(m.listen_port, 8080);
  EXPECT_TRUE(m.page);
  EXPECT_FALSE(m.insecure);
  EXPECT_EQ(m.admin_scope, "weir:admin");
  EXPECT_EQ(m.drain_rate, 1000);
  EXPECT_EQ(m.drain_timeout_ms, 10'000);
  ASSERT_EQ(m.endpoints.size(), 1U);
  EXPECT_EQ(m.endpoints[0].heartbeat.interval_ms, 30'000);
  EXPECT_EQ(m.endpoints[0].heartbeat.timeout_ms, 90'000);
  EXPECT_EQ(m.endpoints[0].heartbeat.close_code, 1001);
  EXPECT_FALSE(m.endpoints[0].compression.on);
  ASSERT_EQ(m.channels.size(), 1U);
  EXPECT_EQ(m.channels[0].history.count, 100000);
  EXPECT_EQ(m.channels[0].history.age_ms, 0);
  EXPECT_EQ(m.channels[0].history.bytes, 64 << 20);
  EXPECT_EQ(m.channels[0].overflow, Overflow::catch_up);
  EXPECT_FALSE(m.channels[0].subscribe.nobody);
  EXPECT_EQ(m.limits.frame_bytes, Limits{}.frame_bytes);
}

TEST(ManifestTest, DefaultsOfTheSchemaAreThoseOfLimits) {
  const Manifest m = good(kSmallest);
  for (const LimitInfo& limit : all_limits()) EXPECT_EQ(m.limits.*limit.member, limit.fallback) << limit.name;
}

TEST(ManifestTest, AWholeManifestIsRead) {
  TempFolder folder;
  folder.write("rules/instances.lua", "return {}");
  folder.write("shipped/filters/redact.lua", "return {}");
  folder.write("lib/x", "");
  const std::string file = folder.write("hub.toml", R"(
listen  = "127.0.0.1:8080"
threads = 0
plugins = ["lib"]
[[plugin]]
name    = "bus"
library = "nats"
config  = { url = "nats://127.0.0.1:4222", subjects = ["omni.events.>"] }
[[plugin]]
name    = "keys"
library = "api-key"
config  = { file = "keys.json" }
[[endpoint]]
path      = "/ws"
auth      = ["keys"]
auth_by   = "frame"
dialect   = "native"
heartbeat = { interval = "30s", timeout = "80s", style = "client-json", close_code = 4408 }
compression = { threshold = "1KiB", level = 6 }
origins   = ["https://a.example", "*"]
[[channel]]
pattern   = "instances/{instance}"
from      = [{ plugin = "bus", subject = "omni.events.{instance}.>" }]
rules     = [{ script = "filters/redact.lua", params = { fields = ["data.secret"] }, on_error = "pass", jit = true, ops = 1000, time = "5ms", bytes = "1MiB" }, "rules/instances.lua"]
history   = { count = 10, age = "10m", bytes = "1MiB" }
store     = "memory"
delivery  = "at-most-once"
overflow  = "disconnect"
subscribe = { scope = "instances:read", where = { "data.instanceId" = "{identity.instances}" } }
publish   = { scope = "instances:write" }
[[channel]]
pattern   = "other"
rules     = ["rules/instances.lua"]
publish   = false
[drain]
rate = 5
timeout = "1s"
[log]
level = "debug"
format = "json"
file = "hub.log"
[limits]
frame_bytes = "64KiB"
auth_ms = "2s"
handshake_ms = 1500
rule_ops = 5000
)");
  LoadOptions options;
  options.scripts_folder = folder / "shipped";
  const auto result = load_manifest(file, options);
  const Manifest m = good(result);
  EXPECT_TRUE(result.warnings.empty()) << joined(result.warnings);
  EXPECT_EQ(m.folder, folder.path());
  EXPECT_EQ(m.plugin_folders, std::vector<std::string>{folder / "lib"});
  ASSERT_EQ(m.plugins.size(), 2U);
  EXPECT_EQ(m.plugins[0].library, "nats");
  EXPECT_EQ(m.plugins[0].config.to_json(), R"({"url":"nats://127.0.0.1:4222","subjects":["omni.events.>"]})");
  EXPECT_EQ(m.plugins[1].place.line, 9U);
  const EndpointEntry& endpoint = m.endpoints.at(0);
  EXPECT_EQ(endpoint.auth, std::vector<std::string>{"keys"});
  EXPECT_EQ(endpoint.auth_by, AuthBy::frame);
  EXPECT_EQ(endpoint.heartbeat.timeout_ms, 80'000);
  EXPECT_EQ(endpoint.heartbeat.style, HeartbeatStyle::client_json);
  EXPECT_EQ(endpoint.heartbeat.close_code, 4408);
  EXPECT_TRUE(endpoint.compression.on);
  EXPECT_EQ(endpoint.compression.threshold, 1024);
  EXPECT_EQ(endpoint.compression.level, 6);
  EXPECT_EQ(endpoint.origins, (std::vector<std::string>{"https://a.example", "*"}));
  const ChannelEntry& channel = m.channels.at(0);
  EXPECT_EQ(channel.from.at(0).plugin, "bus");
  EXPECT_EQ(channel.from.at(0).subject, "omni.events.{instance}.>");
  EXPECT_EQ(channel.rules, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(m.channels.at(1).rules, (std::vector<std::size_t>{1}));  // shared
  EXPECT_TRUE(m.channels.at(1).publish.nobody);
  const RuleEntry& rule = m.rules.at(0);
  EXPECT_EQ(rule.path, folder / "shipped/filters/redact.lua");
  EXPECT_EQ(rule.params_json, R"({"fields":["data.secret"]})");
  EXPECT_EQ(rule.on_error, OnError::pass);
  EXPECT_TRUE(rule.jit);
  EXPECT_EQ(rule.ops, 1000);
  EXPECT_EQ(rule.time_ms, 5);
  EXPECT_EQ(rule.bytes, 1 << 20);
  EXPECT_EQ(m.rules.at(1).path, folder / "rules/instances.lua");
  EXPECT_EQ(m.rules.at(1).ops, std::nullopt);
  EXPECT_EQ(channel.history.age_ms, 600'000);
  EXPECT_EQ(channel.overflow, Overflow::disconnect);
  EXPECT_EQ(channel.subscribe.scope, "instances:read");
  EXPECT_EQ(channel.subscribe.where_json, R"({"data.instanceId":"{identity.instances}"})");
  EXPECT_EQ(channel.publish.scope, "instances:write");
  EXPECT_EQ(m.api_auth, std::vector<std::string>{"keys"});
  EXPECT_EQ(m.drain_rate, 5);
  EXPECT_EQ(m.drain_timeout_ms, 1000);
  EXPECT_EQ(m.log.level, log::Level::debug);
  EXPECT_TRUE(m.log.json);
  EXPECT_EQ(m.log.file, folder / "hub.log");
  EXPECT_EQ(m.limits.frame_bytes, 65536);
  EXPECT_EQ(m.limits.auth_ms, 2000);
  EXPECT_EQ(m.limits.handshake_ms, 1500);
  EXPECT_EQ(m.limits.rule_ops, 5000);
}

TEST(ManifestTest, AFileThatCantBeReadIsNamed) {
  TempFolder folder;
  EXPECT_EQ(only_problem(load_manifest(folder / "gone.toml", {})),
            folder / "gone.toml: there is no such file; say the path of a manifest, such as hub.toml");
  EXPECT_NE(only_problem(load_manifest(folder.path(), {})).find("this is a folder"), std::string::npos);
}

TEST(ManifestTest, ScriptsAreLookedForInThreeFoldersInOrder) {
  TempFolder folder;
  folder.write("a.lua", "");
  folder.write("mine/a.lua", "");
  folder.write("mine/b.lua", "");
  folder.write("shipped/b.lua", "");
  folder.write("shipped/c.lua", "");
  LoadOptions options;
  options.scripts_folder = folder / "shipped";
  const std::string start = "scripts = \"mine\"\n" + kSmallest;
  const Manifest m =
      good(load_manifest(folder.write("hub.toml", start + "rules = [\"a.lua\", \"b.lua\", \"c.lua\"]"), options));
  ASSERT_EQ(m.rules.size(), 3U);
  EXPECT_EQ(m.rules[0].path, folder / "a.lua");
  EXPECT_EQ(m.rules[1].path, folder / "mine/b.lua");
  EXPECT_EQ(m.rules[2].path, folder / "shipped/c.lua");
  EXPECT_EQ(m.scripts_folder, folder / "mine");

  const std::string file = folder.write("bad.toml", start + "rules = [{ script = \"d.lua\" }]");
  EXPECT_EQ(only_problem(load_manifest(file, options)),
            file + ":6:21: channel \"**\": rules[0]: script \"d.lua\" is not there; looked for \"" + folder.path() +
                "/d.lua\", \"" + folder.path() + "/mine/d.lua\", \"" + folder.path() + "/shipped/d.lua\"");
}

TEST(ManifestTest, AFolderIsNoScriptAndAControlCharacterNoPath) {
  TempFolder folder;
  folder.write("x/y", "");
  EXPECT_NE(only_problem(load_manifest(folder.write("a.toml", kSmallest + "rules = [\"x\"]"), {})).find("is not there"),
            std::string::npos);
  EXPECT_NE(only_problem(kSmallest + "rules = [\"x\\u0000y\"]").find("control characters"), std::string::npos);
}

TEST(ManifestTest, AScriptsFolderMustExist) {
  EXPECT_EQ(only_problem("scripts = \"nowhere\"\n" + kSmallest),
            "hub.toml:1:11: scripts is \"nowhere\", which is no folder; make it, or correct the path");
}

TEST(ManifestTest, TheEnvironmentStandsInStrings) {
  setenv("WEIR_TEST_PORT", "1234", 1);
  unsetenv("WEIR_TEST_MISSING");
  EXPECT_EQ(good("listen = \"127.0.0.1:${WEIR_TEST_PORT}\"\n" + kSmallest).listen_port, 1234);
  EXPECT_EQ(good("listen = \"127.0.0.1:${WEIR_TEST_MISSING:-77}\"\n" + kSmallest).listen_port, 77);
  EXPECT_EQ(only_problem("listen = \"${WEIR_TEST_MISSING}\"\n" + kSmallest),
            "hub.toml:1:10: environment variable WEIR_TEST_MISSING is not set; set it, or give a default: "
            "${WEIR_TEST_MISSING:-default}");
}

TEST(ManifestTest, ASecretFromTheEnvironmentStaysOutOfMessages) {
  setenv("WEIR_TEST_SECRET", "hunter2", 1);
  for (const char* line : {"overflow = \"${WEIR_TEST_SECRET}\"", "history = \"${WEIR_TEST_SECRET}\"",
                           "history = { age = \"${WEIR_TEST_SECRET}\" }"})
    EXPECT_EQ(only_problem(kSmallest + line).find("hunter2"), std::string::npos) << line;
}

// Symptom: the value of a variable stood in every message about its channel, its script and its path.
TEST(ManifestTest, NoMessageHasWhatCameFromTheEnvironment) {
  setenv("WEIR_TEST_SECRET", "top{secret value", 1);
  for (const char* text : {"[[channel]]\npattern = \"${WEIR_TEST_SECRET} bad\"\nhistory = 5",
                           "[[endpoint]]\npath = \"/${WEIR_TEST_SECRET} x\"",
                           "[[plugin]]\nname = \"a\"\nlibrary = \"${WEIR_TEST_SECRET}\"",
                           "[[channel]]\npattern = \"x\"\nrules = [\"${WEIR_TEST_SECRET}.lua\"]",
                           "[[channel]]\npattern = \"x\"\nfrom = [{ plugin = \"${WEIR_TEST_SECRET}\" }]"}) {
    const auto result = toml(text);
    EXPECT_FALSE(result.problems.empty()) << text;
    const std::string said = joined(result.problems) + joined(result.warnings);
    EXPECT_EQ(said.find("secret value"), std::string::npos) << said;
    EXPECT_NE(said.find("${WEIR_TEST_SECRET}"), std::string::npos) << said;
  }
}

TEST(ManifestTest, TheAddressFromTheEnvironmentIsNoSecret) {
  setenv("WEIR_TEST_LISTEN", "127.9.9.9:8080", 1);
  good("listen = \"${WEIR_TEST_LISTEN}\"\n" + kSmallest);
  EXPECT_EQ((tree::Problem{{}, "at 127.9.9.9:8080"}.text()), "at 127.9.9.9:8080");
}

std::string where(const std::string& filter) {
  return only_problem("[[channel]]\npattern = \"c\"\nsubscribe = { where = { \"data.a\" = " + filter + " } }");
}

// Symptom: a template with a slip of the pen was plain text, and under $ne the filter let everything pass.
TEST(WhereTest, TemplatesThatStandForNothingAreNamed) {
  const std::string at = "hub.toml:3:36: channel \"c\": subscribe.where: ";
  EXPECT_EQ(where("\"{identit.foo}\""),
            at + R"("{identit.foo}" stands for nothing in a filter; did you mean "{identity.foo}"?)");
  EXPECT_EQ(where("\"{identity.}\""),
            at + R"("{identity.}" names no attribute; write which, such as "{identity.subject}")");
  EXPECT_EQ(where("\"{identity}\""),
            at + R"("{identity}" names no attribute; write which, such as "{identity.subject}")");
  EXPECT_EQ(where("\"{tenant}\""),
            at + R"("{tenant}" stands for nothing in a filter; did you mean "{identity.tenant}"?)");
  EXPECT_EQ(
      where("\"{user.tenant}\""),
      at +
          R"("{user.tenant}" stands for nothing in a filter; only "{identity.NAME}" does, for an attribute of the identity)");
  EXPECT_EQ(where("\"{identity.a\""), at + R"("{identity.a" lacks its })");
  EXPECT_NE(where("{ \"$ne\" = \"x-{Identity.a}\" }").find("did you mean \"{identity.a}\"?"), std::string::npos);
}

TEST(WhereTest, TemplatesThatAreRightAndTextThatIsNoneAreTaken) {
  for (const char* text :
       {"{identity.a}", "{identity.a}/{identity.b.c}", "x", "{", "}", "{}", "{ a }", "{\\\"a\\\":1}"})
    good("[[channel]]\npattern = \"c\"\nsubscribe = { where = { \"data.a\" = [\"" + std::string(text) +
         "\"] } }\n[[endpoint]]\npath = \"/ws\"");
}

TEST(LibraryTest, AValueWithASlashIsAPathFromTheManifestsFolder) {
  TempFolder folder;
  const auto library = [&](const std::string& text) {
    return good(load_manifest(
                    folder.write("hub.toml", "[[plugin]]\nname = \"a\"\nlibrary = \"" + text + "\"\n" + kSmallest), {}))
        .plugins.at(0)
        .library;
  };
  EXPECT_EQ(library("lib/libweir-a.so"), folder / "lib/libweir-a.so");
  EXPECT_EQ(library("./libweir-a.so"), folder / "libweir-a.so");
  EXPECT_EQ(library("/opt/x y/libweir-a.so"), "/opt/x y/libweir-a.so");
  EXPECT_EQ(library("log-tail"), "log-tail");
  EXPECT_EQ(good("[[plugin]]\nname = \"a\"\nlibrary = \"./b.so\"\n" + kSmallest).plugins.at(0).library, "./b.so");
}

TEST(LimitsTest, ANumberBelowIsToldTheWholeRange) {
  EXPECT_EQ(only_problem(kSmallest + "[limits]\nframe_bytes = -1"),
            "hub.toml:6:15: limits.frame_bytes is -1; expected 1KiB..64MiB");
  EXPECT_EQ(only_problem(kSmallest + "history = { bytes = -1 }"),
            "hub.toml:5:21: channel \"**\": history.bytes is -1; expected 0B..1TiB");
}

TEST(ManifestTest, AByteOrderMarkIsNoMistake) {
  const std::string mark = "\xEF\xBB\xBF";
  good(json(mark + R"({"endpoint":[{"path":"/ws"}],"channel":[{"pattern":"**"}]})"));
  good(toml(mark + kSmallest));
  EXPECT_EQ(only_problem(json(mark + R"({"channel":[{"pattern":"**","histroy":1}],"endpoint":[{"path":"/ws"}]})"))
                .substr(0, 14),
            "hub.json:1:29:");
}

// Symptom: `weir check` of a pipe that nobody writes into waited for ever.
TEST(ManifestTest, WhatIsNoFileIsNotOpened) {
  TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe.toml").c_str(), 0600), 0);
  EXPECT_NE(only_problem(load_manifest(folder / "pipe.toml", {})).find("this is no file but a pipe"),
            std::string::npos);
  EXPECT_NE(only_problem(load_manifest("/dev/null", {})).find("this is no file but"), std::string::npos);
}

TEST(ListenTest, AddressesOfBothFamiliesAndLocalhost) {
  EXPECT_EQ(good("listen = \"[::1]:0\"\n" + kSmallest).listen_host, "::1");
  EXPECT_EQ(good("listen = \"localhost:65535\"\n" + kSmallest).listen_host, "127.0.0.1");
  EXPECT_EQ(good("listen = \"127.5.5.5:1\"\n" + kSmallest).listen_host, "127.5.5.5");
}

TEST(ListenTest, WhatIsNoAddressIsExplained) {
  for (const char* text :
       {"8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "::1:80",
        "[::1]", "[::g]:1", "example.com:80", "127.1:80", "127.0.0.1:80x", "127.0.0.1\\u0000:80"})
    EXPECT_NE(only_problem("listen = \"" + std::string(text) + "\"\n" + kSmallest)
                  .find("write address and port, such as \"127.0.0.1:8080\""),
              std::string::npos)
        << text;
}

const std::string kWithAuth =
    "[[plugin]]\nname = \"keys\"\nlibrary = \"api-key\"\n[[endpoint]]\npath = \"/ws\"\nauth = "
    "[\"keys\"]\n[[channel]]\npattern = \"**\"\n";

TEST(ListenTest, BeyondLoopbackTakesAuthAndAProxyWithTls) {
  EXPECT_EQ(only_problem("listen = \"0.0.0.0:80\"\n" + kSmallest),
            "hub.toml:1:10: listen is \"0.0.0.0:80\", beyond loopback, but this version has no TLS of its own, and "
            "endpoint \"/ws\" and the HTTP API have no auth; "
            "write auth = [\"NAME\"] with an auth plugin's name there; put a proxy that provides TLS in front and "
            "listen on \"127.0.0.1:80\", or, where the proxy is "
            "on another machine, write insecure = true to say that the network between is trusted");
  EXPECT_EQ(only_problem("listen = \"[::]:80\"\n" + kWithAuth),
            "hub.toml:1:10: listen is \"[::]:80\", beyond loopback, but this version has no TLS of its own; put a "
            "proxy that provides TLS in front and listen on "
            "\"127.0.0.1:80\", or, where the proxy is on another machine, write insecure = true to say that the "
            "network between is trusted");
}

TEST(ListenTest, InsecureSaidOutLoudIsTakenAndWarnedAboutWhereThereIsNoAuth) {
  const auto open = toml("listen = \"0.0.0.0:80\"\ninsecure = true\n" + kSmallest);
  EXPECT_TRUE(open.manifest);
  ASSERT_EQ(open.warnings.size(), 1U);
  EXPECT_NE(open.warnings[0].message.find("have no auth"), std::string::npos);
  const auto with_auth = toml("listen = \"0.0.0.0:80\"\ninsecure = true\n" + kWithAuth);
  EXPECT_TRUE(with_auth.manifest);
  EXPECT_TRUE(with_auth.warnings.empty());
}

TEST(EndpointTest, PathsOfTheHubAreTaken) {
  for (const char* path : {"/health", "/ready", "/stats", "/subscriptions", "/api", "/api/v1/x", "/console/"})
    EXPECT_NE(only_problem("[[endpoint]]\npath = \"" + std::string(path) + "\"\n[[channel]]\npattern = \"**\"\n")
                  .find("the hub itself answers"),
              std::string::npos)
        << path;
  for (const char* path : {"/ws", "/apis", "/healthy", "/a/api/b"})
    good("[[endpoint]]\npath = \"" + std::string(path) + "\"\n");
}

TEST(EndpointTest, TheRootIsFreeWithoutThePage) {
  EXPECT_EQ(only_problem("[[endpoint]]\npath = \"/\"\n"),
            "hub.toml:2:8: endpoint \"/\": the hub's own page is at \"/\"; write page = false, or take another path, "
            "such as \"/ws\"");
  good("page = false\n[[endpoint]]\npath = \"/\"\n");
}

TEST(EndpointTest, PathsStartWithASlashAndStandOnce) {
  EXPECT_NE(only_problem("[[endpoint]]\npath = \"ws\"\n").find("a path starts with \"/\""), std::string::npos);
  EXPECT_NE(only_problem("[[endpoint]]\npath = \"/ws?x\"\n").find("a path starts with \"/\""), std::string::npos);
  EXPECT_EQ(only_problem("[[endpoint]]\npath = \"/ws\"\n[[endpoint]]\npath = \"/ws\"\n"),
            "hub.toml:4:8: endpoint \"/ws\": the path is taken in line 2; each endpoint has its own");
}

TEST(EndpointTest, AHeartbeatTimesOutAfterItsInterval) {
  const auto beat = [](const std::string& text) {
    return toml("[[endpoint]]\npath = \"/ws\"\nheartbeat = { " + text + " }\n");
  };
  EXPECT_EQ(good(beat("interval = \"2s\"")).endpoints[0].heartbeat.timeout_ms, 6000);
  EXPECT_EQ(good(beat("interval = \"2s\", timeout = \"2001ms\"")).endpoints[0].heartbeat.timeout_ms, 2001);
  EXPECT_EQ(
      only_problem(beat("interval = \"2s\", timeout = \"2s\"")),
      "hub.toml:3:42: endpoint \"/ws\": heartbeat.timeout is \"2s\"; expected longer than interval, which is \"2s\"");
  EXPECT_NE(only_problem(beat("close_code = 1006")).find("may not send"), std::string::npos);
  EXPECT_NE(only_problem(beat("close_code = 5000")).find("expected 1000..4999"), std::string::npos);
}

TEST(EndpointTest, CompressionIsOffUntilItIsAskedFor) {
  const auto with = [](const std::string& text) { return toml("[[endpoint]]\npath = \"/ws\"\n" + text + "\n"); };
  EXPECT_FALSE(good(with("")).endpoints[0].compression.on);
  EXPECT_FALSE(good(with("compression = false")).endpoints[0].compression.on);
  for (const char* on : {"compression = true", "compression = {}"}) {
    const Compression c = good(with(on)).endpoints[0].compression;
    EXPECT_TRUE(c.on);
    EXPECT_EQ(c.threshold, 256);
    EXPECT_EQ(c.level, 1);
  }
  EXPECT_EQ(good(with("compression = { threshold = 0 }")).endpoints[0].compression.threshold, 0);
  EXPECT_EQ(good(with("compression = { threshold = \"64MiB\", level = 9 }")).endpoints[0].compression.threshold,
            64 << 20);
  EXPECT_EQ(only_problem(with("compression = { level = 0 }")),
            "hub.toml:3:25: endpoint \"/ws\": compression.level is 0; expected 1..9");
  EXPECT_EQ(only_problem(with("compression = { level = 10 }")),
            "hub.toml:3:25: endpoint \"/ws\": compression.level is 10; expected 1..9");
  EXPECT_NE(only_problem(with("compression = { threshold = -1 }")).find("compression.threshold is -1"),
            std::string::npos);
  EXPECT_NE(only_problem(with("compression = { threshold = \"1GiB\" }")).find("compression.threshold is \"1GiB\""),
            std::string::npos);
  EXPECT_NE(only_problem(with("compression = { threshhold = 1 }")).find("did you mean \"threshold\""),
            std::string::npos);
  EXPECT_NE(only_problem(with("compression = \"yes\"")).find("compression is \"yes\""), std::string::npos);
}

TEST(EndpointTest, OriginsAreSchemeAndHost) {
  good("[[endpoint]]\npath = \"/ws\"\norigins = [\"*\", \"https://a.example:8443\", \"chrome-extension://abc\"]\n");
  for (const char* origin : {"a.example", "https://a.example/", "https://", ""})
    EXPECT_NE(only_problem("[[endpoint]]\npath = \"/ws\"\norigins = [\"" + std::string(origin) + "\"]\n")
                  .find("an origin is \"*\""),
              std::string::npos)
        << origin;
}

TEST(ChannelTest, PatternsFollowTheirGrammar) {
  for (const char* pattern : {"a", "session:{id}", "{tenant}/logs/{file}.log", "*", "a/*/b", "a/**", "é/ü"})
    good("[[channel]]\npattern = \"" + std::string(pattern) + "\"\n");
  for (const std::string& pattern :
       {std::string("a//b"), std::string("/a"), std::string("a/"), std::string("**/a"), std::string("a*"),
        std::string("{a"), std::string("a}"), std::string("{a}{b}"), std::string("{a}/{a}"), std::string("{}"),
        std::string("{a b}"), std::string("a b"), std::string("a\\u0001"), std::string(256, 'a')})
    EXPECT_EQ(only_problem("[[channel]]\npattern = \"" + pattern + "\"\n").rfind("hub.toml:2:11: pattern ", 0), 0U)
        << pattern;
  good("[[channel]]\npattern = \"" + std::string(255, 'a') + "\"\n");
  EXPECT_NE(only_problem("[[channel]]\npattern = \"\"\n").find("is empty"), std::string::npos);
}

std::string feeding(const std::string& pattern, const std::string& from) {
  return "[[plugin]]\nname = \"p\"\nlibrary = \"x\"\n[[channel]]\npattern = \"" + pattern + "\"\nfrom = [" + from +
         "]\n";
}

TEST(ChannelTest, VariablesComeFromEverySubject) {
  good(feeding("a/{x}", "{ plugin = \"p\", subject = \"s.{x}.{y}.>\" }"));
  EXPECT_EQ(good(feeding("a", "{ plugin = \"p\" }")).channels[0].from[0].subject, "**");
  EXPECT_EQ(
      only_problem(feeding("a/{x}", "{ plugin = \"p\", subject = \"{x}\" }, { plugin = \"p\", subject = \"{xs}\" }")),
      "hub.toml:6:70: channel \"a/{x}\": from: subject \"{xs}\" has no {x}, so nothing says what {x} of the channel's "
      "name is; put {x} into it; did you mean \"xs\"?");
  EXPECT_NE(only_problem(feeding("a/{x}", "{ plugin = \"p\" }")).find("no subject is named"), std::string::npos);
}

TEST(ChannelTest, AWildcardCantBeFed) {
  for (const char* pattern : {"**", "a/*", "a/{x}/*"})
    EXPECT_NE(only_problem(feeding(pattern, "{ plugin = \"p\", subject = \"{x}\" }"))
                  .find("from can't feed a pattern with * or **"),
              std::string::npos);
}

TEST(ChannelTest, UnknownPluginsGetAHintOrTheList) {
  EXPECT_EQ(only_problem(feeding("a", "{ plugin = \"q\" }")),
            "hub.toml:6:20: channel \"a\": from names plugin \"q\", which no [[plugin]] is; there is \"p\"");
  EXPECT_EQ(only_problem("[[channel]]\npattern = \"a\"\nfrom = [{ plugin = \"q\" }]\n"),
            "hub.toml:3:20: channel \"a\": from names plugin \"q\", which no [[plugin]] is; there are none, add one");
}

TEST(ChannelTest, SubscribeAndPublishAreFalseOrAnObject) {
  const Manifest m = good(kSmallest + "subscribe = false\npublish = {}\n");
  EXPECT_TRUE(m.channels[0].subscribe.nobody);
  EXPECT_FALSE(m.channels[0].publish.nobody);
  EXPECT_EQ(m.channels[0].publish.scope, "");
  EXPECT_EQ(only_problem(kSmallest + "subscribe = true"),
            "hub.toml:5:13: channel \"**\": subscribe is true; expected false or an object");
  EXPECT_EQ(only_problem(kSmallest + "subscribe = { where = \"x\" }"),
            "hub.toml:5:23: channel \"**\": subscribe.where: expected an object, got a string \"x\"");
  EXPECT_NE(only_problem(kSmallest + "publish = { where = {} }").find("publish: unknown key \"where\""),
            std::string::npos);
}

TEST(ChannelTest, OneThatCanNeverMatchIsWarnedAbout) {
  const auto warnings = [](std::initializer_list<const char*> patterns) {
    std::string text = "[[endpoint]]\npath = \"/ws\"\n";
    for (const char* pattern : patterns) text += "[[channel]]\npattern = \"" + std::string(pattern) + "\"\n";
    const auto result = toml(text);
    EXPECT_TRUE(result.manifest) << joined(result.problems);
    return joined(result.warnings);
  };
  EXPECT_EQ(warnings({"**", "a"}),
            "hub.toml:5:1: channel \"a\" can never match: \"**\" in line 3 comes first and matches all its names; put "
            "this one before it\n");
  EXPECT_NE(warnings({"a/{x}", "a/b"}), "");
  EXPECT_NE(warnings({"a/*", "a/{x}"}), "");
  EXPECT_NE(warnings({"a", "b", "a"}), "");
  EXPECT_EQ(warnings({"a", "**"}), "");
  EXPECT_EQ(warnings({"a/{x}", "a/{x}/b", "b/**"}), "");
}

TEST(ManifestTest, WhatIsUselessIsWarnedAbout) {
  const auto result = toml("");
  EXPECT_TRUE(result.manifest);
  EXPECT_EQ(result.warnings.size(), 2U) << joined(result.warnings);
}

TEST(LimitsTest, EveryLimitTakesItsBoundsAndNoMore) {
  for (const LimitInfo& limit : all_limits()) {
    const auto with = [&](std::int64_t value) {
      return toml(kSmallest + "[limits]\n" + std::string(limit.name) + " = " + std::to_string(value));
    };
    EXPECT_EQ(good(with(limit.lowest)).limits.*limit.member, limit.lowest) << limit.name;
    EXPECT_EQ(good(with(limit.highest)).limits.*limit.member, limit.highest) << limit.name;
    EXPECT_NE(only_problem(with(limit.lowest - 1)).find("limits." + std::string(limit.name) + " is "),
              std::string::npos);
    EXPECT_NE(only_problem(with(limit.highest + 1)).find("; expected "), std::string::npos);
  }
}

TEST(ApiTest, AuthIsWhatEndpointsNameUnlessSaidOtherwise) {
  EXPECT_EQ(good(kWithAuth).api_auth, std::vector<std::string>{"keys"});
  EXPECT_TRUE(good(kWithAuth + "[api]\nauth = []\n").api_auth.empty());
  const Manifest m = good(kWithAuth + "[api]\nadmin_scope = \"ops\"\n");
  EXPECT_EQ(m.api_auth, std::vector<std::string>{"keys"});
  EXPECT_EQ(m.admin_scope, "ops");
  EXPECT_NE(only_problem(kWithAuth + "[api]\nauth = [\"kyes\"]\n")
                .find("api: auth names plugin \"kyes\", which no [[plugin]] is; did you mean \"keys\"?"),
            std::string::npos);
}

}  // namespace
}  // namespace weir
