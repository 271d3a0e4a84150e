// The sources on demand of a simulated hub, with what the server has between them and its shards (Flows), and the truth
// of what they see: what comes upstream while none of them is at work for it is missed. Their strands, timers and
// answers move when they are told to, so that they cross whatever the shards do. Threads: one.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "plugin_host/demand.hpp"
#include "routing/mail.hpp"
#include "routing/routes.hpp"

namespace weir::sim {

class Upstream {
 public:
  struct Ports {
    std::function<void(const std::string& what, const std::function<Mail()>&)> tell;  // a channel's owner, or all
    std::function<void(std::string)> note;
  };
  Upstream(Random& random, Ports ports) : random_(random), ports_(std::move(ports)) {}
  // As a reload does; the sources are other instances from then on.
  void use(RoutesPtr routes);

  // --- what shards ask for ---
  void demand(const std::string& channel, std::uint64_t ask);
  void watched(const Pattern& pattern, const Scopes* scopes);

  // Each thing that could happen does, with that probability. False: there was nothing.
  bool move(unsigned percent, bool timers);

  // What becomes of something that comes for a channel now. asked: nobody sees it, but whoever waits for the source
  // knows that it is not at work yet.
  enum class Fate { emitted, asked, missed };
  Fate happens(const std::string& channel) const;
  bool works_on_demand(const std::string& channel) const;
  bool feeds(const mail::Subject& subject, const std::string& channel) const;
  bool anything_active() const;

 private:
  struct Asked {
    std::string subject;
    bool at_once;  // it sees everything from the call on, not only from its answer
  };
  struct Source {
    std::unique_ptr<Demand> demand;
    std::deque<std::function<void()>> strand;
    std::map<std::uint64_t, std::function<void()>> timers;
    std::uint64_t last_timer = 0;
    std::map<std::uint32_t, Asked> asked;
    std::set<std::string> active;
  };
  using Subjects = std::vector<std::pair<std::string, std::string>>;
  // scopes: of those who watch a pattern; null: a channel.
  Subjects subjects_of(const std::string& what, const Scopes* scopes) const;
  void make(Source& source);
  void answer(Source& source, std::uint32_t activation);
  void want(const std::string& plugin, const std::string& subject, const std::string& who, std::uint64_t ask);
  void unwatched(const std::string& what);
  bool chance(unsigned percent) { return random_.below(100) < percent; }

  Random& random_;
  const Ports ports_;
  RoutesPtr routes_;
  std::map<std::string, Source> sources_;
  std::map<std::string, Subjects> wanted_;
  std::map<std::uint64_t, std::function<void()>> deadlines_;
  std::uint64_t last_deadline_ = 0;
};

}  // namespace weir::sim
