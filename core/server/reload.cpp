#include "server/reload.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "protocol/server_frame.hpp"

namespace weir {
namespace {

std::string list(const char* name, const std::vector<std::string>& texts) {
  std::string out = std::string(",\"") + name + "\":[";
  for (const std::string& text : texts) (out += out.back() == '[' ? "" : ",") += json::quoted(text);
  return out + "]";
}

// Names what is only in one of the lists, or not the same in both.
template <class List, class Name, class Same>
void differences(const List& before, const List& now, const std::string& what, const Name& name, const Same& same,
                 std::vector<std::string>& out) {
  const auto find = [&](const List& in, const auto& one) {
    return std::find_if(in.begin(), in.end(), [&](const auto& other) { return name(other) == name(one); });
  };
  for (const auto& one : now) {
    const auto had = find(before, one);
    if (had == before.end())
      out.push_back(what + " " + name(one) + " is new");
    else if (!same(*had, one))
      out.push_back(what + " " + name(one) + " has changed");
  }
  for (const auto& one : before)
    if (find(now, one) == now.end()) out.push_back(what + " " + name(one) + " is gone");
}

// Of `from` and `to`.
template <class Ends>
bool same_ends(const Ends& x, const Ends& y) {
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& a, const auto& b) {
    return a.plugin == b.plugin && a.subject.text() == b.subject.text();
  });
}

}  // namespace

std::string ReloadReport::json() const {
  std::string out = "{\"reloaded\":" + std::string(done ? "true" : "false");
  if (!done)
    out +=
        ",\"error\":" + server_frame::error_data(fail(
                            Errc::bad_request, problems.empty() ? "the manifest can't be loaded" : problems.front()));
  return out + list("problems", problems) + list("warnings", warnings) + list("changed", changed) +
         list("restart", restart) + "}";
}

void compare(const Setup& before, const Setup& now, const Limits& limits, ReloadReport& report) {
  auto& changed = report.changed;
  const Manifest &a = before.manifest, &b = now.manifest;
  // By script: the same script with other params is a change of it.
  const auto script = [](const auto& program) { return program->settings().script; };
  std::vector<std::shared_ptr<const RuleProgram>> left = before.programs, fresh;
  for (const auto& program : now.programs) {
    const auto same = std::find_if(left.begin(), left.end(), [&](const auto& p) { return p->same_as(*program); });
    if (same == left.end())
      fresh.push_back(program);
    else
      left.erase(same);
  }
  differences(
      left, fresh, "rule", script, [](const auto&, const auto&) { return false; }, changed);
  differences(
      before.routes->channels(), now.routes->channels(), "channel",
      [](const ChannelRoute& r) { return r.pattern.text(); },
      [](const ChannelRoute& x, const ChannelRoute& y) {
        return same_ends(x.feeds, y.feeds) && x.history.events_max == y.history.events_max &&
               x.history.age_max_ms == y.history.age_max_ms && x.history.bytes_max == y.history.bytes_max &&
               x.overflow == y.overflow && x.subscribe == y.subscribe && x.publish == y.publish &&
               x.rules.size() == y.rules.size() && x.on_demand == y.on_demand && same_ends(x.exits, y.exits);
      },
      changed);
  differences(
      a.methods, b.methods, "method", [](const MethodEntry& m) { return m.pattern; },
      [](const MethodEntry& x, const MethodEntry& y) {
        return x.scope == y.scope && x.timeout_ms == y.timeout_ms && x.plugin == y.plugin && x.subject == y.subject &&
               x.rule.has_value() == y.rule.has_value();
      },
      changed);
  differences(
      before.plugins, now.plugins, "plugin", [](const LoadedPlugin& p) { return p.entry->name; },
      [](const LoadedPlugin& x, const LoadedPlugin& y) {
        return x.library->same_code(*y.library) && x.config_json == y.config_json;
      },
      changed);
  differences(
      before.endpoints, now.endpoints, "endpoint", [](const auto& e) { return e->path; },
      [](const auto& x, const auto& y) { return *x == *y; }, changed);
  for (const LimitInfo& limit : all_limits())
    if (limits.*limit.member != b.limits.*limit.member)
      changed.push_back("limits." + std::string(limit.name) + " is " + std::to_string(b.limits.*limit.member) +
                        ", was " + std::to_string(limits.*limit.member));
  const auto restart = [&](bool differs, const char* what) {
    if (differs)
      report.restart.emplace_back(std::string(what) + " has changed; that takes effect when the hub is started again");
  };
  restart(a.listen_host != b.listen_host || a.listen_port != b.listen_port, "listen");
  restart(a.threads != b.threads, "threads");
  restart(a.log.json != b.log.json || a.log.file != b.log.file, "log");
  const auto level = [](const Manifest& m) {
    int most = 0;
    for (const EndpointEntry& e : m.endpoints) most = std::max(most, e.compression.on ? e.compression.level : 0);
    return most;
  };
  restart(level(a) != level(b), "the compression level");
}

}  // namespace weir
