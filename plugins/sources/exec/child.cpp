#include "child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
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
    rest_.resize(bytes_max_);
    ++cut_;
  }
  cutting_ = false;
  if (!rest_.empty()) line(rest_);
  rest_.clear();
}

namespace {

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

}  // namespace

Child::Child(const sdk::Host& host, const ChildConfig& config, Told told)
    : host_(host),
      config_(config),
      told_(std::move(told)),
      out_(config.line_bytes_max),
      error_(config.line_bytes_max) {}

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
        gone_ = ::waitpid(pid_, &status_, 0) == pid_;
        linger();
        check_end();
      }))
    throw failed("watching it", errno);
  watch();
}

void Child::watch() {
  const auto on = [this](Pipe& pipe, const std::function<void(std::string_view)>& line) {
    pipe.watch.end();
    if (pipe.fd >= 0 && !paused_)
      (void)pipe.watch.start(host_, pipe.fd, WEIR_WATCH_READ,
                             [this, &pipe, &line](std::uint32_t) { read(pipe, line); });
  };
  on(out_, told_.out);
  on(error_, told_.error);
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
    finish(out_, told_.out);
    finish(error_, told_.error);
    check_end();
  });
}

void Child::finish(Pipe& pipe, const std::function<void(std::string_view)>& line) {
  pipe.watch.end();
  if (pipe.fd < 0) return;
  ::close(std::exchange(pipe.fd, -1));
  pipe.lines.end(line);
}

void Child::read(Pipe& pipe, const std::function<void(std::string_view)>& line) {
  std::array<char, 4096> bytes;  // no more lines than an Emitter keeps
  const auto got = ::read(pipe.fd, bytes.data(), bytes.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) return pipe.lines.feed({bytes.data(), static_cast<std::size_t>(got)}, line);
  finish(pipe, line);
  check_end();
}

void Child::check_end() {
  if (!gone_ || out_.fd >= 0 || error_.fd >= 0 || pid_ < 0) return;
  linger_.cancel();
  pid_ = -1;
  close_all();
  const bool well = WIFEXITED(status_) && WEXITSTATUS(status_) == 0;
  const std::string how = WIFEXITED(status_) ? "exited with status " + std::to_string(WEXITSTATUS(status_))
                                             : "was killed by signal " + std::to_string(WTERMSIG(status_)) + " (" +
                                                   ::strsignal(WTERMSIG(status_)) + ")";
  told_.ended(well, how);
}

void Child::stop() {
  constexpr int kPatienceMs = 2'000, kStepMs = 5;
  exit_.end();
  linger_.cancel();
  if (pid_ > 0 && !gone_) {
    const pid_t group = pid_;
    ::kill(-group, SIGTERM);
    for (int waited = 0; waited < kPatienceMs && ::kill(-group, 0) == 0; waited += kStepMs) {
      gone_ = gone_ || ::waitpid(group, &status_, WNOHANG) == group;  // until then it counts as one of the group
      ::poll(nullptr, 0, kStepMs);
    }
  }
  kill_now();
}

void Child::kill_now() {
  exit_.end();
  linger_.cancel();
  if (pid_ > 0) {
    ::kill(-pid_, SIGKILL);
    if (!gone_) ::waitpid(pid_, &status_, 0);
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
