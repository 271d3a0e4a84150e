// The keys of one file, ready to be looked up.
//   A key "wk_<id>_<secret>" is found by its id: one hash, however many keys there are.
//   A key of any other form is hashed once per distinct salt among the entries that don't say "form":"wk", and each
//   digest is looked up. So give imported keys one salt in common: they are random, a shared salt takes nothing from
//   them.
// Limits: 100,000 keys, a file of 64 MiB.
// Threads: constant after parse().
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "key_text.hpp"
#include "weir/sdk/auth.hpp"

namespace weir::api_key {

struct Entry {
  sdk::Identity identity;  // subject and key are the id
  Hash hash;
  bool disabled = false;
  bool wk_only = false;
  std::string text;  // as it stands in the file; another text is another key
};

class KeyRing {
 public:
  // Errors: throws sdk::Failure with what is wrong and where in the file.
  static KeyRing parse(std::string_view file_text, std::int64_t connections_max);

  // The entry that the key belongs to, also when it is disabled or expired; null when it is none of ours.
  const Entry* find(std::string_view key) const;
  const std::vector<Entry>& entries() const { return entries_; }
  const Entry* by_id(const std::string& id) const;

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t> by_id_;
  std::map<std::string, std::unordered_map<std::string, std::size_t>> by_salt_;  // salt -> digest -> entry
};

}  // namespace weir::api_key
