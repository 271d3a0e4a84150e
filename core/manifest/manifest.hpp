// The manifest as the hub uses it: read, checked and with every default filled in.
// Everything that can be wrong with it is found by load_manifest(), all in one go, each with file, line and column.
// What the keys mean stands in docs/manifest.md; their structure and defaults in manifest.schema.json.
// Threads: constant once loaded.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "manifest/tree.hpp"

namespace weir {

struct PluginEntry {
  std::string name;     // the instance's name
  std::string library;  // "log-tail" for libweir-log-tail.so, or the path of a file
  tree::Node config;    // an object, not yet checked against the plugin's schema; knows its place in the file
  tree::Place place;
};

enum class HeartbeatStyle : std::uint8_t { frame, json, client_json };
struct Heartbeat {
  std::int64_t interval_ms = 30'000;
  std::int64_t timeout_ms = 90'000;  // nothing heard for so long: closed
  HeartbeatStyle style = HeartbeatStyle::frame;
  std::uint16_t close_code = 1001;
};

// permessage-deflate; clients that do not offer it get everything as it is.
struct Compression {
  bool on = false;
  std::int64_t threshold = 256;  // smaller messages are not compressed
  int level = 1;                 // 1..9; the highest of all endpoints counts, since an event is compressed once
};

enum class AuthBy : std::uint8_t { handshake, frame };  // refused before the upgrade, or an `auth` frame may follow
struct EndpointEntry {
  std::string path;               // "/ws"
  std::vector<std::string> auth;  // plugin instances, asked in order; empty: everybody may come
  AuthBy auth_by = AuthBy::handshake;
  std::string plugin;  // answers HTTP here and below; empty: WebSocket
  Heartbeat heartbeat;
  std::int64_t tick_ms = 0;  // 0: none
  Compression compression;
  std::vector<std::string> origins;  // allowed Origin headers, "*" for all; empty: the default of docs/manifest.md
  tree::Place place;
};

struct FromEntry {
  std::string plugin;
  std::string subject;  // pattern in the plugin's terms; "**" when the manifest names none
  tree::Place place;
  bool on_demand = false;
};

struct ToEntry {
  std::string plugin;
  std::string subject;  // with the channel's {name}s
  tree::Place place;
};

enum class OnError : std::uint8_t { drop, pass, stop_channel };
struct RuleEntry {
  std::string script;                  // as the manifest says it, for messages
  std::string path;                    // where it was found
  std::vector<std::string> folders{};  // where scripts that it requires are looked for: first where it was found itself
  std::string params_json;             // an object
  OnError on_error = OnError::drop;
  bool jit = false;
  std::optional<std::int64_t> ops, time_ms, bytes;  // else Limits::rule_*
  std::int64_t every_ms = 0;                        // on_timer; 0: never
  tree::Place place;
};

// The default holds a burst of a hundred thousand log lines for a subscriber that reads them at its own pace;
// limits.history_bytes bounds all channels together.
struct HistoryEntry {
  std::int64_t count = 100'000;
  std::int64_t age_ms = 0;  // 0: no age limit
  std::int64_t bytes = 64 * 1024 * 1024;
};

enum class Overflow : std::uint8_t { catch_up, disconnect, drop_oldest, drop_newest, latest, snapshot };

struct Access {
  bool nobody = false;  // `subscribe = false`
  std::string scope;    // empty: no scope needed
  std::string
      where_json;    // subscribe only: a filter that the client can't widen; may hold "{identity.name}"; empty: none
  tree::Node where;  // the same, with its places in the file
};

struct ChannelEntry {
  std::string pattern;
  std::vector<FromEntry> from;
  std::vector<ToEntry> to;
  std::vector<std::size_t> rules;  // indices into Manifest::rules
  HistoryEntry history;
  Overflow overflow = Overflow::catch_up;
  Access subscribe, publish;
  tree::Place place;
};

struct MethodEntry {
  std::string pattern;
  std::optional<std::size_t> rule;  // in Manifest::rules; absent when its script is not there, which is a problem
  std::string plugin;               // a responder, in place of the rule
  std::string subject;              // for it; "{method}" when the manifest names none
  std::string scope;
  std::int64_t timeout_ms = 10'000;
  tree::Place place;
};

struct Manifest {
  std::string file;                       // as given
  std::string folder;                     // what relative paths start from
  std::string listen_host = "127.0.0.1";  // an address: no brackets, and "localhost" has become 127.0.0.1
  std::uint16_t listen_port = 8080;
  bool insecure = false;           // may listen beyond loopback without auth
  std::vector<std::string> hosts;  // names by which browsers may reach it, besides loopback and listen_host
  unsigned threads = 0;            // 0: one per core
  bool watch = false;              // reload when one of the files changes
  bool page = true;                // GET / answers with the built-in page
  std::vector<std::string> plugin_folders;
  std::string scripts_folder;  // where rules are looked for besides `folder`; empty: none
  std::vector<PluginEntry> plugins;
  std::vector<EndpointEntry> endpoints;
  std::vector<ChannelEntry> channels;
  std::vector<MethodEntry> methods;
  std::vector<RuleEntry> rules;  // distinct (script, params, settings), shared by the channels that name them
  std::vector<std::string>
      api_auth;  // who is asked for HTTP publishing and the admin pages; default: all that endpoints name
  std::string admin_scope = "weir:admin";
  std::int64_t drain_rate = 1000;  // connections per second
  std::int64_t drain_timeout_ms = 10'000;
  log::Settings log;
  Limits limits;
};

struct LoadOptions {
  std::vector<std::pair<std::string, std::string>>
      set;                     // --set key=value, TOML values or bare text: "limits.frame_bytes", "64KiB"
  std::string scripts_folder;  // the scripts that came with the hub
  bool for_check = false;
};

struct LoadResult {
  std::optional<Manifest> manifest;  // absent when there is at least one problem
  std::optional<Manifest> draft;  // then: what could be understood, so that plugins and rules can be looked at as well
  std::vector<tree::Problem> problems;  // "hub.toml:14:3: channel "agents/{id}": unknown key ..."
  std::vector<tree::Problem> warnings;  // a channel that can never match, ...
};

// Reads a .toml or .json file. Never throws.
LoadResult load_manifest(const std::string& file, const LoadOptions& options);
// The same from text already read; `name` decides TOML or JSON by its ending and stands in messages.
LoadResult parse_manifest(const std::string& name, std::string_view text, const LoadOptions& options);
// The JSON Schema of the manifest, as shipped for editors.
std::string_view manifest_schema();

}  // namespace weir
