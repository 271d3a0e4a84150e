// Lua patterns with a bill: the same language as the stock string functions of LuaJIT (%a, [set], %b(), %f[], - * + ?,
// captures), but every step is counted, so that a pattern that explodes costs the rule's budget and no more.
// Limits: kCapturesMax captures; kDepthMax nested quantifiers and captures, then "pattern too complex".
// Threads: [channel]. Never throws; holds no memory of its own.
#pragma once
#include <cstddef>
#include <string_view>

#include "rules/meter.hpp"

namespace weir::rules {

class Matcher {
 public:
  static constexpr int kCapturesMax = 32, kDepthMax = 200;
  static constexpr std::ptrdiff_t kPosition = -2;  // the length of a capture that is a place: ()

  struct Capture {
    const char* begin;
    std::ptrdiff_t length;
  };

  Matcher(std::string_view subject, std::string_view pattern, Meter& meter)
      : meter_(meter),
        begin_(subject.data()),
        end_(begin_ + subject.size()),
        pattern_(pattern.data()),
        pattern_end_(pattern_ + pattern.size()) {}

  // What is wrong with a pattern, whatever it will be matched against; nullptr: nothing. The stock functions see a
  // mistake only when a match gets that far.
  static const char* problem(std::string_view pattern);

  // Where a match that begins exactly at `from` ends, nullptr if there is none. Look at failed() then: it is set when
  // the pattern is malformed or the budget used up.
  const char* match(const char* from);
  // nullptr, or what is wrong. Empty text: the meter has tripped.
  const char* failed() const { return error_; }

  int captures() const { return level_; }
  const Capture& capture(int i) const { return capture_[i]; }
  const char* begin() const { return begin_; }
  const char* end() const { return end_; }

 private:
  static constexpr std::ptrdiff_t kOpen = -1;
  const char* look_over(const char* p);
  const char* run(const char* s, const char* p);
  const char* start_capture(const char* s, const char* p, std::ptrdiff_t kind);
  const char* end_capture(const char* s, const char* p);
  const char* balance(const char* s, const char* p);
  const char* back_reference(const char* s, char digit);
  const char* expand_max(const char* s, const char* p, const char* after);
  const char* expand_min(const char* s, const char* p, const char* after);
  const char* item_end(const char* p);  // just behind the single-character item at p
  bool item_matches(unsigned char c, const char* p, const char* after) const;
  static bool in_class(unsigned char c, unsigned char name);
  static bool in_set(unsigned char c, const char* p, const char* close);
  const char* wrong(const char* message) {
    if (error_ == nullptr) error_ = message;
    return nullptr;
  }
  bool step() {
    if (++steps_ % kStepsPerCharge != 0) return true;
    if (meter_.charge(kStepsPerCharge / 16)) return true;
    wrong("");
    return false;
  }
  static constexpr unsigned kStepsPerCharge = 256;

  Meter& meter_;
  const char *begin_, *end_, *pattern_, *pattern_end_;
  const char* error_ = nullptr;
  unsigned steps_ = 0;
  int depth_ = 0, level_ = 0;
  Capture capture_[kCapturesMax];
};

}  // namespace weir::rules
