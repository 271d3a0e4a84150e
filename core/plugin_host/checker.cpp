#include "plugin_host/checker.hpp"

#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <thread>

#include "plugin_host/elf_file.hpp"
#include "plugin_host/flow_instance.hpp"
#include "plugin_host/library.hpp"
#include "weir/abi/plugin.h"

namespace weir {
namespace {

constexpr int kRounds = 20;
constexpr std::int64_t kFirstEventMs = 1500, kQuietMs = 300, kGoOnMs = 3000;

// Takes what has room and counts.
class CountingSink : public FlowPort {
 public:
  std::atomic<std::int64_t> room{1'000'000'000};
  std::atomic<std::uint64_t> calls{0}, taken{0}, refused{0};
  weir_status emit(FlowInstance&, const weir_event*, std::uint32_t, std::uint32_t count, std::span<const json::Doc>,
                   std::uint32_t* accepted) override {
    ++calls;
    for (*accepted = 0; *accepted < count; ++*accepted) {
      if (room.fetch_sub(1) <= 0) {
        ++room;
        ++refused;
        return WEIR_E_FULL;
      }
      ++taken;
    }
    return WEIR_OK;
  }
  void gap(FlowInstance&, std::string_view, std::uint64_t, std::string_view) override {}
};

// This is a tool that watches real time go by; the facts come from another thread.
template <class Fact>
bool within(std::int64_t ms, Fact&& fact) {
  const SteadyMs end = system_clock().steady_ms() + ms;
  while (!fact()) {
    if (system_clock().steady_ms() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// Waits until the instance's strand has done all that it was told so far.
bool settled(const Instance& instance) {
  auto done = std::make_shared<std::promise<void>>();
  auto* held = new std::shared_ptr<std::promise<void>>(done);
  const weir_host* host = instance.host();
  const auto set = [](void* arg) {
    const std::unique_ptr<std::shared_ptr<std::promise<void>>> mine(
        static_cast<std::shared_ptr<std::promise<void>>*>(arg));
    (*mine)->set_value();
  };
  if (host->post(host->ctx, set, held) != WEIR_OK) {
    delete held;
    return false;
  }
  return done->get_future().wait_for(std::chrono::milliseconds(kStopMs)) == std::future_status::ready;
}

class Checker {
 public:
  std::vector<Finding> findings;

  void run(const std::string& path, const std::optional<std::string>& given) {
    group_ = "file";
    if (!check_file(path)) return;
    group_ = "library";
    const auto library = Library::load(path);
    if (!add("loads", library,
             library ? "ABI " + std::to_string((*library)->info().abi_major) + "." +
                           std::to_string((*library)->info().abi_minor)
                     : library.error().message))
      return;
    const PluginInfo& info = (*library)->info();
    const std::string file = std::filesystem::path(path).filename().string();
    add("name", file == "libweir-" + info.name + ".so", "it calls itself \"" + info.name + "\" in " + file);
    add("summary", !info.summary.empty(),
        info.summary.empty() ? "manifest_json has no \"summary\", one sentence for people" : info.summary);
    const auto problems = schema_problems(info.config_schema);
    std::string all;
    for (const auto& problem : problems) all += (all.empty() ? "" : "; ") + problem;
    add("config schema", problems.empty(), problems.empty() ? "within the subset" : all);
    std::string config;
    if (given) {
      config = *given;
    } else {
      const auto defaults = default_config(info.config_schema);
      if (!defaults) {
        not_tried("running it", defaults.error().message + "; give one with --config");
        return;
      }
      config = *defaults;
    }
    if ((*library)->flows())
      run_kind((*library)->source() != nullptr      ? "source"
               : (*library)->sink() != nullptr      ? "sink"
               : (*library)->responder() != nullptr ? "responder"
                                                    : "http",
               *library, config, [&] { return make_flow(*library, config); });
    if ((*library)->auth() != nullptr) run_kind("auth", *library, config, [&] { return make_auth(*library, config); });
    if ((*library)->source() != nullptr) check_backpressure(*library, config);
  }

 private:
  template <class Good>
  bool add(std::string name, const Good& good, std::string detail) {
    const bool ok = static_cast<bool>(good);
    findings.push_back({ok, group_, std::move(name), std::move(detail)});
    return ok;
  }
  void not_tried(std::string name, std::string why) {
    findings.push_back({true, group_, std::move(name), std::move(why), false});
  }

  bool check_file(const std::string& path) {
    const auto bytes = read_library_file(path);
    if (!bytes) return add("file", false, bytes.error().message);
    const auto elf = ElfFile::parse(*bytes);
    if (!add("file", elf, elf ? "a shared library for this machine" : elf.error().message)) return false;
    const auto note = elf->plugin_note();
    if (!add("note", note,
             note ? "says ABI " + std::to_string(note->abi_major) + "." + std::to_string(note->abi_minor)
                  : note.error().message))
      return false;
    const auto symbols = elf->exported_symbols();
    if (!symbols) return add("exports", false, symbols.error().message);
    std::string others, unique;
    for (const ElfSymbol& symbol : *symbols) {
      if (symbol.unique)
        unique += (unique.empty() ? "" : ", ") + symbol.name;
      else if (symbol.name != WEIR_PLUGIN_SYMBOL && others.size() < 400)
        others += (others.empty() ? "" : ", ") + symbol.name;
    }
    add("exports", others.empty(),
        others.empty() ? "only " WEIR_PLUGIN_SYMBOL
                       : "also " + others + "; build with -fvisibility=hidden and weir_add_plugin()'s version script");
    add("unique symbols", unique.empty(),
        unique.empty() ? "none" : unique + " would be shared with other plugins; build with -fno-gnu-unique");
    return true;
  }

  Result<std::shared_ptr<Instance>> make_flow(const std::shared_ptr<const Library>& library,
                                              const std::string& config) {
    auto made = FlowInstance::create("check", library, config, sink_);
    if (!made) return made.error();
    return std::shared_ptr<Instance>(*made);
  }
  Result<std::shared_ptr<Instance>> make_auth(const std::shared_ptr<const Library>& library,
                                              const std::string& config) {
    auto made = AuthInstance::create("check", library, config, nullptr);
    if (!made) return made.error();
    return std::shared_ptr<Instance>(*made);
  }

  template <class Make>
  void run_kind(const std::string& kind, const std::shared_ptr<const Library>&, const std::string&, Make&& make) {
    group_ = kind;
    {
      const auto made = make();
      if (!add("create and destroy", made, made ? "without start()" : made.error().message)) return;
      (*made)->stop();
    }
    std::uint64_t misbehaved = 0, late = 0;
    std::string failed;
    for (int round = 1; round <= kRounds && failed.empty(); ++round) {
      auto made = make();
      if (!made)
        failed = "create() in round " + std::to_string(round) + ": " + made.error().message;
      else
        failed = one_round(**made, misbehaved, late, round);
    }
    if (!add("start and stop 20 times", failed.empty(), failed.empty() ? "all in time" : failed)) return;
    add("quiet after stop", late == 0,
        late == 0 ? "it called nothing" : std::to_string(late) + " calls after stop(); join all threads there");
    add("no misbehaviour", misbehaved == 0,
        misbehaved == 0 ? "none" : std::to_string(misbehaved) + " rules broken; the log says which");
  }

  static std::string one_round(Instance& instance, std::uint64_t& misbehaved, std::uint64_t& late, int round) {
    const std::string where = " in round " + std::to_string(round);
    instance.start();
    if (!settled(instance)) return "start() did not return" + where;
    if (const auto status = instance.status(); status.state == InstanceState::failed)
      return "start() failed" + where + ": " + status.reason + "; give a config that works with --config";
    if (!instance.stop()) return "stop() did not return within 5 s" + where;
    const weir_host* host = instance.host();
    weir_event event{};
    event.struct_size = sizeof event;
    event.event = {"late", 4};
    std::uint32_t accepted = 0;
    const auto before = instance.counters();
    if (host->emit(host->ctx, &event, sizeof event, 1, &accepted) != WEIR_E_CLOSED)
      return "emit() after stop() was not refused" + where;
    misbehaved += before.misbehaved;
    late += before.calls_after_stop;
    return {};
  }

  // A hub without room: does it stop, and does it go on?
  void check_backpressure(const std::shared_ptr<const Library>& library, const std::string& config) {
    CountingSink sink;
    sink.room = 3;
    const auto made = FlowInstance::create("check", library, config, sink);
    if (!made) return;  // reported already
    (*made)->start();
    group_ = "source";
    const char* name = "waits while the hub is full";
    if (!within(kFirstEventMs, [&] { return sink.refused > 0; })) {
      not_tried(name, "it emitted " + std::to_string(sink.taken.load()) + " events in 1.5 s, which is not enough");
      return;
    }
    (*made)->pause();
    settled(**made);
    const std::uint64_t calls = sink.calls;
    const bool insisted = within(kQuietMs, [&] { return sink.calls > calls; });
    if (!library->info().lossy) add(name, !insisted, insisted ? "it called emit() again before resume()" : "it waited");
    sink.room = 1'000'000'000;
    const std::uint64_t taken = sink.taken;
    (*made)->resume();
    const bool went_on = within(kGoOnMs, [&] { return sink.taken > taken; });
    add("goes on after resume", went_on,
        went_on ? "it offered again what was refused" : "nothing came within 3 s after resume()");
    (*made)->stop();
  }

  CountingSink sink_;
  std::string group_;
};

}  // namespace

std::vector<Finding> check_plugin(const std::string& path, const std::optional<std::string>& config_json) {
  Checker checker;
  checker.run(path, config_json);
  return std::move(checker.findings);
}

std::string check_report(std::string_view path, const std::vector<Finding>& findings, bool verbose) {
  const auto line = [](std::string_view verdict, std::string_view group, const std::string& text) {
    std::string out(verdict);
    out.resize(11, ' ');
    out += group;
    if (group.size() < 9) out.append(9 - group.size(), ' ');
    return out + text + '\n';
  };
  std::string out, groups_told;
  std::size_t failed = 0, tried = 0;
  for (const Finding& f : findings) {
    failed += f.ok ? 0 : 1;
    tried += f.tried ? 1 : 0;
    if (verbose) {
      out += line(!f.ok ? "FAIL" : f.tried ? "ok" : "not tried", f.group, f.name + ": " + f.detail);
      continue;
    }
    // At the first of a group: all that is well in it, then one by one what is not.
    if (groups_told.find(f.group + '\n') != std::string::npos) continue;
    groups_told += f.group + '\n';
    std::string well, rest;
    for (const Finding& other : findings) {
      if (other.group != f.group) continue;
      if (!other.ok || !other.tried)
        rest += line(other.ok ? "not tried" : "FAIL", f.group, other.name + ": " + other.detail);
      else
        well += (well.empty() ? "" : ", ") + other.name;
    }
    if (!well.empty()) out += line("ok", f.group, well);
    out += rest;
  }
  out += std::string(path) + ": " + std::to_string(tried) + " checks, " +
         (failed == 0 ? std::string("all passed") : std::to_string(failed) + " failed");
  if (tried != findings.size()) out += ", " + std::to_string(findings.size() - tried) + " not tried";
  return out + '\n';
}

}  // namespace weir
