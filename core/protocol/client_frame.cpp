#include "protocol/client_frame.hpp"

#include <array>
#include <stdexcept>
#include <utility>

namespace weir {
namespace {

constexpr std::size_t kIdBytesMax = 128;
constexpr std::size_t kNameBytesMax = 255;
constexpr std::size_t kTokenBytesMax = 16384;
constexpr std::size_t kParamsBytesMax = 4096;
constexpr std::size_t kChannelsMax = 1000;
constexpr std::uint64_t kReplayMax = 1'000'000'000;

constexpr std::array<std::string_view, 9> kTypes = {"auth", "subscribe",     "unsubscribe", "publish", "request",
                                                    "ack",  "subscriptions", "ping",        "pong"};

std::string_view kind_name(json::Value v) {
  constexpr std::array<std::string_view, 6> kNames = {"null",     "a boolean", "a number",
                                                      "a string", "an array",  "an object"};
  return v ? kNames[static_cast<std::size_t>(v.kind())] : "missing";
}

// A number as it is written, anything else by its kind.
std::string what_it_is(json::Value v) {
  return std::string(v.is(json::Kind::number) ? v.raw().substr(0, 64) : kind_name(v));
}

// The members that mean something to us, those of a publish frame first.
enum class Name : std::uint8_t {
  type,
  channel,
  event,
  data,
  id,
  key,
  dedupe,
  channels,
  filter,
  replay,
  params,
  token,
  method,
  message_id,
  sequence_id
};
constexpr std::array<std::string_view, 15> kNames = {"type",   "channel", "event",    "data",      "id",
                                                     "key",    "dedupe",  "channels", "filter",    "replay",
                                                     "params", "token",   "method",   "messageId", "sequenceId"};

// Where in the list the text stands, its size when it does not. Unrolled, because comparing with a text of known size
// is a matter of a few instructions.
template <const auto& list>
std::size_t place_in(std::string_view text) {
  return [text]<std::size_t... i>(std::index_sequence<i...>) {
    std::size_t place = list.size();
    (void)((text == list[i] && (place = i, true)) || ...);
    return place;
  }
  (std::make_index_sequence<list.size()>());
}

template <const auto& list>
std::size_t place_in(json::Value string) {
  const auto plain = string.plain_string();
  return plain ? place_in<list>(*plain) : place_in<list>(string.string());
}

// The members of a frame, found in one walk over it however many of them are asked for. Of two with one name the last
// counts.
class Members {
 public:
  explicit Members(json::Value object) {
    object.each_member([this](json::Value name, json::Value value) { values_[place_in<kNames>(name)] = value; });
  }
  json::Value operator[](Name name) const { return values_[static_cast<std::size_t>(name)]; }

 private:
  std::array<json::Value, kNames.size() + 1> values_;  // the last one is for names that mean nothing
};

// A member that must be a string, or may be absent when `optional`.
Result<void> read_text(const Members& members, Name name, bool optional, std::size_t bytes_max, std::string& into) {
  const json::Value v = members[name];
  if (!v && optional) return {};
  const auto in_quotes = [name] { return "\"" + std::string(kNames[static_cast<std::size_t>(name)]) + "\""; };
  if (!v.is(json::Kind::string))
    return fail(Errc::bad_request, in_quotes() + " is " + std::string(kind_name(v)) + "; expected a string");
  if (const auto plain = v.plain_string())
    into = *plain;
  else
    into = v.string();
  if (into.empty() && !optional) return fail(Errc::bad_request, in_quotes() + " is empty");
  if (into.size() > bytes_max)
    return fail(Errc::bad_request, in_quotes() + " has " + std::to_string(into.size()) + " bytes; at most " +
                                       std::to_string(bytes_max) + " are allowed");
  return {};
}

Result<void> read_channel(const Members& members, ClientFrame& into) {
  return read_text(members, Name::channel, false, 4096, into.channel);
}

Result<void> read_channels(const Members& members, ClientFrame& into) {
  const json::Value many = members[Name::channels];
  if (members[Name::channel] && many)
    return fail(Errc::bad_request, "both \"channel\" and \"channels\"; give one of them");
  if (!many) {
    if (auto ok = read_channel(members, into); !ok) return ok;
    into.channels.push_back(std::move(into.channel));
    return {};
  }
  into.many = true;
  const bool list = many.is(json::Kind::array);
  if (!list || many.count() == 0 || many.count() > kChannelsMax)
    return fail(Errc::bad_request,
                "\"channels\" " +
                    (list ? "has " + std::to_string(many.count()) + " names" : "is " + std::string(kind_name(many))) +
                    "; expected a list of 1 to " + std::to_string(kChannelsMax) + " channel names");
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

Result<void> read_publication(const Members& members, ClientFrame& into) {
  if (auto ok = read_text(members, Name::event, false, kNameBytesMax, into.event); !ok) return ok;
  if (auto ok = read_text(members, Name::key, true, kNameBytesMax, into.key); !ok) return ok;
  if (auto ok = read_text(members, Name::dedupe, true, kNameBytesMax, into.dedupe); !ok) return ok;
  const json::Value data = members[Name::data];
  if (!data) return fail(Errc::bad_request, "\"data\" is missing; any JSON value will do, null too");
  into.data = data.raw();
  into.data_value = data;
  return {};
}

Result<void> read_params(const Members& members, ClientFrame& into) {
  const json::Value params = members[Name::params];
  if (!params || params.is(json::Kind::null)) return {};
  if (!params.is(json::Kind::object))
    return fail(Errc::bad_request, "\"params\" is " + std::string(kind_name(params)) + "; expected an object");
  if (params.raw().size() > kParamsBytesMax)
    return fail(Errc::bad_request, "\"params\" has " + std::to_string(params.raw().size()) + " bytes; at most " +
                                       std::to_string(kParamsBytesMax) + " are allowed");
  into.params = params.raw();
  return {};
}

Result<void> read_body(const Members& members, ClientFrame& into) {
  using Type = ClientFrame::Type;
  switch (into.type) {
    case Type::auth:
      return read_text(members, Name::token, false, kTokenBytesMax, into.token);
    case Type::subscribe: {
      if (auto ok = read_channels(members, into); !ok) return ok;
      into.filter = members[Name::filter];
      if (into.filter.is(json::Kind::null)) into.filter = {};
      if (const auto v = members[Name::replay]) {
        auto replay = read_replay(v);
        if (!replay) return replay.error();
        into.replay = std::move(*replay);
      }
      return read_params(members, into);
    }
    case Type::unsubscribe:
      return read_channels(members, into);
    case Type::publish: {
      if (auto ok = read_channel(members, into); !ok) return ok;
      return read_publication(members, into);
    }
    case Type::request:
      if (const auto params = members[Name::params]) into.params = params.raw();
      return read_text(members, Name::method, false, kNameBytesMax, into.method);
    case Type::ack: {
      const auto message = members[Name::message_id], sequence = members[Name::sequence_id];
      if (message.is(json::Kind::string)) return {};
      if (auto ok = read_channel(members, into); !ok)
        return fail(Errc::bad_request, "an ack names \"channel\" and \"sequenceId\", or \"messageId\"");
      if (!sequence.is(json::Kind::number) || !sequence.integer() || *sequence.integer() < 1)
        return fail(Errc::bad_request,
                    "\"sequenceId\" is " + what_it_is(sequence) + "; expected an integer from 1 below 2^63");
      return {};
    }
    case Type::subscriptions:
    case Type::ping:
    case Type::pong:
      return {};
  }
  return {};
}

Error wrong_id(json::Value id) {
  const std::string_view raw = id.raw();
  if (id.is(json::Kind::string))
    return fail(Errc::bad_request, "\"id\" has " + std::to_string(raw.size() - 2) + " bytes; at most " +
                                       std::to_string(kIdBytesMax) + " are allowed");
  return fail(Errc::bad_request, "\"id\" is " + what_it_is(id) + "; expected a string or an integer of 64 bits");
}

// Why it is no frame; nothing when `into` is one.
std::optional<FrameRefusal> read_frame(std::string_view text, json::Doc& doc, int depth_max, ClientFrame& into) {
  const auto parsed = doc.parse(text, depth_max);
  if (!doc.whole()) {
    Error e = parsed.error();
    e.code = Errc::bad_frame;
    return FrameRefusal{std::move(e), {}, CloseCode::policy};
  }
  const json::Value root = doc.root();
  if (!root.is(json::Kind::object))
    return FrameRefusal{
        fail(Errc::bad_frame, "a frame is a JSON object, not " + std::string(kind_name(root))), {}, CloseCode::policy};
  const Members members(root);
  const json::Value id = members[Name::id];
  const bool id_fits = !id || id.is(json::Kind::null) ||
                       ((id.is(json::Kind::string) || (id.is(json::Kind::number) && id.integer())) &&
                        id.raw().size() <= kIdBytesMax + 2);
  if (id && id_fits && !id.is(json::Kind::null)) into.id = id.raw();
  const auto refuse = [&](Error e) { return FrameRefusal{std::move(e), std::string(into.id), {}}; };
  if (!id_fits) return refuse(wrong_id(id));
  if (!parsed) return refuse(fail(Errc::bad_request, parsed.error().message));  // a browser may well write such text
  const json::Value type = members[Name::type];
  if (!type.is(json::Kind::string))
    return refuse(
        fail(Errc::bad_frame, "\"type\" is " + std::string(kind_name(type)) + "; every frame names its type"));
  const std::size_t known = place_in<kTypes>(type);
  if (known == kTypes.size())
    return refuse(
        fail(Errc::bad_frame,
             "unknown type " + json::quoted(type.string().substr(0, 64)) +
                 "; there are auth, subscribe, unsubscribe, publish, request, ack, subscriptions, ping, pong"));
  into.type = static_cast<ClientFrame::Type>(known);
  if (auto ok = read_body(members, into); !ok) return refuse(ok.error());
  return std::nullopt;
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

Result<void> read_publication(json::Value object, ClientFrame& into) { return read_publication(Members(object), into); }

boost::system::result<ClientFrame, FrameRefusal> read_client_frame(std::string_view text, json::Doc& doc,
                                                                   int depth_max) {
  boost::system::result<ClientFrame, FrameRefusal> frame(boost::system::in_place_value);  // filled where it is
  if (auto refusal = read_frame(text, doc, depth_max, *frame)) frame = std::move(*refusal);
  return frame;
}

}  // namespace weir
