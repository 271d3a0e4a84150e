#include "routing/exits.hpp"

#include <algorithm>
#include <utility>

namespace weir {
namespace {
constexpr std::size_t kBurstMax = 1024;  // handed over before the burst ends
constexpr std::size_t kChunkEvents = 256, kChunkBytes = 256 * 1024;
constexpr int kChunksInARow = 16;  // then others get their turn
}  // namespace

std::vector<std::unique_ptr<Exits::Exit>> Exits::open(const ChannelRoute& route, const std::string& channel,
                                                      const Variables& variables, const ChannelLog& log,
                                                      std::vector<std::unique_ptr<Exit>> before) {
  std::vector<std::unique_ptr<Exit>> out;
  for (const ExitRoute& to : route.exits) {
    const std::string text = to.plugin + '\n' + to.subject.text();
    const auto same =
        std::find_if(before.begin(), before.end(), [&](const auto& exit) { return exit && exit->route == text; });
    if (same != before.end()) {
      out.push_back(std::move(*same));
      continue;
    }
    auto subject = to.subject.expand_subject(variables);
    if (!subject) continue;  // it would have to have been said when the manifest was read
    auto& sink = sinks_[to.plugin];
    if (!sink) {
      sink = std::make_unique<Sink>();
      sink->plugin = to.plugin;
    }
    auto exit = std::make_unique<Exit>();
    exit->sink = sink.get();
    exit->channel = channel;
    exit->route = text;
    exit->subject = std::make_shared<const std::string>(std::move(*subject));
    exit->sent = log.head();
    out.push_back(std::move(exit));
  }
  std::erase(before, nullptr);
  close(before, log);
  return out;
}

void Exits::close(std::vector<std::unique_ptr<Exit>>& exits, const ChannelLog& log) {
  for (const auto& exit : exits) {
    Sink& sink = *exit->sink;
    std::replace(sink.of.begin(), sink.of.end(), exit.get(), static_cast<Exit*>(nullptr));
    if (!exit->reads) continue;
    std::erase(sink.behind, exit.get());
    if (log.head() > exit->sent) port_.lost(sink.plugin, exit->channel, log.head() - exit->sent);
  }
  exits.clear();
}

bool Exits::behind(const std::vector<std::unique_ptr<Exit>>& exits) {
  return std::any_of(exits.begin(), exits.end(), [](const auto& exit) { return exit->reads; });
}

void Exits::committed(Exit& exit, const EventPtr& event) {
  if (exit.reads) return;
  Sink& sink = *exit.sink;
  if (sink.full) {
    exit.reads = true;
    sink.behind.push_back(&exit);
    return;
  }
  exit.sent = event->sequence_id();
  sink.fresh.push_back({event, exit.subject});
  sink.of.push_back(&exit);
  if (sink.fresh.size() >= kBurstMax) hand_over(sink);
}

void Exits::hand_over(Sink& sink) {
  if (sink.fresh.empty()) return;
  const std::size_t taken = sink.full ? 0 : port_.hand_over(sink.plugin, sink.fresh);
  if (taken < sink.fresh.size()) sink.full = true;
  for (std::size_t i = taken; i < sink.fresh.size(); ++i) {
    Exit* exit = sink.of[i];
    if (exit == nullptr) port_.lost(sink.plugin, sink.fresh[i].event->channel(), 1);
    if (exit == nullptr || exit->reads) continue;
    exit->sent = sink.fresh[i].event->sequence_id() - 1;  // its first that was not taken
    exit->reads = true;
    sink.behind.push_back(exit);
  }
  sink.fresh.clear();
  sink.of.clear();
}

bool Exits::flush() {
  bool more = false;
  for (const auto& [name, sink] : sinks_) {
    hand_over(*sink);
    for (int i = 0; !sink->full && !sink->behind.empty(); ++i) {
      if (i == kChunksInARow) {
        more = true;
        break;
      }
      if (!read_on(*sink)) break;
    }
  }
  return more;
}

// One chunk of the one that waits longest. False: the sink is full.
bool Exits::read_on(Sink& sink) {
  Exit& exit = *sink.behind.front();
  sink.behind.pop_front();
  ChannelLog* log = log_(exit.channel);
  if (log == nullptr) {
    exit.reads = false;
    return true;
  }
  // This version's log answers at once; one that reads from a disk would have to be waited for here.
  std::vector<Outgoing> chunk;
  SequenceId upto = exit.sent;
  log->read(exit.sent, kChunkEvents, kChunkBytes, [&](ChannelLog::Slice slice) {
    for (EventPtr& event : slice.events) chunk.push_back({std::move(event), exit.subject});
    upto = slice.upto;
  });
  // Reading lets go of what is too old, so the hole is what the slice has not got.
  if (const std::uint64_t hole = upto - exit.sent - chunk.size(); hole != 0)
    port_.lost(sink.plugin, exit.channel, hole);
  std::vector<SequenceId> ids;
  for (const Outgoing& o : chunk) ids.push_back(o.event->sequence_id());
  const std::size_t taken = chunk.empty() ? 0 : port_.hand_over(sink.plugin, chunk);
  if (taken < ids.size()) {
    sink.full = true;
    exit.sent = ids[taken] - 1;
    sink.behind.push_front(&exit);
    return false;
  }
  exit.sent = upto;
  if (exit.sent >= log->head())
    exit.reads = false;
  else
    sink.behind.push_back(&exit);
  return true;
}

bool Exits::owes() const {
  return std::any_of(sinks_.begin(), sinks_.end(),
                     [](const auto& s) { return !s.second->fresh.empty() || !s.second->behind.empty(); });
}

void Exits::has_room(const std::string& plugin) {
  const auto found = sinks_.find(plugin);
  if (found != sinks_.end()) found->second->full = false;
}

}  // namespace weir
