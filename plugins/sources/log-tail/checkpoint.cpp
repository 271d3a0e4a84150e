#include "checkpoint.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

namespace weir::log_tail {
namespace {

constexpr std::string_view kName = "weir-log-tail";
constexpr std::uint64_t kVersion = 1;

template <class Number>
void add(std::string& out, Number value, int base = 10) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value, base).ptr);
  out += ' ';
}

void add_escaped(std::string& out, std::string_view path) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte != 0x7f && c != '%') {
      out += c;
    } else {
      ((out += '%') += kHex[byte >> 4]) += kHex[byte & 15];
    }
  }
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned char byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
    if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

// Takes words off the front of a line; once one is wrong, all that follow are.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}
  std::string_view word() {
    if (rest_.empty()) return fine_ = false, std::string_view();
    const std::size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (out.empty()) fine_ = false;
    return out;
  }
  template <class Number>
  void number(Number& out, int base = 10) {
    const std::string_view text = word();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
    if (error != std::errc() || end != text.data() + text.size()) fine_ = false;
  }
  bool fine() const { return fine_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool fine_ = true;
};

bool read_track(std::string_view line, Track& t) {
  Words words(line);
  words.number(t.birth.id.device);
  words.number(t.birth.id.inode);
  words.number(t.birth.born_ns);
  words.number(t.modified_ns);
  words.number(t.seen_s);
  words.number(t.head.bytes);
  words.number(t.head.hash, 16);
  words.number(t.accepted.offset);
  words.number(t.accepted.tail, 16);
  words.number(t.order);
  const std::string_view state = words.word();
  const auto path = unescaped(words.word());
  if (!words.fine() || !words.at_end() || !path || path->empty() || path->find('\0') != std::string::npos) return false;
  if ((state != "open" && state != "read") || t.head.bytes > kHeadBytes) return false;
  if (t.accepted.offset > static_cast<std::uint64_t>(INT64_MAX)) return false;
  t.finished = state == "read";
  t.path = *path;
  t.read = t.accepted;
  return true;
}

}  // namespace

std::string to_text(std::int64_t saved_ns, const std::vector<TrackPtr>& files) {
  std::string out;
  out.reserve(files.size() * 192 + 128);
  (out += kName) += ' ';
  add(out, kVersion);
  add(out, saved_ns);
  out.back() = '\n';
  for (const TrackPtr& t : files) {
    add(out, t->birth.id.device);
    add(out, t->birth.id.inode);
    add(out, t->birth.born_ns);
    add(out, t->modified_ns);
    add(out, t->seen_s);
    add(out, t->head.bytes);
    add(out, t->head.hash, 16);
    add(out, t->accepted.offset);
    add(out, t->accepted.tail, 16);
    add(out, t->order);
    out += t->finished && t->accepted == t->read ? "read " : "open ";
    add_escaped(out, t->path);
    out += '\n';
  }
  const std::uint64_t hash = hash_of(out);
  out += "end ";
  add(out, files.size());
  add(out, hash, 16);
  out.back() = '\n';
  return out;
}

Reading parse_checkpoint(std::string_view text, Checkpoint& out, std::string& why) {
  out = {};
  const std::string_view first = text.substr(0, std::min(text.find('\n'), text.size()));
  Words begin(first);
  std::uint64_t version = 0;
  const bool ours = begin.word() == kName;
  begin.number(version);
  if (!ours || !begin.fine() || version == 0) {
    why = "it does not begin as a checkpoint does";
    return Reading::damaged;
  }
  if (version > kVersion) {
    why = "it is of version " + std::to_string(version) + "; this plugin knows " + std::to_string(kVersion);
    return Reading::newer;
  }
  Checkpoint read;
  begin.number(read.saved_ns);
  if (!begin.fine() || !begin.at_end() || first.size() == text.size()) {
    why = "its first line is wrong";
    return Reading::damaged;
  }
  for (std::size_t at = first.size() + 1, number = 2;; ++number) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string_view::npos) {
      why = "its end is missing";
      return Reading::damaged;
    }
    const std::string_view line = text.substr(at, end - at);
    if (line.starts_with("end ")) {
      Words words(line.substr(4));
      std::size_t count = 0;
      std::uint64_t hash = 0;
      words.number(count);
      words.number(hash, 16);
      if (words.fine() && words.at_end() && end + 1 == text.size() && count == read.files.size() &&
          hash == hash_of(text.substr(0, at))) {
        out = std::move(read);
        return Reading::fine;
      }
      why = "its content does not fit its sum";
      return Reading::damaged;
    }
    Track track;
    if (read.files.size() == kTracksMax || !read_track(line, track)) {
      why = "line " + std::to_string(number) + " is wrong";
      return Reading::damaged;
    }
    read.files.push_back(std::move(track));
    at = end + 1;
  }
}

Reading read_checkpoint(const std::string& path, Checkpoint& out, std::string& why) {
  out = {};
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    if (errno == ENOENT) return Reading::fine;
    why = std::strerror(errno);
    return Reading::unreadable;
  }
  std::string text;
  std::array<char, 64 * 1024> piece;
  ssize_t n = 0;
  while (text.size() <= kCheckpointBytesMax) {
    n = ::read(fd, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(n));
  }
  const int error = errno;
  ::close(fd);
  if (n < 0) {
    why = std::strerror(error);
    return Reading::unreadable;
  }
  if (text.size() > kCheckpointBytesMax) {
    why = "it is longer than a checkpoint can be";
    return Reading::damaged;
  }
  return parse_checkpoint(text, out, why);
}

}  // namespace weir::log_tail
