// Joins lines that belong together, such as a stack trace, to one event. Either a pattern says which line begins an
// event (all others go on), or one says which line goes on (all others begin). An event leaves when the next one
// begins, when nothing came for `timeout_ms`, and when its file ends; one that reaches `lines_max` or `bytes_max`
// leaves in pieces, so nothing is thrown away and nothing grows without a limit. Patterns are RE2's: their cost is
// linear in the line, whatever the pattern (std::regex can take the stack and seconds). They see bytes, so that a line
// that is not UTF-8 matches as well as any other. Threads: [strand].
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "open_file.hpp"

namespace re2 {
class RE2;
}

namespace weir::log_tail {

struct MultilineOptions {
  std::string start, continuation;  // at most one of them; both empty: every line is an event
  std::size_t lines_max = 500;
  std::size_t bytes_max = 64 * 1024;
  std::int64_t timeout_ms = 1000;
  bool wanted() const { return !start.empty() || !continuation.empty(); }
};

// A pattern, compiled. Errors: problem() is RE2's word for what is wrong with it.
class LinePattern {
 public:
  explicit LinePattern(const std::string& pattern);
  LinePattern(const LinePattern&) = delete;
  LinePattern& operator=(const LinePattern&) = delete;
  ~LinePattern();
  std::string problem() const;
  bool found_in(std::string_view line) const;  // anywhere; ^ and $ are the line's ends

 private:
  std::unique_ptr<re2::RE2> pattern_;
};

// What all files of an instance share.
class Multiline {
 public:
  static constexpr std::size_t kWaitingBytesMax = 8 * 1024 * 1024;  // events that are not whole yet, all files together
  explicit Multiline(MultilineOptions options);
  bool wanted() const { return options.wanted(); }
  bool begins(std::string_view line) const;

  const MultilineOptions options;
  std::size_t waiting_bytes = 0;

 private:
  std::unique_ptr<LinePattern> pattern_;
};

// The event of one file that is not whole yet.
class Joiner {
 public:
  Joiner(Multiline& rules, LineSink& out) : rules_(rules), out_(out) {}
  Joiner(const Joiner&) = delete;
  Joiner& operator=(const Joiner&) = delete;
  ~Joiner() { rules_.waiting_bytes -= text_.size(); }

  // Takes the line. False: the sink wants no more for now.
  bool line(const Line& line, std::int64_t now);
  // Hands over what waits. False as above.
  bool flush(bool partial = false, bool continued = false);
  bool waiting() const { return lines_ != 0; }
  std::int64_t due() const { return last_at_ + rules_.options.timeout_ms; }  // only while waiting()

 private:
  Multiline& rules_;
  LineSink& out_;
  std::string text_;
  std::uint64_t bytes_ = 0;  // in the file
  std::uint32_t lines_ = 0;
  Place end_;
  std::int64_t last_at_ = 0;
};

}  // namespace weir::log_tail
