// Names of channels, and the patterns that stand for many of them (docs/protocol.md, "Names and patterns").
//   agents/{id}     one segment, remembered as `id`; it may be part of a segment: session:{id}, {file}.log
//   logs/*          any one segment          logs/**   one or more segments; only at the end
// Matching is linear in the name: a name from outside can't make it slow.
// Threads: [any]; immutable once parsed.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "routing/draft.hpp"

namespace weir {

inline constexpr std::size_t kChannelNameBytesMax = 255;

// 1 to 255 bytes of UTF-8 without control characters, spaces (both as Unicode has them), '*', '{' and '}'; segments
// divided by '/', none empty.
// Errors: bad_request - with the name and what is wrong with it.
Result<void> check_channel_name(std::string_view name);
// Whether it is a pattern of subscribe: '*' and '**' only.
bool has_wildcard(std::string_view text);

class Pattern {
 public:
  // A pattern of the manifest. Errors: bad_request - what is wrong, in a sentence.
  static Result<Pattern> parse(std::string_view text);
  // A pattern of a subscribe frame: no {name}s.
  static Result<Pattern> parse_wildcard(std::string_view text);
  // A pattern over a source's subjects, whose parts are divided by `separator`; '>' means the same as '**'.
  static Result<Pattern> parse_subject(std::string_view text, char separator);

  bool matches(std::string_view name) const { return match_into(name, nullptr); }
  // What the variables stand for, in the order of the pattern; nothing if the name does not match.
  std::optional<Variables> match(std::string_view name) const;
  // Whether every name that `other` matches is matched by this one. May say no where the answer is yes, never the
  // reverse.
  bool covers(const Pattern& other) const;
  const std::vector<std::string>& names() const { return names_; }
  const std::string& text() const { return text_; }
  bool is_literal() const { return literal_; }  // stands for one name only
  bool has_stars() const { return stars_; }

  // The name that this pattern makes of these variables. Bytes that a name can't hold, '/' among them, are
  // percent-encoded, so that a value never adds a segment. Errors: bad_request - a variable is missing or empty, or the
  // name is too long.
  Result<std::string> expand(const Variables& variables) const;
  // The subject that this pattern of parse_subject() makes of these variables. What would divide it, or be a wildcard
  // in it, is percent-encoded: a channel's name from a client never leads to another subject. Errors: bad_request - a
  // variable is missing, or there are stars.
  Result<std::string> expand_subject(const Variables& variables) const;
  // Which subjects feed those channels: `watched` is the name of a channel, or a pattern of a subscribe frame;
  // `channel` and `subject` stand in one `from`. What is not known is "*", or "**" at the end. Nothing when there are
  // none.
  static std::optional<std::string> subject_for(const Pattern& watched, const Pattern& channel, const Pattern& subject);

 private:
  enum class Kind : unsigned char { text, star, rest };
  struct Segment {
    Kind kind = Kind::text;
    std::vector<std::string> literals;   // one more than variables: before, between and behind them
    std::vector<std::size_t> variables;  // places in names_
  };
  static Result<Pattern> parse(std::string_view text, char separator, bool subject);
  static Result<Segment> parse_segment(std::string_view text, std::vector<std::string>& names);
  bool match_into(std::string_view name, Variables* out) const;
  bool match_segment(const Segment& segment, std::string_view part, Variables* out) const;

  std::string text_;
  std::vector<Segment> segments_;
  std::vector<std::string> names_;
  char separator_ = '/';
  bool literal_ = true, stars_ = false;
};

using ChannelPattern = Pattern;

}  // namespace weir
