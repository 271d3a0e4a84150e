#include "seen_ids.hpp"

#include <openssl/evp.h>

#include <stdexcept>

namespace weir::http_ingest {

HashedId hashed(std::string_view id) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  if (EVP_Digest(id.data(), id.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("SHA-256 failed");
  HashedId out;
  std::memcpy(out.bytes.data(), digest.data(), out.bytes.size());
  return out;
}

std::optional<std::uint64_t> SeenIds::find(const HashedId& id, std::int64_t now_ms) {
  expire(now_ms);
  const auto found = numbers_.find(id);
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

void SeenIds::remember(const HashedId& id, std::uint64_t number, std::int64_t now_ms) {
  if (max_ == 0) return;
  while (ages_.size() >= max_) drop_oldest();
  numbers_[id] = number;
  ages_.push_back({id, number, now_ms});
}

void SeenIds::forget(const HashedId& id, std::uint64_t number) {
  const auto found = numbers_.find(id);
  if (found != numbers_.end() && found->second == number) numbers_.erase(found);
}

bool SeenIds::full(std::int64_t now_ms) {
  expire(now_ms);
  return ages_.size() >= max_;
}

void SeenIds::drop_oldest() {
  forget(ages_.front().id, ages_.front().number);
  ages_.pop_front();
}

void SeenIds::expire(std::int64_t now_ms) {
  while (!ages_.empty() && ages_.front().at_ms + window_ms_ <= now_ms) drop_oldest();
}

}  // namespace weir::http_ingest
