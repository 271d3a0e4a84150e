// A server that a test runs: a program in its own process group, in a folder of its own, that can be killed, frozen and
// started again. Threads: those of the test, one at a time.
#pragma once
#include <netinet/in.h>

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

namespace weir::test {

sockaddr_in local(std::uint16_t port);  // 127.0.0.1
// A port on 127.0.0.1 that nobody has now.
std::uint16_t free_port();
// Whether somebody accepts connections there.
bool answers(std::uint16_t port);

class ServerProcess {
 public:
  ServerProcess() = default;
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess() { end(SIGKILL); }

  // Its output goes to `log`. Fails the test when there is no such program.
  void run(std::vector<std::string> command, const std::string& log);
  void end(int signal);  // and waits until it is gone
  void wait();           // until it has ended by itself, which it should do well
  void freeze() { send(SIGSTOP); }
  void thaw() { send(SIGCONT); }
  bool running() const { return pid_ > 0; }
  int pid() const { return pid_; }

 private:
  void send(int signal) const;
  int pid_ = -1;
};

}  // namespace weir::test
