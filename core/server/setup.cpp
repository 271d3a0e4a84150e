#include "server/setup.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <tuple>
#include <utility>

#include "manifest/schema.hpp"
#include "plugin_host/flow_instance.hpp"

namespace weir {
namespace {

std::string beside_program(const char* what) {
  std::error_code ec;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ec);
  return ec ? std::string() : (self.parent_path().parent_path() / what).string();
}

AccessRule access(const Access& a) { return {a.nobody, a.scope, a.where_json}; }

class NoSink final : public FlowPort {
 public:
  weir_status emit(FlowInstance&, const weir_event*, std::uint32_t, std::uint32_t, std::span<const json::Doc>,
                   std::uint32_t*) override {
    return WEIR_E_CLOSED;
  }
  void gap(FlowInstance&, std::string_view, std::uint64_t, std::string_view) override {}
};

class Builder {
 public:
  // `told`: the problems of the manifest so far. If there are any, it is only looked at for more of them, and what
  // can't be understood is passed over, because its problem has been told already.
  Builder(Manifest manifest, const std::vector<tree::Problem>& told, bool for_check)
      : setup_(std::make_unique<Setup>()), told_(told), whole_(told.empty()), for_check_(for_check) {
    setup_->manifest = std::move(manifest);
    if (!whole_) setup_->manifest.limits = Limits{};
  }

  SetupResult run() {
    load_plugins();
    check_kinds();
    load_rules();
    build_routes();
    build_endpoints();
    if (whole_ && problems_.empty()) sources_without_channel();
    if (for_check_) try_plugins();
    SetupResult result;
    result.problems = std::move(problems_);
    result.warnings = std::move(warnings_);
    for (const RuleEntry& rule : setup_->manifest.rules) result.scripts.push_back(rule.path);
    for (const auto& program : setup_->programs)
      result.scripts.insert(result.scripts.end(), program->files().begin(), program->files().end());
    if (whole_ && result.problems.empty()) result.setup = std::move(setup_);
    return result;
  }

 private:
  void problem(const tree::Place& place, std::string message) { problems_.push_back({place, std::move(message)}); }

  void load_plugins() {
    Manifest& m = setup_->manifest;
    std::vector<std::string> folders = m.plugin_folders;
    folders.push_back(own_plugin_folder());
    for (PluginEntry& entry : m.plugins) {
      if (entry.library.empty()) continue;
      const std::string what = "plugin \"" + entry.name + "\"";
      auto path = find_library(entry.library, folders);
      if (!path) {
        problem(entry.place, what + ": " + path.error().message);
        continue;
      }
      auto library = Library::load(*path);
      if (!library) {
        problem(entry.place, what + ": " + library.error().message);
        continue;
      }
      LoadedPlugin loaded{&entry, *library, {}, (*library)->flows(), (*library)->auth() != nullptr};
      auto schema = Schema::parse((*library)->info().config_schema, Schema::Unknown::refused);
      if (!schema) {
        problem(entry.place, what + ": its own config schema is wrong, tell its author: " + schema.error().message);
        continue;
      }
      const std::size_t before = problems_.size();
      if (!whole_ && entry.config.kind != tree::Node::Kind::object) continue;
      schema->check(entry.config, what + ": config", problems_);
      if (problems_.size() != before) continue;
      schema->fill_defaults(entry.config);
      schema->resolve_paths(entry.config, m.folder);
      loaded.config_json = entry.config.to_json();
      setup_->plugins.push_back(std::move(loaded));
    }
  }

  const LoadedPlugin* plugin(const std::string& name) const {
    for (const LoadedPlugin& p : setup_->plugins)
      if (p.entry->name == name) return &p;
    return nullptr;
  }

  void check_kinds() {
    const Manifest& m = setup_->manifest;
    const auto check = [this](const std::string& name, const tree::Place& place, const std::string& what,
                              const char* kind, auto&& good) {
      if (const auto* p = plugin(name); p != nullptr && !good(*p->library))
        problem(place, what + ": plugin \"" + name + "\" (" + p->entry->library + ") is no " + kind);
    };
    for (const ChannelEntry& c : m.channels) {
      const std::string what = "channel \"" + c.pattern + "\": ";
      for (const FromEntry& f : c.from) {
        check(f.plugin, f.place, what + "from", "source of events",
              [](const Library& l) { return l.source() != nullptr; });
        if (f.on_demand)
          check(f.plugin, f.place, what + "from", "source that can work on demand", [](const Library& l) {
            return l.source() == nullptr || l.info().on_demand != PluginInfo::OnDemand::no;
          });
      }
      for (const ToEntry& t : c.to)
        check(t.plugin, t.place, what + "to", "sink, where events could go",
              [](const Library& l) { return l.sink() != nullptr; });
    }
    for (const LoadedPlugin& p : setup_->plugins) one_use(p);
    for (const MethodEntry& e : m.methods)
      check(e.plugin, e.place, "method \"" + e.pattern + "\"", "responder",
            [](const Library& l) { return l.responder() != nullptr; });
    for (const EndpointEntry& e : m.endpoints) {
      for (const std::string& name : e.auth)
        check(name, e.place, "endpoint \"" + e.path + "\": auth", "auth provider",
              [](const Library& l) { return l.auth() != nullptr; });
      check(e.plugin, e.place, "endpoint \"" + e.path + "\"", "plugin that answers HTTP",
            [](const Library& l) { return l.http() != nullptr; });
    }
  }

  // An auth provider is an instance of its own.
  void one_use(const LoadedPlugin& p) {
    if (!p.flows || !p.is_auth) return;
    const Manifest& m = setup_->manifest;
    const std::string& name = p.entry->name;
    const auto among = [&](const std::vector<std::string>& list) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    const auto named = [&](const auto& entries) {
      return std::any_of(entries.begin(), entries.end(), [&](const auto& e) { return e.plugin == name; });
    };
    const bool auth = among(m.api_auth) || std::any_of(m.endpoints.begin(), m.endpoints.end(),
                                                       [&](const EndpointEntry& e) { return among(e.auth); });
    const bool flow = named(m.methods) || named(m.endpoints) ||
                      std::any_of(m.channels.begin(), m.channels.end(),
                                  [&](const ChannelEntry& c) { return named(c.from) || named(c.to); });
    if (auth && flow)
      problem(p.entry->place, "plugin \"" + name +
                                  "\" is used as an auth provider and for more; an auth provider is an "
                                  "instance of its own, so write two [[plugin]] with that library");
  }

  // One that is a sink or a responder as well may be meant as that alone.
  void sources_without_channel() {
    const Manifest& m = setup_->manifest;
    for (std::size_t i = 0; i < setup_->plugins.size(); ++i) {
      const LoadedPlugin& p = setup_->plugins[i];
      const std::string& name = p.entry->name;
      const auto named = [&](const auto& entries) {
        return std::any_of(entries.begin(), entries.end(), [&](const auto& e) { return e.plugin == name; });
      };
      if (p.library->source() == nullptr || !setup_->source_routes[i].empty() || named(m.methods)) continue;
      if (std::any_of(m.channels.begin(), m.channels.end(), [&](const ChannelEntry& c) { return named(c.to); }))
        continue;
      warnings_.push_back(
          {p.entry->place, "plugin \"" + name +
                               "\" feeds no channel, so its events are left out; write from = [{ plugin "
                               "= \"" +
                               name + "\", subject = \"**\" }] in a [[channel]]"});
    }
  }

  void load_rules() {
    const Manifest& m = setup_->manifest;
    setup_->kv = std::make_shared<Kv>(m.limits.kv_bytes);
    for (const RuleEntry& r : m.rules) {
      RuleSettings settings;
      settings.script = r.script;
      settings.path = r.path;
      settings.params_json = r.params_json;
      settings.folders = r.folders;
      settings.on_error = static_cast<RuleOnError>(r.on_error);
      settings.jit = r.jit;
      if (whole_) {  // else they may be out of range, which has been told
        settings.ops = r.ops;
        settings.time_ms = r.time_ms;
        settings.bytes = r.bytes;
        settings.every_ms = r.every_ms;
      }
      auto program = RuleProgram::load(settings, m.limits);
      if (program) {
        if ((*program)->has_on_timer() != (r.every_ms != 0) && whole_)
          problem(r.place, "rule " + r.script +
                               (r.every_ms == 0 ? ": on_timer needs to know how often; write { script = \"" + r.script +
                                                      "\", every = \"5s\" }"
                                                : ": every is for a script with on_timer, which this one has not"));
        setup_->programs.push_back(*program);
        continue;
      }
      // Mistakes in params come together, each on a line that begins with the script.
      const std::string& all = program.error().message;
      for (std::size_t from = 0, to = 0; from < all.size(); from = to + 1) {
        to = std::min(all.find("\n" + r.script + ": ", from), all.size());
        problem(r.place, "rule " + all.substr(from, to - from));
      }
    }
  }

  // Which of the channel's rules keeps its state, and whether what the manifest wants of that can be had.
  void check_state(const ChannelEntry& c, ChannelRoute& route) {
    if (setup_->programs.size() != setup_->manifest.rules.size()) return;  // that has been told
    const std::string what = "channel \"" + c.pattern + "\": ";
    std::string first;
    for (const std::size_t rule : c.rules) {
      route.asks_publishers = route.asks_publishers || setup_->programs[rule]->has_on_publish();
      route.asks_subscribers = route.asks_subscribers || setup_->programs[rule]->has_on_subscribe();
      if (!setup_->programs[rule]->has_state()) continue;
      const std::string& script = setup_->programs[rule]->settings().script;
      if (route.state)
        problem(c.place, what + "both " + first + " and " + script +
                             " keep a state (reduce, snapshot); a channel has one, so leave one of them out");
      route.state = true;
      first = script;
    }
    if (route.overflow != OverflowPolicy::snapshot) return;
    if (!route.state)
      problem(c.place, what + "overflow = \"snapshot\" needs a rule with reduce or snapshot among its rules");
    else if (!route.gives_snapshots())
      problem(c.place, what +
                           "overflow = \"snapshot\" does not go with subscribe.where: a snapshot shows all of the "
                           "channel's state to everybody; give each a channel of their own, or choose catch-up");
  }

  void build_routes() {
    const Manifest& m = setup_->manifest;
    std::vector<ChannelRoute> routes;
    setup_->source_routes.resize(setup_->plugins.size());
    for (const ChannelEntry& c : m.channels) {
      auto pattern = Pattern::parse(c.pattern);
      if (!pattern) {
        if (whole_) problem(c.place, pattern.error().message);
        continue;
      }
      ChannelRoute route(*pattern);
      route.rules = c.rules;
      route.history = {static_cast<std::size_t>(c.history.count), c.history.age_ms,
                       static_cast<std::size_t>(c.history.bytes)};
      route.overflow = static_cast<OverflowPolicy>(c.overflow);
      route.subscribe = access(c.subscribe);
      route.publish = access(c.publish);
      check_state(c, route);
      for (const Error& mistake : where_mistakes(route.subscribe))
        problem(c.subscribe.where.place_of(mistake.pointer),
                "channel \"" + c.pattern + "\": subscribe.where: " + mistake.message);
      for (const FromEntry& f : c.from) feed(c, f, route);
      for (const ToEntry& t : c.to) exit(c, t, route);
      routes.push_back(std::move(route));
    }
    setup_->routes = std::make_shared<const Routes>(std::move(routes), methods());
  }

  // The subject's pattern in its plugin's terms; nothing when there is something wrong, which is told.
  std::optional<Pattern> subject_of(const std::string& plugin_name, const std::string& text, const tree::Place& place,
                                    const std::string& what) {
    const auto* p = plugin(plugin_name);
    if (p == nullptr) return std::nullopt;
    const std::string& separator = p->library->info().subject_separator;
    auto subject = Pattern::parse_subject(text, separator.empty() ? '/' : separator[0]);
    if (subject) return std::move(*subject);
    problem(place, what + subject.error().message);
    return std::nullopt;
  }

  void feed(const ChannelEntry& c, const FromEntry& f, ChannelRoute& route) {
    const auto subject = subject_of(f.plugin, f.subject, f.place, "channel \"" + c.pattern + "\": from: ");
    if (!subject) return;
    route.feeds.push_back({f.plugin, *subject});
    for (std::size_t i = 0; i < setup_->plugins.size(); ++i)
      if (setup_->plugins[i].entry->name == f.plugin)
        setup_->source_routes[i].push_back({*subject, route.pattern, !c.rules.empty()});
    if (!f.on_demand) return;
    const bool patterns = plugin(f.plugin)->library->info().on_demand == PluginInfo::OnDemand::patterns;
    route.on_demand += f.plugin + '\n' + f.subject + '\n';
    route.demands.push_back({f.plugin, *subject, patterns});
    route.demand_by_pattern = route.demand_by_pattern || patterns;
  }

  void exit(const ChannelEntry& c, const ToEntry& t, ChannelRoute& route) {
    const std::string what = "channel \"" + c.pattern + "\": to: ";
    auto subject = subject_of(t.plugin, t.subject, t.place, what);
    if (!subject) return;
    if (subject->has_stars())
      return problem(t.place, what + "the subject \"" + t.subject + "\" stands for many; an event goes to one");
    for (const FromEntry& f : c.from) {
      if (f.plugin != t.plugin) continue;
      const auto from = subject_of(f.plugin, f.subject, f.place, what);
      if (from && (from->covers(*subject) || from->text() == subject->text()))
        problem(t.place, what + "what goes to \"" + t.subject + "\" of plugin \"" + t.plugin +
                             "\" would come back by from = \"" + f.subject + "\" and go round for ever");
    }
    route.exits.push_back({t.plugin, std::move(*subject)});
  }

  std::vector<MethodRoute> methods() {
    std::vector<MethodRoute> out;
    if (setup_->programs.size() != setup_->manifest.rules.size()) return out;
    for (const MethodEntry& m : setup_->manifest.methods) {
      auto pattern = Pattern::parse_subject(m.pattern, '.');
      if (pattern && !m.plugin.empty() && !m.rule) {
        out.push_back({std::move(*pattern), 0, m.plugin, m.subject, m.scope, m.timeout_ms});
        continue;
      }
      if (!pattern || !m.rule) continue;  // that has been told
      if (!setup_->programs[*m.rule]->has_on_request())
        problem(m.place, "method \"" + m.pattern + "\": the rule " + setup_->programs[*m.rule]->settings().script +
                             " has no on_request to answer with");
      out.push_back({std::move(*pattern), *m.rule, {}, {}, m.scope, m.timeout_ms});
    }
    return out;
  }

  void build_endpoints() {
    for (const EndpointEntry& e : setup_->manifest.endpoints) {
      EndpointRule r;
      r.path = e.path;
      r.auth = e.auth;
      r.plugin = e.plugin;
      r.auth_by_frame = e.auth_by == AuthBy::frame;
      r.tick_ms = e.tick_ms;
      r.heartbeat_interval_ms = e.heartbeat.interval_ms;
      r.heartbeat_timeout_ms = e.heartbeat.timeout_ms;
      r.ping_style = static_cast<PingStyle>(e.heartbeat.style);
      r.idle_close = static_cast<CloseCode>(e.heartbeat.close_code);
      r.origins = e.origins;
      r.deflate = e.compression.on;
      r.deflate_threshold = static_cast<std::size_t>(e.compression.threshold);
      setup_->endpoints.push_back(std::make_shared<const EndpointRule>(std::move(r)));
    }
  }

  // Makes and destroys an instance of every plugin, so that a config that only the plugin can judge is judged.
  void try_plugins() {
    NoSink sink;
    for (const LoadedPlugin& p : setup_->plugins) {
      std::string pointer;
      const auto report = [&](const Error& e) {
        const tree::Place& place = p.entry->config.nearest(pointer).place;
        const bool known = std::any_of(told_.begin(), told_.end(), [&](const tree::Problem& t) {
          return place.line != 0 && t.place.line == place.line && t.place.column == place.column;
        });
        if (!known) problem(place, e.message);  // else it follows from that
      };
      if (p.flows) {
        auto made = FlowInstance::create(p.entry->name, p.library, p.config_json, sink, {}, &pointer);
        if (!made) report(made.error());
      } else if (p.is_auth) {
        auto made = AuthInstance::create(
            p.entry->name, p.library, p.config_json, [](const std::string&, std::string_view, std::string_view) {},
            &pointer);
        if (!made) report(made.error());
      }
    }
  }

  std::unique_ptr<Setup> setup_;
  const std::vector<tree::Problem>& told_;
  const bool whole_, for_check_;
  std::vector<tree::Problem> problems_, warnings_;
};

}  // namespace

std::string own_plugin_folder() { return beside_program("lib/weir"); }
std::string own_scripts_folder() { return beside_program("share/weir/scripts"); }

SetupResult set_up(const std::string& manifest_file, const LoadOptions& options) {
  LoadResult loaded = load_manifest(manifest_file, options);
  SetupResult result;
  if (loaded.manifest)
    result = Builder(std::move(*loaded.manifest), loaded.problems, options.for_check).run();
  else if (loaded.draft)
    result = Builder(std::move(*loaded.draft), loaded.problems, options.for_check).run();
  result.problems.insert(result.problems.begin(), loaded.problems.begin(), loaded.problems.end());
  result.warnings.insert(result.warnings.begin(), loaded.warnings.begin(), loaded.warnings.end());
  for (auto* told : {&result.problems, &result.warnings})
    std::stable_sort(told->begin(), told->end(), [](const auto& a, const auto& b) {
      return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
    });
  return result;
}

}  // namespace weir
