// An answer that somebody waits for, given once: the base of Answer, Activation, Reply and HttpReply. Later calls do
// nothing; dropped without an answer it tells the hub so, and nobody waits for nothing.
// Threads: [any], but not from two threads at once.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "weir/abi/host.h"
#include "weir/sdk/error.hpp"
#include "weir/sdk/json.hpp"

namespace weir::sdk {

class Pending {
 public:
  Pending(const weir_host* host, std::uint64_t token) : host_(host), token_(token) {}
  Pending(Pending&& other) noexcept : host_(std::exchange(other.host_, nullptr)), token_(other.token_) {}
  Pending& operator=(Pending&& other) noexcept {
    if (this != &other) {
      drop();
      host_ = std::exchange(other.host_, nullptr);
      token_ = other.token_;
    }
    return *this;
  }
  ~Pending() { drop(); }

  bool given() const { return host_ == nullptr; }
  std::uint64_t token() const { return token_; }  // what cancel() names

 protected:
  void give(weir_status status, std::string_view result_json) {
    if (const weir_host* host = std::exchange(host_, nullptr))
      host->done(host->ctx, token_, status, to_str(result_json));
  }
  void give_error(weir_status status, std::string_view message) {
    give(status, "{\"message\":" + json::quoted(message) + "}");
  }

 private:
  void drop() noexcept {
    constexpr std::string_view message = "{\"message\":\"the plugin gave no answer\"}";
    give(WEIR_E_INTERNAL, message);
  }
  const weir_host* host_;
  std::uint64_t token_;
};

}  // namespace weir::sdk
