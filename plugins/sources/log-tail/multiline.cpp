#include "multiline.hpp"

#include <re2/re2.h>

#include <utility>

namespace weir::log_tail {
namespace {

constexpr std::int64_t kPatternBytesMax = 1
                                          << 20;  // of the automaton; RE2 falls back to a slower, linear way beyond it
constexpr std::size_t kKeptCapacity = 1024;

}  // namespace

LinePattern::LinePattern(const std::string& pattern) {
  re2::RE2::Options options;
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  options.set_log_errors(false);
  options.set_max_mem(kPatternBytesMax);
  pattern_ = std::make_unique<re2::RE2>(pattern, options);
}

LinePattern::~LinePattern() = default;

std::string LinePattern::problem() const { return pattern_->ok() ? std::string() : pattern_->error(); }

bool LinePattern::found_in(std::string_view line) const {
  return re2::RE2::PartialMatch(re2::StringPiece(line.data(), line.size()), *pattern_);
}

Multiline::Multiline(MultilineOptions o) : options(std::move(o)) {
  if (!options.wanted()) return;
  pattern_ = std::make_unique<LinePattern>(options.start.empty() ? options.continuation : options.start);
}

bool Multiline::begins(std::string_view line) const {
  return !pattern_ || pattern_->found_in(line) == !options.start.empty();
}

bool Joiner::line(const Line& line, std::int64_t now) {
  bool go_on = true;
  if (waiting() && rules_.begins(line.text)) {
    go_on = flush();
  } else if (waiting() &&
             (lines_ >= rules_.options.lines_max || text_.size() + 1 + line.text.size() > rules_.options.bytes_max)) {
    go_on = flush(false, true);
  }
  const std::size_t before = text_.size();
  if (waiting()) {
    text_ += '\n';
    ++bytes_;
  }
  text_ += line.text;
  rules_.waiting_bytes += text_.size() - before;
  bytes_ += line.bytes;
  ++lines_;
  end_ = line.end;
  last_at_ = now;
  if (line.partial) return flush(true) && go_on;
  if (rules_.waiting_bytes > Multiline::kWaitingBytesMax) return flush(false, true) && go_on;
  return go_on;
}

bool Joiner::flush(bool partial, bool continued) {
  const bool go_on = !waiting() || out_.line({text_, bytes_, end_, lines_, partial, continued});
  rules_.waiting_bytes -= text_.size();
  if (text_.capacity() > kKeptCapacity)
    std::string().swap(text_);  // thousands of files must not hold their longest event
  text_.clear();
  bytes_ = lines_ = 0;
  return go_on;
}

}  // namespace weir::log_tail
