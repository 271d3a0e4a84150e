#include "requests.hpp"

#include <nats/nats.h>

#include <charconv>
#include <vector>

#include "message.hpp"
#include "subject.hpp"
#include "weir/sdk/text.hpp"

namespace weir::nats {

Requests::Requests(const sdk::Host& host, Link& link)
    : host_(host), link_(link), answers_(std::make_shared<Inbox>(2 * kMost, 4 * kBytesMost, [this, host] {
        (void)host.post([this] { answers(); });
      })) {}

void Requests::listen() {
  if (!inbox_.empty()) return;
  inbox_ = new_inbox();
  (void)link_.subscribe(inbox_ + ".*", "", answers_);
}

void Requests::request(const sdk::Request& request, sdk::Reply reply) {
  const std::string subject(request.subject.empty() ? request.method : request.subject);
  if (const std::string wrong = unpublishable(subject); !wrong.empty())
    return reply.error(WEIR_E_INVALID, "\"" + subject + "\" is no subject that NATS could answer on: " + wrong);
  if (!link_.connected()) return reply.unavailable("there is no connection to NATS");
  if (waiting_.size() >= kMost || (!waiting_.empty() && bytes_ + request.params_json.size() > kBytesMost))
    return reply.unavailable("too many requests wait for an answer from NATS");
  listen();
  const std::uint64_t token = reply.token();
  MessageWriter writer(subject, inbox_ + "." + std::to_string(token), request.params_json);
  writer.header("Weir-Method", request.method);
  writer.header("Weir-Identity", request.identity_json);
  if (writer.wire_bytes() > link_.max_payload())
    return reply.error(WEIR_E_INVALID, "the request makes a message of " + std::to_string(writer.wire_bytes()) +
                                           " bytes; the NATS server takes " + std::to_string(link_.max_payload()) +
                                           " at most");
  const std::int64_t until = host_.steady_ms() + request.deadline_ms;
  bytes_ += request.params_json.size();
  deadlines_.emplace(until, token);
  waiting_.insert_or_assign(token, Waiting{std::move(reply), subject, until, request.params_json.size()});
  ++asked_;
  (void)link_.write([this, host = host_, token, message = writer.take()](natsConnection* connection) {
    std::string why;
    if (send(connection, message.get(), why) || why.empty()) return;  // away() tells of a connection that is over
    (void)host.post([this, token, why] {
      if (const auto found = waiting_.find(token); found != waiting_.end())
        forget(found).reply.error(WEIR_E_INTERNAL, "the request can't be sent: " + why);
    });
  });
  if (!timer_.running()) timer_.start(host_, 50, 50, [this] { too_late(); });
}

Requests::Waiting Requests::forget(Found which) {
  Waiting was = std::move(which->second);
  deadlines_.erase({was.until_ms, which->first});
  bytes_ -= was.bytes;
  waiting_.erase(which);
  if (waiting_.empty()) timer_.cancel();
  return was;
}

void Requests::cancel(std::uint64_t token) {
  const auto found = waiting_.find(token);
  if (found != waiting_.end()) (void)forget(found);
}

bool Requests::refused(std::string_view subject) {
  std::vector<std::uint64_t> tokens;
  for (const auto& [token, waiting] : waiting_)
    if (waiting.subject == subject) tokens.push_back(token);
  for (const std::uint64_t token : tokens)
    forget(waiting_.find(token))
        .reply.error(WEIR_E_FORBIDDEN, "the NATS server does not let the hub publish to " + std::string(subject));
  return !tokens.empty();
}

void Requests::away(const std::string& why) {
  while (!waiting_.empty()) forget(waiting_.begin()).reply.unavailable(why);
}

// The hub tells its client at the same moment; this is for who does not.
void Requests::too_late() {
  if (answers_->unheard()) answers();
  const std::int64_t now = host_.steady_ms();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Waiting was = forget(waiting_.find(deadlines_.begin()->second));
    was.reply.timeout("no answer on " + was.subject);
  }
}

void Requests::answers() {
  constexpr std::size_t kAtOnce = 256, kBytesAtOnce = 256 * 1024;  // more of it is posted: others have their turn, too
  std::vector<Inbox::Came> came;
  const bool more = answers_->take(came, kAtOnce, kBytesAtOnce);
  for (const auto& [message, subscription, bytes] : came) {
    const std::string_view subject = natsMsg_GetSubject(message);
    const auto text = subject.substr(subject.rfind('.') + 1);
    std::uint64_t token = 0;
    (void)std::from_chars(text.data(), text.data() + text.size(), token);
    if (const auto found = waiting_.find(token); found != waiting_.end()) {
      Waiting was = forget(found);
      answer(was, message);
    }
    natsMsg_Destroy(message);
  }
  if (more) (void)host_.post([this] { answers(); });
}

// An error of a service is told in headers (ADR-32 of NATS).
void Requests::answer(Waiting& waiting, natsMsg* message) {
  if (status_of(message) == "503") return waiting.reply.unavailable("nobody answers on " + waiting.subject);
  const std::string_view code = header(message, "Nats-Service-Error-Code");
  const std::string_view error = header(message, "Nats-Service-Error");
  if (code.empty() && error.empty()) {
    const std::string json = as_json(data_of(message));
    if (json.size() <= WEIR_ANSWER_BYTES_MAX) return waiting.reply.result(json);
    return waiting.reply.error(WEIR_E_INTERNAL, "the answer from " + waiting.subject + " makes " +
                                                    std::to_string(json.size()) + " bytes of JSON; " +
                                                    std::to_string(WEIR_ANSWER_BYTES_MAX) + " are allowed");
  }
  const weir_status status = code == "400"                    ? WEIR_E_INVALID
                             : code == "401"                  ? WEIR_E_UNAUTHORIZED
                             : code == "403"                  ? WEIR_E_FORBIDDEN
                             : code == "404"                  ? WEIR_E_NOT_FOUND
                             : code == "408" || code == "504" ? WEIR_E_TIMEOUT
                             : code == "503"                  ? WEIR_E_UNAVAILABLE
                                                              : WEIR_E_INTERNAL;
  constexpr std::size_t kTextMost = 8'192;
  const std::string_view text = cut(error, kTextMost);
  waiting.reply.error(
      status, text.empty() || !sdk::is_utf8(text) ? "error " + std::string(cut(code, kTextMost)) : std::string(text));
}

}  // namespace weir::nats
