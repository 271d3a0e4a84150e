#include "manifest/build.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "manifest/address.hpp"
#include "manifest/text.hpp"
#include "manifest/values.hpp"
#include "routing/pattern.hpp"

namespace weir::manifest {
namespace {

using tree::Node;
using Kind = Node::Kind;
namespace fs = std::filesystem;

template <class E>
E choice(const Node& node, std::string_view key, std::initializer_list<std::pair<std::string_view, E>> choices,
         E fallback) {
  const std::string text = text_of(node, key);
  for (const auto& [word, value] : choices)
    if (text == word) return value;
  return fallback;
}

// The {name}s of a subject. Which other text it may hold is the plugin's business.
std::vector<std::string> variables_of(std::string_view subject) {
  std::vector<std::string> out;
  for (std::size_t i = 0; (i = subject.find('{', i)) != std::string_view::npos;) {
    const auto end = subject.find('}', i);
    if (end == std::string_view::npos) break;
    out.emplace_back(subject.substr(i + 1, end - i - 1));
    i = end + 1;
  }
  return out;
}

class Builder {
 public:
  Builder(const Node& root, const std::string& file, const LoadOptions& options, Findings& findings)
      : root_(root), options_(options), findings_(findings) {
    out_.file = file;
    out_.folder = folder_of(file);
  }

  Manifest run() {
    top();
    for (const Node& node : elements_of(root_, "plugin")) plugin(node);
    for (const Node& node : elements_of(root_, "endpoint")) endpoint(node);
    for (const Node& node : elements_of(root_, "channel")) channel(node);
    for (const Node& node : elements_of(root_, "method")) method(node);
    limits();
    return std::move(out_);
  }

 private:
  void problem(const tree::Place& place, std::string message) {
    findings_.problems.push_back({place, std::move(message)});
  }

  void top() {
    if (const auto* node = member(root_, "listen", Kind::string)) {
      if (auto address = parse_listen(node->string)) {
        out_.listen_host = address->host;
        out_.listen_port = address->port;
      } else if (!node->string.empty()) {
        problem(node->place, "listen is " + shown(*node) + "; " + address.error().message);
      }
    }
    out_.threads = static_cast<unsigned>(std::clamp<std::int64_t>(whole_of(root_, "threads").value_or(0), 0, 1024));
    out_.insecure = flag_of(root_, "insecure", false);
    out_.hosts = texts_of(root_, "hosts");
    out_.watch = flag_of(root_, "watch", false);
    out_.page = flag_of(root_, "page", true);
    out_.plugin_folders = texts_of(root_, "plugins");
    out_.scripts_folder = text_of(root_, "scripts");
    if (!out_.scripts_folder.empty()) {
      std::error_code ec;
      if (!fs::is_directory(out_.scripts_folder, ec))
        problem(place_of(root_, "scripts"),
                "scripts is " + in_quotes(out_.scripts_folder) + ", which is no folder; make it, or correct the path");
    }
    if (const auto* drain = member(root_, "drain", Kind::object)) {
      out_.drain_rate = whole_of(*drain, "rate").value_or(out_.drain_rate);
      out_.drain_timeout_ms = ms_of(*drain, "timeout").value_or(out_.drain_timeout_ms);
    }
    if (const auto* node = member(root_, "log", Kind::object)) {
      if (auto level = log::parse_level(text_of(*node, "level"))) out_.log.level = *level;
      out_.log.json = text_of(*node, "format") == "json";
      out_.log.file = text_of(*node, "file");
    }
  }

  void plugin(const Node& node) {
    out_.plugins.push_back({text_of(node, "name"), text_of(node, "library"), {}, node.place});
    PluginEntry& entry = out_.plugins.back();
    if (entry.library.find('/') != std::string::npos && fs::path(entry.library).is_relative())
      entry.library = (fs::path(out_.folder) / entry.library).lexically_normal().string();
    if (entry.library.find('/') == std::string::npos && text_of(node, "library").find('/') != std::string::npos)
      entry.library.insert(0, "./");  // still a path
    if (const Node* config = member(node, "config", Kind::object)) entry.config = *config;
    // One that is not written stands where its plugin does, for messages about what it lacks.
    if (entry.config.place.line == 0 && entry.config.place.file != "--set") entry.config.place = node.place;
  }

  void endpoint(const Node& node) {
    EndpointEntry entry;
    entry.place = node.place;
    entry.path = text_of(node, "path");
    entry.auth = texts_of(node, "auth");
    entry.auth_by =
        choice(node, "auth_by", {{"handshake", AuthBy::handshake}, {"frame", AuthBy::frame}}, AuthBy::handshake);
    entry.plugin = text_of(node, "plugin");
    if (!entry.plugin.empty())
      for (const char* key : {"auth_by", "tick", "heartbeat", "compression"})
        if (const Node* found = node.find(key); found != nullptr && found->place.line != 0)  // not a default
          problem(found->place, "endpoint " + in_quotes(entry.path) + ": " + key +
                                    " is for WebSockets, but here a plugin answers HTTP; leave it out");
    entry.origins = texts_of(node, "origins");
    entry.tick_ms = ms_of(node, "tick").value_or(entry.tick_ms);
    if (const auto* beat = member(node, "heartbeat", Kind::object))
      heartbeat(*beat, "endpoint " + in_quotes(entry.path) + ": heartbeat", entry.heartbeat);
    entry.compression.on = flag_of(node, "compression", false);
    if (const auto* compression = member(node, "compression", Kind::object)) {
      entry.compression.on = true;
      entry.compression.threshold = bytes_of(*compression, "threshold").value_or(entry.compression.threshold);
      entry.compression.level = static_cast<int>(
          std::clamp<std::int64_t>(whole_of(*compression, "level").value_or(entry.compression.level), 1, 9));
    }
    out_.endpoints.push_back(std::move(entry));
  }
  void heartbeat(const Node& node, const std::string& what, Heartbeat& out) {
    out.interval_ms = ms_of(node, "interval").value_or(out.interval_ms);
    out.timeout_ms = ms_of(node, "timeout").value_or(3 * out.interval_ms);
    out.style = choice(node, "style",
                       {{"frame", HeartbeatStyle::frame},
                        {"json", HeartbeatStyle::json},
                        {"client-json", HeartbeatStyle::client_json}},
                       HeartbeatStyle::frame);
    if (out.timeout_ms <= out.interval_ms)
      problem(place_of(node, "timeout"), what + ".timeout is \"" + duration_text(out.timeout_ms) +
                                             "\"; expected longer than interval, which is \"" +
                                             duration_text(out.interval_ms) + "\"");
    const auto code = whole_of(node, "close_code").value_or(out.close_code);
    if (code < 1000 || code > 4999) return;  // the schema said so
    if ((code >= 1004 && code <= 1006) ||
        (code >= 1015 && code <= 2999))  // RFC 6455 section 7.4: not for sending, or not for us
      problem(place_of(node, "close_code"),
              what + ".close_code is " + std::to_string(code) +
                  ", which an endpoint may not send; expected 1000..1003, 1007..1014 or 3000..4999");
    out.close_code = static_cast<std::uint16_t>(code);
  }

  void channel(const Node& node) {
    ChannelEntry entry;
    entry.place = node.place;
    entry.pattern = text_of(node, "pattern");
    const std::string what = "channel " + in_quotes(entry.pattern);
    std::optional<ChannelPattern> pattern;
    if (!entry.pattern.empty()) {
      if (auto parsed = ChannelPattern::parse(entry.pattern))
        pattern = std::move(*parsed);
      else
        problem(place_of(node, "pattern"),
                parsed.error().message +
                    "; a pattern is literal text with {name}, * for a whole segment and ** at the end");
    }
    for (const Node& element : elements_of(node, "from")) from(element, what, pattern, entry);
    for (const Node& element : elements_of(node, "to")) to(element, what, pattern, entry);
    const auto demands = std::count_if(entry.from.begin(), entry.from.end(), [](const auto& f) { return f.on_demand; });
    if (demands != 0 && static_cast<std::size_t>(demands) != entry.from.size())
      problem(node.place, what +
                              ": from: a channel is on_demand with all of its sources or with none, since it ends "
                              "when nobody watches it; write on_demand = true at each, or make two channels");
    std::size_t place = 0;
    for (const Node& element : elements_of(node, "rules"))
      if (const auto known = rule(element, what + ": rules[" + std::to_string(place++) + "]"))
        entry.rules.push_back(*known);
    if (const auto* history = member(node, "history", Kind::object)) {
      entry.history.count = whole_of(*history, "count").value_or(entry.history.count);
      entry.history.age_ms = ms_of(*history, "age").value_or(entry.history.age_ms);
      entry.history.bytes = bytes_of(*history, "bytes").value_or(entry.history.bytes);
    }
    entry.overflow = choice(node, "overflow",
                            {{"catch-up", Overflow::catch_up},
                             {"disconnect", Overflow::disconnect},
                             {"drop-oldest", Overflow::drop_oldest},
                             {"drop-newest", Overflow::drop_newest},
                             {"latest", Overflow::latest},
                             {"snapshot", Overflow::snapshot}},
                            Overflow::catch_up);
    entry.subscribe = access(node, "subscribe");
    entry.publish = access(node, "publish");
    check_templates(entry.subscribe.where, what + ": subscribe.where", findings_);
    out_.channels.push_back(std::move(entry));
  }
  static Access access(const Node& node, std::string_view key) {
    Access out;
    out.nobody = !flag_of(node, key, true);
    if (const auto* found = member(node, key, Kind::object)) {
      out.scope = text_of(*found, "scope");
      if (const auto* where = member(*found, "where", Kind::object); where != nullptr && !where->members.empty()) {
        out.where_json = where->to_json();
        out.where = *where;
      }
    }
    return out;
  }

  void from(const Node& node, const std::string& what, const std::optional<ChannelPattern>& pattern,
            ChannelEntry& entry) {
    FromEntry from{text_of(node, "plugin"), text_of(node, "subject"), node.place, flag_of(node, "on_demand", false)};
    const bool all = from.subject.empty();
    if (all) from.subject = "**";
    if (pattern && pattern->has_stars()) {
      problem(node.place, what +
                              ": from can't feed a pattern with * or **, because the channel's name is made from the "
                              "subject; write a {name} that stands in the subject too, or leave from out");
    } else if (pattern) {
      const auto known = variables_of(from.subject);
      for (const std::string& name : pattern->names())
        if (std::find(known.begin(), known.end(), name) == known.end())
          problem(all ? node.place : place_of(node, "subject"),
                  what + ": from: " +
                      (all ? std::string("no subject is named")
                           : "subject " + in_quotes(from.subject) + " has no {" + name + "}") +
                      ", so nothing says what {" + name + "} of the channel's name is; " +
                      (all ? "write subject with {" + name + "} in it" : "put {" + name + "} into it") +
                      hint(name, known));
    }
    entry.from.push_back(std::move(from));
  }

  void to(const Node& node, const std::string& what, const std::optional<ChannelPattern>& pattern,
          ChannelEntry& entry) {
    ToEntry to{text_of(node, "plugin"), text_of(node, "subject"), node.place};
    if (pattern)
      for (const std::string& name : variables_of(to.subject))
        if (std::find(pattern->names().begin(), pattern->names().end(), name) == pattern->names().end())
          problem(place_of(node, "subject"), what + ": to: subject " + in_quotes(to.subject) + " has {" + name +
                                                 "}, which the channel's pattern has not" +
                                                 hint(name, pattern->names()));
    entry.to.push_back(std::move(to));
  }

  void method(const Node& node) {
    MethodEntry entry;
    entry.place = node.place;
    entry.pattern = text_of(node, "pattern");
    entry.scope = text_of(node, "scope");
    entry.timeout_ms = ms_of(node, "timeout").value_or(entry.timeout_ms);
    const std::string what = "method " + in_quotes(entry.pattern);
    if (const auto parsed = ChannelPattern::parse_subject(entry.pattern, '.'); !entry.pattern.empty() && !parsed)
      problem(place_of(node, "pattern"), what + ": " + parsed.error().message);
    else if (parsed && !parsed->names().empty())
      problem(place_of(node, "pattern"), what + ": a method's pattern has no {names}; write * for a segment");
    const Node* found = node.find("rule");
    entry.plugin = text_of(node, "plugin");
    entry.subject = text_of(node, "subject");
    if (found != nullptr) entry.rule = rule(*found, what + ": rule");
    if ((found != nullptr) == (node.find("plugin") != nullptr))
      problem(node.place, what + (found != nullptr ? " has both a rule and a plugin; one of them answers"
                                                   : " has neither a rule nor a plugin to answer it; write rule = "
                                                     "\"script.lua\", or plugin = \"NAME\" of a responder"));
    if (found != nullptr && !entry.subject.empty())
      problem(place_of(node, "subject"), what + ": subject is for a plugin; a rule is told the method's name");
    for (const std::string& name : variables_of(entry.subject))
      if (name != "method")
        problem(place_of(node, "subject"),
                what + ": subject " + in_quotes(entry.subject) + " has {" + name + "}; only {method} can stand there");
    if (entry.subject.empty()) entry.subject = "{method}";
    out_.methods.push_back(std::move(entry));
  }

  // Its place in Manifest::rules; nothing when the script is not there.
  std::optional<std::size_t> rule(const Node& node, const std::string& what) {
    RuleEntry rule;
    rule.place = node.place;
    rule.params_json = "{}";
    tree::Place script_place = node.place;
    if (node.is(Kind::string)) {
      rule.script = node.string;
    } else {
      rule.script = text_of(node, "script");
      script_place = place_of(node, "script");
      if (const auto* params = member(node, "params", Kind::object)) rule.params_json = params->to_json();
      rule.on_error = choice(
          node, "on_error", {{"drop", OnError::drop}, {"pass", OnError::pass}, {"stop-channel", OnError::stop_channel}},
          OnError::drop);
      rule.jit = flag_of(node, "jit", false);
      rule.ops = whole_of(node, "ops");
      rule.time_ms = ms_of(node, "time");
      rule.bytes = bytes_of(node, "bytes");
      rule.every_ms = ms_of(node, "every").value_or(0);
    }
    if (rule.script.empty()) return std::nullopt;  // the schema said so
    std::string looked;
    rule.path = find_script(rule.script, rule.folders, looked);
    if (rule.path.empty()) {
      problem(script_place, what + ": script " + in_quotes(rule.script) + " is not there; looked for " + looked);
      return std::nullopt;
    }

    const auto number = [](const std::optional<std::int64_t>& n) { return n ? std::to_string(*n) : "-"; };
    const std::string same = rule.path + '\0' + rule.params_json + '\0' +
                             std::to_string(static_cast<int>(rule.on_error)) + (rule.jit ? 'j' : '-') +
                             number(rule.ops) + ',' + number(rule.time_ms) + ',' + number(rule.bytes) + ',' +
                             std::to_string(rule.every_ms);
    const auto [known, fresh] = rules_.emplace(same, out_.rules.size());
    if (fresh) out_.rules.push_back(std::move(rule));
    return known->second;
  }
  // The file's path, or empty and where it was looked for.
  std::string find_script(const std::string& script, std::vector<std::string>& folders, std::string& looked) {
    for (const char c : script)
      if (static_cast<unsigned char>(c) < 0x20) {  // a NUL would cut the path short
        looked = "nothing, since a path with control characters can't be meant";
        return {};
      }
    for (const std::string& folder : {out_.folder, out_.scripts_folder, options_.scripts_folder})
      if (!folder.empty()) folders.push_back(folder);
    std::vector<fs::path> candidates;
    if (fs::path(script).is_absolute()) {
      candidates.emplace_back(script);
      folders.insert(folders.begin(), candidates[0].parent_path().string());
    } else {
      for (const std::string& folder : folders) candidates.push_back(fs::path(folder) / script);
    }
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const std::string path = candidates[i].lexically_normal().string();
      std::error_code ec;
      if (fs::is_regular_file(path, ec)) {
        const auto found = folders.begin() + static_cast<std::ptrdiff_t>(i);
        std::rotate(folders.begin(), found, found + 1);  // what came with it counts before what has the same name
        return path;
      }
      looked += (looked.empty() ? "" : ", ") + in_quotes(path);
    }
    return {};
  }

  void limits() {
    const auto* node = member(root_, "limits", Kind::object);
    if (node == nullptr) return;
    for (const LimitInfo& limit : all_limits()) {
      const auto value = limit.unit == LimitUnit::ms      ? ms_of(*node, limit.name)
                         : limit.unit == LimitUnit::bytes ? bytes_of(*node, limit.name)
                                                          : whole_of(*node, limit.name);
      if (value) out_.limits.*limit.member = *value;
    }
  }

  const Node& root_;
  const LoadOptions& options_;
  Findings& findings_;
  std::map<std::string, std::size_t> rules_;
  Manifest out_;
};

}  // namespace

Manifest build(const Node& root, const std::string& file, const LoadOptions& options, Findings& findings) {
  return Builder(root, file, options, findings).run();
}

std::string folder_of(const std::string& file) {
  const std::string folder = fs::path(file).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace weir::manifest
