#include <gtest/gtest.h>

#include <thread>

#include "hub_rig.hpp"

namespace weir::test {
namespace {

struct Answers {
  std::mutex mutex;
  std::vector<Result<AuthIdentity>> results;
  std::vector<bool> no_credential;
  Fact<int> count;  // set behind the others
  AuthInstance::Answered take() {
    return [this](Result<AuthIdentity> identity, bool none) {
      const std::lock_guard lock(mutex);
      results.push_back(std::move(identity));
      no_credential.push_back(none);
      count.add(1);
    };
  }
};

struct AuthBorderTest : testing::Test {
  std::shared_ptr<AuthInstance> make(const std::string& mode, const std::string& plugin = "misbehaving",
                                     const char* key = "mode") {
    auto made = AuthInstance::create(
        "who", *Library::load(plugin_path(plugin)), std::string("{\"") + key + "\":\"" + mode + "\"}",
        [this](const std::string& provider, std::string_view name, std::string_view reason) {
          revoked = provider + "|" + std::string(name) + "|" + std::string(reason);
        });
    EXPECT_TRUE(made);
    (*made)->start();
    return *made;
  }
  // Asks once and waits for the one answer.
  const Result<AuthIdentity>& ask(AuthInstance& auth, std::uint32_t deadline_ms = 10'000) {
    auth.authenticate("{}", deadline_ms, answers.take());
    EXPECT_TRUE(answers.count.wait_for(1));
    return answers.results.at(0);
  }
  Answers answers;
  std::string revoked;
};

TEST_F(AuthBorderTest, AnIdentityArrivesComplete) {
  const auto auth = make("");
  const auto& identity = ask(*auth);
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->subject, "ann");
  EXPECT_EQ(identity->key, "ann");
  EXPECT_EQ(identity->scopes, std::vector<std::string>{"a:b"});
  EXPECT_EQ(identity->attributes, R"({"x":[1]})");
  EXPECT_EQ(identity->connections_max, 3);
  EXPECT_EQ(identity->provider, "who");
}

TEST_F(AuthBorderTest, EachRefusalHasItsCode) {
  const auto code = [&](const std::string& mode) {
    answers.results.clear(), answers.no_credential.clear(), answers.count.set(0);
    const auto auth = make(mode);
    const auto& result = ask(*auth);
    return result ? std::string("let in")
                  : std::string(to_word(result.error().code)) + (answers.no_credential[0] ? " next" : "");
  };
  EXPECT_EQ(code("auth: unauthorized"), "unauthorized");
  EXPECT_EQ(code("auth: no credential"), "unauthorized next");
  EXPECT_EQ(code("auth: forbidden"), "forbidden");
  EXPECT_EQ(code("auth: garbage status"), "internal");
  EXPECT_EQ(code("auth: ok without identity"), "internal");
  EXPECT_EQ(code("auth: done with garbage"), "internal");
  EXPECT_EQ(code("auth: identity is no JSON"), "internal");
  EXPECT_EQ(code("auth: identity without subject"), "internal");
}

TEST_F(AuthBorderTest, TheProvidersMessageReachesTheClient) {
  const auto auth = make("auth: forbidden");
  EXPECT_EQ(ask(*auth).error().message, "not here");
}

TEST_F(AuthBorderTest, DoneTwiceCountsOnce) {
  const auto auth = make("auth: twice");
  EXPECT_TRUE(ask(*auth));
  EXPECT_TRUE(settled(*auth));
  EXPECT_EQ(auth->counters().late_done, 1u);
  EXPECT_EQ(answers.count.get(), 1);
}

TEST_F(AuthBorderTest, UnknownTokensDoNothing) {
  const auto auth = make("auth: unknown tokens");
  EXPECT_TRUE(ask(*auth));
  EXPECT_EQ(auth->counters().late_done, 4u);
  EXPECT_EQ(answers.count.get(), 1);
}

TEST_F(AuthBorderTest, DoneAndAStatusBesidesIsOneAnswer) {
  const auto auth = make("auth: done and status");
  EXPECT_TRUE(ask(*auth));
  EXPECT_TRUE(auth->stop());
  EXPECT_EQ(answers.count.get(), 1);
}

TEST_F(AuthBorderTest, WithoutAnAnswerTheDeadlineRefuses) {
  const auto auth = make("auth: never");
  const auto& result = ask(*auth, 20);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::timeout);
}

TEST_F(AuthBorderTest, TheDeadlineHoldsEvenWhenTheStrandIsBlocked) {
  auto auth = make("auth: blocks");
  EXPECT_EQ(ask(*auth, 20).error().code, Errc::timeout);
  EXPECT_FALSE(auth->stop(100));
}

TEST_F(AuthBorderTest, AnAnswerAfterTheDeadlineIsOnlyCounted) {
  const auto auth = make("auth: late");
  EXPECT_EQ(ask(*auth, 20).error().code, Errc::timeout);
  auth->authenticate("{}", 10'000, answers.take());
  ASSERT_TRUE(answers.count.wait_for(2));
  EXPECT_TRUE(answers.results[1]);
  EXPECT_EQ(auth->counters().late_done, 1u);
}

TEST_F(AuthBorderTest, StopAnswersThoseWhoStillWait) {
  const auto auth = make("auth: never");
  for (int i = 0; i < 100; ++i) auth->authenticate("{}", 60'000, answers.take());
  EXPECT_TRUE(auth->stop());
  ASSERT_EQ(answers.count.get(), 100);
  for (const auto& result : answers.results) EXPECT_EQ(result.error().code, Errc::unavailable);
}

TEST_F(AuthBorderTest, AfterStopTheAnswerIsUnavailable) {
  const auto auth = make("");
  EXPECT_TRUE(auth->stop());
  EXPECT_EQ(ask(*auth).error().code, Errc::unavailable);
}

TEST_F(AuthBorderTest, AProviderThatCouldNotStartIsAskedNothing) {
  const auto auth = make("start: fails");
  ASSERT_TRUE(settled(*auth));
  EXPECT_EQ(auth->status().state, InstanceState::failed);
  EXPECT_EQ(ask(*auth).error().code, Errc::unavailable);
}

// Symptom: in the middle of a reload a provider was asked that had not read its keys yet, and told clients for good
// that theirs were not valid.
TEST_F(AuthBorderTest, AProviderThatHasNotStartedIsAskedNothing) {
  auto made = AuthInstance::create("who", *Library::load(plugin_path("misbehaving")), R"({"mode":""})", {});
  ASSERT_TRUE(made);
  EXPECT_EQ(ask(**made, 10'000).error().code, Errc::unavailable);
  EXPECT_TRUE((*made)->idle());
}

TEST_F(AuthBorderTest, ManyAtOnceFromManyThreadsAreEachAnsweredOnce) {
  const auto auth = make("");
  Fact<int> answered;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 250; ++i)
        auth->authenticate("{}", 60'000, [&](Result<AuthIdentity> identity, bool) { answered.add(identity ? 1 : 0); });
    });
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(answered.wait_for(1000));
  EXPECT_TRUE(auth->stop());
  EXPECT_EQ(answered.get(), 1000);
  EXPECT_EQ(auth->counters().late_done, 0u);
}

TEST_F(AuthBorderTest, RevocationReachesTheHubWithTheProvidersName) {
  const auto auth = make("auth: revokes");
  EXPECT_TRUE(ask(*auth));
  EXPECT_EQ(revoked, "who|ann|gone");
}

TEST_F(AuthBorderTest, AnExceptionInAuthenticateIsAnInternalError) {
  const auto auth = make("authenticate", "throwing", "where");
  EXPECT_EQ(ask(*auth).error().code, Errc::internal);
}

TEST_F(AuthBorderTest, AnAnswerThatIsDroppedIsAnInternalError) {
  const auto auth = make("drop", "throwing", "where");
  EXPECT_EQ(ask(*auth).error().code, Errc::internal);
}

TEST_F(AuthBorderTest, ASecondAnswerOfAHandleDoesNothing) {
  const auto auth = make("", "throwing", "where");
  EXPECT_EQ(ask(*auth)->subject, "ann");
  EXPECT_EQ(auth->counters().late_done, 0u);
}

TEST(IdentityTest, EveryFieldIsChecked) {
  const auto wrong = [](std::string_view json) { return !parse_identity(json, "p"); };
  EXPECT_FALSE(wrong(R"({"subject":"a"})"));
  EXPECT_FALSE(wrong(R"({"subject":"a","scopes":null,"attributes":null,"key":null,"expires_at":null})"));
  EXPECT_TRUE(wrong("null"));
  EXPECT_TRUE(wrong(R"({"subject":""})"));
  EXPECT_TRUE(wrong(R"({"subject":")" + std::string(256, 'a') + "\"}"));
  EXPECT_TRUE(wrong(R"({"subject":"a","scopes":"b"})"));
  EXPECT_TRUE(wrong(R"({"subject":"a","scopes":[1]})"));
  EXPECT_TRUE(wrong(R"({"subject":"a","attributes":[]})"));
  EXPECT_TRUE(wrong(R"({"subject":"a","expires_at":-1})"));
  EXPECT_TRUE(wrong(R"({"subject":"a","expires_at":1.5})"));
  EXPECT_TRUE(wrong(R"({"subject":"a","connections_max":"3"})"));
  EXPECT_EQ(parse_identity(R"({"subject":"a","key":"k"})", "p")->key, "k");
}

}  // namespace
}  // namespace weir::test
