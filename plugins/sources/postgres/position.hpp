// How far a reader of the outbox is, and what of it the hub has.
//
// Which order. A reader has seen a snapshot P of the server's transactions (pg_current_snapshot()). Its next batch is
// what is visible in a new snapshot S and not in P, in the order of id; then P becomes S. Claims:
//   Complete, each once: a row is visible in all snapshots from the one on that sees its commit, and in none before, so
//     it is in the one batch between. It does not matter when its transaction began or how long it took.
//   No row comes before one that its own INSERT could see: let x have been visible when y was inserted. Then the
//     transaction of x had committed, so whatever snapshot sees y sees x: x is in the same batch or in one before. And
//     x had its id before that commit, y after it (id is the last column, so nextval() is called when all else of the
//     row is there; the sequence gives out each number when it is asked for, CACHE 1): in the same batch x stands
//     first.
// What is not claimed: that rows of one transaction stand together, or that two rows that knew nothing of each other
// have one true order. Reading in the order of (xid, id) below the oldest running transaction would be complete as
// well, but wrong: a transaction with a smaller xid may see what a younger one committed meanwhile; and one writer that
// sleeps would hold up all others.
//
// In a snapshot's numbers: not visible in P is xid >= xmax(P), or xid in xip(P), those that were running. Both are
// looked up in the index (xid, id); the pages of a batch go along the primary key from its smallest id
// (outbox_sql.cpp).
//
// A server that crashed gives out the numbers of transactions again whose records it had not written: those that were
// rolled back just before. If P counts one of them as over, what is written under that number now would be hidden. On
// every connection the least number T is looked for that can have been given out again, and P and S are cut off there
// (kSurvey in outbox_sql.cpp): ids of rows grow over a crash, so a row with an id beyond all that were read, but
// visible in P, has such a number; as has a running transaction that is visible in S; and so will the next one, if it
// comes before the end of S. Rows that were read are not touched by that: they were committed, so their numbers are
// below T.
//
// Threads: plain values.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

namespace weir::postgres {

struct Batch {
  std::string seen;     // P
  std::string reading;  // S; empty: no batch is being read
};

struct Position {
  std::shared_ptr<const Batch> batch;
  std::int64_t last = 0;  // up to this id of the batch
  std::int64_t top = 0;   // the greatest id so far
  // Its transaction, 0: not known. Another one under the same id shows that the server has lost commits.
  std::int64_t top_xid = 0;
};

// Rows on their way into the hub. Bounded by what the hub takes at once from a source.
class Progress {
 public:
  // Where to read on. What was under way is not waited for any more.
  void reset(Position position);
  // The same place in other numbers. What is under way is waited for.
  void renumber(Position position);
  const Position& read() const { return read_; }
  // Another row was read; returns its number, which grows by one.
  std::uint64_t add(std::int64_t id, std::int64_t xid);
  void skip(std::int64_t id, std::int64_t xid);  // one that becomes no event
  void begin(const std::string& reading);        // a batch, or the one that was begun before
  void finish();                                 // it was read to its end
  void accepted(std::uint64_t number);           // up to this one
  void refused(std::uint64_t number);            // the hub will never have this one
  std::size_t in_flight() const { return in_flight_.size(); }

  // Up to where the hub has everything, and whether that is news.
  const Position& done() const { return done_; }
  bool changed() const { return changed_; }
  void stored() { changed_ = false; }

 private:
  struct Row {
    std::uint64_t number;
    Position position;
    bool over = false;
  };
  void move(std::int64_t id, std::int64_t xid);
  void settle();
  Position read_, done_;
  std::deque<Row> in_flight_;
  std::uint64_t number_ = 0;
  bool changed_ = false;
};

}  // namespace weir::postgres
