#include "position.hpp"

#include <algorithm>

namespace weir::postgres {

void Progress::reset(Position position) {
  in_flight_.clear();
  read_ = done_ = std::move(position);
  changed_ = false;
}

void Progress::renumber(Position position) {
  read_ = std::move(position);
  for (Row& row : in_flight_) row.position.batch = nullptr;  // a place in numbers that mean nothing any more
  if (in_flight_.empty())
    done_ = read_;
  else
    in_flight_.back().position = read_;
  changed_ = true;
}

void Progress::move(std::int64_t id, std::int64_t xid) {
  read_.last = id;
  if (id < read_.top) return;
  read_.top = id;
  read_.top_xid = xid;
}

std::uint64_t Progress::add(std::int64_t id, std::int64_t xid) {
  move(id, xid);
  in_flight_.push_back({++number_, read_});
  return number_;
}

void Progress::skip(std::int64_t id, std::int64_t xid) {
  move(id, xid);
  changed_ = true;
  settle();
}

void Progress::begin(const std::string& reading) {
  if (read_.batch->reading == reading) return;
  read_.batch = std::make_shared<const Batch>(Batch{read_.batch->seen, reading});
}

void Progress::finish() {
  // What was read of it has its own place; that the batch is over matters for what may be removed.
  if (read_.last != 0) changed_ = true;
  read_.batch = std::make_shared<const Batch>(Batch{read_.batch->reading, {}});
  read_.last = 0;
  settle();
}

void Progress::accepted(std::uint64_t number) {
  for (Row& row : in_flight_) {
    if (row.number > number) break;
    row.over = true;
  }
  settle();
}

void Progress::refused(std::uint64_t number) {
  for (Row& row : in_flight_)
    if (row.number == number) row.over = true;
  settle();
}

void Progress::settle() {
  for (; !in_flight_.empty() && in_flight_.front().over; in_flight_.pop_front()) {
    if (in_flight_.front().position.batch) done_ = in_flight_.front().position;
    changed_ = true;
  }
  if (in_flight_.empty()) done_ = read_;
}

}  // namespace weir::postgres
