#include "config.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>

namespace weir::log_tail {

// constinit and without constructors: the hub may read it before any code of the plugin ran.
constinit const char kManifest[] = R"json({
  "kinds": ["source"],
  "lossy": false,
  "on_demand": "subjects",
  "summary": "Follows log files through every kind of rotation and emits each line as an event",
  "config_schema": {
    "type": "object",
    "additionalProperties": false,
    "properties": {
      "files": {
        "type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1, "x-path": true},
        "description": "Files to follow all the time. *, ? and [...] work in file names and folders; relative paths start at the folder of the manifest"
      },
      "root": {
        "type": "string", "minLength": 1, "x-path": true,
        "description": "Folder of files that are followed on demand, while somebody watches: the subject is the file's path below it. Nothing outside it is ever read"
      },
      "exclude": {
        "type": "array", "default": [], "items": {"type": "string", "minLength": 1, "x-path": "with-slash"},
        "description": "Files to leave out; a pattern without a slash is compared with the file's name alone, others begin at the folder of the manifest"
      },
      "backlog": {
        "type": "integer", "default": 100, "minimum": 0, "maximum": 1000,
        "description": "Lines from the end of each file that exists when the instance starts, or that somebody begins to watch; later files are read from their beginning"
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
      },
      "checkpoint": {
        "type": "string", "minLength": 1, "x-path": true,
        "description": "File in which it is kept how far each file was read and the hub has it, so that a restart goes on there. Left out: a restart begins with the backlog again"
      },
      "multiline": {
        "type": "object", "additionalProperties": false,
        "description": "Joins lines to one event, such as stack traces. One of start and continuation is wanted",
        "properties": {
          "start": {
            "type": "string", "minLength": 1,
            "description": "Regular expression (RE2) that is found in the first line of an event; lines without it belong to the event before"
          },
          "continuation": {
            "type": "string", "minLength": 1,
            "description": "Regular expression (RE2) that is found in lines that belong to the event before, such as \"^[ \\t]\""
          },
          "max_lines": {"type": "integer", "default": 500, "minimum": 2, "maximum": 10000, "description": "An event of more lines leaves in pieces"},
          "max_bytes": {"type": "integer", "default": 65536, "minimum": 64, "maximum": 262144, "description": "An event of more bytes leaves in pieces"},
          "timeout": {
            "type": ["string", "integer"], "default": "1s",
            "description": "An event leaves when nothing was added for this long: \"10ms\" to \"60s\", or milliseconds"
          }
        }
      },
      "max_open": {
        "type": "integer", "minimum": 16, "maximum": 65536,
        "description": "Descriptors for files. Beyond it, files that are read to their end are closed until something happens to them. Left out: 1024, or a quarter of what the process may have"
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

std::string as_pattern(const std::string& path) {
  std::string pattern;
  for (const char c : path) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

void add_multiline(const sdk::json::Value& json, MultilineOptions& out) {
  out.start = json.string_or("start", "");
  out.continuation = json.string_or("continuation", "");
  if (out.start.empty() == out.continuation.empty()) {
    throw sdk::Failure(WEIR_E_CONFIG,
                       std::string(out.start.empty() ? "multiline has neither start nor continuation"
                                                     : "multiline has both start and continuation") +
                           "; expected one of them, such as { continuation = '^[ \\t]' }",
                       json.pointer);
  }
  const char* const key = out.start.empty() ? "continuation" : "start";
  const std::string& pattern = out.start.empty() ? out.continuation : out.start;
  if (const std::string problem = LinePattern(pattern).problem(); !problem.empty()) {
    throw sdk::Failure(WEIR_E_CONFIG,
                       "multiline." + std::string(key) + " is \"" + pattern + "\", which is no pattern: " + problem +
                           "; expected a regular expression of RE2",
                       json.required(key).pointer);
  }
  out.lines_max = static_cast<std::size_t>(integer(json, "max_lines", 500, 2, 10'000));
  out.bytes_max = static_cast<std::size_t>(integer(json, "max_bytes", 65'536, 64, 262'144));
  out.timeout_ms = in_range(json, "timeout", json.duration_ms_or("timeout", 1000), 10, 60'000);
}

// The hub has raised its soft limit as far as it may; connections want most of it.
std::size_t open_max_of_process() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  return static_cast<std::size_t>(std::clamp<rlim_t>(limit.rlim_cur / 4, 16, 1024));
}

}  // namespace

Config parse_config(const sdk::json::Value& json) {
  Config config;
  TailerOptions& tailer = config.tailer;
  tailer.files = json.strings_or("files", {});
  tailer.root = json.string_or("root", "");
  if (const sdk::json::Value* root = json.find("root"); root != nullptr && !root->is(sdk::json::Kind::null)) {
    struct stat st;
    const bool other = ::stat(tailer.root.c_str(), &st) == 0 && !S_ISDIR(st.st_mode);  // it may still be made
    if (tailer.root.empty() || tailer.root.find('\0') != std::string::npos || other)
      throw root->wrong("a folder", "\"" + tailer.root + "\"");
  }
  if (tailer.files.empty() && tailer.root.empty()) {
    throw sdk::Failure(WEIR_E_CONFIG,
                       "there is neither files nor root; expected at least one path or pattern, such as files = "
                       "[\"/var/log/*.log\"], or a folder to follow on demand, such as root = \"/var/log/app\"",
                       "/files");
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
  if (const sdk::json::Value* multiline = json.find("multiline");
      multiline != nullptr && !multiline->is(sdk::json::Kind::null))
    add_multiline(*multiline, tailer.multiline);
  config.checkpoint = json.string_or("checkpoint", "");
  if (const sdk::json::Value* path = json.find("checkpoint");
      path != nullptr && !path->is(sdk::json::Kind::null) &&
      (config.checkpoint.empty() || config.checkpoint.back() == '/' ||
       config.checkpoint.find('\0') != std::string::npos))
    throw path->wrong("the path of a file", "\"" + config.checkpoint + "\"");
  tailer.places = !config.checkpoint.empty();
  if (tailer.places) {  // a pattern such as /var/log/* must not follow what grows because it is followed
    tailer.exclude.push_back(as_pattern(config.checkpoint));
    tailer.exclude.push_back(as_pattern(config.checkpoint + ".new"));
    tailer.exclude.push_back(as_pattern(config.checkpoint + ".damaged"));
    tailer.exclude.push_back(as_pattern(config.checkpoint + ".lock"));
  }
  tailer.open_max =
      static_cast<std::size_t>(integer(json, "max_open", static_cast<std::int64_t>(open_max_of_process()), 16, 65'536));
  config.batch_ms = static_cast<std::uint64_t>(integer(json, "batch_ms", 10, 0, 100));
  return config;
}

}  // namespace weir::log_tail
