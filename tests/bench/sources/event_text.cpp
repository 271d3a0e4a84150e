#include "bench/sources/event_text.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <random>

namespace weir::bench {
namespace {

constexpr std::string_view kLineBegin = R"({"line":")", kLineEnd = R"(","file":"hub"})";

// Nothing that a database or a disk could make smaller.
std::string random_letters(std::size_t count) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::mt19937 random(1);
  std::string out(count, ' ');
  std::generate(out.begin(), out.end(), [&] { return kLetters[random() % kLetters.size()]; });
  return out;
}

}  // namespace

std::int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

EventText::EventText(Kind kind, std::size_t bytes)
    : kind_(kind),
      bytes_(std::max<std::size_t>(bytes, 80)),
      prefix_(kind == Kind::json ? R"({"n":)" : ""),
      middle_(kind == Kind::json ? R"(,"at":)" : " "),
      rest_((kind == Kind::json ? R"(,"level":"info","pad":")" : " ") + random_letters(bytes_)),
      end_(kind == Kind::json ? "\"}" : ""),
      data_prefix_(kind == Kind::json ? prefix_ : std::string(kLineBegin)),
      data_bytes_(bytes_ + (kind == Kind::json ? 0 : kLineBegin.size() + kLineEnd.size())) {}

std::string EventText::make(std::uint64_t number) const {
  std::string out;
  out.reserve(bytes_);
  ((out += prefix_) += std::to_string(number)) += middle_;
  out += std::to_string(steady_ns());
  out.append(rest_, 0, bytes_ - end_.size() - out.size());
  return out += end_;
}

std::optional<Stamp> EventText::read(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  const char* const end = text.data() + text.size();
  Stamp stamp{};
  auto [at, error] = std::from_chars(text.data() + prefix.size(), end, stamp.number);
  if (error != std::errc()) return std::nullopt;
  at = std::find_if(at, end, [](char c) { return c >= '0' && c <= '9'; });
  if (std::from_chars(at, end, stamp.made_ns).ec != std::errc()) return std::nullopt;
  return stamp;
}

std::optional<Stamp> EventText::read_frame(std::string_view frame) const {
  if (frame.size() < data_bytes_ + 1) return std::nullopt;  // data stands last in an event's frame
  return read(frame.substr(frame.size() - 1 - data_bytes_, data_bytes_), data_prefix_);
}

}  // namespace weir::bench
