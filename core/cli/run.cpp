// `weir run` and `weir check`.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>
#include <tuple>

#include "base/log.hpp"
#include "base/secrets.hpp"
#include "cli/commands.hpp"
#include "server/hub.hpp"

namespace weir::cli {
namespace {

constexpr int kCannotLoad = 2;

SetupResult load(const RunOptions& options, bool for_check) {
  LoadOptions load;
  load.scripts_folder = own_scripts_folder();
  load.for_check = for_check;
  std::vector<tree::Problem> problems;
  for (const std::string& text : options.set) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      problems.push_back({{"--set", 0, 0}, "\"" + text + "\" is not KEY=VALUE, such as limits.frame_bytes=64KiB"});
    else
      load.set.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  if (!options.listen.empty()) load.set.emplace_back("listen", "\"" + options.listen + "\"");
  SetupResult result = set_up(options.manifest, load);
  result.problems.insert(result.problems.begin(), problems.begin(), problems.end());
  if (!result.problems.empty()) result.setup.reset();
  return result;
}

// The same at the start: its problems all at once, warnings too. Null: there was at least one problem.
std::unique_ptr<Setup> load_or_say_why(const RunOptions& options, bool for_check) {
  SetupResult result = load(options, for_check);
  for (const auto& w : result.warnings) std::fprintf(stderr, "warning: %s\n", w.text().c_str());
  for (const auto& p : result.problems) std::fprintf(stderr, "%s\n", p.text().c_str());
  if (!result.problems.empty())
    std::fprintf(stderr, "%s: %zu problem%s; nothing was started\n", options.manifest.c_str(), result.problems.size(),
                 result.problems.size() == 1 ? "" : "s");
  return std::move(result.setup);
}

// What a set of files looks like; another one, or none, when one of them has been written, replaced or taken away.
using Stamp = std::vector<std::tuple<std::string, std::int64_t, std::int64_t, std::uint64_t>>;
Stamp stamp_of(const std::vector<std::string>& files) {
  Stamp out;
  for (const std::string& file : files) {
    struct stat s {};
    if (::stat(file.c_str(), &s) == 0)
      out.emplace_back(file, s.st_mtim.tv_sec * 1'000'000'000 + s.st_mtim.tv_nsec, s.st_size, s.st_ino);
    else
      out.emplace_back(file, 0, 0, 0);
  }
  return out;
}

// Says when the files have changed and then stayed the same for one look: an editor may be half way through. They are
// those of the hub that runs, and of what was last tried in its place: the mistake may stand in either.
class Watch {
 public:
  explicit Watch(const std::string& manifest) : manifest_(manifest) {}
  void begin() { before_ = stamp_of(files_); }  // they are going to be read now
  void look_at(const Setup& runs, const std::vector<std::string>& tried) {
    files_ = {manifest_};
    for (const auto& program : runs.programs)
      files_.insert(files_.end(), program->files().begin(), program->files().end());
    files_.insert(files_.end(), tried.begin(), tried.end());
    last_ = stamp_of(files_);
    // What was written while it was read counts as a change.
    for (auto& file : last_)
      for (const auto& before : before_)
        if (std::get<0>(before) == std::get<0>(file)) file = before;
    seen_.clear();
  }
  bool changed() {
    Stamp now = stamp_of(files_);
    const bool settled = now == seen_ && now != last_;
    seen_ = std::move(now);
    return settled;
  }

 private:
  const std::string manifest_;
  std::vector<std::string> files_;
  Stamp last_, seen_, before_;
};

// Each connection takes a descriptor, and the usual soft limit is 1024 for the sake of programs that use select().
// Where even the hard one has no room for limits.connections, that is lowered to what there is room for: a client too
// many is then answered 503, instead of waiting for a descriptor. Worth a warning only to those who asked for more.
void fit_to_descriptors(Limits& limits, bool say = true) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  if (files.rlim_cur < files.rlim_max) {
    const rlimit raised{files.rlim_max, files.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) files = raised;
  }
  // For shards, plugins, files, connections that are being refused.
  const rlim_t reserve = std::min<rlim_t>(256, files.rlim_cur / 2);
  const auto wanted = static_cast<rlim_t>(limits.connections);
  const rlim_t room = files.rlim_cur - reserve;
  if (room >= wanted) return;
  const bool asked = limits.connections != Limits{}.connections;
  if (say)
    log::write(asked ? log::Level::warn : log::Level::info, "hub",
               "at most " + std::to_string(room) + " connections instead of limits.connections, " +
                   std::to_string(wanted) + ": this process may have " + std::to_string(files.rlim_cur) +
                   " open files; for more raise that limit (ulimit -n, LimitNOFILE=) to " +
                   std::to_string(wanted + reserve));
  limits.connections = static_cast<std::int64_t>(std::max<rlim_t>(room, 1));
}

// Without running what ends a program otherwise: a plugin that did not stop may still use what would be torn down.
[[noreturn]] void leave(int status) {
  log::flush();
  std::fflush(stdout);
  std::_Exit(status);
}

void print_limits(const Limits& limits) {
  for (const LimitInfo& l : all_limits()) {
    const char* unit = l.unit == LimitUnit::bytes ? " bytes" : l.unit == LimitUnit::ms ? " ms" : "";
    std::printf("%-30.*s %lld%s (default %lld, %lld to %lld)\n    at it: %.*s; %.*s\n", static_cast<int>(l.name.size()),
                l.name.data(), static_cast<long long>(limits.*l.member), unit, static_cast<long long>(l.fallback),
                static_cast<long long>(l.lowest), static_cast<long long>(l.highest), static_cast<int>(l.effect.size()),
                l.effect.data(), static_cast<int>(l.why.size()), l.why.data());
  }
}

}  // namespace

namespace {
bool asked_to_end() {
  sigset_t waiting;
  return sigpending(&waiting) == 0 && (sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGINT) == 1);
}

// Until a signal asks the hub to end.
void wait_and_reload(const RunOptions& options, Hub& hub, const sigset_t& signals) {
  Watch watch(options.manifest);
  watch.look_at(*hub.setup(), {});
  for (;;) {
    int signal_number = 0;
    if (hub.setup()->manifest.watch) {
      constexpr timespec kLookEvery{0, 500'000'000};
      signal_number = sigtimedwait(&signals, nullptr, &kLookEvery);
      if (signal_number < 0 && !watch.changed()) continue;
    } else {
      sigwait(&signals, &signal_number);
    }
    if (signal_number > 0 && signal_number != SIGHUP) return;
    if (asked_to_end()) continue;  // that signal comes next
    watch.begin();
    SetupResult loaded = load(options, false);
    if (loaded.setup) fit_to_descriptors(loaded.setup->manifest.limits, false);
    const std::vector<std::string> tried = std::move(loaded.scripts);
    (void)hub.reload(std::move(loaded), asked_to_end);
    watch.look_at(*hub.setup(), tried);
  }
}
}  // namespace

int check(const RunOptions& options, bool limits) {
  if (options.manifest.empty()) {
    if (!limits) {
      std::fprintf(stderr, "weir check: which manifest? weir check hub.toml\n");
      return 1;
    }
    print_limits(Limits{});
    return 0;
  }
  const auto setup = load_or_say_why(options, true);
  if (!setup) return kCannotLoad;
  if (limits) print_limits(setup->manifest.limits);
  std::printf("%s: ok (%zu plugin%s, %zu endpoint%s, %zu channel%s, %zu rule%s)\n", options.manifest.c_str(),
              setup->plugins.size(), setup->plugins.size() == 1 ? "" : "s", setup->endpoints.size(),
              setup->endpoints.size() == 1 ? "" : "s", setup->manifest.channels.size(),
              setup->manifest.channels.size() == 1 ? "" : "s", setup->programs.size(),
              setup->programs.size() == 1 ? "" : "s");
  return 0;
}

int run(const RunOptions& options) {
  // Before any thread exists, so that all inherit it: signals are taken by this thread alone.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, s);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a log file at its limit of size is no reason to die

  log::Settings first;
  if (!options.log_level.empty()) {
    auto level = log::parse_level(options.log_level);
    if (!level) {
      std::fprintf(stderr, "weir run: --log-level: %s\n", level.error().message.c_str());
      return 1;
    }
    first.level = *level;
  }
  auto setup = load_or_say_why(options, false);
  if (!setup) return kCannotLoad;
  log::Settings settings = setup->manifest.log;
  if (!options.log_level.empty()) settings.level = first.level;
  if (!options.log_format.empty()) settings.json = options.log_format == "json";
  if (auto ok = log::set_up(settings); !ok) {
    std::fprintf(stderr, "%s: %s\n", options.manifest.c_str(), secrets::masked(ok.error().message).c_str());
    return kCannotLoad;
  }
  fit_to_descriptors(setup->manifest.limits);
  auto hub = std::make_unique<Hub>(std::move(setup));
  hub->on_reload_wanted([] { ::kill(::getpid(), SIGHUP); });
  if (auto ok = hub->start(); !ok) {
    std::fprintf(stderr, "%s\n", secrets::masked(ok.error().message).c_str());
    hub.reset();
    leave(ok.error().code == Errc::bad_request ? kCannotLoad : 1);  // a plugin may hang in create()
  }
  std::printf("weir ready http://%s\n", hub->address().c_str());
  std::fflush(stdout);

  wait_and_reload(options, *hub, signals);
  // A second signal ends at once, so somebody must listen for it while the first is carried out.
  std::thread([signals] {
    int again = 0;
    do sigwait(&signals, &again);
    while (again == SIGHUP);
    log::warn("hub", "second signal: ending at once");
    log::flush();
    std::_Exit(1);
  }).detach();
  // Every client was told and given its time; one that never answered is no failure of the hub. A plugin that would not
  // stop is.
  hub->drain([] { return false; });
  if (hub->left_behind()) leave(1);
  hub.reset();
  return 0;
}

}  // namespace weir::cli
