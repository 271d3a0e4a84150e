// Follows one path through all the files that stand behind it in turn. Those that are not read to their end yet wait in
// a row, oldest first, each with its descriptor, so that a rotation never takes lines away that were not read:
//
//   path -> app.log          generations_:  [ app.log.2 | app.log.1 | app.log ]
//                                             read now    in between   what the path names
//
// After a file is done it stays open for a while (late_), because a program may write to it until it notices the
// rotation. A file that is read to its end may rest without a descriptor, and is found again by what it is.
// It can be made and destroyed at any time, by itself; what it leaves in the book is where the next one goes on.
// Limits: kGenerationsMax files in the row; further rotations wait until the row gets shorter. After a restart the row
// holds all that is not read yet, as many as stand in the folder.
// Threads: [strand]. Times are milliseconds of a clock that only goes forward.
#pragma once
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backlog.hpp"
#include "shared.hpp"

namespace weir::log_tail {

class Follower final : private LineSink {
 public:
  static constexpr std::size_t kGenerationsMax = 64;
  static constexpr std::size_t kLateMax = 4;
  static constexpr int kAttempts = 5;  // to get a picture of a folder in which files are renamed meanwhile
  static constexpr std::int64_t kUnfinishedGraceMs = 1000;     // an unfinished last line waits so long for its end
  static constexpr std::int64_t kLateMs = 5000;                // a rotated file is watched so long for late lines
  static constexpr std::int64_t kGoneKeepMs = 10 * 60 * 1000;  // a file without a name and without news is kept so long

  // was_there: the path existed when the instance started, so only its last lines are wanted.
  Follower(std::string path, bool was_there, Shared& shared);
  // On demand: `name` stands for the path, which never leads out of the root; the last lines come first. Nobody else
  // needs to know which file it is, so it may be read by others as well, and no checkpoint tells of it.
  Follower(std::string path, std::string name, const Root& root, Shared& shared);
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower() override;

  // Looks what the path names now.
  void check(std::int64_t now);
  // Reads at most one chunk. True when there may be more right away.
  bool read(std::int64_t now);
  // Hands over an event of several lines that nothing was added to for a while. True while one still waits.
  bool flush_due(std::int64_t now);
  std::int64_t due() const { return joiner_.due(); }  // only while joining()
  bool joining() const { return joiner_.waiting(); }
  // Closes what was read to its end, to be opened again when something happens to it. False: nothing may be closed.
  // even_unread: also what was not; should it be deleted meanwhile, that is lost, and said.
  bool rest(bool even_unread);
  // The name was removed from its folder, not renamed: tells deletion from replacement later on.
  void name_deleted() { name_deleted_ = true; }
  // Something was written to it.
  void grew() { grew_ = true; }

  const std::string& path() const { return path_; }
  const std::string& real_path() const { return real_path_; }  // without symbolic links; empty before it was opened
  const std::string& problem() const;                          // why it can't be read; empty: nothing is wrong
  int error() const { return error_; }                         // errno of the last check() that opened nothing; or 0
  bool done() const { return done_ && !on_demand(); }          // the name is gone and so is the file
  bool on_demand() const { return own_book_ != nullptr; }
  bool reading() const { return !generations_.empty(); }
  bool idle() const { return idle_; }  // check() found that there is nothing to read

  // What was in the file when it was opened first has not been read yet.
  bool has_past() const { return past_of_ != nullptr; }

  // The row was full when it was checked last and has room again.
  bool wants_check() const { return more_waiting_ && generations_.size() <= kGenerationsMax / 2; }

  bool queued = false;  // the tailer's note: waits in its queue for a turn to read

 private:
  struct Generation {
    OpenFile file;
    TrackPtr track;
    std::string name;  // where it was found
    int watch = -1;
    std::int64_t grown_at = 0;  // when something was read last
    std::int64_t ended_at = 0;  // when its successor was seen
    Rotation why = Rotation::renamed;
    bool past = false;               // rotated before anybody read it; its last lines are wanted and nothing else
    std::string problem{};           // of the last try to read it; empty: none
    std::int64_t failing_since = 0;  // while there is one
  };

  // A file beside the path that belongs into the row.
  struct Before {
    OpenFile file;
    TrackPtr track;  // null: read it from its beginning
    std::string name;
  };
  // What belongs in front of what the path names now: it came between, or a checkpoint tells of it.
  struct Row {
    std::vector<Before> files;         // oldest first
    std::vector<std::string> refused;  // files that may not be read
    TrackPtr of_current;               // where to go on in what the path names now
    std::vector<TrackPtr> lost;
    bool others_came = false;  // files took the name after the checkpoint was written, and lost it again
    bool cut = false;          // what the path names has the inode of a file that was read, and another content
  };
  // From the file to the joiner, from the joiner to the sink.
  struct Emission final : LineSink {
    explicit Emission(Follower& f) : follower(f) {}
    bool line(const Line& line) override { return follower.emit(line); }
    Follower& follower;
  };

  Follower(std::string path, std::string name, bool was_there, Reach reach, std::unique_ptr<FileBook> own_book,
           Shared& shared);
  bool line(const Line& line) override;
  bool emit(const Line& line);
  Origin origin() const;
  void open_current(std::int64_t now);
  // unreadable: the system does not open it now, which tells nothing about it; problem_ says why.
  enum class Opened : std::uint8_t { opened, moved, forbidden, unreadable };
  Opened open_sibling(const Sibling& sibling, std::optional<Before>& out);
  bool open_between(const std::vector<Sibling>& siblings, FileId current, const std::string& real, Row& row);
  bool was_between(const Sibling& sibling, FileId current, const std::string& real) const;
  bool resume(const std::vector<Sibling>& siblings, OpenFile* current, Row& out);
  bool find_resumed(const std::vector<Sibling>& siblings, const Track& track, std::vector<std::optional<Before>>& found,
                    bool& steady);
  bool came_meanwhile(const Sibling& sibling, std::int64_t after_ns) const;
  bool resume_without_current(std::int64_t now);
  void say_lost(const Row& row);
  bool find_again(Generation& generation, std::int64_t now);
  Rotation why_replaced(const std::string& real) const;
  // What it has too few of, when it begins with its last lines.
  LastLines append(OpenFile file, TrackPtr track, std::string name, std::int64_t now);
  std::vector<Sibling> rotated_before(const std::vector<Sibling>& siblings, FileId current) const;
  void look_back(std::int64_t now);
  void looked_back();
  // Nothing, with problem_, when they can't be listed now.
  std::optional<std::vector<Sibling>> siblings_now(const std::string& real, bool fresh, std::int64_t& changed_ns);
  void refresh_siblings(FileId current);
  OpenFile::Outcome read_chunk(Generation& generation, std::int64_t now);
  bool read_late(std::int64_t now);
  bool keep_late(Generation& late, OpenFile::Outcome outcome, std::int64_t patience, std::int64_t now);
  bool take_copy(std::int64_t now);
  void note_failure(Generation& generation, std::string problem, std::int64_t now);
  bool may_recover(Generation& rotated, std::int64_t now);
  void say_unread(const Generation& generation);
  void retire_front(std::int64_t now);
  void reclaim_late(FileId id);
  void let_go(Generation& generation);
  // False: whether it is still there can't be seen now; its problem says why.
  bool lose_sight(Generation& generation, std::int64_t now);
  void missing(std::int64_t now);
  void wait_or_give_up(Generation& last, std::int64_t now);
  void set_real_path(const std::string& real);
  void note_open();
  void note_past(const Generation& front, OpenFile::Outcome outcome);
  void say_once(const std::string& message);

  Shared& shared_;
  const std::string path_;
  const std::string file_;
  const Reach reach_;
  const std::unique_ptr<FileBook> own_book_;  // on demand
  FileBook& book_;
  int* const named_alike_;  // how many followers have this file name; in shared_.files_named. Null: on demand
  bool was_there_;
  bool name_deleted_ = false;
  bool more_waiting_ = false;
  bool done_ = false;
  bool idle_ = false;
  bool grew_ = false;
  TrackPtr past_of_;  // on demand: the file that was opened first, until what was in it then is read
  std::uint64_t past_end_ = 0;
  std::unique_ptr<Backlog> backlog_;  // while it is looked for, which nothing is read before
  std::string real_path_;
  std::string real_folder_;
  std::string problem_;
  int error_ = 0;
  std::string said_;  // the last thing that is said once only
  std::deque<Generation> generations_;
  std::list<Generation> late_;
  std::optional<std::int64_t> missing_since_;
  std::set<Birth> known_siblings_;      // there while the path still named the newest generation: not in between
  std::int64_t folder_changed_ns_ = 0;  // when known_siblings_ was made; 0: make it again
  std::list<Follower*>::iterator open_place_;
  Emission emission_{*this};
  Joiner joiner_;
  TrackPtr from_;          // of what is read now
  TrackPtr joining_from_;  // of what waits in joiner_
  std::int64_t now_ = 0;
};

}  // namespace weir::log_tail
