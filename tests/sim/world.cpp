#include "sim/world.hpp"

#include <algorithm>
#include <cstdio>

namespace weir::sim {
namespace {
constexpr std::size_t kTraceLines = 40;
constexpr std::size_t kSessionsMax = 7;
const std::string kMissed = "missed ";  // before a channel's name, in mail that is the simulator's own
constexpr const char* kEvents[] = {"task.done", "task.new", "b", "c"};

ChannelRoute route(const std::string& pattern, std::size_t events, std::size_t bytes) {
  ChannelRoute r(*Pattern::parse(pattern));
  r.rules = {0};
  r.history = {events, 0, bytes};
  return r;
}
}  // namespace

class World::Host final : public ShardPort {
 public:
  Host(World& world, ShardId id) : world_(world), id_(id) {
    Shard::Settings s;
    s.id = id;
    s.count = world.shard_count_;
    s.routes = world.routes_;
    s.limits = &world.limits_;
    s.rules = &world.truth_;
    s.clock = &world.clock_;
    s.seed = world.random_.next();
    shard_ = std::make_unique<Shard>(s, static_cast<ShardPort&>(*this));
  }
  void mail(ShardId to, Mail mail) override {
    if (world_.quiet_ && (std::holds_alternative<mail::Delivery>(mail) ||
                          std::holds_alternative<std::unique_ptr<mail::ChannelOpened>>(mail)))
      throw Violation("shard " + std::to_string(to) + " is told of events although it has no subscriber left");
    if (const auto* a = std::get_if<std::unique_ptr<mail::Attached>>(&mail); a != nullptr && (*a)->recovered)
      world_.truth_.check_recovered((*a)->channel, {(*a)->epoch, (*a)->start});
    world_.owner_says(to, mail);
    world_.mail_[id_][to].push_back(std::move(mail));
  }
  bool full(ShardId of) const override { return of != id_ && world_.mail_[id_][of].size() > 60; }
  std::size_t hand_over(const std::string&, std::span<Outgoing> events) override {
    return world_.sink_.take(events, sink_full_ ? 0 : world_.below(events.size() + 4));
  }
  void lost(const std::string&, std::string_view channel, std::uint64_t count) override {
    world_.sink_.lost(channel, count);
  }
  void demand(const std::string& channel, std::uint64_t ask) override { world_.upstream_.demand(channel, ask); }
  void watched(const Pattern& pattern, const Scopes* scopes) override { world_.upstream_.watched(pattern, scopes); }
  void request(ResponderAsk) override {}
  void sink(bool full) {
    sink_full_ = full;
    if (!full) shard_->sink_has_room("sink");
  }
  void authenticate(Connection& connection, std::string token, std::string id) override {
    world_.auths_.push_back({id_, connection.id, std::move(token), std::move(id)});
  }
  Shard& shard() { return *shard_; }

 private:
  World& world_;
  const ShardId id_;
  bool sink_full_ = false;
  std::unique_ptr<Shard> shard_;
};

std::size_t Sink::take(std::span<Outgoing> events, std::size_t most) {
  const std::size_t taken = std::min(most, events.size());
  for (const Outgoing& o : events.first(taken)) {
    const std::string channel(o.event->channel());
    if (*o.subject != "out." + channel.substr(channel.find('/') + 1))
      throw Violation("the sink gets an event of " + channel + " for " + *o.subject);
    At& at = channels_[channel];
    const SequenceId seq = o.event->sequence_id();
    const std::string_view frame = o.event->frame();
    const std::size_t begin = frame.find("\"epoch\":\"") + 9;
    const std::string epoch(frame.substr(begin, frame.find('"', begin) - begin));
    // A channel that was let go begins again with 1 when it comes back; what was lost is of both lives then.
    if (epoch == at.epoch ? seq != at.last + at.lost + 1 : seq > at.lost + 1)
      throw Violation("the sink gets " + channel + " " + std::to_string(seq) + describe(channel));
    at = {epoch, seq, 0};
    ++taken_;
  }
  return taken;
}

bool Sink::has_all(const std::string& channel, const std::string& epoch, SequenceId head) const {
  const auto found = channels_.find(channel);
  if (head == 0 || found == channels_.end()) return head == 0;
  const At& at = found->second;
  return at.epoch == epoch ? at.last + at.lost == head : at.lost >= head;
}

std::string Sink::describe(const std::string& channel) const {
  const auto found = channels_.find(channel);
  if (found == channels_.end()) return ": it knows nothing of it";
  return ": it is at " + std::to_string(found->second.last) + ", " + std::to_string(found->second.lost) + " lost since";
}

void Sink::lost(std::string_view channel, std::uint64_t count) { channels_[std::string(channel)].lost += count; }

World::World(std::uint64_t seed, bool verbose)
    : verbose_(verbose),
      random_(seed),
      upstream_(random_, {[this](const std::string& what, const std::function<Mail()>& mail) {
                            // By mail of the owner to itself, so that it crosses what others ask of it.
                            for (ShardId id = 0; id < shard_count_; ++id)
                              if (has_wildcard(what) || id == hosts_[0]->shard().owner(what))
                                mail_[id][id].push_back(mail());
                          },
                          [this](std::string text) { note(std::move(text)); }}) {
  shard_count_ = static_cast<unsigned>(1 + below(4));
  limits_.outbox_bytes = static_cast<std::int64_t>(600 + below(8000));
  limits_.history_bytes = static_cast<std::int64_t>(chance(50) ? 6000 + below(30000) : 1 << 24);
  limits_.outboxes_bytes = static_cast<std::int64_t>(chance(50) ? 10'000 + below(200'000) : 1 << 28);
  limits_.requests_in_flight = static_cast<std::int64_t>(2 + below(12));
  limits_.dedupe_ids = static_cast<std::int64_t>(below(6));
  limits_.subscriptions_per_connection = static_cast<std::int64_t>(3 + below(8));
  limits_.channels = chance(20) ? static_cast<std::int64_t>(4 + below(12)) : 1000;
  drained_below_ = static_cast<std::size_t>(limits_.outbox_bytes) / (chance(50) ? 8 : 2);

  routes_ = make_routes();
  for (const char* group : {"open", "slow", "secret", "mine", "aged", "oldest", "newest", "latest", "state", "snap",
                            "none", "nobody", "demand", "shut", "files"})
    for (const char* name : {"a", "b", "c"}) names_.push_back(std::string(group) + "/" + name);

  open_endpoint_.auth = {"sim"};
  auth_endpoint_.auth = {"sim"};
  auth_endpoint_.auth_by_frame = true;
  auth_endpoint_.ping_style = PingStyle::json;
  open_endpoint_.deflate_threshold = 180;
  auth_endpoint_.deflate_threshold = 0;
  for (int i = 1; i <= 3; ++i) {
    User u;
    u.identity.subject = "u" + std::to_string(i);
    u.identity.provider = "sim";
    u.identity.key = u.identity.subject;
    if (i == 1) u.identity.scopes = {"secret:read"};
    if (i == 3) u.identity.scopes = {"*"};
    users_.push_back(std::move(u));
  }
  for (int i = 0; i < 10; ++i) {
    clients_.push_back(std::make_unique<Client>());
    clients_.back()->number = i;
    clients_.back()->user = users_[below(users_.size())];
  }
  mail_.resize(shard_count_);
  for (auto& row : mail_) row.resize(shard_count_);
  for (ShardId id = 0; id < shard_count_; ++id) hosts_.push_back(std::make_unique<Host>(*this, id));
  upstream_.use(routes_);
  note("shards=" + std::to_string(shard_count_) + " outbox=" + std::to_string(limits_.outbox_bytes) +
       " history=" + std::to_string(limits_.history_bytes));
}

RoutesPtr World::make_routes() {
  std::vector<ChannelRoute> routes;
  routes.push_back(route("open/{name}", 3 + below(40), 1 << 20));
  routes.back().exits.push_back({"sink", *Pattern::parse_subject("out.{name}", '.')});
  routes.push_back(route("slow/{name}", 3 + below(20), 1 << 20));
  routes.back().overflow = OverflowPolicy::disconnect;
  routes.push_back(route("secret/{name}", 3 + below(20), 1000 + below(8000)));
  routes.back().subscribe.scope = "secret:read";
  routes.back().publish.scope = "secret:read";
  routes.push_back(route("mine/{name}", 3 + below(40), 1 << 20));
  routes.back().subscribe.where_json = "{\"data.owner\":\"{identity.subject}\"}";
  routes.push_back(route("aged/{name}", 50, 1 << 20));
  routes.back().history.age_max_ms = static_cast<std::int64_t>(200 + below(4000));
  routes.push_back(route("oldest/{name}", 3 + below(20), 1 << 20));
  routes.back().overflow = OverflowPolicy::drop_oldest;
  routes.push_back(route("newest/{name}", 3 + below(20), 1 << 20));
  routes.back().overflow = OverflowPolicy::drop_newest;
  routes.push_back(route("latest/{name}", 3 + below(20), 1 << 20));
  routes.back().overflow = OverflowPolicy::latest;
  routes.push_back(route("state/{name}", 3 + below(20), 1 << 20));
  routes.back().state = true;
  routes.push_back(route("snap/{name}", 3 + below(20), 1 << 20));
  routes.back().state = true;
  routes.back().overflow = OverflowPolicy::snapshot;
  routes.push_back(route("none/{name}", 0, 1 << 20));
  routes.back().exits.push_back({"sink", *Pattern::parse_subject("out.{name}", '.')});
  routes.push_back(route("demand/{name}", 3 + below(40), 1 << 20));
  routes.back().on_demand = "sim d.{name}";
  routes.back().demands.push_back({"sim", *Pattern::parse_subject("d.{name}", '.'), true});
  routes.back().demand_by_pattern = true;
  routes.push_back(route("shut/{name}", 3 + below(40), 1 << 20));  // asked for where one of those who watch may see it
  routes.back().subscribe.scope = "secret:read";
  routes.back().on_demand = "sim s.{name}";
  routes.back().demands.push_back({"sim", *Pattern::parse_subject("s.{name}", '.'), true});
  routes.back().demand_by_pattern = true;
  routes.push_back(route("files/{name}", 3 + below(40), 1 << 20));
  routes.back().on_demand = "tail f.{name}";
  routes.back().demands.push_back({"tail", *Pattern::parse_subject("f.{name}", '.'), false});
  routes.push_back(route("nobody/{name}", 5, 1 << 20));
  routes.back().subscribe.nobody = true;
  // One that nobody uses: with it and without it, who may see what is looked at again, and comes to the same.
  if (chance(50)) routes.push_back(route("unused/{name}", 3, 1 << 20));
  return std::make_shared<const Routes>(std::move(routes));
}

World::~World() = default;

void World::note(std::string text) {
  if (verbose_) std::fprintf(stderr, "%5d %s\n", step_, text.c_str());
  trace_.push_back(std::to_string(step_) + " " + std::move(text));
  if (trace_.size() > kTraceLines) trace_.pop_front();
}

Totals World::totals() const {
  Totals t = totals_;
  for (const auto& h : hosts_) {
    const auto& c = h->shard().subscribers().counters();
    t.overflows += c.overflows;
    t.slow_closed += c.disconnected_slow;
    t.snapshots += c.snapshots;
    t.published += h->shard().channels().counters().published;
  }
  return t;
}

// What the real host does after each burst: it takes the list of outboxes that have something new.
void World::look() {
  for (const auto& h : hosts_) truth_.look(h->shard().channels());
  for (const auto& h : hosts_) {
    std::vector<Connection*> dirty;
    h->shard().take_flushes(dirty);
  }
  look_who_is_let_in();
  for (const auto& s : sessions_) s->look();
}

// ---------------------------------------------------------------- the network

void World::flush(Session& s, std::size_t bytes) {
  if (s.gone) return;
  std::size_t taken = 0;
  while (taken < bytes && !s.connection->outbox.empty()) {
    const std::size_t n = s.take(bytes - taken);
    taken += n;
    if (n == 0) break;
  }
  if (s.closed_with) {
    if (s.connection->outbox.empty()) end(s);
    return;
  }
  Shard& shard = hosts_[s.shard]->shard();
  if (s.connection->outbox.bytes() <= drained_below_ && shard.wants_drained(*s.connection)) {
    shard.drained(*s.connection);
    look();
  }
}

void World::end(Session& s) {
  if (s.gone) return;
  note("s" + std::to_string(s.number) + " is gone");
  s.look();
  Connection& c = *s.connection;
  s.gone = true;
  s.connection = nullptr;
  hosts_[s.shard]->shard().closed(c);
  look();
}

void World::connect() {
  std::vector<Client*> away;
  for (const auto& c : clients_)
    if (std::none_of(sessions_.begin(), sessions_.end(), [&](const auto& s) { return &s->client == c.get(); }))
      away.push_back(c.get());
  if (away.empty() || sessions_.size() >= kSessionsMax) return;
  Client& client = *away[below(away.size())];
  const auto shard = static_cast<ShardId>(below(shard_count_));
  auto made = std::make_unique<Session>(next_session_++, shard, client, truth_, limits_, verbose_);
  Session& s = *made;
  ++totals_.sessions;
  const bool by_frame = chance(15);
  s.by_bytes = chance(10);
  note("s" + std::to_string(s.number) + " connects: " + client.user.identity.subject + " on shard " +
       std::to_string(shard));
  Identity identity = client.user.identity;
  if (chance(5)) identity.expires_at = clock_.unix_ms() + static_cast<std::int64_t>(below(20'000));
  s.authenticated = !by_frame;
  sessions_.push_back(std::move(made));
  s.connection = by_frame ? &hosts_[shard]->shard().open(s, auth_endpoint_, std::nullopt, "sim")
                          : &hosts_[shard]->shard().open(s, open_endpoint_, identity, "sim");
  look();
}

void World::deliver_some(std::size_t from, std::size_t to, std::size_t count) {
  auto& queue = mail_[from][to];
  for (; count != 0 && !queue.empty(); --count) {
    Mail mail = std::move(queue.front());
    queue.pop_front();
    if (is_missed(mail)) continue;
    owner_hears(static_cast<ShardId>(to), mail);
    clients_hear(static_cast<ShardId>(to), mail);
    hosts_[to]->shard().deliver(std::move(mail));
    look();
    owner_has_heard();
  }
}

void World::deliver_somewhere() {
  std::vector<std::pair<std::size_t, std::size_t>> waiting;
  for (std::size_t from = 0; from < shard_count_; ++from)
    for (std::size_t to = 0; to < shard_count_; ++to)
      if (!mail_[from][to].empty()) waiting.emplace_back(from, to);
  if (waiting.empty()) return;
  const auto [from, to] = waiting[below(waiting.size())];
  note("mail " + std::to_string(from) + "->" + std::to_string(to) + " of " + std::to_string(mail_[from][to].size()));
  deliver_some(from, to, 1 + below(4));
}

void World::answer_auth() {
  if (auths_.empty()) return;
  const PendingAuth a = auths_.front();
  auths_.pop_front();
  const auto user =
      std::find_if(users_.begin(), users_.end(), [&](const User& u) { return u.identity.subject == a.token; });
  note("auth of " + a.token);
  if (user == users_.end())
    hosts_[a.shard]->shard().authenticated(a.connection, a.id, fail(Errc::unauthorized, "nobody of that name"));
  else
    hosts_[a.shard]->shard().authenticated(a.connection, a.id, user->identity);
  look();
}

// One step of a reload: every shard takes the new routes as an owner of channels before the first does for its clients.
void World::reload_some() {
  const auto take = [this](std::vector<ShardId>& left) {
    const std::size_t i = below(left.size());
    const ShardId id = left[i];
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(i));
    return id;
  };
  if (owners_left_.empty() && clients_left_.empty()) {
    next_routes_ = make_routes();
    for (ShardId id = 0; id < shard_count_; ++id) owners_left_.push_back(id);
    clients_left_ = owners_left_;
    note("a reload begins");
  } else if (!owners_left_.empty()) {
    const ShardId id = take(owners_left_);
    note("shard " + std::to_string(id) + " takes the new channels");
    hosts_[id]->shard().reroute_channels(next_routes_);
  } else {
    const ShardId id = take(clients_left_);
    note("shard " + std::to_string(id) + " takes the new channels for its clients");
    hosts_[id]->shard().reroute_clients();
  }
  look();
}

// ---------------------------------------------------------------- what clients do

std::string World::channel_name() { return chance(40) ? names_[below(3)] : names_[below(names_.size())]; }

std::string World::pattern_name() {
  constexpr const char* kPatterns[] = {"open/*", "*/a",    "**",     "secret/**", "mine/*", "slow/*",
                                       "*/b",    "aged/*", "none/*", "demand/*",  "shut/*"};
  return kPatterns[below(std::size(kPatterns))];
}

Session* World::somebody() { return sessions_.empty() ? nullptr : sessions_[below(sessions_.size())].get(); }

void World::send(Session& s, const std::string& frame) {
  note("s" + std::to_string(s.number) + " > " + frame.substr(0, 150));
  s.begin_call(s.last_request());
  hosts_[s.shard]->shard().receive(*s.connection, frame);
  look();
  s.end_call();
}

void World::subscribe(Session& s) {
  ReplayRequest replay;
  std::vector<std::string> names;
  bool many = false;
  if (chance(25))
    names.push_back(pattern_name());
  else if (chance(25)) {
    many = true;
    for (std::uint64_t n = 1 + below(4); n != 0; --n) names.push_back(channel_name());
  } else {
    names.push_back(chance(3) ? "no/such" : channel_name());
  }
  const unsigned kind = static_cast<unsigned>(below(6));
  if (kind == 1) replay.kind = ReplayRequest::Kind::last;
  if (kind == 2 || kind == 3) {
    replay.kind = ReplayRequest::Kind::count;
    replay.count = 1 + below(60);
  }
  if (kind >= 4 && !has_wildcard(names[0])) {
    replay.kind = ReplayRequest::Kind::since;
    const auto known = s.client.positions.find(names[0]);
    if (known != s.client.positions.end() && !chance(5))
      replay.since = known->second;
    else {
      const Life* life = truth_.current(names[0]);
      replay.since = {life == nullptr || chance(20) ? "elsewhen" : life->epoch,
                      life == nullptr ? 7 : below(life->head() + 3)};
    }
  }
  send(s, s.subscribe(names, many, SimFilter::make(random_), replay));
}

// A channel on demand is wanted by its name instead of a pattern, or the other way round.
void World::change_hands(Session& s) {
  const auto has = [&](const std::string& text) {
    return std::any_of(s.wishes.begin(), s.wishes.end(), [&](const auto& w) { return w->text == text; });
  };
  const std::string name = std::string("demand/") + "abc"[below(3)], pattern = "demand/*";
  const bool by_name = has(pattern) || (!has(name) && chance(60));
  const std::string& from = by_name ? pattern : name;
  const std::string& to = by_name ? name : pattern;
  ReplayRequest replay;
  if (const auto known = s.client.positions.find(to); known != s.client.positions.end()) {
    replay.kind = ReplayRequest::Kind::since;
    replay.since = known->second;
  }
  if (has(from)) {
    send(s, s.unsubscribe(from));
    if (chance(60)) return;  // and later, when it is just being let go of
  }
  if (!s.gone && !s.closed_with && s.reading) send(s, s.subscribe({to}, false, SimFilter{}, replay));
}

void World::client_acts(Session& s) {
  if (s.gone || s.closed_with || !s.reading) return;
  if (!s.authenticated)
    return send(s, chance(80) ? s.auth(chance(90) ? s.client.user.identity.subject : "stranger") : s.plain("ping"));
  const std::uint64_t what = below(100);
  if (what < 22) {
    if (chance(20)) return change_hands(s);
    subscribe(s);
  } else if (what < 30) {
    if (!s.wishes.empty())
      send(s, s.unsubscribe(s.wishes[below(s.wishes.size())]->text));
    else
      send(s, s.unsubscribe("open/a"));
  } else if (what < 92) {
    std::uint64_t n = 0;
    const bool big = chance(4);
    const std::string data = truth_.make_data(n, s.client.user.identity.subject,
                                              static_cast<int>(below(big ? 3000 : 300)), chance(4) ? 2 : 0, chance(3));
    send(s, s.publish(channel_name(), n, kEvents[below(4)], data, chance(15) ? "d" + std::to_string(below(8)) : "",
                      chance(80)));
  } else if (what < 95) {
    send(s, s.plain(chance(50) ? "subscriptions" : "ping"));
  } else {
    send(s, s.plain("pong"));
  }
}

void World::publish_from_source() {
  const std::string channel = channel_name();
  if (upstream_.works_on_demand(channel)) return come_upstream(channel);
  std::uint64_t n = 0;
  Draft d;
  d.event = kEvents[below(4)];
  d.data = truth_.make_data(n, "u" + std::to_string(1 + below(3)), static_cast<int>(below(400)), 0, chance(2));
  d.source = "sim";
  note("source publishes " + std::to_string(n) + " to " + channel);
  hosts_[below(shard_count_)]->shard().publish(channel, std::move(d), {});
  look();
}

// What a source on demand sees it emits; what it does not see is written down in the order in which the owner hears of
// the source.
void World::come_upstream(const std::string& channel) {
  const auto fate = upstream_.happens(channel);
  const ShardId owner = hosts_[0]->shard().owner(channel);
  Draft d;
  if (fate == Upstream::Fate::emitted) {
    std::uint64_t n = 0;
    d.event = kEvents[below(4)];
    d.data = truth_.make_data(n, "u" + std::to_string(1 + below(3)), static_cast<int>(below(400)), 0, chance(2));
    d.source = "sim";
    note("the source of " + channel + " emits " + std::to_string(n));
    return mail_[owner][owner].push_back(letter(mail::Publish{channel, std::move(d), {}}));
  }
  note("what comes for " + channel + " is seen by nobody");
  note_missed(channel, fate == Upstream::Fate::asked);
}

void World::note_missed(const std::string& channel, bool asked) {
  const ShardId owner = hosts_[0]->shard().owner(channel);
  Draft d;
  d.event = asked ? "asked" : "";
  if (const Life* life = truth_.current(channel)) {
    d.key = life->epoch;
    d.data = std::to_string(life->head());
  }
  mail_[owner][owner].push_back(letter(mail::Publish{kMissed + channel, std::move(d), {}}));
}

bool World::is_missed(const Mail& mail) {
  const auto* m = std::get_if<std::unique_ptr<mail::Publish>>(&mail);
  if (m == nullptr || !(*m)->channel.starts_with(kMissed)) return false;
  const Draft& d = (*m)->draft;
  truth_.missed((*m)->channel.substr(kMissed.size()), d.event == "asked",
                {d.key, d.data.empty() ? 0 : std::stoull(d.data)});
  return true;
}

// Whether the source is at work for the channel, by its name or a pattern.
bool World::knows_at_work(ShardId owner, const std::string& channel) {
  const Life* life = truth_.current(channel);
  if (life != nullptr && life->at_work) return true;
  return std::any_of(at_work_[owner].begin(), at_work_[owner].end(), [&](const auto& entry) {
    return Pattern::parse_wildcard(entry.first)->matches(channel) &&
           std::any_of(entry.second.begin(), entry.second.end(),
                       [&](const mail::Subject& s) { return upstream_.feeds(s, channel); });
  });
}

// Before it acts on that: it knows what the mail says, and tells who was let in before of a gap.
void World::owner_hears(ShardId owner, const Mail& mail) {
  if (const auto* anew = std::get_if<std::unique_ptr<mail::Anew>>(&mail))
    for (auto& [pattern, subjects] : at_work_[owner])
      std::erase_if(subjects, [&](const mail::Subject& s) { return s.source == (*anew)->source; });
  if (const auto* asleep = std::get_if<std::unique_ptr<mail::Asleep>>(&mail)) {
    if (Life* life = truth_.current((*asleep)->what))
      life->at_work = false;
    else
      at_work_[owner][(*asleep)->what].erase((*asleep)->subject);
  }
  const auto* awake = std::get_if<std::unique_ptr<mail::Awake>>(&mail);
  if (awake == nullptr) return;
  if (Life* life = truth_.current((*awake)->what); life != nullptr && (*awake)->late) life->waited_enough = true;
  if (!(*awake)->at_work) return;
  const mail::Awake& m = **awake;
  const auto what = Pattern::parse_wildcard(m.what);
  std::vector<std::string> idle;
  for (const std::string& name : names_)
    if (upstream_.works_on_demand(name) && what->matches(name) && truth_.current(name) != nullptr &&
        hosts_[0]->shard().owner(name) == owner && !knows_at_work(owner, name))
      idle.push_back(name);
  if (has_wildcard(m.what))
    at_work_[owner][m.what].insert(*m.at_work);
  else if (Life* life = truth_.current(m.what))
    life->at_work = true;
  for (const std::string& name : idle)
    if (knows_at_work(owner, name) && (truth_.current(name)->waited_enough || (m.late && has_wildcard(m.what))))
      late_.insert(name);
  for (const std::string& name : late_)  // what a shard says to itself is no mail
    for (const auto& s : sessions_)
      if (s->shard == owner) s->hears_of_late(name);
}

// Of the answers that a shard has given to itself since the last look.
void World::look_who_is_let_in() {
  for (const auto& s : sessions_)
    for (const std::string& channel : s->answered()) {
      Life* life = truth_.current(channel);
      if (life == nullptr || !upstream_.works_on_demand(channel) || hosts_[0]->shard().owner(channel) != s->shard ||
          knows_at_work(s->shard, channel))
        continue;
      life->let_in_late = true;
      s->let_in_late(channel);
    }
}

void World::owner_says(ShardId to, const Mail& mail) {
  if (const auto* attached = std::get_if<std::unique_ptr<mail::Attached>>(&mail)) {
    const mail::Attached& a = **attached;
    Life* life = truth_.current(a.channel);
    if (a.error || life == nullptr || !upstream_.works_on_demand(a.channel) ||
        knows_at_work(hosts_[0]->shard().owner(a.channel), a.channel))
      return;
    life->let_in_late = true;
    let_in_late_.insert({to, a.attachment, a.request});
  }
  const auto* gap = std::get_if<std::unique_ptr<mail::GapNotice>>(&mail);
  if (gap == nullptr || (*gap)->gap.reason != kNotAtWorkYet) return;
  if (!late_.contains((*gap)->channel))
    throw Violation("a gap says that the source of " + (*gap)->channel +
                    " was not at work, but it was, or nobody was let in before");
  told_late_.insert({(*gap)->channel, to});
}

void World::owner_has_heard() {
  for (const std::string& channel : late_)
    for (const auto& s : sessions_) {
      const Life* life = truth_.current(channel);
      if (life != nullptr && s->shard != hosts_[0]->shard().owner(channel) &&
          s->was_let_in_late(channel, life->epoch) && !told_late_.contains({channel, s->shard}))
        throw Violation("s" + std::to_string(s->number) + " was let in to " + channel +
                        " before its source was at work, and is not told of a gap");
    }
  late_.clear();
  told_late_.clear();
}

void World::clients_hear(ShardId shard, const Mail& mail) {
  const auto* attached = std::get_if<std::unique_ptr<mail::Attached>>(&mail);
  const auto* gap = std::get_if<std::unique_ptr<mail::GapNotice>>(&mail);
  for (const auto& s : sessions_) {
    if (s->shard != shard || s->gone) continue;
    if (attached != nullptr && let_in_late_.contains({shard, (*attached)->attachment, (*attached)->request}) &&
        s->waits_for((*attached)->attachment, (*attached)->request))
      s->let_in_late((*attached)->channel);
    if (gap != nullptr && (*gap)->gap.reason == kNotAtWorkYet) s->hears_of_late((*gap)->channel);
  }
}

// A reload that makes them anew: what came in between nobody has seen.
void World::exchange_sources() {
  note("the sources on demand are made anew");
  upstream_.use(routes_);
  for (const std::string& name : names_)
    if (upstream_.works_on_demand(name)) note_missed(name, false);
}

void World::one_step() {
  const std::uint64_t what = below(1000);
  if (what < 300) {
    if (Session* s = somebody()) client_acts(*s);
  } else if (what < 370) {
    for (std::uint64_t n = 1 + below(4); n != 0; --n) publish_from_source();
  } else if (what < 620) {
    deliver_somewhere();
  } else if (what < 900) {
    Session* s = somebody();
    if (s == nullptr || (s->stalled && !chance(2))) return;
    const std::size_t bytes = s->by_bytes ? 1 + below(3) : below(chance(50) ? 3000 : 400);
    note("s" + std::to_string(s->number) + " takes up to " + std::to_string(bytes) + " of " +
         std::to_string(s->gone ? 0 : s->connection->outbox.bytes()));
    flush(*s, bytes);
  } else if (what < 920) {
    if (Session* s = somebody()) s->stalled = !s->stalled && chance(50);
  } else if (what < 950) {
    connect();
  } else if (what < 956) {
    if (Session* s = somebody()) end(*s);
  } else if (what < 966) {
    const auto ms = static_cast<std::int64_t>(below(chance(5) ? 40'000 : 1500));
    note("time moves by " + std::to_string(ms));
    clock_.advance(ms);
    for (const auto& s : sessions_)
      if (!s->gone && chance(90)) hosts_[s->shard]->shard().heard(*s->connection);
    for (const auto& h : hosts_) {
      h->shard().tick();
      look();
    }
  } else if (what < 980) {
    answer_auth();
  } else if (what < 983) {
    const std::string channel = channel_name();
    note("the source of " + channel + " lost something");
    Shard& to = hosts_[hosts_[0]->shard().owner(channel)]->shard();
    to.deliver(letter(mail::SourceGap{"sim", {channel}, std::nullopt, 3, "upstream"}));
    look();
  } else if (what < 985) {
    Session* s = somebody();
    if (s == nullptr || s->gone || s->closed_with) return;
    note("s" + std::to_string(s->number) + " is revoked");
    hosts_[s->shard]->shard().close(*s->connection, CloseCode::unauthorized, "revoked", 0, 1000);
    look();
  } else if (what < 986) {
    settle();
  } else if (what < 987) {
    exchange_sources();
  } else if (what < 989 || (what < 1000 && !clients_left_.empty())) {
    reload_some();
  }
  if (chance(20))
    for (const auto& h : hosts_) h->shard().tell_those_behind();
  if (chance(10)) hosts_[below(hosts_.size())]->sink(chance(40));
  if (chance(20)) upstream_.move(40, chance(30));
  if (chance(50)) hosts_[below(hosts_.size())]->shard().flush_exits();
  look();
  std::erase_if(sessions_, [&](const auto& s) {
    if (!s->gone) return false;
    totals_.events += s->events_seen, totals_.gaps += s->gaps_seen, totals_.replays += s->replays_seen,
        totals_.losses += s->losses_seen, totals_.compressed += s->compressed_seen;
    return true;
  });
}

// ---------------------------------------------------------------- until nothing moves

void World::settle() {
  note("settle");
  int rounds = 0;
  for (bool moved = true; moved;) {
    moved = false;
    if (++rounds > 20'000) throw Violation("the hub does not come to rest although nobody asks for anything");
    for (const auto& h : hosts_) {
      moved = h->shard().tell_those_behind() || moved;
      h->sink(false);
      moved = h->shard().flush_exits() || h->shard().owes_sinks() || moved;
    }
    moved = upstream_.move(100, false) || moved;
    look();
    while (!auths_.empty()) answer_auth();
    for (std::size_t from = 0; from < shard_count_; ++from)
      for (std::size_t to = 0; to < shard_count_; ++to)
        if (!mail_[from][to].empty()) {
          moved = true;
          if (verbose_ && rounds > 19'990)
            std::fprintf(stderr, "mail %zu->%zu: %zu of kind %zu\n", from, to, mail_[from][to].size(),
                         mail_[from][to].front().index());
          deliver_some(from, to, mail_[from][to].size());
        }
    for (const auto& s : sessions_) {
      if (s->gone || (s->connection->outbox.empty() && !s->closed_with &&
                      !hosts_[s->shard]->shard().wants_drained(*s->connection)))
        continue;
      const std::size_t frames = s->connection->outbox.frames();
      flush(*s, 1 << 30);
      if (frames != 0 || s->gone || !s->connection->outbox.empty()) moved = true;
    }
  }
  for (const auto& s : sessions_) {
    if (s->gone) continue;
    s->settled();
    for (const auto& wish : s->wishes)
      if (!wish->pattern && upstream_.works_on_demand(wish->text) &&
          upstream_.happens(wish->text) != Upstream::Fate::emitted)
        throw Violation("the source of " + wish->text + " is not at work, although s" + std::to_string(s->number) +
                        " is subscribed to it");
  }
  for (const auto& h : hosts_)
    h->shard().channels().each([&](const Channels::Info& c) {
      if ((c.name.starts_with("open/") || c.name.starts_with("none/")) && !sink_.has_all(c.name, c.epoch, c.head))
        throw Violation("the sink has not got all of " + c.name + " up to " + std::to_string(c.head) +
                        sink_.describe(c.name));
    });
}

void World::finish() {
  settle();
  for (const auto& s : sessions_) {
    end(*s);
    totals_.events += s->events_seen, totals_.gaps += s->gaps_seen, totals_.replays += s->replays_seen,
        totals_.losses += s->losses_seen, totals_.compressed += s->compressed_seen;
  }
  sessions_.clear();
  settle();
  while (upstream_.move(100, true)) settle();
  if (upstream_.anything_active()) throw Violation("sources are at work although nobody is left");
  for (const auto& h : hosts_) {
    if (h->shard().connections() != 0) throw Violation("connections are left");
    if (h->shard().subscribers().attachments() != 0 || h->shard().subscribers().subscriptions() != 0)
      throw Violation("subscriptions are left of connections that are gone");
  }
  quiet_ = true;
  for (const std::string& name : names_) {
    std::uint64_t n = 0;
    Draft d;
    d.event = "b";
    d.data = truth_.make_data(n, "u1", 1, 0, false);
    hosts_[hosts_[0]->shard().owner(name)]->shard().publish(name, std::move(d), {});
  }
}

void World::run(int steps) {
  for (step_ = 1; step_ <= steps; ++step_) one_step();
  finish();
}

}  // namespace weir::sim
