#include "routing/channel.hpp"

#include <algorithm>
#include <utility>

#include "protocol/server_frame.hpp"
#include "protocol/ws_frame.hpp"

namespace weir {

void answer(Channels::Port& port, std::string_view channel, Ticket&& ticket, PublishOutcome outcome) {
  if (ticket.waiter) ticket.waiter->published(channel, outcome);
  if (ticket.connection != 0)
    port.to_subscribers(ticket.shard, letter(mail::Published{ticket.connection, std::move(ticket.id),
                                                             std::string(channel), std::move(outcome)}));
}

Channel::Channel(Channels& all, std::string name, const ChannelRoute& route)
    : all_(all),
      name_(std::move(name)),
      route_(&route),
      log_(std::make_unique<MemoryLog>(name_, all.ids_.epoch(), route.history, all.budget_, *this, all.clock_,
                                       all.ids_)) {
  open_rules();
  if (!route.exits.empty()) exits_ = all_.exits_.open(route, name_, variables(), *log_);
}

Channel::~Channel() { all_.exits_.close(exits_, *log_); }

void Channel::reroute(const ChannelRoute& route) {
  route_ = &route;
  log_->keep(route.history);
  open_rules();
  if (!route.exits.empty() || !exits_.empty())
    exits_ = all_.exits_.open(route, name_, variables(), *log_, std::move(exits_));
}

void Channel::publish(Draft&& draft, Ticket&& ticket) {
  if (asks_ && ticket.who) {
    RuleVerdict verdict = rules_->may_publish(*ticket.who, draft);
    if (!verdict.keep) {
      std::string why = verdict.reason.empty() ? "publishing this to " + json::quoted(name_) + " is not allowed"
                                               : std::move(verdict.reason);
      return refused(std::move(ticket), fail(Errc::forbidden, std::move(why)));
    }
  }
  if (!draft.dedupe.empty()) {
    forget_old_ids();
    if (const auto seen = dedupe_.find(draft.dedupe); seen != dedupe_.end())
      return answer(all_.port_, name_, std::move(ticket), {.at = {log_->epoch(), seen->second.at}, .duplicate = true});
    ticket.dedupe = draft.dedupe;
  }
  if (!rules_) return log_->append(std::move(draft), std::move(ticket));
  more_.clear();
  RuleVerdict verdict = rules_->run(draft, more_);
  if (!verdict.keep) {
    ++(verdict.failed ? counters_.failed : counters_.dropped);
    ++(verdict.failed ? all_.counters_.failed : all_.counters_.dropped);
    return answer(all_.port_, name_, std::move(ticket), {.dropped = true, .reason = std::move(verdict.reason)});
  }
  std::vector<Draft> more = std::move(more_);
  log_->append(std::move(draft), std::move(ticket));
  for (Draft& d : more) log_->append(std::move(d), {});
}

void Channel::committed(EventPtr event, Ticket&& ticket) {
  ++counters_.published;
  ++all_.counters_.published;
  used_at_ = ++all_.uses_;
  if (state_) rules_->reduce(*event);
  for (const auto& exit : exits_) all_.exits_.committed(*exit, event);
  if (!ticket.dedupe.empty()) remember(std::move(ticket.dedupe), event->sequence_id());
  for (Interest& i : interested_) {
    if (i.behind) continue;
    if (all_.port_.full(i.shard)) {
      // A shard that can't keep up is not sent more than its mailbox holds: it reads on from history once it has
      // room.
      i.behind = true;
      all_.behind_.emplace_back(name_, i.shard);
      continue;
    }
    all_.port_.to_subscribers(i.shard, mail::Delivery{event});
  }
  if (ticket.waiter || !ticket.id.empty())
    answer(all_.port_, name_, std::move(ticket), {.at = {log_->epoch(), event->sequence_id()}});
  else if (ticket.connection != 0)
    all_.port_.to_subscribers(ticket.shard, mail::Settled{ticket.connection});
}

void Channel::refused(Ticket&& ticket, Error error) {
  ++counters_.refused;
  ++all_.counters_.refused;
  answer(all_.port_, name_, std::move(ticket), {.error = std::move(error)});
}

Result<SnapshotPtr> Channel::snapshot(const std::string& params) {
  if (!state_) return fail(Errc::unavailable, "the channel " + json::quoted(name_) + " has no state");
  const Position at{log_->epoch(), log_->head()};
  if (SnapshotPtr kept = all_.kept_snapshot(name_, at, params)) return kept;
  auto data = rules_->snapshot(params);
  if (!data) return data.error();
  auto made = std::make_shared<const Snapshot>(
      Snapshot{at.sequence_id, ws_frame(0x1, server_frame::snapshot(name_, at, *data))});
  all_.keep_snapshot({name_, at, params, made});
  return made;
}

// ---------------------------------------------------------------- who wants to hear of it

void Channel::interest(ShardId shard) {
  if (!is_interested(shard)) interested_.push_back({shard, false, false});
}
void Channel::interest_by_name(ShardId shard, bool by_name) {
  for (Interest& i : interested_)
    if (i.shard == shard) i.by_name = by_name;
}
bool Channel::is_interested(ShardId shard) const {
  return std::any_of(interested_.begin(), interested_.end(), [&](const Interest& i) { return i.shard == shard; });
}
void Channel::no_interest(ShardId shard) {
  std::erase_if(interested_, [&](const Interest& i) { return i.shard == shard; });
}
bool Channel::catches_up(ShardId shard) {
  for (Interest& i : interested_)
    if (i.shard == shard) return std::exchange(i.behind, false);
  return false;
}
bool Channel::wanted_by_name() const {
  return std::any_of(interested_.begin(), interested_.end(), [](const Interest& i) { return i.by_name; });
}

// ---------------------------------------------------------------- the publishers' ids

void Channel::remember(std::string dedupe, SequenceId at) {
  if (all_.limits_.dedupe_ids == 0) return;
  const auto [entry, fresh] = dedupe_.emplace(std::move(dedupe), Seen{at, all_.clock_.steady_ms()});
  if (!fresh) return;
  dedupe_order_.push_back(&entry->first);  // a node of the map stays where it is
  if (dedupe_order_.size() > static_cast<std::size_t>(all_.limits_.dedupe_ids)) forget_oldest_id();
}
void Channel::forget_old_ids() {
  const SteadyMs since = all_.clock_.steady_ms() - all_.limits_.dedupe_ms;
  while (!dedupe_order_.empty() && dedupe_.find(*dedupe_order_.front())->second.when < since) forget_oldest_id();
}
void Channel::forget_oldest_id() {
  dedupe_.erase(dedupe_.find(*dedupe_order_.front()));
  dedupe_order_.pop_front();
}

void Channel::open_rules() {
  auto before = std::move(rules_);
  if (all_.rules_ != nullptr && !route_->rules.empty())
    rules_ = before ? all_.rules_->reopen(std::move(before), route_->rules, name_, variables())
                    : all_.rules_->open(route_->rules, name_, variables());
  state_ = rules_ != nullptr && rules_->has_state();
  asks_ = rules_ != nullptr && rules_->asks_publishers();
}

}  // namespace weir
