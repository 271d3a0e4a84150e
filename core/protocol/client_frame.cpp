#include "protocol/client_frame.hpp"

#include <array>
#include <stdexcept>
#include <utility>

namespace weir {
namespace {

constexpr std::size_t kIdBytesMax = 128;
constexpr std::size_t kNameBytesMax = 255;
constexpr std::size_t kTokenBytesMax = 16384;
constexpr std::size_t kChannelsMax = 1000;
constexpr std::uint64_t kReplayMax = 1'000'000'000;

constexpr std::array<std::string_view, 9> kTypes = {"auth", "subscribe",     "unsubscribe", "publish", "request",
                                                    "ack",  "subscriptions", "ping",        "pong"};

std::string_view kind_name(json::Value v) {
  constexpr std::array<std::string_view, 6> kNames = {"null",     "a boolean", "a number",
                                                      "a string", "an array",  "an object"};
  return v ? kNames[static_cast<std::size_t>(v.kind())] : "missing";
}

// A member that must be a string, or may be absent when `optional`.
Result<std::string> text_member(json::Value object, std::string_view name, bool optional, std::size_t bytes_max) {
  const json::Value v = object.find(name);
  if (!v && optional) return std::string();
  if (!v.is(json::Kind::string))
    return fail(Errc::bad_request,
                "\"" + std::string(name) + "\" is " + std::string(kind_name(v)) + "; expected a string");
  std::string text = v.string();
  if (text.empty() && !optional) return fail(Errc::bad_request, "\"" + std::string(name) + "\" is empty");
  if (text.size() > bytes_max)
    return fail(Errc::bad_request, "\"" + std::string(name) + "\" has " + std::to_string(text.size()) +
                                       " bytes; at most " + std::to_string(bytes_max) + " are allowed");
  return text;
}

Result<void> read_channels(json::Value frame, ClientFrame& into, bool plural_allowed) {
  const json::Value one = frame.find("channel"), many = plural_allowed ? frame.find("channels") : json::Value();
  if (one && many) return fail(Errc::bad_request, "both \"channel\" and \"channels\"; give one of them");
  if (!many) {
    auto name = text_member(frame, "channel", false, 4096);
    if (!name) return name.error();
    into.channels.push_back(std::move(*name));
    return {};
  }
  into.many = true;
  if (!many.is(json::Kind::array) || many.count() == 0 || many.count() > kChannelsMax)
    return fail(Errc::bad_request,
                "\"channels\" is " + std::string(kind_name(many)) + "; expected a list of 1 to 1000 channel names");
  bool all_text = true;
  many.each_element([&](json::Value v) {
    if (v.is(json::Kind::string))
      into.channels.push_back(v.string());
    else
      all_text = false;
  });
  if (!all_text) return fail(Errc::bad_request, "\"channels\" holds something that is no string");
  return {};
}

Result<void> read_body(json::Value frame, ClientFrame& into) {
  using Type = ClientFrame::Type;
  switch (into.type) {
    case Type::auth: {
      auto token = text_member(frame, "token", false, kTokenBytesMax);
      if (!token) return token.error();
      into.token = std::move(*token);
      return {};
    }
    case Type::subscribe: {
      if (auto ok = read_channels(frame, into, true); !ok) return ok;
      into.filter = frame.find("filter");
      if (into.filter.is(json::Kind::null)) into.filter = {};
      if (const auto v = frame.find("replay")) {
        auto replay = read_replay(v);
        if (!replay) return replay.error();
        into.replay = std::move(*replay);
      }
      if (const auto v = frame.find("params"); v && !v.is(json::Kind::object) && !v.is(json::Kind::null))
        return fail(Errc::bad_request, "\"params\" is " + std::string(kind_name(v)) + "; expected an object");
      return {};
    }
    case Type::unsubscribe:
      return read_channels(frame, into, true);
    case Type::publish: {
      if (auto ok = read_channels(frame, into, false); !ok) return ok;
      return read_publication(frame, into);
    }
    case Type::request: {
      auto method = text_member(frame, "method", false, kNameBytesMax);
      if (!method) return method.error();
      into.method = std::move(*method);
      return {};
    }
    case Type::ack: {
      const auto message = frame.find("messageId"), sequence = frame.find("sequenceId");
      if (message.is(json::Kind::string)) return {};
      if (auto ok = read_channels(frame, into, false); !ok)
        return fail(Errc::bad_request, "an ack names \"channel\" and \"sequenceId\", or \"messageId\"");
      if (!sequence.is(json::Kind::number) || !sequence.integer() || *sequence.integer() < 1)
        return fail(Errc::bad_request,
                    "\"sequenceId\" is " + std::string(kind_name(sequence)) + "; expected an integer from 1");
      return {};
    }
    case Type::subscriptions:
    case Type::ping:
    case Type::pong:
      return {};
  }
  return {};
}

}  // namespace

std::string to_text(const Position& p) { return p.epoch + ":" + std::to_string(p.sequence_id); }

void throw_exception_from_error(const FrameRefusal& refusal, const boost::source_location&) {
  throw std::logic_error("value() of a refused frame: " + refusal.error.message);
}

Result<ReplayRequest> read_replay(json::Value v) {
  ReplayRequest r;
  const auto wrong = [&] {
    return fail(Errc::bad_request,
                "\"replay\" is " + std::string(v.raw().substr(0, 100)) +
                    "; expected \"none\", \"last\", a count from 0, or {\"epoch\":...,\"sequenceId\":...}");
  };
  switch (v.kind()) {
    case json::Kind::null:
      return r;
    case json::Kind::string:
      if (v.string_equals("none")) return r;
      if (!v.string_equals("last")) return wrong();
      r.kind = ReplayRequest::Kind::last;
      return r;
    case json::Kind::number: {
      const auto count = v.integer();
      if (!count || *count < 0) return wrong();
      r.kind = *count == 0 ? ReplayRequest::Kind::none : ReplayRequest::Kind::count;
      r.count = std::min(static_cast<std::uint64_t>(*count), kReplayMax);
      return r;
    }
    case json::Kind::object: {
      const auto epoch = v.find("epoch"), sequence = v.find("sequenceId");
      if (!epoch.is(json::Kind::string) || !sequence.is(json::Kind::number) || !sequence.integer() ||
          *sequence.integer() < 0)
        return wrong();
      r.kind = ReplayRequest::Kind::since;
      r.since = {epoch.string(), static_cast<SequenceId>(*sequence.integer())};
      if (r.since.epoch.size() > 64) return wrong();
      return r;
    }
    default:
      return wrong();
  }
}

Result<void> read_publication(json::Value object, ClientFrame& into) {
  auto event = text_member(object, "event", false, kNameBytesMax);
  if (!event) return event.error();
  auto key = text_member(object, "key", true, kNameBytesMax);
  if (!key) return key.error();
  auto dedupe = text_member(object, "dedupe", true, kNameBytesMax);
  if (!dedupe) return dedupe.error();
  into.event = std::move(*event);
  into.key = std::move(*key);
  into.dedupe = std::move(*dedupe);
  if (const auto data = object.find("data")) into.data = data.raw();
  return {};
}

boost::system::result<ClientFrame, FrameRefusal> read_client_frame(std::string_view text, json::Doc& doc,
                                                                   int depth_max) {
  if (auto ok = doc.parse(text, depth_max); !ok) {
    Error e = ok.error();
    e.code = Errc::bad_frame;
    return FrameRefusal{std::move(e), {}, CloseCode::policy};
  }
  const json::Value root = doc.root();
  if (!root.is(json::Kind::object))
    return FrameRefusal{
        fail(Errc::bad_frame, "a frame is a JSON object, not " + std::string(kind_name(root))), {}, CloseCode::policy};
  ClientFrame frame;
  const json::Value id = root.find("id");
  const bool id_fits = !id || id.is(json::Kind::null) ||
                       ((id.is(json::Kind::string) || (id.is(json::Kind::number) && id.integer())) &&
                        id.raw().size() <= kIdBytesMax + 2);
  if (id && id_fits && !id.is(json::Kind::null)) frame.id = id.raw();
  const auto refuse = [&](Error e) { return FrameRefusal{std::move(e), std::string(frame.id), {}}; };
  if (!id_fits)
    return refuse(fail(Errc::bad_request, "\"id\" is " + std::string(kind_name(id)) +
                                              "; expected a string of at most 128 bytes or an integer"));
  const json::Value type = root.find("type");
  if (!type.is(json::Kind::string))
    return refuse(
        fail(Errc::bad_frame, "\"type\" is " + std::string(kind_name(type)) + "; every frame names its type"));
  std::size_t i = 0;
  while (i < kTypes.size() && !type.string_equals(kTypes[i])) ++i;
  if (i == kTypes.size())
    return refuse(
        fail(Errc::bad_frame,
             "unknown type " + json::quoted(type.string().substr(0, 64)) +
                 "; there are auth, subscribe, unsubscribe, publish, request, ack, subscriptions, ping, pong"));
  frame.type = static_cast<ClientFrame::Type>(i);
  if (auto ok = read_body(root, frame); !ok) return refuse(ok.error());
  return frame;
}

}  // namespace weir
