#include "config.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "subject.hpp"
#include "weir/sdk/time.hpp"

namespace weir::nats {

// constinit and without constructors: the hub may read it before any code of the plugin ran.
constinit const char kManifest[] = R"json({
  "kinds": ["source", "sink", "responder"],
  "subject_separator": ".",
  "on_demand": "patterns",
  "summary": "Events from and to NATS, of core subjects or JetStream streams, and methods answered by its services",
  "config_schema": {
    "type": "object",
    "additionalProperties": false,
    "properties": {
      "url": {
        "type": ["string", "array"], "minLength": 1, "minItems": 1, "items": {"type": "string", "minLength": 1}, "default": "nats://127.0.0.1:4222",
        "description": "The server, or several of one cluster: nats://host:4222, tls://host:4222"
      },
      "name": {"type": "string", "minLength": 1, "maxLength": 255, "default": "weir", "description": "What the server's list of connections shows"},
      "user": {"type": "string", "default": "", "description": "With password"},
      "password": {"type": "string", "x-secret": true, "description": "Of user; \"\": it has none"},
      "token": {"type": "string", "x-secret": true, "default": "", "description": "In place of user and password"},
      "credentials": {"type": "string", "x-path": true, "default": "", "description": "A .creds file: a user's JWT and the seed of its nkey"},
      "nkey": {"type": "string", "default": "", "description": "The public key of an nkey (U...); with nkey_seed"},
      "nkey_seed": {"type": "string", "x-path": true, "default": "", "description": "A file with the seed of nkey (SU...)"},
      "tls": {
        "type": "object", "additionalProperties": false,
        "description": "TLS; left out, only a url of tls:// asks for it",
        "properties": {
          "ca": {"type": "string", "x-path": true, "default": "", "description": "A PEM file with the authorities to trust; default: those of the system"},
          "certificate": {"type": "string", "x-path": true, "default": "", "description": "Our certificate, a PEM file; with key"},
          "key": {"type": "string", "x-path": true, "default": "", "description": "The key of our certificate, a PEM file"},
          "server_name": {"type": "string", "default": "", "description": "The name in the server's certificate, if it is not the url's"}
        }
      },
      "ping": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 100, "default": "10s", "description": "How often the server is asked whether it is there; two pings without an answer end the connection"},
      "subjects": {
        "type": "array", "default": [], "items": {"type": "string", "minLength": 1, "maxLength": 1024},
        "description": "Core NATS: what to subscribe to at all times, with * and >; what is sent while the connection is down is lost, and a gap says so"
      },
      "queue": {"type": "string", "default": "", "maxLength": 255, "description": "A queue group: each message goes to one of its members only"},
      "pending": {
        "type": "object", "additionalProperties": false,
        "description": "Core NATS: what may wait here when the hub is full; what comes then is lost, and a gap says how much",
        "properties": {
          "messages": {"type": "integer", "minimum": 1, "maximum": 10000000, "default": 65536, "description": "How many"},
          "bytes": {"type": ["integer", "string"], "x-unit": "bytes", "minimum": 1024, "maximum": 1073741824, "default": "8MiB", "description": "And how many bytes of them"}
        }
      },
      "stream": {
        "type": "object", "additionalProperties": false, "required": ["name"],
        "description": "JetStream: a durable consumer of this stream, in place of subjects; acknowledged when the hub has the event",
        "properties": {
          "name": {"type": "string", "minLength": 1, "maxLength": 255, "description": "The stream's name"},
          "durable": {"type": "string", "minLength": 1, "maxLength": 255, "default": "weir", "description": "The consumer's name; made if it is not there. Each hub needs one of its own"},
          "subject": {"type": "string", "default": "", "maxLength": 1024, "description": "Only messages of this subject, with * and >"},
          "from": {"type": ["string", "integer"], "minimum": 1, "default": "all", "description": "Where a new consumer begins: \"all\", \"new\", \"last\", a sequence number, or a time such as \"2026-02-10T12:00:00Z\""},
          "in_flight": {"type": "integer", "minimum": 1, "maximum": 100000, "default": 1000, "description": "Messages that may be on their way into the hub at once"},
          "ack_wait": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 500, "maximum": 3600000, "default": "10s", "description": "After this time the server sends a message again that was lost on its way"},
          "domain": {"type": "string", "default": "", "maxLength": 255, "description": "A JetStream domain"}
        }
      },
      "publish": {
        "type": "string", "enum": ["core", "jetstream"], "default": "core",
        "description": "How events of channels are published (a channel's to): core, gone where nobody listens; jetstream, kept here until a stream has acknowledged them"
      },
      "payload": {
        "type": "string", "enum": ["any", "text"], "default": "any",
        "description": "any: JSON as it is, all else as text; text: a JSON string is made of it. Bytes that are no UTF-8 become {\"base64\": ...}"
      },
      "headers": {
        "type": "array", "minItems": 1, "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": "Headers that rules and subscribers get: names, or X-* for all that begin so; the data is then {\"headers\": {...}, \"data\": the payload}"
      },
      "event": {"type": "string", "minLength": 1, "maxLength": 1024, "default": "message", "description": "The events' name: a text with {subject}, {2} (a token of the subject), {-1} (the last), {header:Name}"},
      "key": {"type": "string", "maxLength": 1024, "default": "", "description": "The events' key, as event"},
      "id": {"type": "string", "maxLength": 1024, "default": "", "description": "The events' id, as event; default: the hub's own, for a stream its name and the sequence number"},
      "time": {"type": "string", "maxLength": 1024, "default": "", "description": "When the events happened, as event: RFC 3339 or Unix milliseconds; default: when they came, or when their stream stored them"}
    }
  }
})json";

namespace {

using sdk::Failure;
using sdk::json::Kind;
using sdk::json::Value;

bool token_ok(std::string_view name) { return name.find_first_of(" \t\r\n.*>/\\") == std::string_view::npos; }

void check_subject(const Value& subject) {
  if (!subject_ok(subject.as_string()))
    throw subject.wrong("a NATS subject such as \"orders.*.created\" or \"orders.>\"", sdk::json::quoted(subject.text));
}

void check_header(const Value& header) {
  const std::string& name = header.as_string();
  const bool printable =
      std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < '\x7f' && c != ':'; });
  if (name.empty() || !printable || name.find('*') < name.size() - 1)
    throw header.wrong("the name of a header such as \"Trace-Id\", or its beginning and a * such as \"X-*\"",
                       sdk::json::quoted(name));
}

void check_url(const std::string& url) {
  if (url.find('@') != std::string::npos)
    throw Failure(WEIR_E_CONFIG,
                  "the url holds a password or a token; put it into `user` and `password`, or `token`, where it is "
                  "kept out of logs",
                  "/url");
  const auto scheme = url.substr(0, url.find("://"));
  if (scheme != url && scheme != "nats" && scheme != "tls")
    throw Failure(WEIR_E_CONFIG,
                  "the url begins with " + sdk::json::quoted(scheme + "://") +
                      "; nats:// and tls:// are possible (WebSocket is not), to where the server listens for clients",
                  "/url");
}

// What is in it is read at every attempt to connect; that it is there, once, so that a wrong name is told at once.
std::string file_or_none(const Value& json, const char* key) {
  const std::string path = json.string_or(key, "");
  if (!path.empty() && ::access(path.c_str(), R_OK) != 0) {
    const std::string why = std::strerror(errno);
    throw Failure(WEIR_E_CONFIG, "the file " + path + " can't be read: " + why, json.required(key).pointer);
  }
  return path;
}

LinkConfig parse_link(const Value& json) {
  LinkConfig link;
  if (const Value* url = json.find("url"); url != nullptr && url->is(Kind::array))
    link.servers = json.strings_or("url", {});
  else
    link.servers = {json.string_or("url", "nats://127.0.0.1:4222")};
  for (const auto& server : link.servers) check_url(server);
  link.name = json.string_or("name", "weir");
  link.user = json.string_or("user", "");
  link.password = json.string_or("password", "");
  link.token = json.string_or("token", "");
  link.credentials_file = file_or_none(json, "credentials");
  link.nkey = json.string_or("nkey", "");
  link.nkey_seed_file = file_or_none(json, "nkey_seed");
  if (link.nkey.empty() != link.nkey_seed_file.empty())
    throw Failure(WEIR_E_CONFIG, "nkey and nkey_seed go together; one of them is missing", "/nkey");
  const int ways = !link.user.empty() + !link.token.empty() + !link.credentials_file.empty() + !link.nkey.empty();
  if (ways > 1)
    throw Failure(WEIR_E_CONFIG,
                  "user, token, credentials and nkey are four ways to say who we are; one at most is allowed");
  if (!link.password.empty() && link.user.empty())
    throw Failure(WEIR_E_CONFIG, "password is there, but user is not", "/password");
  if (!link.user.empty() && json.find("password") == nullptr)
    throw Failure(WEIR_E_CONFIG, "user is there, but password is not; password = \"\" says that there is none",
                  "/user");
  for (const std::string& server : link.servers) link.tls = link.tls || server.starts_with("tls://");
  if (const Value* tls = json.find("tls")) {
    link.tls = true;
    link.ca_file = file_or_none(*tls, "ca");
    link.certificate_file = file_or_none(*tls, "certificate");
    link.key_file = file_or_none(*tls, "key");
    link.server_name = tls->string_or("server_name", "");
    if (link.certificate_file.empty() != link.key_file.empty())
      throw Failure(WEIR_E_CONFIG, "certificate and key go together; one of them is missing", tls->pointer);
  }
  link.ping_ms = json.duration_ms_or("ping", 10'000);
  return link;
}

StreamConfig parse_stream(const Value& json) {
  StreamConfig stream;
  stream.stream = json.required("name").as_string();
  if (!token_ok(stream.stream))
    throw json.required("name").wrong("a name without spaces, dots, * and >", sdk::json::quoted(stream.stream));
  stream.durable = json.string_or("durable", "weir");
  if (!token_ok(stream.durable))
    throw json.required("durable").wrong("a name without spaces, dots, * and >", sdk::json::quoted(stream.durable));
  stream.subject = json.string_or("subject", "");
  if (!stream.subject.empty()) check_subject(json.required("subject"));
  const std::string domain = json.string_or("domain", "");
  stream.api_prefix = domain.empty() ? "$JS.API" : "$JS." + domain + ".API";
  stream.in_flight = json.integer_or("in_flight", 1000);
  stream.ack_wait_ms = json.duration_ms_or("ack_wait", 10'000);
  const Value* from = json.find("from");
  if (from == nullptr) return stream;
  using From = StreamConfig::From;
  if (from->is(Kind::number)) {
    stream.from = From::sequence;
    stream.sequence = static_cast<std::uint64_t>(from->as_integer());
  } else if (from->text == "new") {
    stream.from = From::fresh;
  } else if (from->text == "last") {
    stream.from = From::last;
  } else if (from->text != "all") {
    const auto time = sdk::parse_iso8601(from->text);
    if (!time)
      throw from->wrong("\"all\", \"new\", \"last\", a sequence number or a time such as \"2026-02-10T12:00:00Z\"",
                        sdk::json::quoted(from->text));
    stream.from = From::time;
    stream.time_ms = *time;
  }
  return stream;
}

}  // namespace

Config parse_config(const Value& json) {
  Config config;
  config.link = parse_link(json);
  config.subjects = json.strings_or("subjects", {});
  if (const Value* subjects = json.find("subjects"))
    for (const Value& subject : subjects->as_array()) check_subject(subject);
  config.queue = json.string_or("queue", "");
  if (!token_ok(config.queue))
    throw json.required("queue").wrong("a name without spaces, dots, * and >", sdk::json::quoted(config.queue));
  if (const Value* pending = json.find("pending")) {
    config.pending_messages = pending->integer_or("messages", config.pending_messages);
    config.pending_bytes = pending->bytes_or("bytes", config.pending_bytes);
  }
  if (const Value* stream = json.find("stream")) config.stream = parse_stream(*stream);
  if (config.stream && !config.subjects.empty())
    throw Failure(WEIR_E_CONFIG,
                  "an instance reads either subjects or a stream; make a second [[plugin]] for the other one",
                  "/subjects");
  config.jetstream = json.string_or("publish", "core") == "jetstream";
  const std::string payload = json.string_or("payload", "any");
  config.message.payload = payload == "text" ? sdk::Data::text : sdk::Data::any;
  config.message.headers = json.strings_or("headers", {});
  if (const Value* headers = json.find("headers"))
    for (const Value& header : headers->as_array()) check_header(header);
  const auto text = [&](const char* key, const char* fallback) {
    if (const Value* found = json.find(key)) return Template(*found);
    Value value;
    value.kind = Kind::string;
    value.text = fallback;
    return Template(value);
  };
  config.message.event = text("event", "message");
  config.message.key = text("key", "");
  config.message.id = text("id", "");
  config.message.time = text("time", "");
  return config;
}

}  // namespace weir::nats
