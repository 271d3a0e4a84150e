#include "backlog.hpp"

#include <cstring>
#include <utility>

#include "glob.hpp"

namespace weir::log_tail {

bool Backlog::Starts::line(const Line& line) {
  places_.push_back(std::exchange(next_, line.end));
  if (places_.size() > lines_max_) places_.pop_front();
  return true;
}

Place Backlog::Starts::first(LastLines& wanted) {
  std::size_t missing = wanted.lines - places_.size();
  for (; !places_.empty() && next_.offset - places_.front().offset > wanted.bytes; missing = 0) places_.pop_front();
  const Place first = places_.empty() ? next_ : places_.front();
  wanted.lines = missing;
  wanted.bytes -= next_.offset - first.offset;
  return first;
}

Backlog::Backlog(LastLines wanted, std::vector<Sibling> older, ReadBuffers& buffers, Reach reach)
    : wanted_(wanted), older_(std::move(older)), buffers_(buffers), reach_(reach) {}

bool Backlog::end(const Sibling& at, const std::string& why) {
  problem_ = "what was logged before is left out: " + std::string(base_name(at.path)) + " " + why;
  return false;
}

bool Backlog::look() {
  if (starts_) return look_into_packed();
  if (wanted_.lines == 0 || older_.empty() || parts_.size() == kFilesMax) return false;
  const Sibling sibling = std::move(older_.back());
  older_.pop_back();
  OpenFile file(sibling.path, buffers_, sibling.packed, reach_);
  if (file.is_open() ? file.id() != sibling.birth.id : reach_.is_absent(file.error()))
    return end(sibling, "got another name meanwhile");
  if (!file.is_open()) return end(sibling, std::string("can't be opened: ") + std::strerror(file.error()));
  parts_.push_back({std::move(file), sibling.path});
  if (sibling.packed)
    starts_.emplace(wanted_.lines);
  else
    parts_.back().file.begin_with_backlog(wanted_, true);
  return true;
}

bool Backlog::look_into_packed() {
  OpenFile& file = parts_.back().file;
  const OpenFile::Outcome outcome = file.read_chunk(*starts_);
  if (outcome == OpenFile::Outcome::more && file.read_up_to() < kUnpackedMax) return true;
  if (outcome == OpenFile::Outcome::more) {
    problem_ = "what was logged before is left out: " + std::string(base_name(parts_.back().name)) +
               " unpacks to more than " + std::to_string(kUnpackedMax >> 20) + " MiB";
    parts_.pop_back();
    return false;
  }
  // Damaged, it gives what it has; that it is, whoever reads it there says.
  file.finish(*starts_);
  file.begin_at(starts_->first(wanted_));
  starts_.reset();
  return true;
}

}  // namespace weir::log_tail
