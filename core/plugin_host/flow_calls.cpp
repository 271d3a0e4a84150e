// What an instance is asked: requests, HTTP, activations. All go one way: a token, a call on the strand, an answer.
#include "base/json.hpp"
#include "plugin_host/border.hpp"
#include "plugin_host/flow_instance.hpp"
#include "plugin_host/pending.hpp"
#include "weir/abi/http.h"
#include "weir/abi/responder.h"
#include "weir/abi/source.h"

namespace weir {
namespace {

constexpr std::size_t kMessageMax = 1024;
constexpr std::size_t kAskedBytesMax = 64 * 1024 * 1024;
// Tokens of activations, which wait without a deadline in Demand; PendingCalls, whose tokens end with an index, has
// none that big.
constexpr std::uint64_t kActivation = 0xFFFF'FFFF;
constexpr std::size_t kHeadersMax = 64, kHeaderBytesMax = 8192;  // of an HTTP answer; all have to fit a proxy

weir_str str(const std::string& text) { return {text.data(), text.size()}; }

Errc code_of(weir_status status) {
  switch (status) {
    case WEIR_E_INVALID:
      return Errc::bad_request;
    case WEIR_E_FULL:
    case WEIR_E_CLOSED:
    case WEIR_E_UNAVAILABLE:
      return Errc::unavailable;
    case WEIR_E_TIMEOUT:
      return Errc::timeout;
    case WEIR_E_NO_CREDENTIAL:
    case WEIR_E_UNAUTHORIZED:
      return Errc::unauthorized;
    case WEIR_E_FORBIDDEN:
      return Errc::forbidden;
    case WEIR_E_NOT_FOUND:
      return Errc::not_found;
    default:
      return Errc::internal;
  }
}

// A name or a value that can't break out of its line.
bool is_header_text(std::string_view text, bool name) {
  if (name && text.empty()) return false;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7F ||
        (name && (u >= 0x80 || std::string_view("()<>@,;:\\\"/[]?={} ").find(c) != std::string_view::npos)))
      return false;
  }
  return true;
}

// The hub's own business, or what would end the connection's framing.
bool is_hubs_header(std::string_view name) {
  for (const std::string_view own : {"content-length", "transfer-encoding", "connection", "upgrade", "date", "server"})
    if (name == own) return true;
  return false;
}

}  // namespace

Error FlowInstance::error_of(weir_status status, std::string_view text) const {
  Error error = fail(code_of(status), "");
  if (status == WEIR_E_FULL) error.retry_after_ms = 1'000;
  json::Doc doc;
  if (!text.empty() && doc.parse(text)) {
    if (const auto message = doc.root().find("message"); message.is(json::Kind::string)) {
      error.message = message.string();
      if (error.message.size() > kMessageMax) error.message.clear();
    }
    if (const auto code = doc.root().find("code"); code.is(json::Kind::string))
      if (const auto known = from_word(code.string())) error.code = *known;
  }
  if (error.message.empty())
    error.message = "plugin \"" + name_ + "\" " +
                    (error.code == Errc::unavailable ? "can't answer right now"
                     : error.code == Errc::timeout   ? "did not answer in time"
                                                     : "failed");
  return error;
}

void FlowInstance::ask(const char* what, std::uint32_t deadline_ms, std::size_t bytes, Cancel cancel,
                       std::function<weir_status(std::uint64_t)> call, End end) {
  if (status().state == InstanceState::failed || !pending_)
    return end(fail(Errc::unavailable, "plugin \"" + name_ + "\" is not working"));
  // What waits for a plugin that hangs is bounded in bytes; they count as long as the call stands in its queue.
  if (asked_bytes_->fetch_add(bytes) > kAskedBytesMax) {
    asked_bytes_->fetch_sub(bytes);
    return end(fail(Errc::unavailable, "too many wait for plugin \"" + name_ + "\""));
  }
  const std::shared_ptr<void> counted(nullptr, [all = asked_bytes_, bytes](void*) { all->fetch_sub(bytes); });
  auto shared = std::make_shared<End>(std::move(end));
  const std::uint64_t token = pending_->add(
      deadline_ms,
      [this, shared, cancel](PendingCalls::How how, std::uint64_t its, weir_status status, std::string_view json) {
        if (how == PendingCalls::How::deadline) {
          if (cancel != nullptr)
            border_->strand().post("cancel()", [this, cancel, its] {
              if (started()) cancel(instance_, its);
            });
          return (*shared)(fail(Errc::timeout, "plugin \"" + name_ + "\" did not answer in time"));
        }
        if (how == PendingCalls::How::closed)
          return (*shared)(fail(Errc::unavailable, "plugin \"" + name_ + "\" is stopped"));
        if (status == WEIR_OK) return (*shared)(json);
        (*shared)(error_of(status, json));
      });
  if (token == 0)
    return (*shared)(fail(Errc::unavailable, "plugin \"" + name_ + "\" is stopped, or too many wait for it"));
  const auto posted = border_->strand().post(what, [this, what, token, counted, call = std::move(call)] {
    if (!pending_->waiting(token)) return;  // its deadline passed while the strand was busy
    if (!started()) return void(pending_->answer(token, WEIR_E_UNAVAILABLE, {}));
    const weir_status status = call(token);
    if (status == WEIR_PENDING || !pending_->waiting(token)) return;
    if (status == WEIR_OK)
      border_->misbehaving(std::string(what) + " returned OK without an answer; done() and PENDING is the way");
    pending_->answer(token, status == WEIR_OK ? static_cast<weir_status>(WEIR_E_INTERNAL) : status, {});
  });
  if (posted != Strand::Posted::yes) pending_->answer(token, WEIR_E_UNAVAILABLE, {});
}

void FlowInstance::done(std::uint64_t token, weir_status status, std::string_view json) {
  // Late answers happen to the best (the deadline was faster), so they are counted and not complained about.
  if ((token & kActivation) == kActivation) return activated(static_cast<std::uint32_t>(token >> 32), status, json);
  if (pending_) return void(pending_->answer(token, status, json));
  border_->misbehaving("done() was called by an instance that is asked nothing");
}

bool FlowInstance::idle() const { return !pending_ || pending_->idle(); }

void FlowInstance::on_stopped() {
  if (pending_) pending_->close();
  if (deadlines_) deadlines_->close();
}

InstanceCounters FlowInstance::counters() const {
  InstanceCounters out = Instance::counters();
  out.late_done = demand_->late() + (pending_ ? pending_->late() : 0);
  out.sent = outlet_->counts().sent;
  out.undeliverable = outlet_->counts().undeliverable;
  out.requests = requests_;
  return out;
}

void FlowInstance::activate(const std::string& subject, std::uint32_t activation) {
  if (library_->info().on_demand == PluginInfo::OnDemand::no)
    return demand_->answered(activation, {});  // another one took its name
  if (!started() || status().state == InstanceState::failed)
    return demand_->answered(activation, fail(Errc::unavailable, "plugin \"" + name_ + "\" is not working"));
  const weir_status status =
      library_->source()->activate(instance_, str(subject), std::uint64_t{activation} << 32 | kActivation, kActivateMs);
  if (status != WEIR_PENDING) activated(activation, status, {});
}

void FlowInstance::activated(std::uint32_t activation, weir_status status, std::string_view json) {
  if (status == WEIR_OK) return demand_->answered(activation, {});
  Error error = error_of(status, json);
  // Who is told a clear no need not ask again; whatever else it is may be over then.
  if (error.code != Errc::not_found && error.code != Errc::forbidden && error.code != Errc::bad_request)
    error.code = Errc::unavailable;
  demand_->answered(activation, std::move(error));
}

std::uint64_t FlowInstance::after(std::uint32_t ms, std::function<void()> call) {
  auto shared = std::make_shared<std::function<void()>>(std::move(call));
  const std::uint64_t id =
      !deadlines_ ? 0
                  : deadlines_->add(ms, [shared](PendingCalls::How how, std::uint64_t, std::int32_t, std::string_view) {
                      if (how == PendingCalls::How::deadline) (*shared)();
                    });
  if (id == 0) (*shared)();
  return id;
}

void FlowInstance::forget(std::uint64_t after) {
  if (deadlines_ && after != 0) deadlines_->answer(after, 0, {});
}

void FlowInstance::request(std::shared_ptr<const MethodCall> call, std::uint32_t deadline_ms,
                           std::function<void(Result<std::string>)> answered) {
  ++requests_;
  if (library_->responder() == nullptr)
    return answered(fail(Errc::unavailable, "plugin \"" + name_ + "\" is no responder"));
  const std::size_t bytes = call->params_json.size() + call->identity_json.size() + 512;
  ask(
      "request()", deadline_ms, bytes, library_->responder()->cancel,
      [this, call = std::move(call), deadline_ms](std::uint64_t token) {
        const weir_request raw = {sizeof(weir_request),   0,
                                  str(call->method),      str(call->subject),
                                  str(call->params_json), str(call->identity_json)};
        return library_->responder()->request(instance_, &raw, token, deadline_ms);
      },
      [this, answered = std::move(answered)](Result<std::string_view> how) {
        if (!how) return answered(how.error());
        json::Doc doc;
        if (const auto good = doc.parse(*how); !good) {
          border_->misbehaving("it answered a request with what is no JSON: " + good.error().message);
          return answered(fail(Errc::internal, "plugin \"" + name_ + "\" gave an answer that is no JSON"));
        }
        answered(std::string(*how));
      });
}

void FlowInstance::handle(std::shared_ptr<const HttpCall> call, std::uint32_t deadline_ms,
                          std::function<void(Result<HttpAnswer>)> answered) {
  ++requests_;
  if (library_->http() == nullptr) return answered(fail(Errc::unavailable, "plugin \"" + name_ + "\" answers no HTTP"));
  const std::size_t bytes = call->body.size() + call->headers_json.size() + call->query_json.size() + 512;
  ask(
      "handle()", deadline_ms, bytes, library_->http()->cancel,
      [this, call = std::move(call), deadline_ms](std::uint64_t token) {
        const weir_http_request raw = {sizeof(weir_http_request), 0,
                                       str(call->method),         str(call->path),
                                       str(call->query_json),     str(call->headers_json),
                                       str(call->body),           str(call->peer),
                                       str(call->identity_json)};
        return library_->http()->handle(instance_, &raw, token, deadline_ms);
      },
      [this, answered = std::move(answered)](Result<std::string_view> how) {
        if (!how) return answered(how.error());
        auto answer = parse_http_answer(*how);
        if (!answer) {
          border_->misbehaving(answer.error().message);
          return answered(fail(Errc::internal, "plugin \"" + name_ + "\" gave an answer that makes no sense"));
        }
        answered(std::move(answer));
      });
}

Result<HttpAnswer> parse_http_answer(std::string_view text) {
  const auto wrong = [](const std::string& what) {
    return fail(Errc::internal, "the answer to an HTTP request is wrong: " + what);
  };
  HttpAnswer out;
  json::Doc doc;
  if (const auto parsed = doc.parse(text); !parsed) return wrong("it is no JSON: " + parsed.error().message);
  const json::Value root = doc.root();
  if (!root.is(json::Kind::object)) return wrong("it is no object");
  if (const auto status = root.find("status")) {
    const auto number = status.is(json::Kind::number) ? status.integer() : std::nullopt;
    if (!number || *number < 200 || *number > 599) return wrong("\"status\" must be an integer from 200 to 599");
    out.status = static_cast<int>(*number);
  }
  if (const auto body = root.find("body"); body && !body.is(json::Kind::null)) {
    if (body.is(json::Kind::string)) {
      out.body = body.string();
      out.content_type = "text/plain; charset=utf-8";
    } else {
      out.body = body.raw();
      out.content_type = "application/json";
    }
  }
  if (const auto headers = root.find("headers"); headers && !headers.is(json::Kind::null)) {
    if (!headers.is(json::Kind::object)) return wrong("\"headers\" must be an object of strings");
    std::string bad;
    std::size_t bytes = 0;
    headers.each_member([&](json::Value key, json::Value value) {
      bytes += key.raw().size() + value.raw().size();
      if (out.headers.size() >= kHeadersMax || bytes > kHeaderBytesMax) {
        bad = "headers";
        return;
      }
      std::string name = key.string(), text_of = value.is(json::Kind::string) ? value.string() : std::string("\n");
      for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      if (!is_header_text(name, true) || !is_header_text(text_of, false) || is_hubs_header(name))
        bad = name;
      else if (name == "content-type")
        out.content_type = text_of;
      else
        out.headers.emplace_back(std::move(name), std::move(text_of));
    });
    if (bad == "headers") return wrong("\"headers\" are more than 64 or have more than 8 KiB");
    if (!bad.empty()) return wrong("the header " + json::quoted(bad) + " can't be sent");
  }
  if (out.status == 204 || out.status == 304) {  // these have none (RFC 9110, 15.3.5 and 15.4.5)
    out.body.clear();
    out.content_type.clear();
  }
  return out;
}

void FlowInstance::figures(void (*fn)(void*, weir_str), void* arg) {
  // The border lives for ever, which this instance does not.
  const bool asked = port_.figures([border = border_, fn, arg](std::string json) {
    border->strand().post("stats()", [fn, arg, json = std::move(json)] { fn(arg, str(json)); });
  });
  if (!asked) border_->strand().post("stats()", [fn, arg] { fn(arg, {"{}", 2}); });
}

}  // namespace weir
