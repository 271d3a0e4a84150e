// NATS, core subjects and JetStream.
#include <nats/nats.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "bench/sources/upstream.hpp"
#include "support/nats_server.hpp"

namespace weir::bench {
namespace {

constexpr int kAtOnce = 500;

void check(natsStatus status, const char* what) {
  if (status != NATS_OK) throw std::runtime_error(std::string(what) + ": " + natsStatus_GetText(status));
}

struct Closer {
  void operator()(natsConnection* p) const { natsConnection_Destroy(p); }
  void operator()(natsSubscription* p) const { natsSubscription_Destroy(p); }
  void operator()(jsCtx* p) const { jsCtx_Destroy(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Closer>;

Owned<natsConnection> connect(const std::string& url) {
  natsConnection* raw = nullptr;
  check(natsConnection_ConnectTo(&raw, url.c_str()), "connecting to NATS");
  return Owned<natsConnection>(raw);
}

std::string_view text_of(natsMsg* message) {
  return {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))};
}

class Core : public Upstream {
 public:
  explicit Core(const std::string& folder) : server_(folder), connection_(connect(server_.url())) {}
  std::string library() const override { return "nats"; }
  std::string config() const override { return "{ url = \"" + server_.url() + "\", subjects = [\"hub\"] }"; }
  std::string address() const override { return server_.url(); }
  void publish(Lane lane, const std::vector<std::string>& events) override {
    for (const auto& event : events)
      check(natsConnection_Publish(connection_.get(), name_of(lane).c_str(), event.data(),
                                   static_cast<int>(event.size())),
            "publishing");
    settle();  // or cnats would keep it for a millisecond, in case that more comes
  }
  void settle() override { check(natsConnection_FlushTimeout(connection_.get(), 10'000), "flushing"); }

 protected:
  test::NatsServer server_;
  Owned<natsConnection> connection_;
};

class Stream final : public Core {
 public:
  explicit Stream(const std::string& folder) : Core(folder) {
    test::NatsClient client(server_.url());
    client.add_stream("hub", "hub");
    client.add_stream("bare", "bare");
    jsOptions options;
    check(jsOptions_Init(&options), "JetStream");
    options.PublishAsync.ErrHandlerClosure = &failed_;
    options.PublishAsync.ErrHandler = [](jsCtx*, jsPubAckErr*, void* failed) {
      ++*static_cast<std::atomic<std::uint64_t>*>(failed);
    };
    jsCtx* raw = nullptr;
    check(natsConnection_JetStream(&raw, connection_.get(), &options), "JetStream");
    js_.reset(raw);
  }
  std::string config() const override {
    return "{ url = \"" + server_.url() + "\", stream = { name = \"hub\", durable = \"hub\" } }";
  }
  void publish(Lane lane, const std::vector<std::string>& events) override {
    for (const auto& event : events) {
      natsStatus status = NATS_TIMEOUT;  // too many are not stored yet
      while (status == NATS_TIMEOUT)
        status =
            js_PublishAsync(js_.get(), name_of(lane).c_str(), event.data(), static_cast<int>(event.size()), nullptr);
      check(status, "publishing");
    }
    Core::settle();
  }
  void settle() override {
    jsPubOptions options;
    check(jsPubOptions_Init(&options), "JetStream");
    options.MaxWait = 60'000;
    check(js_PublishAsyncComplete(js_.get(), &options), "storing");
    if (failed_ != 0) throw std::runtime_error(std::to_string(failed_) + " messages were not stored");
  }

 private:
  std::atomic<std::uint64_t> failed_ = 0;
  Owned<jsCtx> js_;
};

}  // namespace

std::unique_ptr<Upstream> nats_core(const std::string& folder) { return std::make_unique<Core>(folder); }
std::unique_ptr<Upstream> nats_stream(const std::string& folder) { return std::make_unique<Stream>(folder); }

void consume_nats_core(const std::string& address, const Ready& ready, const Take& take) {
  struct Closure {
    const Take& take;
    std::atomic<bool> over = false;
  } closure{take};
  const auto connection = connect(address);
  natsSubscription* raw = nullptr;
  check(natsConnection_Subscribe(
            &raw, connection.get(), "bare",
            [](natsConnection*, natsSubscription*, natsMsg* message, void* to) {
              auto& c = *static_cast<Closure*>(to);
              if (!c.over && !c.take(text_of(message))) c.over = true;
              natsMsg_Destroy(message);
            },
            &closure),
        "subscribing");
  const Owned<natsSubscription> subscription(raw);
  check(natsConnection_Flush(connection.get()), "subscribing");
  ready();
  while (!closure.over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void consume_nats_stream(const std::string& address, const Ready& ready, const Take& take) {
  const auto connection = connect(address);
  jsCtx* raw_js = nullptr;
  check(natsConnection_JetStream(&raw_js, connection.get(), nullptr), "JetStream");
  const Owned<jsCtx> js(raw_js);
  natsSubscription* raw = nullptr;
  check(js_PullSubscribe(&raw, js.get(), "bare", "bare", nullptr, nullptr, nullptr), "subscribing");
  const Owned<natsSubscription> subscription(raw);
  ready();
  for (bool more = true; more;) {
    natsMsgList list{};
    const natsStatus status = natsSubscription_Fetch(&list, raw, kAtOnce, 100, nullptr);
    if (status != NATS_OK && status != NATS_TIMEOUT) check(status, "fetching");
    for (int i = 0; i < list.Count; ++i) {
      more = take(text_of(list.Msgs[i])) && more;
      check(natsMsg_Ack(list.Msgs[i], nullptr), "acknowledging");
    }
    natsMsgList_Destroy(&list);
  }
  check(natsConnection_FlushTimeout(connection.get(), 5'000), "acknowledging");
}

}  // namespace weir::bench
