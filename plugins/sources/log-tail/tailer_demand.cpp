// The part of Tailer that follows on demand: names below the root, chosen by those who ask.
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "glob.hpp"
#include "tailer.hpp"
#include "weir/sdk/json.hpp"

namespace weir::log_tail {

Tailer::Following Tailer::follow(const std::string& name, std::int64_t now) {
  using How = Following::How;
  const std::string quoted = sdk::json::quoted(name);
  // What is outside, hidden or no text is as if it was not there, so that asking tells nothing about it.
  const Following absent{How::absent, "there is no log " + quoted};
  const bool with_root = !shared_.options.root.empty();
  const auto path = with_root ? shared_.root.path_of(name) : std::nullopt;
  if (path && (shared_.root.hides(*path) || !packed_name(*path).empty())) return absent;
  const Reach reach(shared_.root);
  struct stat st;
  // The files that are followed anyway go by their names alone.
  if (shared_.files_named.count(name) != 0) return {How::by_files, {}};
  if (path && name.find('/') == std::string::npos && is_wanted(*path))
    return reach.look_at(*path, st) && S_ISREG(st.st_mode) ? Following{How::by_files, {}} : absent;
  if (!path) return absent;
  const auto refused = [&](int error) -> Following {
    if (reach.is_absent(error) || error == ENOTSUP) return absent;
    return {error == EACCES ? How::forbidden : How::not_now,
            "the log " + quoted + " can't be opened: " + std::strerror(error)};
  };
  if (demanded_.count(*path) != 0) return {How::begun, {}};
  if (demanded_.size() >= kMatchesMax)
    return {How::not_now, "no more logs can be followed: " + std::to_string(kMatchesMax) + " are"};
  if (!reach.look_at(*path, st)) return refused(errno);
  if (!S_ISREG(st.st_mode)) return absent;

  if (no_room()) {  // it waits for its turn, but only if there will be something to read then
    const OpenFile now_only(*path, shared_.buffers, false, reach);
    if (!now_only.is_open()) return refused(now_only.error());
    if (reach.hides(reach.real_path(*path, now_only.fd()))) return absent;
  }
  shared_.folders.next_pass();
  auto made = std::make_unique<Follower>(*path, name, shared_.root, shared_);
  Follower& follower = *made;
  demanded_.emplace(*path, std::move(made));
  const bool waits = no_room();
  if (!waits) follower.check(now);
  if (const int error = follower.error(); error != 0) {
    remove(follower);
    return refused(error);
  }
  if (!problems_.empty()) look_wanted_ = true;  // the root may have been one
  if (follower.reading())
    queue(follower);
  else
    dirty_.insert(&follower);  // also one that is being rotated right now
  return {How::begun, {}};
}

Follower* Tailer::demanded(const std::string& name) const {
  const auto path = shared_.root.path_of(name);
  const auto found = path ? demanded_.find(*path) : demanded_.end();
  return found == demanded_.end() ? nullptr : found->second.get();
}

bool Tailer::unfollow(const std::string& name) {
  Follower* const follower = demanded(name);
  if (follower != nullptr) remove(*follower);
  return follower != nullptr;
}

bool Tailer::has_begun(const std::string& name) const {
  Follower* const follower = demanded(name);
  return follower == nullptr || (!follower->has_past() && dirty_.count(follower) == 0);
}

}  // namespace weir::log_tail
