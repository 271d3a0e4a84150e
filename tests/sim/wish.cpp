#include "sim/wish.hpp"

namespace weir::sim {

bool SimFilter::matches(const Record& r) const {
  switch (kind) {
    case Kind::none:
      return true;
    case Kind::name:
      return r.name == word;
    case Kind::names:
      return r.name.starts_with("task.") || r.name == "b";
    case Kind::size:
      return r.size >= at_least;
    case Kind::owner:
      return r.owner == word;
    case Kind::not_name:
      return r.name != word;
    case Kind::both:
      return r.size >= at_least && r.owner == word;
  }
  return false;
}

std::string SimFilter::json() const {
  switch (kind) {
    case Kind::none:
      return "null";
    case Kind::name:
      return "{\"event\":\"" + word + "\"}";
    case Kind::names:
      return "{\"event\":[\"task.*\",\"b\"]}";
    case Kind::size:
      return "{\"data.size\":{\"$gte\":" + std::to_string(at_least) + "}}";
    case Kind::owner:
      return "{\"data.owner\":\"" + word + "\"}";
    case Kind::not_name:
      return "{\"$not\":{\"event\":\"" + word + "\"}}";
    case Kind::both:
      return "{\"$and\":[{\"data.size\":{\"$gte\":" + std::to_string(at_least) + ".0}},{\"data.owner\":{\"$in\":[\"" +
             word + "\"]}}]}";
  }
  return "null";
}

SimFilter SimFilter::make(Random& random) {
  SimFilter f;
  if (random.below(2) == 0) return f;
  constexpr const char* kNames[] = {"task.done", "task.new", "b", "c"};
  f.kind = static_cast<Kind>(1 + random.below(6));
  f.at_least = static_cast<int>(random.below(400));
  f.word =
      f.kind == Kind::owner || f.kind == Kind::both ? (random.below(2) == 0 ? "u1" : "u2") : kNames[random.below(4)];
  return f;
}

bool User::may_see(const std::string& channel) const {
  if (channel.starts_with("secret/") || channel.starts_with("shut/")) return identity.has_scope("secret:read");
  return !channel.starts_with("nobody/");
}

}  // namespace weir::sim
