#include "bench/sources/hub_process.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

namespace weir::bench {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;
using Json = nlohmann::json;

}  // namespace

std::string wait_for_line(const std::string& file, const std::string& begin, int seconds) {
  for (const auto until = Steady::now() + std::chrono::seconds(seconds); Steady::now() < until;
       std::this_thread::sleep_for(2ms)) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);)
      if (line.starts_with(begin) && !in.eof()) return line.substr(begin.size());
  }
  std::ifstream in(file);
  throw std::runtime_error("no \"" + begin + "\" in " + file + ":\n" +
                           std::string((std::istreambuf_iterator<char>(in)), {}));
}

HubProcess::HubProcess(const std::string& program, const std::string& folder, const std::string& manifest)
    : folder_(folder) {
  std::ofstream(folder + "/hub.toml") << manifest;
  const std::string log = folder + "/hub.log";
  process_.run({program, "run", folder + "/hub.toml"}, log);
  const std::string address = wait_for_line(log, "weir ready http://");
  port_ = static_cast<std::uint16_t>(std::atoi(address.c_str() + address.find(':') + 1));
  for (const auto until = Steady::now() + 30s;; std::this_thread::sleep_for(5ms)) {
    const Json health = Json::parse(ask("GET", "/health"));
    if (health["plugins"][0].value("state", "") == "running") return;
    if (Steady::now() > until) throw std::runtime_error("the source does not come to run: " + health.dump());
  }
}

std::string HubProcess::ask(const std::string& method, const std::string& path) const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in there = test::local(port_);
  const std::string request = method + " " + path + " HTTP/1.1\r\nhost: 127.0.0.1:" + std::to_string(port_) +
                              "\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
  std::string answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
    std::array<char, 4096> part;
    for (ssize_t n = 0; (n = ::recv(fd, part.data(), part.size(), 0)) > 0;)
      answer.append(part.data(), static_cast<std::size_t>(n));
  }
  ::close(fd);
  const auto head = answer.find("\r\n\r\n");
  if (head == std::string::npos || !answer.starts_with("HTTP/1.1 200"))
    throw std::runtime_error("the hub answers " + method + " " + path + ": " + answer);
  return answer.substr(head + 4);
}

std::uint64_t HubProcess::accepted() const {
  return Json::parse(ask("GET", "/stats"))["plugins"][0]["accepted"].get<std::uint64_t>();
}

bool HubProcess::wait_accepted(std::uint64_t count) const {
  auto progress = Steady::now();
  for (std::uint64_t before = accepted(); before < count;) {
    std::this_thread::sleep_for(50ms);
    const std::uint64_t now = accepted();
    if (now != before)
      before = now, progress = Steady::now();
    else if (Steady::now() - progress > 10s)
      return false;
  }
  return true;
}

void HubProcess::reload(const std::string& manifest) const {
  std::ofstream(folder_ + "/hub.toml") << manifest;
  (void)ask("POST", "/api/v1/reload");
}

}  // namespace weir::bench
