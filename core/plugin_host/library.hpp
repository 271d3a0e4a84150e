// A plugin's shared library: found, checked before any of its code runs, loaded, and never unloaded (code that owns
// thread-locals and threads can't be taken away safely; a reload makes new instances, not new libraries).
// Threads: load() and find_library() [main]; a loaded Library is constant and may be read by all.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

struct weir_source_v1;
struct weir_sink_v1;
struct weir_responder_v1;
struct weir_http_v1;
struct weir_auth_v1;

namespace weir {

// What the plugin says of itself.
struct PluginInfo {
  std::string name, version;
  std::uint16_t abi_major = 0, abi_minor = 0;
  std::vector<std::string> kinds;  // those that this hub knows: "source", "sink", "responder", "http", "auth"
  std::string summary;
  std::string config_schema;      // JSON text, an object
  std::string subject_separator;  // source, sink; "/" when it says nothing
  bool lossy = false;             // source: its upstream can't wait while it is paused
  bool lossless = false;          // source: nor does anything get lost while it is exchanged
  enum class OnDemand : std::uint8_t { no, subjects, patterns };
  OnDemand on_demand = OnDemand::no;  // source: it can be activated for one subject, or for wildcards as well
};

class Library {
 public:
  // Errors: bad_request - with the file's path and what is wrong: not an ELF file, no note, another ABI, no entry,
  //         garbage in the entry, a manifest or a table that is not as weir/abi/plugin.h says, a library that is
  //         missing.
  static Result<std::shared_ptr<const Library>> load(const std::string& path);

  const std::string& path() const { return path_; }
  const PluginInfo& info() const { return info_; }
  const weir_source_v1* source() const { return source_; }  // null: not provided
  const weir_sink_v1* sink() const { return sink_; }
  const weir_responder_v1* responder() const { return responder_; }
  const weir_http_v1* http() const { return http_; }
  const weir_auth_v1* auth() const { return auth_; }
  // It offers something besides an auth provider.
  bool flows() const { return source_ != nullptr || sink_ != nullptr || responder_ != nullptr || http_ != nullptr; }
  // The same code in memory: loading a file that has not been replaced comes to what is loaded already.
  bool same_code(const Library& other) const {
    return path_ == other.path_ && source_ == other.source_ && sink_ == other.sink_ && responder_ == other.responder_ &&
           http_ == other.http_ && auth_ == other.auth_;
  }

 private:
  Library() = default;
  std::string path_;
  PluginInfo info_;
  const weir_source_v1* source_ = nullptr;
  const weir_sink_v1* sink_ = nullptr;
  const weir_responder_v1* responder_ = nullptr;
  const weir_http_v1* http_ = nullptr;
  const weir_auth_v1* auth_ = nullptr;
};

// The path of libweir-NAME.so in the first of `folders` that has it; a name with a '/' is a path already.
// Errors: not_found - where it was looked for, and what is there under a similar name.
Result<std::string> find_library(std::string_view name, const std::vector<std::string>& folders);

// The whole file. Errors: not_found, too_large (256 MiB), bad_request - with the path and what the system said.
Result<std::string> read_library_file(const std::string& path);

}  // namespace weir
