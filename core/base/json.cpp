#include "base/json.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace weir::json {
namespace {

// Most bytes that are asked about are no space, and one comparison says so.
bool is_space(char c) { return c <= ' ' && (c == ' ' || c == '\n' || c == '\t' || c == '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int hex4(const char* p) {
  int value = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_value(p[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

// How many bytes the UTF-8 character at p has, 0 if it is none (RFC 3629: no overlong forms, no surrogates).
std::size_t utf8_length(const unsigned char* p, const unsigned char* end) {
  const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return p + i < end && p[i] >= low && p[i] <= high;
  };
  if (p[0] < 0x80) return 1;
  if (p[0] >= 0xC2 && p[0] <= 0xDF) return tail(1) ? 2 : 0;
  if (p[0] >= 0xE0 && p[0] <= 0xEF) {
    const unsigned low = p[0] == 0xE0 ? 0xA0 : 0x80, high = p[0] == 0xED ? 0x9F : 0xBF;
    return tail(1, low, high) && tail(2) ? 3 : 0;
  }
  if (p[0] >= 0xF0 && p[0] <= 0xF4) {
    const unsigned low = p[0] == 0xF0 ? 0x90 : 0x80, high = p[0] == 0xF4 ? 0x8F : 0xBF;
    return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80)
    put(c);
  else if (c < 0x800)
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  else if (c < 0x10000)
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  else
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
}

// Bytes that a string may hold as they are: no quote, backslash, control character, and plain ASCII.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> t{};
  for (unsigned i = 0x20; i < 0x80; ++i) t[i] = i != '"' && i != '\\';
  return t;
}();

// The first byte from `p` on that is not plain; `end` when all are. Eight bytes at a time; never reads behind `end`.
const char* skip_plain_by_8(const char* p, const char* end) {
  constexpr std::uint64_t kOnes = 0x0101010101010101U, kTops = kOnes << 7;
  for (; end - p >= 8; p += 8) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, p, sizeof bytes);
    // A subtraction sets the top bit of the lowest byte that is below 0x20, or that XOR made 0. The borrow may mark
    // others as well, but never one where there is none: which one it was, the loop below finds.
    const std::uint64_t quote = bytes ^ kOnes * '"', slash = bytes ^ kOnes * '\\';
    if (((bytes | (bytes - kOnes * 0x20) | (quote - kOnes) | (slash - kOnes)) & kTops) != 0) break;
  }
  while (p < end && kPlain[static_cast<unsigned char>(*p)]) ++p;
  return p;
}

// The same, 16 bytes at a time where there is SSE2, which is on every x86-64. Most of a frame lies in strings.
inline const char* skip_plain(const char* p, const char* end) {
#ifdef __SSE2__
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    // Signed, the bytes beyond ASCII are below 0x20, as the control characters are.
    const __m128i special = _mm_or_si128(
        _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)),
        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
    if (const int mask = _mm_movemask_epi8(special); mask != 0)
      return p + std::countr_zero(static_cast<unsigned>(mask));
  }
#endif
  return skip_plain_by_8(p, end);
}

}  // namespace

// Recursion is bounded by depth_max, at most Doc::kDepthMax levels of a small frame.
class Parser {
 public:
  Parser(Doc& doc, int depth_max)
      : doc_(doc),
        nodes_(doc.nodes_.data()),
        room_(static_cast<std::uint32_t>(doc.nodes_.size())),
        at_(doc.text_.data()),
        end_(at_ + doc.text_.size()),
        depth_max_(depth_max) {}

  bool run() {
    skip_space();
    if (!value(0)) return false;
    skip_space();
    doc_.end_ = size_;
    if (at_ != end_) return wrong("the end of the text");
    if (half_ == nullptr) return true;
    doc_.whole_ = true;
    at_ = half_;
    return false;
  }
  std::size_t offset() const { return static_cast<std::size_t>(at_ - doc_.text_.data()); }
  Error error() const {
    if (too_deep_)
      return fail(Errc::too_large, "JSON nested deeper than " + std::to_string(depth_max_) + " levels at byte " +
                                       std::to_string(offset()));
    if (doc_.whole_)
      return fail(Errc::bad_frame, "at byte " + std::to_string(offset()) + ": " + std::string(at_, 6) +
                                       " is half of a surrogate pair and stands for no character; was a text cut in "
                                       "the middle of one?");
    std::string found = "the end of the text";
    if (at_ < end_) {
      found = "byte 0x";
      constexpr char kHex[] = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(*at_);
      if (byte > 0x20 && byte < 0x7F)
        found = "'" + std::string(1, *at_) + "'";
      else
        (found += kHex[byte >> 4]) += kHex[byte & 15];
    }
    return fail(Errc::bad_frame,
                "not JSON at byte " + std::to_string(offset()) + ": expected " + expected_ + ", found " + found);
  }

 private:
  bool wrong(const char* expected) {
    expected_ = expected;
    return false;
  }
  void skip_space() {
    while (at_ < end_ && is_space(*at_)) ++at_;
  }
  std::uint32_t place(const char* at) const { return static_cast<std::uint32_t>(at - doc_.text_.data()); }
  Node& add() {
    if (size_ == room_) more_room();
    return nodes_[size_++];
  }
  void more_room() {
    doc_.nodes_.resize(std::max<std::size_t>(16, 2 * doc_.nodes_.size()));
    nodes_ = doc_.nodes_.data();
    room_ = static_cast<std::uint32_t>(doc_.nodes_.size());
  }
  // A value without others in it, from `begin` up to here.
  bool leaf(const char* begin, Kind kind, bool escaped) {
    Node& node = add();
    node = {place(begin), place(at_), size_, 0, kind, escaped};
    return true;
  }
  std::uint32_t open(Kind kind) {
    Node& node = add();
    node = {place(at_), 0, 0, 0, kind, false};
    return size_ - 1;
  }
  bool close(std::uint32_t index, std::uint32_t count) {
    Node& node = nodes_[index];
    node.end = place(at_);
    node.next = size_;
    node.count = count;
    return true;
  }

  bool value(int depth) {
    if (at_ == end_) return wrong("a value");
    switch (*at_) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return string();
      case 't':
        return word("true", Kind::boolean);
      case 'f':
        return word("false", Kind::boolean);
      case 'n':
        return word("null", Kind::null);
      default:
        return number();
    }
  }
  bool word(std::string_view text, Kind kind) {
    if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).substr(0, text.size()) != text)
      return wrong("a value");
    at_ += text.size();
    return leaf(at_ - text.size(), kind, false);
  }
  bool digits() {
    if (at_ == end_ || !is_digit(*at_)) return wrong("a digit");
    while (at_ < end_ && is_digit(*at_)) ++at_;
    return true;
  }
  bool number() {
    if (*at_ != '-' && !is_digit(*at_)) return wrong("a value");
    const char* begin = at_;
    if (*at_ == '-') ++at_;
    if (at_ < end_ && *at_ == '0')
      ++at_;
    else if (!digits())
      return false;
    if (at_ < end_ && *at_ == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (at_ < end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ < end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      if (!digits()) return false;
    }
    return leaf(begin, Kind::number, false);
  }
  bool string() {
    const char* begin = at_;
    at_ = skip_plain(at_ + 1, end_);
    if (at_ == end_ || *at_ != '"') return rest_of_string(begin);
    ++at_;
    return leaf(begin, Kind::string, false);
  }
  // Stands at something that is not plain. Apart from string(), so that the many plain ones stay short.
  [[gnu::noinline]] bool rest_of_string(const char* begin) {
    bool escaped = false;
    for (;; at_ = skip_plain(at_, end_)) {
      if (at_ == end_) return wrong("the closing quote of a string");
      const auto c = static_cast<unsigned char>(*at_);
      if (c == '"') {
        ++at_;
        return leaf(begin, Kind::string, escaped);
      }
      if (c == '\\') {
        escaped = true;
        if (!escape()) return false;
      } else if (c < 0x20) {
        return wrong("an escaped control character");
      } else {
        do {  // text beyond ASCII comes in runs
          const auto length =
              utf8_length(reinterpret_cast<const unsigned char*>(at_), reinterpret_cast<const unsigned char*>(end_));
          if (length == 0) return wrong("UTF-8");
          at_ += length;
        } while (at_ < end_ && static_cast<unsigned char>(*at_) >= 0x80);
      }
    }
  }
  bool escape() {
    if (end_ - at_ < 2) return wrong("an escape");
    if (at_[1] != 'u') {
      if (std::string_view("\"\\/bfnrt").find(at_[1]) == std::string_view::npos) return wrong("an escape");
      at_ += 2;
      return true;
    }
    const int unit = end_ - at_ >= 6 ? hex4(at_ + 2) : -1;
    if (unit < 0) return wrong("four hexadecimal digits after \\u");
    if (unit < 0xD800 || unit > 0xDFFF) {
      at_ += 6;
      return true;
    }
    const int low = unit <= 0xDBFF && end_ - at_ >= 12 && at_[6] == '\\' && at_[7] == 'u' ? hex4(at_ + 8) : -1;
    const bool pair = low >= 0xDC00 && low <= 0xDFFF;
    if (!pair && half_ == nullptr) half_ = at_;
    at_ += pair ? 12 : 6;
    return true;
  }
  bool array(int depth) {
    if (depth >= depth_max_) {
      too_deep_ = true;
      return false;
    }
    const auto index = open(Kind::array);
    ++at_;
    skip_space();
    if (at_ < end_ && *at_ == ']') {
      ++at_;
      return close(index, 0);
    }
    for (std::uint32_t count = 1;; ++count) {
      skip_space();
      if (!value(depth + 1)) return false;
      skip_space();
      if (at_ == end_ || (*at_ != ',' && *at_ != ']')) return wrong("',' or ']'");
      if (*at_++ == ']') return close(index, count);
    }
  }
  bool object(int depth) {
    if (depth >= depth_max_) {
      too_deep_ = true;
      return false;
    }
    const auto index = open(Kind::object);
    ++at_;
    skip_space();
    if (at_ < end_ && *at_ == '}') {
      ++at_;
      return close(index, 0);
    }
    for (std::uint32_t count = 1;; ++count) {
      skip_space();
      if (at_ == end_ || *at_ != '"') return wrong("a member name in quotes");
      if (!string()) return false;
      skip_space();
      if (at_ == end_ || *at_ != ':') return wrong("':'");
      ++at_;
      skip_space();
      if (!value(depth + 1)) return false;
      skip_space();
      if (at_ == end_ || (*at_ != ',' && *at_ != '}')) return wrong("',' or '}'");
      if (*at_++ == '}') return close(index, count);
    }
  }

  Doc& doc_;
  Node* nodes_;  // of doc_
  std::uint32_t size_ = 0, room_;
  const char* at_;
  const char* end_;
  int depth_max_;
  bool too_deep_ = false;
  const char* expected_ = "a value";
  const char* half_ = nullptr;  // where the first escape without its other half stands
};

Result<void> Doc::parse(std::string_view text, int depth_max) {
  text_ = text;
  root_ = end_ = offset_ = 0;
  stopped_at_ = 0;
  whole_ = false;
  if (text.size() >= std::numeric_limits<std::uint32_t>::max())
    return fail(Errc::too_large, "JSON text of 4 GiB and more");
  Parser parser(*this, depth_max);
  if (!parser.run()) {
    stopped_at_ = parser.offset();
    return parser.error();
  }
  whole_ = true;
  return {};
}

Index Doc::index_of(const Value& value) const {
  const std::uint32_t root = value.index(), offset = nodes_[root].begin;
  Index out;
  out.nodes.assign(nodes_.begin() + root, nodes_.begin() + nodes_[root].next);
  out.end = static_cast<std::uint32_t>(out.nodes.size());
  out.offset = offset;
  if (root != 0)
    for (Node& node : out.nodes) node.next -= root;
  return out;
}

void Doc::lend(const Value& value, Index& to) {
  const Node& node = nodes_[value.index()];
  to.root = value.index();
  to.end = node.next;
  to.offset = node.begin;
  nodes_.swap(to.nodes);
  root_ = end_ = 0;
  whole_ = false;
}

void Doc::reuse(Index& from) {
  from.root = from.end = 0;
  if (from.nodes.size() > nodes_.size()) nodes_.swap(from.nodes);
}

void Doc::adopt(std::string_view text, Index& index) {
  text_ = text;
  nodes_.swap(index.nodes);
  root_ = index.root;
  end_ = index.end;
  offset_ = index.offset;
  index.root = index.end = 0;
  stopped_at_ = 0;
  whole_ = true;
}

void Doc::give_back(Index& index) {
  nodes_.swap(index.nodes);
  index.root = index.end = root_ = end_ = 0;
  whole_ = false;
}

void Doc::trim(std::size_t nodes_max) {
  if (nodes_.capacity() > nodes_max) Nodes().swap(nodes_);
  root_ = end_ = 0;
  whole_ = false;
}

Value Value::find(std::string_view key) const {
  if (!is(Kind::object)) return {};
  std::uint32_t found = 0;  // no member's value stands there
  std::uint32_t i = index_ + 1;
  for (std::uint32_t n = node().count; n != 0; --n) {
    const Node& name = doc_->node(i);
    // Most names differ in length already, and that takes no look at the text.
    if ((name.escaped || name.end - name.begin == key.size() + 2) && Value(doc_, i).string_equals(key)) found = i + 1;
    i = doc_->node(i + 1).next;
  }
  return found == 0 ? Value() : Value(doc_, found);
}

Value Value::at(std::uint32_t place) const {
  if (!is(Kind::array) || place >= count()) return {};
  std::uint32_t i = index_ + 1;
  while (place-- != 0) i = doc_->node(i).next;
  return Value(doc_, i);
}

std::string Value::string() const {
  auto text = raw();
  text = text.substr(1, text.size() - 2);
  if (!node().escaped) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'u': {
        auto c = static_cast<std::uint32_t>(hex4(text.data() + i + 1));
        i += 4;
        if (c >= 0xD800 && c <= 0xDBFF && text.substr(i + 1, 2) == "\\u") {
          const auto low = static_cast<std::uint32_t>(hex4(text.data() + i + 3));
          if (low >= 0xDC00 && low <= 0xDFFF) {
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            i += 6;
          }
        }
        if (c >= 0xD800 && c <= 0xDFFF) c = 0xFFFD;
        append_utf8(out, c);
        break;
      }
      default:
        out += text[i];
    }
  }
  return out;
}

double Value::number() const {
  const auto text = raw();
  // Most numbers are short integers, which a double holds exactly.
  if (text.size() <= 15) {
    std::int64_t whole = 0;
    const std::size_t sign = text.front() == '-' ? 1 : 0;
    std::size_t i = sign;
    for (; i < text.size() && is_digit(text[i]); ++i) whole = whole * 10 + (text[i] - '0');
    if (i == text.size()) return sign == 0 ? static_cast<double>(whole) : -static_cast<double>(whole);
  }
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec == std::errc::result_out_of_range) {  // from_chars does not say which way; strtod does
    return std::strtod(std::string(text).c_str(), nullptr);
  }
  return value;
}

std::optional<std::int64_t> Value::integer() const {
  const auto text = raw();
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool needs_no_escape(std::string_view text) {
  const char* end = text.data() + text.size();
  return skip_plain(text.data(), end) == end;
}

void append_string(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  out += '"';
  while (p < end) {
    const auto* run = p;
    p = reinterpret_cast<const unsigned char*>(
        skip_plain(reinterpret_cast<const char*>(p), reinterpret_cast<const char*>(end)));
    out.append(reinterpret_cast<const char*>(run), static_cast<std::size_t>(p - run));
    if (p == end) break;
    const unsigned char c = *p;
    if (c >= 0x80) {
      const auto length = utf8_length(p, end);
      if (length == 0) {
        out += "\xEF\xBF\xBD";
        ++p;
      } else {
        out.append(reinterpret_cast<const char*>(p), length);
        p += length;
      }
      continue;
    }
    ++p;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        ((out += "\\u00") += kHex[c >> 4]) += kHex[c & 15];
    }
  }
  out += '"';
}

std::string quoted(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

bool valid_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const auto length = utf8_length(p, end);
    if (length == 0) return false;
    p += length;
  }
  return true;
}

std::string_view strip(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string to_utf8(std::string_view text) {
  if (valid_utf8(text)) return std::string(text);
  std::string out;
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const auto length = utf8_length(p, end);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++p;
    } else {
      out.append(reinterpret_cast<const char*>(p), length);
      p += length;
    }
  }
  return out;
}

}  // namespace weir::json
