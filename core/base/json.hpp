// One pass over JSON text: checks it completely (RFC 8259, UTF-8, depth) and remembers where every value
// stands, so that a reader pays only for the fields that it looks at and unchanged parts go on byte for byte.
// Decided: half of a surrogate pair in \u escapes is an error, as nothing but JavaScript could hold it; of two equal
// keys the last one counts; a number may be beyond double range and is kept as its text.
// A Doc borrows the text: the text must outlive it. Reuse a Doc to reuse its memory.
// Threads: a const Doc may be read by all.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace weir::json {

enum class Kind : std::uint8_t { null, boolean, number, string, array, object };

struct Node {
  std::uint32_t begin, end;  // bytes in the text; a string's include its quotes
  std::uint32_t next;        // the node after this one's subtree
  std::uint32_t count;       // array: elements; object: members (key nodes and value nodes alternate); else 0
  Kind kind;
  bool escaped;  // string with at least one backslash
};

class Value;
using Nodes = std::vector<Node>;

// The index of one value on its way from the Doc that parsed it to one that reads it. Numbers of nodes and places in
// the text stay those of the Doc that they come from, so that nothing has to be rewritten on the way.
struct Index {
  Nodes nodes{};                    // that of the value are [root, end); the others are room
  std::uint32_t root = 0, end = 0;  // equal: there is no index
  std::uint32_t offset = 0;         // what stands at the first byte of the value's text
  bool empty() const { return root == end; }
};

class Doc {
 public:
  static constexpr int kDepthMax = 64;
  // Errors: bad_frame - not JSON, with the byte offset and what was expected there.
  //         too_large - nested deeper than `depth_max`, or a text of 4 GiB and more.
  Result<void> parse(std::string_view text, int depth_max = kDepthMax);
  Value root() const;  // only when whole()
  // Whether the last parse came to the end of a text that the grammar allows. True after one that failed, when all
  // that is wrong is half of a surrogate pair: who has to answer can still read whom. string() has U+FFFD there.
  bool whole() const { return whole_; }
  std::size_t stopped_at() const { return stopped_at_; }  // the byte at which the last parse failed; 0 if it did not
  // A copy of the index of that value, no larger than it needs to be: for where it may lie about for some time.
  Index index_of(const Value& value) const;
  // The same without a copy: nothing is left here until the next parse(). `to` gets the memory, which reuse() brings
  // back, so that one piece of memory serves one frame after the other.
  void lend(const Value& value, Index& to);
  void reuse(Index& from);
  // Takes over the index of a value whose raw() is exactly this text; `index` gets the memory that was here.
  void adopt(std::string_view text, Index& index);
  // The memory of an adopted index goes back to where it came from. There is no index in either then.
  void give_back(Index& index);
  // Gives memory back, if there is room for more nodes than that.
  void trim(std::size_t nodes_max);
  const Node& node(std::uint32_t index) const { return nodes_[index]; }
  // Nodes are numbered from root_index() up to, but not including, end_index().
  std::uint32_t root_index() const { return root_; }
  std::uint32_t end_index() const { return end_; }
  // The text and parts of it, by places as nodes have them: it runs from begin() to end().
  std::uint32_t begin() const { return offset_; }
  std::uint32_t end() const { return offset_ + static_cast<std::uint32_t>(text_.size()); }
  std::string_view slice(std::uint32_t from, std::uint32_t to) const {
    return {text_.data() + (from - offset_), to - from};
  }

 private:
  friend class Parser;
  std::string_view text_;
  std::size_t stopped_at_ = 0;
  bool whole_ = false;
  Nodes nodes_;  // those that count are [root_, end_); the rest is room for the next text
  std::uint32_t root_ = 0, end_ = 0;
  std::uint32_t offset_ = 0;  // what nodes call the first byte of text_
};

// A place in a Doc; cheap to copy. An empty Value stands for "not there".
class Value {
 public:
  Value() = default;
  Value(const Doc* doc, std::uint32_t index) : doc_(doc), index_(index) {}
  explicit operator bool() const { return doc_ != nullptr; }
  Kind kind() const { return node().kind; }
  bool is(Kind k) const { return doc_ != nullptr && node().kind == k; }
  std::uint32_t index() const { return index_; }
  std::uint32_t count() const { return node().count; }
  std::string_view raw() const { return doc_->slice(node().begin, node().end); }

  // The member of that (unescaped) name, the last one if there are several; empty if this is no object or has none.
  Value find(std::string_view key) const;
  // The element at that place (0-based); empty beyond the end or if this is no array.
  Value at(std::uint32_t place) const;

  // For kind string: the text without quotes and escapes. No copy when there is no escape.
  std::string string() const;
  std::optional<std::string_view> plain_string() const {  // the text, if it needs no unescaping
    if (node().escaped) return std::nullopt;
    return raw().substr(1, node().end - node().begin - 2);
  }
  bool string_equals(std::string_view text) const {
    const auto plain = plain_string();
    return plain ? *plain == text : string() == text;
  }
  bool boolean() const { return raw().front() == 't'; }
  double number() const;                        // beyond double range: plus or minus infinity
  std::optional<std::int64_t> integer() const;  // when the number is written as an integer that fits

  // Walks members or elements: f(key, value) and f(value).
  template <class F>
  void each_member(F&& f) const {
    std::uint32_t i = index_ + 1;
    for (std::uint32_t n = node().count; n != 0; --n) {
      const Value key(doc_, i), value(doc_, i + 1);
      f(key, value);
      i = doc_->node(i + 1).next;
    }
  }
  template <class F>
  void each_element(F&& f) const {
    std::uint32_t i = index_ + 1;
    for (std::uint32_t n = node().count; n != 0; --n) {
      f(Value(doc_, i));
      i = doc_->node(i).next;
    }
  }

 private:
  const Node& node() const { return doc_->node(index_); }
  const Doc* doc_ = nullptr;
  std::uint32_t index_ = 0;
};

inline Value Doc::root() const { return Value(this, root_); }

// Whether `text` stands in a JSON string as it is: ASCII without quotes, backslashes and control characters.
bool needs_no_escape(std::string_view text);
// Appends `text` (UTF-8) as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
void append_string(std::string& out, std::string_view text);
std::string quoted(std::string_view text);
bool valid_utf8(std::string_view text);
// Without the white space that may stand around JSON text: what raw() of its root is.
std::string_view strip(std::string_view text);
// A copy in which every byte that is not part of UTF-8 is replaced by U+FFFD.
std::string to_utf8(std::string_view text);

}  // namespace weir::json
