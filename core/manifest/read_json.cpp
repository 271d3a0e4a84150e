#include <algorithm>
#include <unordered_map>

#include "base/json.hpp"
#include "manifest/read.hpp"

namespace weir::tree {
namespace {

// From byte offsets to lines and columns. Columns count characters, as editors and toml++ do.
class Lines {
 public:
  Lines(const std::string& name, std::string_view text) : name_(name), text_(text) {
    for (std::size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n') starts_.push_back(i + 1);
  }
  Place at(std::size_t offset) {
    const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset);
    // Values are asked for from left to right. Counting on from the last one keeps a file of one long line linear.
    if (*(after - 1) > counted_to_ || offset < counted_to_) counted_to_ = *(after - 1), column_ = 1;
    for (; counted_to_ < offset; ++counted_to_)
      if ((text_[counted_to_] & 0xC0) != 0x80) ++column_;
    return {name_, static_cast<std::uint32_t>(after - starts_.begin()), column_};
  }

 private:
  const std::string& name_;
  std::string_view text_;
  std::vector<std::size_t> starts_{0};
  std::size_t counted_to_ = 0;
  std::uint32_t column_ = 1;
};

class Converter {
 public:
  Converter(const json::Doc& doc, Lines& lines, std::vector<Problem>& problems)
      : doc_(doc), lines_(lines), problems_(problems) {}

  Node node(json::Value from) {
    Node to;
    to.place = place(from);
    switch (from.kind()) {
      case json::Kind::null:
        break;
      case json::Kind::boolean:
        to.kind = Node::Kind::boolean, to.boolean = from.boolean();
        break;
      case json::Kind::string:
        to.kind = Node::Kind::string, to.string = from.string();
        break;
      case json::Kind::number:
        number(from, to);
        break;
      case json::Kind::array:
        to.kind = Node::Kind::array;
        from.each_element([&](json::Value element) { to.elements.push_back(node(element)); });
        break;
      case json::Kind::object:
        object(from, to);
        break;
    }
    return to;
  }

 private:
  Place place(json::Value value) { return lines_.at(doc_.node(value.index()).begin); }
  void number(json::Value from, Node& to) {
    to.number = from.number();
    to.kind = Node::Kind::number;
    if (const auto integer = from.integer()) to.kind = Node::Kind::integer, to.integer = *integer;
  }
  void object(json::Value from, Node& to) {
    to.kind = Node::Kind::object;
    std::unordered_map<std::string, std::uint32_t> seen;
    from.each_member([&](json::Value key, json::Value value) {
      Node::Member member{key.string(), place(key), node(value)};
      const auto [first, fresh] = seen.emplace(member.key, member.key_place.line);
      if (fresh)
        to.members.push_back(std::move(member));
      else
        problems_.push_back({member.key_place, "key " + json::quoted(member.key) +
                                                   " stands in this object twice, first in line " +
                                                   std::to_string(first->second) + "; remove one"});
    });
  }

  const json::Doc& doc_;
  Lines& lines_;
  std::vector<Problem>& problems_;
};

}  // namespace

std::optional<Node> read_json(const std::string& name, std::string_view text, std::vector<Problem>& problems) {
  if (text.size() > kTextBytesMax) {
    problems.push_back({{name, 0, 0}, "larger than 4 MiB; that can't be a manifest"});
    return std::nullopt;
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // the mark that some editors begin a file with
  Lines lines(name, text);
  json::Doc doc;
  if (const auto parsed = doc.parse(text, kDepthMax); !parsed) {
    std::string message = parsed.error().message;
    const std::string offset =
        " at byte " + std::to_string(doc.stopped_at());  // people want the line and column instead
    if (const auto at = message.find(offset); at != std::string::npos) message.erase(at, offset.size());
    problems.push_back({lines.at(doc.stopped_at()), std::move(message)});
    return std::nullopt;
  }
  return Converter(doc, lines, problems).node(doc.root());
}

}  // namespace weir::tree
