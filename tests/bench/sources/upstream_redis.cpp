// Redis, channels and streams.
#include <hiredis/hiredis.h>

#include <cstdlib>

#include "bench/sources/upstream.hpp"
#include "support/redis_server.hpp"

namespace weir::bench {
namespace {

struct Closer {
  void operator()(redisContext* p) const { redisFree(p); }
  void operator()(redisReply* p) const { freeReplyObject(p); }
};
using Context = std::unique_ptr<redisContext, Closer>;
using Reply = std::unique_ptr<redisReply, Closer>;

Context connect(int port) {
  Context context(redisConnect("127.0.0.1", port));
  if (context == nullptr || context->err != 0) throw std::runtime_error("no connection to Redis");
  return context;
}

void append(redisContext& context, const std::vector<std::string_view>& words) {
  std::vector<const char*> starts;
  std::vector<std::size_t> sizes;
  for (const auto& word : words) starts.push_back(word.data()), sizes.push_back(word.size());
  redisAppendCommandArgv(&context, static_cast<int>(words.size()), starts.data(), sizes.data());
}

Reply reply(redisContext& context) {
  void* raw = nullptr;
  if (redisGetReply(&context, &raw) != REDIS_OK) throw std::runtime_error(std::string("Redis: ") + context.errstr);
  Reply out(static_cast<redisReply*>(raw));
  if (out->type == REDIS_REPLY_ERROR) throw std::runtime_error(std::string("Redis: ") + out->str);
  return out;
}

std::string_view text_of(const redisReply& r) { return {r.str, static_cast<std::size_t>(r.len)}; }

class Redis final : public Upstream {
 public:
  Redis(const std::string& folder, bool stream) : stream_(stream), server_(folder), context_(connect(server_.port())) {}
  std::string library() const override { return "redis"; }
  std::string config() const override {
    return "{ url = \"" + server_.url() + "\", " +
           (stream_ ? R"(stream = { keys = ["hub"], group = "hub", consumer = "hub", field = "data" })"
                    : R"(channels = ["hub"])") +
           " }";
  }
  std::string address() const override { return std::to_string(server_.port()); }
  void publish(Lane lane, const std::vector<std::string>& events) override {
    const std::string to = name_of(lane);
    for (const auto& event : events)
      append(*context_, stream_ ? std::vector<std::string_view>{"XADD", to, "*", "data", event}
                                : std::vector<std::string_view>{"PUBLISH", to, event});
    for (std::size_t i = 0; i < events.size(); ++i) (void)reply(*context_);
  }

 private:
  const bool stream_;
  test::RedisServer server_;
  Context context_;
};

}  // namespace

std::unique_ptr<Upstream> redis_channel(const std::string& folder) { return std::make_unique<Redis>(folder, false); }
std::unique_ptr<Upstream> redis_stream(const std::string& folder) { return std::make_unique<Redis>(folder, true); }

void consume_redis_channel(const std::string& address, const Ready& ready, const Take& take) {
  const Context context = connect(std::atoi(address.c_str()));
  append(*context, {"SUBSCRIBE", "bare"});
  (void)reply(*context);
  ready();
  while (take(text_of(*reply(*context)->element[2]))) {
  }
}

void consume_redis_stream(const std::string& address, const Ready& ready, const Take& take) {
  const Context context = connect(std::atoi(address.c_str()));
  append(*context, {"EXISTS", "bare"});
  if (reply(*context)->integer == 0 || [&] {
        append(*context, {"XINFO", "GROUPS", "bare"});
        return reply(*context)->elements == 0;
      }()) {
    append(*context, {"XGROUP", "CREATE", "bare", "bare", "0", "MKSTREAM"});
    (void)reply(*context);
  }
  ready();
  for (bool more = true; more;) {
    append(*context, {"XREADGROUP", "GROUP", "bare", "bare", "COUNT", "500", "BLOCK", "1000", "STREAMS", "bare", ">"});
    const Reply got = reply(*context);
    if (got->type != REDIS_REPLY_ARRAY) continue;
    const redisReply& entries = *got->element[0]->element[1];
    std::vector<std::string_view> acknowledge = {"XACK", "bare", "bare"};
    for (std::size_t i = 0; i < entries.elements; ++i) {
      more = take(text_of(*entries.element[i]->element[1]->element[1])) && more;
      acknowledge.push_back(text_of(*entries.element[i]->element[0]));
    }
    append(*context, acknowledge);
    (void)reply(*context);
  }
}

}  // namespace weir::bench
