#include "functions.hpp"

#include <algorithm>
#include <utility>

#include "listener.hpp"

namespace weir::postgres {
namespace {

constexpr std::size_t kNameBytes = 63;  // the server cuts longer names, and would find another function
constexpr std::string_view kNotThere = "the database is not there right now; the request was not carried out";
constexpr std::string_view kNoTime = "the database had no time for it; the request was not carried out";

std::size_t bytes_of(const Call& call) {
  return sizeof call + call.function.size() + call.params.size() + call.identity.size();
}

}  // namespace

Functions::Functions(const sdk::Host& host, const Address& address, const FunctionsConfig& config, std::int64_t ping_ms,
                     TellState tell)
    : host_(host), config_(config), tell_(std::move(tell)) {
  for (std::int64_t i = 0; i < config.pool; ++i)
    sessions_.push_back(
        std::make_unique<Session>(host, address, config.schema, ping_ms,
                                  Session::Told{[this] { serve(); }, [this](const std::string& why) { away(why); }}));
}

void Functions::open() {
  show();
  for (const auto& session : sessions_) session->open();
}

std::size_t Functions::connections() const {
  return static_cast<std::size_t>(
      std::count_if(sessions_.begin(), sessions_.end(), [](const auto& session) { return session->ready(); }));
}

void Functions::show() {
  const std::size_t ready = connections();
  if (ready == sessions_.size()) why_.clear();
  if (why_.empty())
    return tell_(ready == 0 ? sdk::State::starting : sdk::State::running, ready == 0 ? "connecting" : "");
  if (ready == 0) return tell_(sdk::State::retrying, why_);
  tell_(sdk::State::degraded,
        std::to_string(ready) + " of " + std::to_string(sessions_.size()) + " connections for functions: " + why_);
}

void Functions::request(const sdk::Request& request, sdk::Reply reply) {
  const std::string_view name = request.subject.empty() ? request.method : request.subject;
  if (name.size() > kNameBytes || name.find('\0') != std::string_view::npos)
    return reply.error(WEIR_E_NOT_FOUND, "no_such_method", "no function of the database can have this method's name");
  if (connections() == 0 && !why_.empty()) return reply.unavailable(kNotThere);
  Call call{quoted_name(config_.schema) + "." + quoted_name(name), std::string(request.params_json),
            std::string(request.identity_json), host_.steady_ms() + request.deadline_ms, std::move(reply)};
  const std::size_t bytes = bytes_of(call);
  if (waiting_.empty())
    for (const auto& session : sessions_)
      if (session->free()) return session->carry_out(std::move(call));
  if (waiting_.size() >= kWaitingMost || waiting_bytes_ + bytes > kWaitingBytes)
    return call.reply.unavailable("too many requests wait for the database; this one was not carried out");
  waiting_bytes_ += bytes;
  waiting_.push_back(std::move(call));
}

void Functions::serve() {
  for (const auto& session : sessions_)
    while (!waiting_.empty() && session->free()) {
      Call call = std::move(waiting_.front());
      waiting_bytes_ -= bytes_of(call);
      waiting_.pop_front();
      session->carry_out(std::move(call));
    }
  show();
}

void Functions::away(const std::string& why) {
  why_ = why;
  show();
  if (connections() == 0) drop_waiting([](Call& call) { call.reply.unavailable(kNotThere); });
}

// Who has a reply after `look` leaves the queue.
void Functions::drop_waiting(const std::function<void(Call&)>& look) {
  for (Call& call : waiting_) {
    look(call);
    if (call.reply.given()) waiting_bytes_ -= bytes_of(call);
  }
  std::erase_if(waiting_, [](const Call& call) { return call.reply.given(); });
}

void Functions::cancel(std::uint64_t token) {
  for (const auto& session : sessions_)
    if (session->cancel(token)) return;
  drop_waiting([token](Call& call) {
    if (call.reply.token() == token) call.reply.timeout(kNoTime);
  });
}

void Functions::tick() {
  for (const auto& session : sessions_) session->tick();
  const std::int64_t now = host_.steady_ms();
  drop_waiting([now](Call& call) {
    if (call.until_ms <= now) call.reply.timeout(kNoTime);
  });
}

void Functions::stop() {
  drop_waiting(
      [](Call& call) { call.reply.unavailable("the hub lets go of the database; the request was not carried out"); });
  for (const auto& session : sessions_) session->stop();
}

}  // namespace weir::postgres
