// Follows all files that some patterns name: finds them, notices what happens to them, and reads them in turns. Knows
// nothing of the hub; its owner calls it: drain() when fd() is readable, tick() every poll_ms, and work() after both
// and for as long as it returns true.
// Limits: kMatchesMax files, about options.open_max of them open; one call of work() takes about options.slice_ms;
// nothing is read while the sink is full, but rotations are still noticed then, so that their files are open before
// somebody removes them. Threads: [strand]. Times are milliseconds of a clock that only goes forward.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "follower.hpp"

namespace weir::log_tail {

class Tailer {
 public:
  static constexpr std::int64_t kLookMs = 4000;  // between two looks at the folders, in case inotify missed something
  static constexpr std::int64_t kNothingMs = 2000;  // a name may be missing so long before the state tells it

  // Files that exist now begin with their backlog, those that the checkpoint knows where it says; opens nothing before
  // work().
  Tailer(TailerOptions options, TailSink& sink, std::int64_t now, const Checkpoint& checkpoint = {});
  ~Tailer();

  int fd() const { return shared_.inotify.fd(); }
  void drain();
  void tick(std::int64_t now);
  // One slice of looking and reading. True: there is more to do, call again soon.
  bool work(std::int64_t now);

  // On demand: begins to follow what this name stands for below the root, its last lines first.
  struct Following {
    enum class How : std::uint8_t { begun, by_files, absent, forbidden, not_now };
    How how;
    std::string why;  // for those who asked, when it was not begun; says nothing of what is outside
  };
  Following follow(const std::string& name, std::int64_t now);
  // At once, and nothing is left of it. False: it was not followed so.
  bool unfollow(const std::string& name);
  // What was there when it began has been handed over.
  bool has_begun(const std::string& name) const;

  // When to call work() again though nothing happened: an event of several lines waits until then.
  std::optional<std::int64_t> due() const;

  std::size_t files() const;  // that are read, by followed names
  std::size_t open_files() const { return shared_.buffers.open_files; }
  // For the next checkpoint: every file that is known, and how far.
  std::vector<TrackPtr> tracks();
  // Something that is wrong beside the files themselves, for the state; empty: nothing.
  void set_problem(const std::string& problem);
  // Hands over events of several lines that are not whole yet, before the end.
  void flush();

 private:
  struct ByPath {
    bool operator()(const Follower* a, const Follower* b) const {
      const int order = a->path().compare(b->path());
      return order != 0 ? order < 0 : a->on_demand() < b->on_demand();
    }
  };

  void look(std::int64_t now);
  void on_folder(const FolderNews& news);
  bool add(const std::string& path, bool was_there);
  bool is_wanted(const std::string& path) const;
  bool no_room() const { return shared_.buffers.open_files >= shared_.options.open_max; }
  Follower* demanded(const std::string& name) const;
  void written(Follower& follower);
  void check_dirty(std::int64_t now, bool& slice_over);
  void rest_some();
  void flush_due(std::int64_t now);
  template <class Call>
  void each_at(const std::string& path, Call&& call);
  void all_dirty();
  bool is_followed_elsewhere(const Track& track, const std::string& path);
  void queue(Follower& follower);
  void remove(Follower& follower);
  void report(std::int64_t now);

  Shared shared_;
  using Followers = std::map<std::string, std::unique_ptr<Follower>>;
  Followers followers_;                // by path
  Followers demanded_;                 // likewise; they may be the same
  std::set<Follower*, ByPath> dirty_;  // to be checked; app.log before app.log.1, so that it keeps what it has begun
  Follower* next_dirty_ = nullptr;     // where the next slice goes on; null: at the front
  bool pass_over_ = true;              // all that were dirty were looked at, so a tick may begin anew
  std::deque<Follower*> ready_;        // to be read, in turns
  // By inode, the paths that named it when this pass asked first. Empty: nobody asked yet.
  std::unordered_multimap<ino_t, std::string> named_now_;
  bool look_wanted_ = true;
  bool first_look_ = true;
  bool incomplete_said_ = false;
  bool report_wanted_ = true;
  std::string problem_;
  std::set<Follower*> joining_;  // an event of theirs is not whole yet
  std::int64_t looked_at_ = 0;
  std::optional<std::int64_t> nothing_since_;  // no file matches
  std::vector<std::string> problems_;          // of the last look
  std::optional<std::string> reported_;        // the reason of the state that was told; empty: running
  std::int64_t reported_at_ = 0;
};

}  // namespace weir::log_tail
