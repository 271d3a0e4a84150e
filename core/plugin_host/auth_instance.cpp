#include <system_error>

#include "base/json.hpp"
#include "plugin_host/border.hpp"
#include "plugin_host/instance.hpp"
#include "plugin_host/pending.hpp"
#include "weir/abi/auth.h"

namespace weir {
namespace {

constexpr std::size_t kScopesMax = 1024;
constexpr std::size_t kMessageMax = 512;

Error wrong(const std::string& what) { return fail(Errc::internal, "the identity is wrong: " + what); }

bool is_name(const json::Value& value) {
  if (!value.is(json::Kind::string)) return false;
  const std::string text = value.string();
  return !text.empty() && text.size() <= 255;
}

// The sentence for the client, from {"message":"..."}; `fallback` when the plugin has none.
std::string message_of(std::string_view result_json, std::string_view fallback) {
  json::Doc doc;
  if (!result_json.empty() && doc.parse(result_json))
    if (const auto message = doc.root().find("message"); message.is(json::Kind::string))
      if (std::string text = message.string(); !text.empty() && text.size() <= kMessageMax) return text;
  return std::string(fallback);
}

}  // namespace

Result<AuthIdentity> parse_identity(std::string_view text, std::string provider) {
  json::Doc doc;
  if (const auto parsed = doc.parse(text); !parsed) return wrong("it is not JSON: " + parsed.error().message);
  const json::Value root = doc.root();
  if (!root.is(json::Kind::object)) return wrong("it is not an object");
  AuthIdentity out;
  out.provider = std::move(provider);
  if (!is_name(root.find("subject"))) return wrong("\"subject\" must be a string of 1 to 255 bytes");
  out.subject = root.find("subject").string();
  out.key = out.subject;
  if (const auto key = root.find("key"); key && !key.is(json::Kind::null)) {
    if (!is_name(key)) return wrong("\"key\" must be a string of 1 to 255 bytes");
    out.key = key.string();
  }
  if (const auto scopes = root.find("scopes"); scopes && !scopes.is(json::Kind::null)) {
    bool good = scopes.is(json::Kind::array) && scopes.count() <= kScopesMax;
    if (good)
      scopes.each_element([&](json::Value scope) {
        good = good && is_name(scope);
        if (good) out.scopes.push_back(scope.string());
      });
    if (!good) return wrong("\"scopes\" must be a list of at most 1024 strings of 1 to 255 bytes");
  }
  if (const auto attributes = root.find("attributes"); attributes && !attributes.is(json::Kind::null)) {
    if (!attributes.is(json::Kind::object)) return wrong("\"attributes\" must be an object");
    out.attributes = attributes.raw();
  }
  const auto number = [&](std::string_view name, std::int64_t& to) {
    const auto value = root.find(name);
    if (!value || value.is(json::Kind::null)) return true;
    const auto integer = value.is(json::Kind::number) ? value.integer() : std::nullopt;
    if (!integer || *integer < 0) return false;
    to = *integer;
    return true;
  };
  if (!number("expires_at", out.expires_at_ms))
    return wrong("\"expires_at\" must be milliseconds since 1970-01-01 UTC, an integer");
  if (!number("connections_max", out.connections_max)) return wrong("\"connections_max\" must be an integer from 0 on");
  return out;
}

AuthInstance::AuthInstance(std::string name, std::shared_ptr<const Library> library, Revoke revoke)
    : Instance(std::move(name), std::move(library)),
      revoke_(std::move(revoke)),
      pending_(std::make_unique<PendingCalls>()) {
  border_->attach(this);
}

AuthInstance::~AuthInstance() = default;

Result<std::shared_ptr<AuthInstance>> AuthInstance::create(std::string name, std::shared_ptr<const Library> library,
                                                           const std::string& config_json, Revoke revoke,
                                                           std::string* json_pointer) {
  const weir_auth_v1* table = library->auth();
  if (table == nullptr)
    return fail(Errc::bad_request, "plugin \"" + name + "\": " + library->path() + " is no auth provider; it offers " +
                                       library->info().kinds.front());
  std::shared_ptr<AuthInstance> made;
  try {
    made.reset(new AuthInstance(name, std::move(library), std::move(revoke)), &Instance::end);
  } catch (const std::system_error& e) {
    return no_room(name, e);
  }
  const auto created =
      made->Instance::create({table->create, table->start, table->stop, table->destroy}, config_json, json_pointer);
  if (!created) return created.error();
  return made;
}

void AuthInstance::authenticate(std::string request_json, std::uint32_t deadline_ms, Answered answered) {
  // Everything that can go wrong ends in `answered`, and all but the first cases go through the table of those who
  // wait.
  auto shared = std::make_shared<Answered>(std::move(answered));
  const std::string who = "auth provider \"" + name() + "\"";
  const auto on_end = [this, shared, who](PendingCalls::How how, std::uint64_t token, weir_status status,
                                          std::string_view json) {
    const auto refuse = [&](Errc code, std::string message) { (*shared)(fail(code, std::move(message)), false); };
    if (how == PendingCalls::How::deadline) {
      if (const auto cancel = library_->auth()->cancel; cancel != nullptr)
        border_->strand().post("cancel()", [this, cancel, token] {
          if (started()) cancel(instance_, token);
        });
      return refuse(Errc::timeout, who + " did not answer in time");
    }
    if (how == PendingCalls::How::closed) return refuse(Errc::unavailable, who + " is stopped");
    switch (status) {
      case WEIR_OK: {
        auto identity = parse_identity(json, name());
        if (!identity) {
          border_->misbehaving(identity.error().message);
          return refuse(Errc::internal, who + " gave an answer that makes no sense");
        }
        if (identity->expires_at_ms != 0 && identity->expires_at_ms <= system_clock().unix_ms())
          return refuse(Errc::unauthorized, "the credential has expired");
        return (*shared)(std::move(identity), false);
      }
      case WEIR_E_NO_CREDENTIAL:
        return (*shared)(fail(Errc::unauthorized, "there is no credential in the request"), true);
      case WEIR_E_UNAUTHORIZED:
        return refuse(Errc::unauthorized, message_of(json, "the credential is not valid"));
      case WEIR_E_FORBIDDEN:
        return refuse(Errc::forbidden, message_of(json, "you may not come in here"));
      case WEIR_E_UNAVAILABLE:
        return refuse(Errc::unavailable, message_of(json, "who you are can't be found out right now"));
      case WEIR_E_TIMEOUT:
        return refuse(Errc::timeout, message_of(json, "who you are could not be found out in time"));
      case WEIR_E_INTERNAL:
        break;
      default:
        border_->misbehaving("it answered with the status " + std::to_string(status));
    }
    refuse(Errc::internal, who + " failed");
  };
  if (status().state == InstanceState::failed)
    return (*shared)(fail(Errc::unavailable, who + " is not working"), false);
  const std::uint64_t token = pending_->add(deadline_ms, on_end);
  if (token == 0) return (*shared)(fail(Errc::unavailable, who + " is stopped, or too many wait for it"), false);

  const auto posted =
      border_->strand().post("authenticate()", [this, token, deadline_ms, request = std::move(request_json)] {
        if (!pending_->waiting(token)) return;  // its deadline passed while the strand was busy
        if (!started()) return void(pending_->answer(token, WEIR_E_UNAVAILABLE, {}));
        const weir_status status =
            library_->auth()->authenticate(instance_, {request.data(), request.size()}, token, deadline_ms);
        if (status == WEIR_PENDING) return;
        if (!pending_->waiting(token)) return;  // it called done() and returned something besides
        if (status == WEIR_OK)
          border_->misbehaving("authenticate() returned OK without an identity; done() and PENDING is the way");
        pending_->answer(token, status == WEIR_OK ? static_cast<weir_status>(WEIR_E_INTERNAL) : status, {});
      });
  if (posted != Strand::Posted::yes) pending_->answer(token, WEIR_E_UNAVAILABLE, {});
}

void AuthInstance::done(std::uint64_t token, weir_status status, std::string_view json) {
  // Late answers happen to the best (the deadline was faster), so they are counted and not complained about.
  pending_->answer(token, status, json);
}

bool AuthInstance::idle() const { return pending_->idle(); }

void AuthInstance::on_stopped() { pending_->close(); }

InstanceCounters AuthInstance::counters() const {
  InstanceCounters out = Instance::counters();
  out.late_done = pending_->late();
  return out;
}

}  // namespace weir
