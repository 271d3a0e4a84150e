#include "routing/shard.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "protocol/client_frame.hpp"
#include "protocol/server_frame.hpp"
#include "routing/describe.hpp"

namespace weir {
namespace {
constexpr SteadyMs kWheelMs = 50;          // a slot; due times are rounded up to it
constexpr std::size_t kWheelSlots = 2048;  // 102 s; later due times are looked at once a round
constexpr SteadyMs kPruneEveryMs = 5'000;
constexpr std::size_t kKeepData = 16'384;  // room for a publication's data that is kept for the next one
// What is compressed for one connection alone (replays, reading on from history, answers) costs 10 to 40 ns for each
// byte and is not shared with anybody. So it is bounded to a tenth of the thread or so; beyond that it is sent as it
// is. Without a bound a hub that can't keep up would be kept from it for good: readers fall behind, and each event
// would then be compressed for each of them.
constexpr std::int64_t kAloneBytesPerMs = 4 * 1024;
constexpr std::int64_t kAloneBytesMax = 1024 * 1024;
constexpr unsigned kDeflateBitsMax = 15;

bool grows_old(const Routes& routes) {
  return std::any_of(routes.channels().begin(), routes.channels().end(),
                     [](const ChannelRoute& r) { return r.history.age_max_ms != 0; });
}

Error busy() {
  Error e = fail(Errc::rate_limited, "the hub has more to do than it can do at once; try this again in a moment");
  e.retry_after_ms = 100;
  return e;
}
}  // namespace

Shard::Shard(const Settings& settings, ShardPort& port)
    : settings_(settings),
      limits_(*settings.limits),
      clock_(*settings.clock),
      port_(port),
      random_(settings.seed),
      owned_routes_(settings.routes),
      routes_(settings.routes),
      channels_(settings.routes, limits_, settings.count, settings.rules, clock_, random_.next(), *this),
      subscribers_(settings.id, settings.count, settings.routes, settings.rules, limits_, clock_, *this),
      wheel_(kWheelSlots),
      wheel_at_(clock_.steady_ms() / kWheelMs),
      alone_bytes_(kAloneBytesMax),
      ages_(grows_old(*settings.routes)) {}

Shard::~Shard() = default;

// ---------------------------------------------------------------- a reload

void Shard::reroute_channels(RoutesPtr routes) {
  owned_routes_ = routes;
  ages_ = grows_old(*routes);
  subscribers_.rules_changed(routes);
  channels_.reroute(std::move(routes));
  run_local();
}

void Shard::reroute_clients() {
  const bool same = routes_->same_access(*owned_routes_);
  const RoutesPtr before = std::exchange(routes_, owned_routes_);  // feeds refer to it until they have the new
  subscribers_.reroute(routes_);
  if (!same)
    for (const auto& [id, c] : connections_) subscribers_.reauthorize(*c, "after a reload of the manifest ");
  run_local();
}

// ---------------------------------------------------------------- mail

void Shard::post(ShardId to, Mail&& mail) {
  if (to != settings_.id) return port_.mail(to, std::move(mail));
  local_.push_back(std::move(mail));
}
void Shard::to_subscribers(ShardId to, Mail&& mail) { post(to, std::move(mail)); }
void Shard::to_owner(std::string_view channel, Mail mail) { post(owner(channel), std::move(mail)); }
void Shard::to_all_owners(const std::function<Mail()>& mail) {
  for (ShardId to = 0; to < settings_.count; ++to) post(to, mail());
}

// What this shard says to itself goes through a queue as well, in the order in which it was said: the promises about
// order are then the same with one shard as with many, and nothing calls back into what is still being changed.
void Shard::run_local() {
  if (in_local_) return;
  in_local_ = true;
  while (!local_.empty()) {
    if (auto* delivery = std::get_if<mail::Delivery>(&local_.front())) {  // by far the most
      const EventPtr event = std::move(delivery->event);
      local_.pop_front();
      subscribers_.deliver(event);
      continue;
    }
    Mail mail = std::move(local_.front());
    local_.pop_front();
    handle(mail);
  }
  in_local_ = false;
}

void Shard::deliver(Mail mail) {
  if (in_local_ || !local_.empty()) {
    local_.push_back(std::move(mail));
  } else {
    in_local_ = true;
    handle(mail);
    in_local_ = false;
  }
  run_local();
}

void Shard::handle(Mail& mail) {
  struct Visitor {
    Shard& s;
    void operator()(mail::Delivery& m) { s.subscribers_.deliver(m.event); }
    void operator()(std::unique_ptr<mail::Publish>& m) {
      s.channels_.publish(m->channel, std::move(m->draft), std::move(m->ticket));
    }
    void operator()(std::unique_ptr<mail::Published>& m) { s.published(*m); }
    void operator()(mail::Settled& m) {
      if (Connection* c = s.find(m.connection)) s.settled(*c);
    }
    void operator()(std::unique_ptr<mail::Attach>& m) { s.channels_.attach(std::move(*m)); }
    void operator()(std::unique_ptr<mail::Detach>& m) { s.channels_.detach(*m); }
    void operator()(std::unique_ptr<mail::Read>& m) { s.channels_.read(std::move(*m)); }
    void operator()(std::unique_ptr<mail::Watch>& m) { s.channels_.watch(std::move(*m)); }
    void operator()(std::unique_ptr<mail::Unwatch>& m) { s.channels_.unwatch(*m); }
    void operator()(std::unique_ptr<mail::SourceGap>& m) {
      s.channels_.source_gap(*m);
      if (m->told) m->told();
    }
    void operator()(std::unique_ptr<mail::Attached>& m) { s.subscribers_.attached(std::move(*m)); }
    void operator()(std::unique_ptr<mail::Chunk>& m) { s.subscribers_.chunk(std::move(*m)); }
    void operator()(std::unique_ptr<mail::Watched>& m) { s.subscribers_.watched(std::move(*m)); }
    void operator()(std::unique_ptr<mail::ChannelOpened>& m) { s.subscribers_.opened(*m); }
    void operator()(std::unique_ptr<mail::ChannelLetGo>& m) { s.subscribers_.let_go(*m); }
    void operator()(std::unique_ptr<mail::GapNotice>& m) { s.subscribers_.gap(*m); }
    void operator()(std::unique_ptr<mail::Behind>& m) { s.subscribers_.behind(*m); }
    void operator()(std::unique_ptr<mail::Awake>& m) { s.channels_.awake(*m); }
    void operator()(std::unique_ptr<mail::Asleep>& m) { s.channels_.asleep(*m); }
    void operator()(std::unique_ptr<mail::Anew>& m) { s.channels_.anew(*m); }
    void operator()(std::unique_ptr<mail::Ask>& m) { s.answer(*m); }
    void operator()(std::unique_ptr<mail::Answer>& m) { s.answered(*m); }
  };
  std::visit(Visitor{*this}, mail);
}

void Shard::publish(ShardId to, Channel* open, std::string_view channel, Draft&& draft, Ticket&& ticket) {
  if (local_.size() >= static_cast<std::size_t>(limits_.mailbox_messages)) {  // rules that publish without end
    ++counters_.publications_refused;
    const PublishOutcome refused{.error = fail(Errc::rate_limited, "the hub has more to do than it can do at once")};
    if (ticket.waiter)
      ticket.waiter->published(channel, refused);
    else if (ticket.connection != 0)
      post(ticket.shard, letter(mail::Published{ticket.connection, ticket.id, std::string(channel), refused}));
    return;
  }
  if (to == settings_.id && !in_local_ && local_.empty()) {
    // The same as through the queue, without the detour: nothing is waiting before it.
    in_local_ = true;
    if (open != nullptr)
      Channels::publish(*open, std::move(draft), std::move(ticket));
    else
      channels_.publish(channel, std::move(draft), std::move(ticket));
    in_local_ = false;
  } else {
    post(to, letter(mail::Publish{std::string(channel), std::move(draft), std::move(ticket)}));
  }
  run_local();
}

// ---------------------------------------------------------------- connections

Connection& Shard::open(ConnectionPort& port, const EndpointRule& endpoint, std::optional<Identity> identity,
                        std::string peer) {
  const ConnectionId id = (static_cast<ConnectionId>(settings_.id) << 48) | next_connection_++;
  auto made = std::make_unique<Connection>(id, port, endpoint);
  Connection& c = *made;
  connections_.emplace(id, std::move(made));
  ++counters_.opened;
  const SteadyMs now = clock_.steady_ms();
  c.peer = std::move(peer);
  c.opened_at = clock_.unix_ms();
  c.heard_at = c.ping_at = now;
  const auto name = [this] {
    std::string text;
    for (int i = 0; i < 2; ++i) {
      char part[17];
      std::snprintf(part, sizeof part, "%016llx", static_cast<unsigned long long>(random_.next()));
      text += part;
    }
    return text.substr(0, 20);
  };
  c.client_id = "c_" + name();
  c.session_id = "s_" + settings_.token(16);
  if (identity) {
    c.identity = std::move(*identity);
    c.authenticated = true;
    if (c.identity.expires_at != 0) c.expires_at = std::max<SteadyMs>(1, now + (c.identity.expires_at - c.opened_at));
  } else {
    c.auth_until = now + limits_.auth_ms;
  }
  schedule(c);
  greet(c);
  return c;
}

void Shard::greet(Connection& c) {
  const std::string identity = identity_json(c.identity);
  say(c, server_frame::connected(
             {c.client_id, c.session_id, identity, c.endpoint.heartbeat_interval_ms, c.endpoint.heartbeat_timeout_ms}));
}

Connection* Shard::find(ConnectionId id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second.get();
}

void Shard::closed(Connection& c) {
  unschedule(c);
  subscribers_.closed(c);
  flushes_.remove(c);
  ++counters_.closed;
  connections_.erase(c.id);
  run_local();
}

void Shard::each_connection(const std::function<void(Connection&)>& f) {
  std::vector<Connection*> all;
  all.reserve(connections_.size());
  for (auto& [id, c] : connections_) all.push_back(c.get());
  for (Connection* c : all) f(*c);
}

void Shard::send(Connection& c, const FramePtr& frame) {
  if (c.closing) return;
  const Frame* const twin = c.deflate_bits == 0 ? nullptr : twin_for(c, *frame);
  if (twin == nullptr)
    c.outbox.push(frame);
  else
    c.outbox.push(FramePtr(twin));
  if (!c.dirty) flushes_.add(c);
}

// The frame compressed, where the connection is better off with that.
const Frame* Shard::twin_for(const Connection& c, const Frame& frame) {
  const std::size_t size = frame.payload().size();
  if (size < c.endpoint.deflate_threshold) return nullptr;
  // Compression reaches back over the whole message at most, and 32 KiB; the client may keep less than that.
  if (c.deflate_bits < kDeflateBitsMax && size > std::size_t{1} << c.deflate_bits) return nullptr;
  if (!frame.deflate_tried()) {
    if (!frame.for_several() && !may_deflate_alone(size)) return nullptr;
    if (deflater_ == nullptr) deflater_ = std::make_unique<Deflater>(settings_.deflate_level);
    ++counters_.deflated;
  }
  const Frame* twin = frame.deflated(*deflater_).get();
  if (twin != nullptr) counters_.deflate_saved += frame.bytes().size() - twin->bytes().size();
  return twin;
}

bool Shard::may_deflate_alone(std::size_t bytes) {
  const SteadyMs now = clock_.steady_ms();
  alone_bytes_ = std::min(kAloneBytesMax, alone_bytes_ + std::min<SteadyMs>(now - alone_at_, 1000) * kAloneBytesPerMs);
  alone_at_ = now;
  if (alone_bytes_ <= 0) return false;
  alone_bytes_ -= static_cast<std::int64_t>(bytes);
  return true;
}

void Shard::say(Connection& c, std::string_view json) { send(c, text_frame(json)); }
void Shard::say_error(Connection& c, std::string_view id, const Error& error) {
  say(c, server_frame::error(id, error));
}

void Shard::close(Connection& c, CloseCode code, std::string_view reason, std::int64_t reconnect_min_ms,
                  std::int64_t reconnect_max_ms) {
  if (c.closing) return;
  say(c, server_frame::closing(code, reason, reconnect_min_ms, reconnect_max_ms));
  c.closing = true;
  c.port.close(code, reason);
}

void Shard::refuse_frame(Connection& c, const Error& error, CloseCode code) {
  if (c.closing) return;
  ++counters_.frames_refused;
  say_error(c, {}, error);
  c.closing = true;
  c.port.close(code, error.message);
}

// A client that asks more than it reads, or faster than channels answer, is not read from until that has settled.
void Shard::pace(Connection& c) {
  const bool go_on = c.in_flight < static_cast<std::uint32_t>(limits_.requests_in_flight) &&
                     (c.outbox.empty() || c.outbox.bytes() < subscribers_.outbox_max());
  if (go_on == c.reading || c.closing) return;
  c.reading = go_on;
  c.port.read(go_on);
}

void Shard::drained(Connection& c) {
  subscribers_.drained(c);
  run_local();
  pace(c);
}

void Shard::heard(Connection& c) { c.heard_at = clock_.steady_ms(); }

void Shard::receive(Connection& c, std::string_view text) {
  if (c.closing) return;
  c.heard_at = clock_.steady_ms();
  ++c.received;
  ++counters_.frames_in;
  auto frame = read_client_frame(text, doc_, static_cast<int>(limits_.frame_depth));
  if (!frame) {
    const FrameRefusal& refusal = frame.error();
    if (refusal.close) return refuse_frame(c, refusal.error, *refusal.close);
    ++counters_.frames_refused;
    say_error(c, refusal.id, refusal.error);
  } else {
    act(c, *frame);
  }
  run_local();
  pace(c);
}

void Shard::act(Connection& c, ClientFrame& frame) {
  using Type = ClientFrame::Type;
  if (!c.authenticated && frame.type != Type::auth && frame.type != Type::ping && frame.type != Type::pong)
    return say_error(c, frame.id,
                     fail(Errc::unauthorized, "authenticate first: {\"type\":\"auth\",\"id\":1,\"token\":\"...\"}"));
  switch (frame.type) {
    case Type::auth:
      if (c.endpoint.auth.empty())
        return say_error(c, frame.id, fail(Errc::bad_request, "this endpoint knows no auth; just go on"));
      if (c.auth_pending)
        return say_error(c, frame.id, fail(Errc::bad_request, "an earlier auth has not been answered yet"));
      c.auth_pending = true;
      ++c.in_flight;
      return port_.authenticate(c, std::move(frame.token), std::string(frame.id));
    case Type::subscribe: {
      FilterPtr filter;
      if (frame.filter) {
        auto parsed = Filter::parse(frame.filter);
        if (!parsed) return say_error(c, frame.id, parsed.error());
        filter = std::move(*parsed);
      }
      if (auto ok = subscribers_.subscribe(c, frame.id, frame.channels, frame.many,
                                           {filter, frame.replay, std::string(frame.params)});
          !ok)
        say_error(c, frame.id, ok.error());
      return;
    }
    case Type::unsubscribe: {
      for (const std::string& channel : frame.channels)  // all of them or none
        if (std::none_of(c.subscriptions.begin(), c.subscriptions.end(),
                         [&](const auto& s) { return s->text == channel; }))
          return say_error(c, frame.id, fail(Errc::not_found, "no subscription to " + json::quoted(channel)));
      std::string list;
      for (const std::string& channel : frame.channels) {
        if (auto ok = subscribers_.unsubscribe(c, channel); !ok) return say_error(c, frame.id, ok.error());
        if (!list.empty()) list += ',';
        json::append_string(list, channel);
      }
      return say(
          c, server_frame::ack(frame.id, frame.many ? "{\"channels\":[" + list + "]}" : "{\"channel\":" + list + "}"));
    }
    case Type::publish:
      return act_publish(c, frame);
    case Type::request:
      return act_request(c, frame);
    case Type::ack:
      return;  // every channel of this version is at most once: nothing waits for it
    case Type::subscriptions: {
      return say(c, server_frame::ack(frame.id, "{\"subscriptions\":" + describe_subscriptions(c) + "}"));
    }
    case Type::ping:
      return say(c, server_frame::pong(frame.id));
    case Type::pong:
      return;
  }
}

// A rule that answers requests has one state, on the shard that its method's name falls to.
void Shard::act_request(Connection& c, const ClientFrame& frame) {
  const MethodRoute* route = routes_->method(frame.method);
  if (route == nullptr)
    return say_error(c, frame.id,
                     fail(Errc::no_such_method, "no [[method]] of the manifest matches " + json::quoted(frame.method)));
  if (auto ok = check_scope(route->scope, c.identity, "request", frame.method); !ok)
    return say_error(c, frame.id, ok.error());
  if (frame.params.size() > static_cast<std::size_t>(limits_.data_bytes))
    return say_error(
        c, frame.id,
        fail(Errc::too_large, "\"params\" has " + std::to_string(frame.params.size()) + " bytes; at most " +
                                  std::to_string(limits_.data_bytes) + " are allowed (limits.data_bytes)"));
  if (!route->plugin.empty()) return ask_responder(c, *route, frame);
  const ShardId to = owner(route->pattern.text());
  if (full(to)) return say_error(c, frame.id, busy());
  ++c.in_flight;
  post(to, letter(mail::Ask{settings_.id, c.id, std::string(frame.id), frame.method, std::string(frame.params),
                            clock_.steady_ms() + route->timeout_ms, std::make_shared<const Identity>(c.identity)}));
}

void Shard::ask_responder(Connection& connection, const MethodRoute& route, const ClientFrame& frame) {
  constexpr std::string_view kMethod = "{method}";
  // A name from a client must not be a wildcard, or more, in a plugin's terms.
  for (const char c : frame.method)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '*' || c == '>' || c == '?')
      return say_error(
          connection, frame.id,
          fail(Errc::no_such_method, json::quoted(frame.method) + " is no name of a method: it has a space, "
                                                                  "a control character, '*', '>' or '?'"));
  std::string subject = route.subject;
  for (std::size_t at = 0; (at = subject.find(kMethod, at)) != std::string::npos; at += frame.method.size())
    subject.replace(at, kMethod.size(), frame.method);
  ++connection.in_flight;
  port_.request({settings_.id, connection.id, std::string(frame.id), route.plugin, frame.method, std::move(subject),
                 std::string(frame.params.empty() ? std::string_view("null") : frame.params),
                 identity_json(connection.identity), route.timeout_ms});
}

void Shard::answer(const mail::Ask& ask) {
  const auto result = [&]() -> Result<std::string> {
    const MethodRoute* route = owned_routes_->method(ask.method);
    if (route == nullptr)
      return fail(Errc::no_such_method,
                  "no [[method]] of the manifest matches " + json::quoted(ask.method) + " any more");
    if (clock_.steady_ms() > ask.deadline)
      return fail(Errc::timeout, "the hub was too busy to answer within " + std::to_string(route->timeout_ms) +
                                     " ms (the method's timeout); it was not carried out");
    return settings_.rules->request(route->rule, *ask.who, ask.method, ask.params);
  };
  post(ask.from, letter(mail::Answer{ask.connection, ask.id, result()}));
}

void Shard::answered(const mail::Answer& answer) {
  Connection* c = find(answer.connection);
  if (c == nullptr) return;
  if (answer.result)
    say(*c, server_frame::response(answer.id, *answer.result));
  else
    say_error(*c, answer.id, answer.result.error());
  settled(*c);
}

void Shard::act_publish(Connection& c, ClientFrame& frame) {
  const std::string& channel = frame.channel;
  const ShardId to = owner(channel);
  // What is open has a name that is one, and its entry of the manifest was found when it was opened.
  Channel* open = to == settings_.id ? channels_.find(channel) : nullptr;
  const ChannelRoute* route = open != nullptr ? &Channels::route(*open) : nullptr;
  if (open == nullptr) {
    if (auto ok = check_channel_name(channel); !ok) return say_error(c, frame.id, ok.error());
    route = routes_->find(channel);
    if (route == nullptr)
      return say_error(c, frame.id,
                       fail(Errc::no_such_channel, "no [[channel]] of the manifest matches " + json::quoted(channel)));
  }
  if (auto ok = check_access(route->publish, c.identity, "publish to", channel); !ok)
    return say_error(c, frame.id, ok.error());
  if (frame.data.size() > static_cast<std::size_t>(limits_.data_bytes))
    return say_error(
        c, frame.id,
        fail(Errc::too_large, "\"data\" has " + std::to_string(frame.data.size()) + " bytes; at most " +
                                  std::to_string(limits_.data_bytes) + " are allowed (limits.data_bytes)"));
  if (port_.full(to)) return say_error(c, frame.id, busy());
  Draft draft;
  draft.event = std::move(frame.event);
  draft.data = std::move(data_);
  draft.data = frame.data;
  if (!route->rules.empty()) {
    if (to == settings_.id)
      doc_.lend(frame.data_value, draft.index);
    else
      draft.index = doc_.index_of(frame.data_value);
  }
  draft.key = std::move(frame.key);
  // Ids are each publisher's own: another key's counter must not swallow this one's events.
  if (!frame.dedupe.empty()) draft.dedupe = c.identity.provider + '\n' + c.identity.key + '\n' + frame.dedupe;
  Ticket ticket;
  ticket.shard = settings_.id;
  ticket.connection = c.id;
  if (!frame.id.empty()) ticket.id = frame.id;
  if (route->asks_publishers) ticket.who = std::make_shared<const Identity>(c.identity);
  ++c.in_flight;
  publish(to, open, channel, std::move(draft), std::move(ticket));
  // An event is made of a copy, so mostly the draft's is still there.
  if (draft.data.capacity() <= kKeepData) data_ = std::move(draft.data);
  doc_.reuse(draft.index);
}

void Shard::settled(Connection& c) {
  --c.in_flight;
  if (!c.reading) pace(c);
}

void Shard::published(const mail::Published& p) {
  Connection* c = find(p.connection);
  if (c == nullptr) return;
  --c->in_flight;
  const PublishOutcome& o = p.outcome;
  if (o.error) {
    say_error(*c, p.id, *o.error);
  } else if (!p.id.empty()) {  // without an id nobody waits for the answer
    say(*c, server_frame::ack(p.id, o.dropped ? server_frame::publish_dropped(p.channel, o.reason)
                                              : server_frame::publish_result(p.channel, o.at, o.duplicate)));
  }
  if (!c->reading) pace(*c);
}

void Shard::authenticated(ConnectionId connection, const std::string& id, Result<Identity> identity) {
  Connection* c = find(connection);
  if (c == nullptr || c->closing) return;
  c->auth_pending = false;
  --c->in_flight;
  if (!identity) {
    say_error(*c, id, identity.error());
    if (!c->authenticated && identity.error().code != Errc::unavailable && identity.error().code != Errc::timeout)
      close(*c, identity.error().code == Errc::limit_exceeded ? CloseCode::limit : CloseCode::unauthorized,
            identity.error().message, 1000, 5000);
  } else {
    c->identity = std::move(*identity);
    c->authenticated = true;
    c->auth_until = 0;
    subscribers_.reauthorize(*c, "with its new identity ");
    c->expires_at = c->identity.expires_at == 0
                        ? 0
                        : std::max<SteadyMs>(1, clock_.steady_ms() + (c->identity.expires_at - clock_.unix_ms()));
    unschedule(*c);
    schedule(*c);
    say(*c, server_frame::ack(id, "{\"identity\":" + identity_json(c->identity) + "}"));
  }
  run_local();
  pace(*c);
}

void Shard::revoke(std::string_view provider, std::string_view key, std::string_view reason) {
  each_connection([&](Connection& c) {
    if (c.identity.provider == provider && c.identity.key == key) close(c, CloseCode::unauthorized, reason, 1000, 5000);
  });
}

// ---------------------------------------------------------------- time

void Shard::schedule(Connection& c) {
  SteadyMs due = std::min(c.heard_at + c.endpoint.heartbeat_timeout_ms, c.ping_at + c.endpoint.heartbeat_interval_ms);
  if (c.auth_until != 0) due = std::min(due, c.auth_until);
  if (c.expires_at != 0) due = std::min(due, c.expires_at);
  const SteadyMs slot_at = std::clamp<SteadyMs>((due + kWheelMs - 1) / kWheelMs, wheel_at_ + 1,
                                                wheel_at_ + static_cast<SteadyMs>(kWheelSlots) - 1);
  c.wheel_slot = static_cast<std::uint32_t>(static_cast<std::size_t>(slot_at) % kWheelSlots);
  auto& slot = wheel_[c.wheel_slot];
  c.wheel_index = static_cast<std::uint32_t>(slot.size());
  slot.push_back(&c);
}

void Shard::unschedule(Connection& c) {
  auto& slot = wheel_[c.wheel_slot];
  WEIR_ASSERT(c.wheel_index < slot.size() && slot[c.wheel_index] == &c);
  slot[c.wheel_index] = slot.back();
  slot[c.wheel_index]->wheel_index = c.wheel_index;
  slot.pop_back();
}

void Shard::check(Connection& c, SteadyMs now) {
  if (c.closing) return;
  if (c.expires_at != 0 && now >= c.expires_at)
    return close(c, CloseCode::unauthorized, "the credential has expired", 0, 1000);
  if (c.auth_until != 0 && now >= c.auth_until && !c.auth_pending)
    return close(c, CloseCode::unauthorized, "no auth frame in time", 1000, 5000);
  if (now - c.heard_at >= c.endpoint.heartbeat_timeout_ms) {
    ++counters_.idle_closed;
    return close(c, c.endpoint.idle_close,
                 "nothing heard for " + std::to_string(c.endpoint.heartbeat_timeout_ms) + " ms", 0, 5000);
  }
  if (now - c.ping_at < c.endpoint.heartbeat_interval_ms) return;
  c.ping_at = now;
  if (c.endpoint.ping_style == PingStyle::client_json) return;
  ++counters_.pings;
  if (c.endpoint.ping_style == PingStyle::json)
    say(c, server_frame::ping());
  else
    c.port.ping();
}

std::optional<std::int64_t> Shard::tick() {
  const SteadyMs now = clock_.steady_ms(), turn = now / kWheelMs;
  if (turn - wheel_at_ >= static_cast<SteadyMs>(kWheelSlots)) wheel_at_ = turn - static_cast<SteadyMs>(kWheelSlots) + 1;
  while (wheel_at_ < turn) {
    ++wheel_at_;
    std::vector<Connection*> slot;
    slot.swap(wheel_[static_cast<std::size_t>(wheel_at_) % kWheelSlots]);
    for (Connection* c : slot) schedule(*c);  // first all are somewhere, so that closing one finds it
    for (Connection* c : slot) {
      unschedule(*c);
      check(*c, now);
      schedule(*c);
    }
  }
  if (ages_ && now - pruned_at_ >= kPruneEveryMs) {
    pruned_at_ = now;
    channels_.prune(now);
  }
  run_local();
  std::optional<std::int64_t> next;
  if (ages_) next = kPruneEveryMs;
  for (SteadyMs ahead = 1; ahead < static_cast<SteadyMs>(kWheelSlots) && !connections_.empty(); ++ahead) {
    if (wheel_[static_cast<std::size_t>(wheel_at_ + ahead) % kWheelSlots].empty()) continue;
    const std::int64_t in = (wheel_at_ + ahead) * kWheelMs - now;
    next = next ? std::min(*next, in) : in;
    break;
  }
  return next;
}

}  // namespace weir
