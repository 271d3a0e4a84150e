// A request that is not taken: what its sender is told. Thrown by what reads requests; nothing of one was emitted then.
#pragma once
#include <stdexcept>
#include <string>
#include <utility>

namespace weir::http_ingest {

class Refused : public std::runtime_error {
 public:
  // header_name and header_value: of the answer, such as Allow; empty: none.
  Refused(int status, const std::string& message, std::string header_name = {}, std::string header_value = {})
      : std::runtime_error(message),
        status_(status),
        header_name_(std::move(header_name)),
        header_value_(std::move(header_value)) {}
  int status() const { return status_; }
  const std::string& header_name() const { return header_name_; }
  const std::string& header_value() const { return header_value_; }

 private:
  int status_;
  std::string header_name_, header_value_;
};

}  // namespace weir::http_ingest
