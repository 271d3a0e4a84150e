// The program itself, beside the test: to be killed, and to be as large as it is alone. With a manifest in a folder of
// the test. Threads: those of the test, one at a time.
#pragma once
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "integration/hub_fixture.hpp"
#include "support/server_process.hpp"

namespace weir::test {

class HubProcess {
 public:
  HubProcess(std::string folder, const std::string& manifest) : folder_(std::move(folder)), port_(free_port()) {
    std::ofstream(folder_ + "/process.toml")
        << "listen = \"127.0.0.1:" << port_ << "\"\nplugins = [\"" WEIR_BINARY_DIR "/lib/weir\"]\n"
        << manifest;
  }
  Client start(const std::string& channel) {
    process_.run({WEIR_BINARY_DIR "/bin/weir", "run", folder_ + "/process.toml"}, folder_ + "/process.log");
    EXPECT_TRUE(wait_until([this] { return answers(port_); }));
    net::WsClient::Settings settings;
    settings.port = port_;
    auto socket = net::WsClient::connect(settings, kPatienceMs);
    if (!socket) throw std::runtime_error("connect: " + socket.error().message);
    Client c(std::move(*socket));
    // What has come before the client has: the history of this life.
    c.say({{"type", "subscribe"}, {"id", 1}, {"channel", channel}, {"replay", 100'000}});
    return c;
  }
  int figure(const std::string& name) const { return ask("GET", "/stats")["plugins"][0][name]; }  // of its source
  void reload() const { EXPECT_EQ(ask("POST", "/api/v1/reload")["reloaded"], true); }
  // The most memory that it had in this life.
  int peak_kib() const {
    std::ifstream status("/proc/" + std::to_string(process_.pid()) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmHWM:")) return std::stoi(line.substr(6));
    throw std::runtime_error("no process");
  }
  void kill() { process_.end(SIGKILL); }

 private:
  Json ask(const std::string& method, const std::string& path) const {
    RawSocket socket(port_);
    socket.say_all(method + " " + path +
                   " HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    const std::string answer = socket.read_all();
    return Json::parse(answer.substr(answer.find("\r\n\r\n")));
  }

  const std::string folder_;
  const std::uint16_t port_;
  ServerProcess process_;
};

}  // namespace weir::test
