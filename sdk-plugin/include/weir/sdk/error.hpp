// How C++ plugin code says that something went wrong: it throws a Failure, and the trampoline at the border turns that
// into a status and a message. Every other exception becomes WEIR_E_INTERNAL with its what().
// Threads: plain values.
#pragma once
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "weir/abi/types.h"

namespace weir::sdk {

inline weir_str to_str(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view to_view(weir_str text) {
  return text.ptr == nullptr ? std::string_view() : std::string_view(text.ptr, static_cast<std::size_t>(text.size));
}

class Failure : public std::runtime_error {
 public:
  Failure(weir_status status, const std::string& message, std::string json_pointer = "")
      : std::runtime_error(message), status_(status), json_pointer_(std::move(json_pointer)) {}
  weir_status status() const { return status_; }
  const std::string& json_pointer() const { return json_pointer_; }  // where in the configuration, "" if nowhere

 private:
  weir_status status_;
  std::string json_pointer_;
};

// Copies what fits, never in the middle of a UTF-8 character, always with a NUL at the end.
inline void copy_text(char* to, std::size_t size, std::string_view text) {
  std::size_t n = text.size() < size ? text.size() : size - 1;
  if (n < text.size())
    while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0u) == 0x80u) --n;
  if (n != 0) std::memcpy(to, text.data(), n);
  to[n] = '\0';
}

// Fills in what the caller's weir_error has room for. `error` may be null.
inline void fill_error(weir_error* error, weir_status status, std::string_view json_pointer, std::string_view message) {
  if (error == nullptr) return;
  if (WEIR_HAS(error, weir_error, status)) error->status = status;
  if (WEIR_HAS(error, weir_error, json_pointer))
    copy_text(error->json_pointer, sizeof error->json_pointer, json_pointer);
  if (WEIR_HAS(error, weir_error, message)) copy_text(error->message, sizeof error->message, message);
}

}  // namespace weir::sdk
