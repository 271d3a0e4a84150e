#include "config.hpp"

#include <algorithm>

namespace weir::postgres {

// constinit and without constructors: the hub may read it before any code of the plugin ran.
constinit const char kManifest[] = R"json({
  "kinds": ["source", "responder"],
  "summary": "Events from PostgreSQL: notifications (LISTEN), or the rows of an outbox table in the order of commits; methods that SQL functions answer",
  "config_schema": {
    "type": "object",
    "additionalProperties": false,
    "properties": {
      "url": {"type": "string", "default": "postgres://", "description": "postgres://user@host:5432/database, or \"host=... dbname=...\"; what it leaves out comes from the PG... environment. Several hosts: each has its turn"},
      "password": {"type": "string", "x-secret": true, "default": "", "description": "Of the user; left out, PGPASSWORD or the password file"},
      "ping": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 100, "default": "10s", "description": "How often the server is asked whether it is there; no answer for as long again ends the connection"},
      "listen": {"type": "array", "default": [], "items": {"type": "string", "minLength": 1, "maxLength": 63}, "description": "Channels of NOTIFY; what is sent while the connection is down is lost, and a gap says so"},
      "payload": {"type": "string", "enum": ["any", "json", "text"], "default": "any", "description": "Of listen. any: JSON as it is, all else as text; json: what is no JSON is left out, with a gap; text: a JSON string is made of it"},
      "subject": {"type": "string", "maxLength": 1024, "default": "{subject}", "description": "Of listen. The events' subject: a text with {subject}, the channel, and {field:name}, a member of the payload"},
      "event": {"type": "string", "maxLength": 1024, "default": "message", "description": "Of listen. The events' name, as subject"},
      "key": {"type": "string", "maxLength": 1024, "default": "", "description": "Of listen. The events' key, as subject"},
      "id": {"type": "string", "maxLength": 1024, "default": "", "description": "Of listen. The events' id, as subject; default: the hub's own"},
      "outbox": {
        "type": "object", "additionalProperties": false,
        "description": "A table whose rows become events, in place of listen; `weir pg init` makes it",
        "properties": {
          "schema": {"type": "string", "minLength": 1, "maxLength": 55, "default": "weir", "description": "Where the table is"},
          "reader": {"type": "string", "minLength": 1, "maxLength": 255, "default": "hub", "description": "Who reads. Each hub needs a name of its own; a second one with the same name waits until the first one is gone"},
          "from": {"type": "string", "enum": ["all", "new"], "default": "all", "description": "Where a reader begins that is not known yet"},
          "poll": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 10, "default": "1s", "description": "How often to look for rows; with the trigger of `weir pg init` a new row is seen at once"},
          "rest": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 1, "maximum": 1000, "default": "10ms", "description": "How long rows gather at most under load; less is sooner, and costs the server and the hub more for each row"},
          "keep": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 0, "default": "1h", "description": "Rows that all readers have had are removed after so long; 0: never"},
          "data_bytes": {"type": ["integer", "string"], "x-unit": "bytes", "minimum": 128, "maximum": 67108864, "default": "1MiB", "description": "Rows with more data are left out, with a gap, and not even fetched; as limits.data_bytes, which can't be seen from here"}
        }
      },
      "functions": {
        "type": "object", "additionalProperties": false, "required": ["schema"],
        "description": "Answers methods ([[method]] plugin = \"...\"): the subject is the name of a function that takes (params jsonb, identity jsonb)",
        "properties": {
          "schema": {"type": "string", "minLength": 1, "maxLength": 63, "description": "Where the functions are; no other is ever called"},
          "pool": {"type": "integer", "minimum": 1, "maximum": 100, "default": 4, "description": "Connections for them: so many requests are carried out at once, others wait"}
        }
      }
    }
  }
})json";

namespace {

using sdk::Failure;
using sdk::json::Kind;
using sdk::json::Value;

Template parse_template(const Value& json, const char* key, const char* fallback) {
  if (const Value* found = json.find(key)) return Template(*found);
  Value value;
  value.kind = Kind::string;
  value.text = fallback;
  return Template(value);
}

OutboxConfig parse_outbox(const Value& json) {
  OutboxConfig outbox;
  outbox.schema = json.string_or("schema", outbox.schema);
  outbox.reader = json.string_or("reader", outbox.reader);
  outbox.from_now = json.string_or("from", "all") == "new";
  outbox.poll_ms = json.duration_ms_or("poll", outbox.poll_ms);
  outbox.rest_ms = json.duration_ms_or("rest", outbox.rest_ms);
  outbox.keep_ms = json.duration_ms_or("keep", outbox.keep_ms);
  outbox.data_bytes = json.bytes_or("data_bytes", outbox.data_bytes);
  return outbox;
}

}  // namespace

Config parse_config(const Value& json) {
  Config config;
  Value standard;
  standard.kind = Kind::string;
  standard.text = "postgres://";
  const Value* url = json.find("url");
  config.address = parse_address(url == nullptr ? standard : *url, json.string_or("password", ""));
  config.ping_ms = json.duration_ms_or("ping", config.ping_ms);
  config.listen = json.strings_or("listen", {});
  for (std::size_t i = 0; i < config.listen.size(); ++i) {
    const std::string& name = config.listen[i];
    if (name.size() > 63 || name.find('\0') != std::string::npos)
      throw json.required("listen").as_array()[i].wrong("a channel of 63 bytes at most", sdk::json::quoted(name));
    if (std::find(config.listen.begin(), config.listen.begin() + static_cast<std::ptrdiff_t>(i), name) !=
        config.listen.begin() + static_cast<std::ptrdiff_t>(i))
      throw json.required("listen").wrong("each channel once", sdk::json::quoted(name) + " twice");
  }
  if (const Value* outbox = json.find("outbox")) config.outbox = parse_outbox(*outbox);
  if (config.outbox && !config.listen.empty())
    throw Failure(WEIR_E_CONFIG,
                  "an instance reads either channels (listen) or an outbox; make a second [[plugin]] for the other one",
                  "/listen");
  if (const Value* functions = json.find("functions"))
    config.functions = FunctionsConfig{functions->required("schema").as_string(), functions->integer_or("pool", 4)};
  if (!config.outbox && config.listen.empty() && !config.functions)
    throw Failure(WEIR_E_CONFIG, "one of listen, outbox and functions is needed");
  const std::string payload = json.string_or("payload", "any");
  using PayloadKind = PayloadConfig::Kind;
  config.payload.kind = payload == "json"   ? PayloadKind::json
                        : payload == "text" ? PayloadKind::text
                                            : PayloadKind::any;
  config.payload.subject = parse_template(json, "subject", "{subject}");
  config.payload.event = parse_template(json, "event", "message");
  config.payload.key = parse_template(json, "key", "");
  config.payload.id = parse_template(json, "id", "");
  return config;
}

}  // namespace weir::postgres
