#include "config.hpp"

#include <string>

namespace weir::log_tail {

// constinit and without constructors: the hub may read it before any code of the plugin ran.
constinit const char kManifest[] = R"json({
  "kinds": ["source"],
  "summary": "Follows log files through every kind of rotation and emits each line as an event",
  "config_schema": {
    "type": "object",
    "additionalProperties": false,
    "required": ["files"],
    "properties": {
      "files": {
        "type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1, "x-path": true},
        "description": "Files to follow. *, ? and [...] work in file names and folders; relative paths start at the folder of the manifest"
      },
      "exclude": {
        "type": "array", "default": [], "items": {"type": "string", "minLength": 1, "x-path": true},
        "description": "Files to leave out; a pattern without a slash is compared with the file's name alone"
      },
      "backlog": {
        "type": "integer", "default": 100, "minimum": 0, "maximum": 1000,
        "description": "Lines from the end of each file that exists when the instance starts; later files are read from their beginning"
      },
      "batch_ms": {
        "type": "integer", "default": 10, "minimum": 0, "maximum": 100,
        "description": "Milliseconds for which lines are gathered after a batch went out; a line after a quiet time leaves at once"
      },
      "line_bytes_max": {
        "type": "integer", "default": 65536, "minimum": 64, "maximum": 65536,
        "description": "Longer lines are cut to this many bytes and marked with \"truncated\": true"
      },
      "poll": {
        "type": ["string", "integer"], "default": "500ms",
        "description": "How often files are looked at without being asked by inotify: \"100ms\" to \"60s\", or milliseconds"
      }
    }
  }
})json";

namespace {

std::int64_t in_range(const sdk::json::Value& json, const char* key, std::int64_t value, std::int64_t low,
                      std::int64_t high) {
  if (value >= low && value <= high) return value;
  throw json.required(key).wrong(std::to_string(low) + " to " + std::to_string(high), std::to_string(value));
}

std::int64_t integer(const sdk::json::Value& json, const char* key, std::int64_t fallback, std::int64_t low,
                     std::int64_t high) {
  return in_range(json, key, json.integer_or(key, fallback), low, high);
}

}  // namespace

Config parse_config(const sdk::json::Value& json) {
  Config config;
  TailerOptions& tailer = config.tailer;
  tailer.files = json.strings_or("files", {});
  if (tailer.files.empty()) {
    throw sdk::Failure(WEIR_E_CONFIG,
                       "files is empty; expected at least one path or pattern, such as [\"/var/log/*.log\"]", "/files");
  }
  for (std::size_t i = 0; i < tailer.files.size(); ++i) {
    if (tailer.files[i].empty() || tailer.files[i].back() == '/' || tailer.files[i].find('\0') != std::string::npos) {
      throw sdk::Failure(WEIR_E_CONFIG,
                         "files[" + std::to_string(i) + "] is \"" + tailer.files[i] +
                             "\"; expected a file or a pattern of files, such as \"/var/log/*.log\"",
                         "/files/" + std::to_string(i));
    }
  }
  tailer.exclude = json.strings_or("exclude", {});
  tailer.backlog = static_cast<std::size_t>(integer(json, "backlog", 100, 0, 1000));
  tailer.line_bytes_max = static_cast<std::size_t>(integer(json, "line_bytes_max", 65536, 64, 65536));
  tailer.poll_ms = in_range(json, "poll", json.duration_ms_or("poll", 500), 100, 60'000);
  config.batch_ms = static_cast<std::uint64_t>(integer(json, "batch_ms", 10, 0, 100));
  return config;
}

}  // namespace weir::log_tail
