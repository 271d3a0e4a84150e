#include "config.hpp"

namespace weir::http_ingest {

// constinit and without constructors: the hub may read it before any code of the plugin ran.
constinit const char kManifest[] = R"json({
  "kinds": ["source", "http"],
  "lossy": false,
  "summary": "Events from HTTP requests: JSON, lines of JSON, text, forms, CloudEvents; webhooks with their signature and once only",
  "config_schema": {
    "type": "object",
    "additionalProperties": false,
    "properties": {
      "profile": {
        "type": "string", "enum": ["plain", "github", "stripe"], "default": "plain",
        "description": "Whose requests they are: what subject, event, key, id, form_json and signature.style are where nothing is said"
      },
      "subject": {"type": ["string", "array"], "minItems": 1, "items": {"type": "string", "minLength": 1, "maxLength": 1024}, "maxLength": 1024, "description": "Where the events come from; a channel's `from` names it. A text with places, or a list of which the first counts whose places are all filled. Default: the path behind the endpoint's, else \"http\""},
      "event": {"type": ["string", "array"], "minItems": 1, "items": {"type": "string", "minLength": 1, "maxLength": 1024}, "maxLength": 1024, "description": "The events' name, as subject. Default: the type of a CloudEvent, the header X-Weir-Event, the query's event, \"message\""},
      "key": {"type": ["string", "array"], "items": {"type": "string", "minLength": 1, "maxLength": 1024}, "maxLength": 1024, "description": "The events' key, as subject, or none. Default: the header X-Weir-Key, the query's key"},
      "id": {"type": ["string", "array"], "items": {"type": "string", "minLength": 1, "maxLength": 1024}, "maxLength": 1024, "description": "The events' id, as subject, or none: what comes again with an id is not taken again. Default: source and id of a CloudEvent, the header Idempotency-Key"},
      "batch": {"type": "boolean", "default": false, "description": "An array of JSON is one event for each of its elements, in place of one"},
      "envelope": {"type": "boolean", "default": false, "description": "The data of a CloudEvent is all of it, in the JSON format, in place of its data only"},
      "form_json": {"type": "string", "maxLength": 255, "description": "The field of a form that has JSON, which is the data then; default: all fields are, as an object of strings"},
      "decompressed_max": {"type": ["integer", "string"], "x-unit": "bytes", "minimum": 1024, "maximum": 8388608, "default": "4MiB", "description": "What may come out of a body with Content-Encoding: gzip"},
      "signature": {
        "type": "object", "additionalProperties": false, "required": ["secret"],
        "description": "Requests are signed by an HMAC with a shared secret; others are answered 401",
        "properties": {
          "secret": {"type": ["string", "array"], "minLength": 1, "minItems": 1, "maxItems": 16, "items": {"type": "string", "minLength": 1, "x-secret": true}, "x-secret": true, "description": "The secret, or several of them while one takes the place of another"},
          "style": {"type": "string", "enum": ["github", "stripe", "generic"], "description": "Default: as the profile, generic for plain"},
          "tolerance": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 1000, "maximum": 86400000, "default": "5m", "description": "How far the time that is signed may be from now, before or behind"},
          "max": {"type": "integer", "minimum": 1, "maximum": 10000000, "default": 1000000, "description": "So many signatures with a time are remembered at most, for twice the tolerance, so that each is taken once; about 100 bytes each. While there are so many, requests are answered 503"},
          "header": {"type": "string", "minLength": 1, "maxLength": 255, "description": "generic: where the signature stands"},
          "prefix": {"type": "string", "maxLength": 255, "description": "generic: what stands before it"},
          "encoding": {"type": "string", "enum": ["hex", "base64"], "description": "generic: default hex"},
          "algorithm": {"type": "string", "enum": ["sha256", "sha1", "sha512"], "description": "generic: default sha256"},
          "timestamp_header": {"type": "string", "minLength": 1, "maxLength": 255, "description": "generic: where the time stands, in seconds since 1970"},
          "signed": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "generic: what is signed, with {body}, {timestamp}, {header:Name}; default: {body}, with a time {timestamp}.{body}"}
        }
      },
      "idempotency": {
        "type": "object", "additionalProperties": false,
        "description": "How long and how many ids are remembered",
        "properties": {
          "window": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 1000, "maximum": 2592000000, "default": "1d", "description": "For so long"},
          "max": {"type": "integer", "minimum": 0, "maximum": 10000000, "default": 100000, "description": "And so many of them at most, about 100 bytes each; 0: none"}
        }
      }
    }
  }
})json";

namespace {

using sdk::json::Value;

// What is taken where the manifest says nothing; JSON of the same keys.
constexpr const char* kPlain = R"json({
  "subject": ["{path}", "http"],
  "event": ["{ce:type}", "{header:x-weir-event}", "{query:event}", "message"],
  "key": ["{header:x-weir-key}", "{query:key}"],
  "id": ["{ce:source} {ce:id}", "{header:idempotency-key}"],
  "form_json": ""
})json";
constexpr const char* kGithub = R"json({
  "subject": ["{path}", "github"],
  "event": ["{header:x-github-event}"],
  "key": ["{data:/repository/full_name}"],
  "id": ["{header:x-github-delivery}"],
  "form_json": "payload"
})json";
constexpr const char* kStripe = R"json({
  "subject": ["{path}", "stripe"],
  "event": ["{data:/type}"],
  "key": ["{data:/data/object/id}"],
  "id": ["{data:/id}"],
  "form_json": ""
})json";

}  // namespace

Config parse_config(const Value& json) {
  const std::string profile = json.string_or("profile", "plain");
  const Value defaults = sdk::json::parse(profile == "github" ? kGithub : profile == "stripe" ? kStripe : kPlain);
  const auto templates = [&](const char* key) {
    const Value* said = json.find(key);
    return Templates(said != nullptr ? *said : defaults.required(key));
  };
  Config config;
  config.subject = templates("subject");
  config.event = templates("event");
  config.key = templates("key");
  config.id = templates("id");
  config.body.batch = json.boolean_or("batch", false);
  config.body.envelope = json.boolean_or("envelope", false);
  config.body.form_json = json.string_or("form_json", defaults.required("form_json").as_string());
  config.decompressed_max = static_cast<std::size_t>(json.bytes_or("decompressed_max", 4 * 1024 * 1024));
  if (const Value* signature = json.find("signature")) {
    using Style = SignatureConfig::Style;
    config.signature = parse_signature_config(*signature, profile == "github"   ? Style::github
                                                          : profile == "stripe" ? Style::stripe
                                                                                : Style::generic);
  }
  config.unsigned_webhooks = !config.signature && profile != "plain";
  if (const Value* idempotency = json.find("idempotency")) {
    config.window_ms = idempotency->duration_ms_or("window", config.window_ms);
    config.ids_max = static_cast<std::size_t>(idempotency->integer_or("max", 100'000));
  }
  return config;
}

}  // namespace weir::http_ingest
