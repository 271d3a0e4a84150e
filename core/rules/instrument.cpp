#include "rules/instrument.hpp"

#include <algorithm>
#include <array>

namespace weir::rules {
namespace {

// The counter and the function that refills it are locals of the chunk, hence upvalues of every function in it.
// The accessor closure is how the engine reaches the counter between two calls.
constexpr std::string_view kProlog =
    "local __weir_g,__weir_t=0,__weir_trip __weir_trip=nil __weir_t(function()return __weir_g end);";
constexpr std::string_view kModuleProlog = "local __weir_g,__weir_t return function(...) ", kModuleEnd = "\nend";
constexpr std::string_view kGas = " __weir_g=__weir_g-1 if __weir_g<0 then __weir_g=__weir_t()end; ";

bool is_name_start(char c) {
  const auto u = static_cast<unsigned char>(c);
  return (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || u == '_' || u >= 0x80;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

enum class Token : unsigned char { end, name, word, number, string, sign };

// Words after which an expression must follow, so that a `goto` there is a name.
constexpr std::array<std::string_view, 12> kBeforeExpression = {"and",   "elseif", "for", "function", "if",    "in",
                                                                "local", "not",    "or",  "return",   "until", "while"};
constexpr std::array<std::string_view, 21> kWords = {"and", "break",    "do",     "else", "elseif", "end",   "false",
                                                     "for", "function", "if",     "in",   "local",  "nil",   "not",
                                                     "or",  "repeat",   "return", "then", "true",   "until", "while"};

class Weaver {
 public:
  Weaver(std::string_view script, std::string_view source, std::string_view prolog)
      : script_(script), source_(source), prolog_(prolog) {}

  Result<std::string> run() {
    out_.reserve(source_.size() * 2 + prolog_.size());
    out_ += prolog_;
    if (source_.starts_with("\xEF\xBB\xBF")) at_ = written_ = 3;
    if (at_ < source_.size() && source_[at_] == '#') {  // "#!/usr/bin/env ..." as the stock loader allows
      while (at_ < source_.size() && source_[at_] != '\n') ++at_;
      written_ = at_;
    }
    bool in_parameters = false;  // between `function` and the `)` of its parameters
    std::string_view before;     // the token before, and what it was
    Token before_kind = Token::end;
    for (;;) {
      const Token kind = next();
      if (kind == Token::end) break;
      if (kind == Token::name && text_.starts_with(kReservedPrefix))
        return wrong("the name " + std::string(text_) + " is reserved (everything that begins with " +
                     std::string(kReservedPrefix) + "); choose another");
      if (kind == Token::name && text_ == "goto") {
        if (!may_start_statement(before_kind, before) || !name_follows())
          return wrong("`goto` can't be used as a name in rules");
        insert_at(start_);
      } else if (kind == Token::word && (text_ == "do" || text_ == "repeat")) {
        insert_at(at_);
      } else if (kind == Token::word && text_ == "function") {
        in_parameters = true;
      } else if (kind == Token::sign && text_ == ")" && in_parameters) {
        in_parameters = false;
        insert_at(at_);
      }
      before = text_;
      before_kind = kind;
    }
    out_ += source_.substr(std::min(written_, source_.size()));
    return std::move(out_);
  }

 private:
  Error wrong(const std::string& message) const {
    const auto line = 1 + std::count(source_.begin(), source_.begin() + static_cast<std::ptrdiff_t>(start_), '\n');
    return fail(Errc::bad_request, std::string(script_) + ":" + std::to_string(line) + ": " + message);
  }
  void insert_at(std::size_t place) {
    out_ += source_.substr(written_, place - written_);
    out_ += kGas;
    written_ = place;
  }
  static bool may_start_statement(Token kind, std::string_view text) {
    if (kind == Token::word)
      return std::find(kBeforeExpression.begin(), kBeforeExpression.end(), text) == kBeforeExpression.end();
    if (kind == Token::sign)
      return text == ";" || text == ")" || text == "]" || text == "}" || text == "::" || text == "...";
    return true;
  }
  bool name_follows() {
    Weaver ahead(script_, source_, {});
    ahead.at_ = at_;
    return ahead.next() == Token::name;
  }
  char peek(std::size_t n = 0) const { return at_ + n < source_.size() ? source_[at_ + n] : '\0'; }

  // At a '[': how many '=' stand in a long bracket that opens here; -1 if none does.
  int long_bracket() const {
    std::size_t i = 1;
    while (peek(i) == '=') ++i;
    return peek(i) == '[' ? static_cast<int>(i) - 1 : -1;
  }
  void skip_long(int level) {
    std::string close = "]" + std::string(static_cast<std::size_t>(level), '=') + "]";
    const auto found = source_.find(close, at_ + static_cast<std::size_t>(level) + 2);
    at_ = found == std::string_view::npos ? source_.size() : found + close.size();
  }
  void skip_quoted(char quote) {
    ++at_;
    while (at_ < source_.size() && source_[at_] != quote) {
      if (source_[at_] == '\n' || source_[at_] == '\r') return;  // unfinished; the compiler will say so
      if (source_[at_] != '\\') {
        ++at_;
        continue;
      }
      ++at_;
      if (at_ >= source_.size()) return;
      if (source_[at_] == 'z') {  // skips all white space that follows
        ++at_;
        while (at_ < source_.size() && (source_[at_] == ' ' || (source_[at_] >= '\t' && source_[at_] <= '\r'))) ++at_;
      } else if ((source_[at_] == '\r' && peek(1) == '\n') || (source_[at_] == '\n' && peek(1) == '\r')) {
        at_ += 2;  // one line break
      } else {
        ++at_;
      }
    }
    if (at_ < source_.size()) ++at_;
  }
  void skip_number() {
    char exponent = 'e';
    if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'X')) exponent = 'p';
    char last = ' ';
    while (at_ < source_.size()) {
      const char c = source_[at_];
      const bool sign_of_exponent = (c == '+' || c == '-') && static_cast<char>(last | 0x20) == exponent;
      if (!is_name(c) && c != '.' && !sign_of_exponent) break;
      last = c;
      ++at_;
    }
  }

  Token next() {
    for (;;) {
      while (at_ < source_.size() && (source_[at_] == ' ' || (source_[at_] >= '\t' && source_[at_] <= '\r'))) ++at_;
      if (peek() != '-' || peek(1) != '-') break;
      at_ += 2;
      const int level = peek() == '[' ? long_bracket() : -1;
      if (level >= 0)
        skip_long(level);
      else
        while (at_ < source_.size() && source_[at_] != '\n' && source_[at_] != '\r') ++at_;
    }
    start_ = at_;
    if (at_ >= source_.size()) return Token::end;
    const char c = source_[at_];
    Token kind = Token::sign;
    if (is_name_start(c)) {
      while (at_ < source_.size() && is_name(source_[at_])) ++at_;
      kind = Token::name;
    } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      skip_number();
      kind = Token::number;
    } else if (c == '"' || c == '\'') {
      skip_quoted(c);
      kind = Token::string;
    } else if (c == '[' && long_bracket() >= 0) {
      skip_long(long_bracket());
      kind = Token::string;
    } else if (source_.substr(at_).starts_with("...")) {
      at_ += 3;
    } else if (source_.substr(at_).starts_with("::") || source_.substr(at_).starts_with("..")) {
      at_ += 2;
    } else {
      ++at_;
    }
    text_ = source_.substr(start_, at_ - start_);
    if (kind == Token::name && std::find(kWords.begin(), kWords.end(), text_) != kWords.end()) kind = Token::word;
    return kind;
  }

  std::string_view script_, source_, prolog_, text_;
  std::size_t at_ = 0, start_ = 0, written_ = 0;
  std::string out_;
};

}  // namespace

namespace {
Result<std::string> weave(std::string_view script, std::string_view source, std::string_view prolog) {
  if (source.starts_with('\x1B'))
    return fail(Errc::bad_request, std::string(script) + ": compiled Lua is not accepted; give the source text");
  if (source.size() > kScriptBytesMax)
    return fail(Errc::bad_request, std::string(script) + ": " + std::to_string(source.size()) +
                                       " bytes; a script may have " + std::to_string(kScriptBytesMax));
  return Weaver(script, source, prolog).run();
}
}  // namespace

Result<std::string> instrument(std::string_view script, std::string_view source) {
  return weave(script, source, kProlog);
}

Result<std::string> instrument_module(std::string_view script, std::string_view source) {
  auto woven = weave(script, source, kModuleProlog);
  if (woven) *woven += kModuleEnd;
  return woven;
}

}  // namespace weir::rules
