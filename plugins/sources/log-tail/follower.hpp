// Follows one path through all the files that stand behind it in turn. Those that are not read to their end yet wait in
// a row, oldest first, each with its descriptor, so that a rotation never takes lines away that were not read:
//
//   path -> app.log          generations_:  [ app.log.2 | app.log.1 | app.log ]
//                                             read now    in between   what the path names
//
// After a file is done it stays open for a while (late_), because a program may write to it until it notices the
// rotation.
// Limits: kGenerationsMax files in the row; further rotations wait until the row gets shorter.
// Threads: [strand]. Times are milliseconds of a clock that only goes forward.
#pragma once
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "shared.hpp"

namespace weir::log_tail {

class Follower final : private LineSink {
 public:
  static constexpr std::size_t kGenerationsMax = 64;
  static constexpr std::size_t kLateMax = 4;
  static constexpr std::int64_t kUnfinishedGraceMs = 1000;     // an unfinished last line waits so long for its end
  static constexpr std::int64_t kLateMs = 5000;                // a rotated file is watched so long for late lines
  static constexpr std::int64_t kGoneKeepMs = 10 * 60 * 1000;  // a file without a name and without news is kept so long

  // was_there: the path existed when the instance started, so only its last lines are wanted.
  Follower(std::string path, bool was_there, Shared& shared);
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower() override;

  // Looks what the path names now.
  void check(std::int64_t now);
  // Reads at most one chunk. True when there may be more right away.
  bool read(std::int64_t now);
  // The name was removed from its folder, not renamed: tells deletion from replacement later on.
  void name_deleted() { name_deleted_ = true; }

  const std::string& path() const { return path_; }
  const std::string& real_path() const { return real_path_; }  // without symbolic links; empty before it was opened
  const std::string& problem() const { return problem_; }      // why it can't be read; empty: nothing is wrong
  bool done() const { return done_; }                          // the name is gone and so is the file
  bool reading() const { return !generations_.empty(); }

  // The row was full when it was checked last and has room again.
  bool wants_check() const { return more_waiting_ && generations_.size() <= kGenerationsMax / 2; }

  bool queued = false;  // the tailer's note: waits in its queue for a turn to read

 private:
  struct Generation {
    OpenFile file;
    Birth birth;
    int watch = -1;
    std::int64_t grown_at = 0;  // when something was read last
    std::int64_t ended_at = 0;  // when its successor was seen
    Rotation why = Rotation::renamed;
  };

  bool line(const Line& line) override { return shared_.sink.line(origin(), line); }
  Origin origin() const;
  void open_current(std::int64_t now);
  bool open_between(const std::vector<Sibling>& siblings, FileId current, const std::string& real,
                    std::vector<OpenFile>& between);
  bool was_between(const Sibling& sibling, FileId current, const std::string& real) const;
  Rotation why_replaced(const std::string& real) const;
  void append(OpenFile file, std::int64_t now);
  void begin(Generation& generation);
  void refresh_siblings(FileId current);
  bool read_late(std::int64_t now);
  void retire_front(std::int64_t now);
  void reclaim_late(FileId id);
  void let_go(Generation& generation);
  void missing(std::int64_t now);
  void wait_or_give_up(Generation& last, std::int64_t now);
  void say_once(const std::string& message);

  Shared& shared_;
  const std::string path_;
  const std::string file_;
  bool was_there_;
  bool name_deleted_ = false;
  bool more_waiting_ = false;
  bool done_ = false;
  std::string real_path_;
  std::string problem_;
  std::string said_;  // the last thing that is said once only
  std::deque<Generation> generations_;
  std::list<Generation> late_;
  std::optional<std::int64_t> missing_since_;
  std::set<Birth> known_siblings_;      // there while the path still named the newest generation: not in between
  std::int64_t folder_changed_ns_ = 0;  // when known_siblings_ was made; 0: make it again
};

}  // namespace weir::log_tail
