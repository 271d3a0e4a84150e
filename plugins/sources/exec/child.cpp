#include "child.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <system_error>

extern char** environ;

namespace weir::exec {

void LineSplitter::feed(std::string_view bytes, const std::function<void(std::string_view)>& line) {
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    const auto part = bytes.substr(0, end);
    // One byte more, for the \r that may stand before the \n.
    const std::size_t room = bytes_max_ + 1 - rest_.size();
    cutting_ = cutting_ || part.size() > room;
    rest_ += part.substr(0, room);
    if (end == std::string_view::npos) return;
    this->end(line);
    bytes.remove_prefix(end + 1);
  }
}

void LineSplitter::end(const std::function<void(std::string_view)>& line) {
  if (!cutting_ && !rest_.empty() && rest_.back() == '\r') rest_.pop_back();
  if (rest_.size() > bytes_max_) {
    std::size_t most = bytes_max_;  // not within a character of UTF-8: the line would be no text any more
    while (bytes_max_ - most < 3 && (static_cast<unsigned char>(rest_[most]) & 0xC0U) == 0x80U) --most;
    rest_.resize(most);
    ++cut_;
  }
  cutting_ = false;
  if (!rest_.empty()) line(rest_);
  rest_.clear();
}

namespace {

constexpr int kReadBytes = 4096;  // no more lines than an Emitter keeps

std::string word(int error) { return std::generic_category().message(error); }

struct Spawn {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  Spawn() {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
  ~Spawn() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }
};

// Whether one of the group is more than a zombie. An orphan is not ours to wait for, and where nobody waits for it (in
// a container whose first process does not) it stays in the group for ever. Where /proc does not tell: yes.
bool lives(pid_t group) {
  DIR* const folder = ::opendir("/proc");
  if (folder == nullptr) return true;
  bool alive = false;
  while (const dirent* entry = alive ? nullptr : ::readdir(folder)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    FILE* const file = std::fopen(("/proc/" + std::string(entry->d_name) + "/stat").c_str(), "re");
    if (file == nullptr) {
      alive = errno != ENOENT && errno != ESRCH;  // it has just gone
      continue;
    }
    std::array<char, 512> bytes;  // its name has at most 64 of them
    const std::string_view text(bytes.data(), std::fread(bytes.data(), 1, bytes.size(), file));
    std::fclose(file);
    // PID (NAME) STATE PARENT GROUP ...; a name may hold anything, parentheses too.
    const auto name_end = text.rfind(')');
    char state = 'Z';
    pid_t of = 0;
    if (name_end != std::string_view::npos &&
        std::sscanf(std::string(text.substr(name_end + 1)).c_str(), " %c %*d %d", &state, &of) == 2)
      alive = of == group && state != 'Z' && state != 'X';
  }
  ::closedir(folder);
  return alive;
}

}  // namespace

Child::Child(const sdk::Host& host, const ChildConfig& config, Told told)
    : host_(host),
      config_(config),
      told_(std::move(told)),
      out_(config.line_bytes_max, told_.out),
      error_(config.line_bytes_max, told_.error) {}

void Child::start() {
  const auto failed = [this](const char* what, int error) {
    close_all();
    return sdk::Failure(WEIR_E_UNAVAILABLE, std::string(what) + ": " + word(error));
  };
  int out[2] = {-1, -1}, error[2] = {-1, -1};
  if (::pipe2(out, O_CLOEXEC) != 0) throw failed("a pipe", errno);
  out_.fd = out[0];
  if (::pipe2(error, O_CLOEXEC) != 0) {
    const int why = errno;
    ::close(out[1]);
    throw failed("a pipe", why);
  }
  error_.fd = error[0];
  ::fcntl(out_.fd, F_SETFL, O_NONBLOCK);
  ::fcntl(error_.fd, F_SETFL, O_NONBLOCK);

  Spawn spawn;
  ::posix_spawn_file_actions_addopen(&spawn.files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&spawn.files, out[1], 1);
  ::posix_spawn_file_actions_adddup2(&spawn.files, error[1], 2);
  ::posix_spawn_file_actions_addclosefrom_np(&spawn.files, 3);
  if (!config_.directory.empty()) ::posix_spawn_file_actions_addchdir_np(&spawn.files, config_.directory.c_str());
  // A group of its own, so that stop() reaches what it starts; signals as a shell would leave them.
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&spawn.attributes, &none);
  ::posix_spawnattr_setsigdefault(&spawn.attributes, &all);
  ::posix_spawnattr_setflags(&spawn.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<std::string> command = config_.command, environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (!config_.environment.contains(std::string(text.substr(0, text.find('='))))) environment.emplace_back(text);
  }
  for (const auto& [name, value] : config_.environment) environment.push_back(name + "=" + value);
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (auto& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
  };
  const int problem = ::posix_spawnp(&pid_, command[0].c_str(), &spawn.files, &spawn.attributes,
                                     pointers(command).data(), pointers(environment).data());
  ::close(out[1]);
  ::close(error[1]);
  if (problem != 0) {
    pid_ = -1;
    throw failed(command[0].c_str(), problem);
  }
  pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  if (pidfd_ < 0 || !exit_.start(host_, pidfd_, WEIR_WATCH_READ, [this](std::uint32_t) {
        exit_.end();
        ::kill(-pid_, SIGTERM);  // what it has started goes with it
        gone_ = true;
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
        well_ = info.si_code == CLD_EXITED && info.si_status == 0;
        how_ = info.si_code == CLD_EXITED ? "exited with status " + std::to_string(info.si_status)
                                          : "was killed by signal " + std::to_string(info.si_status) + " (" +
                                                ::strsignal(info.si_status) + ")";
        linger();
        check_end();
      }))
    throw failed("watching it", errno);
  watch();
}

void Child::watch() {
  for (Pipe* pipe : {&out_, &error_}) {
    pipe->watch.end();
    if (pipe->fd < 0 || paused_) continue;
    (void)pipe->watch.start(host_, pipe->fd, WEIR_WATCH_READ, [this, pipe](std::uint32_t) {
      if (read(*pipe)) return;
      finish(*pipe);
      check_end();
    });
  }
}

void Child::pause(bool paused) {
  if (paused_ == paused) return;
  paused_ = paused;
  watch();
  linger();
}

// It has ended. What it wrote is read to its end; an output that somebody else keeps open is not waited for.
void Child::linger() {
  linger_.cancel();
  if (!gone_ || paused_) return;
  linger_.start(host_, 1'000, 0, [this] {
    for (Pipe* pipe : {&out_, &error_}) {
      // After a time in which the hub stood still, this comes before anything was read.
      (void)read_all(*pipe);
      if (paused_) return;  // the rest, and this again, when there is room
      finish(*pipe);
    }
    check_end();
  });
}

void Child::finish(Pipe& pipe) {
  pipe.watch.end();
  if (pipe.fd < 0) return;
  ::close(std::exchange(pipe.fd, -1));
  pipe.lines.end(pipe.line);
}

bool Child::read(Pipe& pipe) {
  std::array<char, kReadBytes> bytes;
  const auto got = ::read(pipe.fd, bytes.data(), bytes.size());
  if (got > 0) pipe.lines.feed({bytes.data(), static_cast<std::size_t>(got)}, pipe.line);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

// What stands in it now, but no more than there is room for. False when there may be more.
bool Child::read_all(Pipe& pipe, bool without_room) {
  int there = 0;
  if (pipe.fd < 0 || ::ioctl(pipe.fd, FIONREAD, &there) != 0) return true;
  for (; there > 0 && (without_room || !paused_); there -= kReadBytes)
    if (!read(pipe)) return true;
  return there <= 0;
}

void Child::check_end() {
  if (!gone_ || out_.fd >= 0 || error_.fd >= 0 || pid_ < 0) return;
  linger_.cancel();
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  close_all();
  told_.ended(well_, how_);
}

void Child::stop(const std::function<bool()>& room) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kPatience(2'000);
  constexpr int kStepMs = 5;
  constexpr std::chrono::milliseconds kLookEvery(100);  // through all processes of the machine
  exit_.end();
  linger_.cancel();
  for (Pipe* pipe : {&out_, &error_}) pipe->watch.end();
  bool alive = pid_ > 0, waited_for = !alive;  // the group; the program
  bool living = true;
  Clock::time_point look{};
  if (alive) ::kill(-pid_, SIGTERM);
  for (const auto until = Clock::now() + kPatience; Clock::now() < until; ::poll(nullptr, 0, kStepMs)) {
    waited_for = waited_for || ::waitpid(pid_, nullptr, WNOHANG) != 0;  // until then it counts as one of the group
    alive = alive && ::kill(-pid_, 0) == 0;                             // once it is not, the number may be another's
    if (alive && waited_for && Clock::now() >= look) {
      living = lives(pid_);
      look = Clock::now() + kLookEvery;
    }
    const bool waiting = alive && living;
    paused_ = !room();
    const bool out = read_all(out_), error = read_all(error_);
    if (!waiting && out && error && room()) break;
  }
  if (alive) ::kill(-pid_, SIGKILL);
  if (!waited_for) ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  for (Pipe* pipe : {&out_, &error_}) {
    (void)read_all(*pipe, true);
    finish(*pipe);
  }
  close_all();
}

void Child::kill_now() {
  exit_.end();
  linger_.cancel();
  if (pid_ > 0) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_ = -1;
  close_all();
}

void Child::close_all() {
  exit_.end();
  if (pidfd_ >= 0) ::close(std::exchange(pidfd_, -1));
  for (Pipe* pipe : {&out_, &error_}) {
    pipe->watch.end();
    if (pipe->fd >= 0) ::close(std::exchange(pipe->fd, -1));
  }
}

}  // namespace weir::exec
