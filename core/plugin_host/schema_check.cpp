#include <nlohmann/json.hpp>

#include "plugin_host/checker.hpp"

namespace weir {
namespace {

using Json = nlohmann::json;

bool is_type_name(const Json& name) {
  for (const char* known : {"object", "array", "string", "integer", "number", "boolean", "null"})
    if (name == known) return true;
  return false;
}

bool has_type(const Json& value, const Json& type) {
  if (type.is_array()) {
    for (const Json& one : type)
      if (has_type(value, one)) return true;
    return false;
  }
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  return value.is_null();
}

class SchemaCheck {
 public:
  std::vector<std::string> problems;

  void check(const Json& schema, const std::string& at, int depth = 0) {
    if (depth > 16) return bad(at, "nested deeper than 16 levels");
    if (!schema.is_object()) return bad(at, "must be an object");
    for (const auto& [key, value] : schema.items()) keyword(key, value, at + "/" + key, depth);
    if (schema.contains("default") && schema.contains("type") && !has_type(schema["default"], schema["type"]))
      bad(at + "/default", schema["default"].dump() + " is not of the type " + schema["type"].dump());
    if (schema.contains("required") && schema["required"].is_array())
      for (const Json& name : schema["required"])
        if (!name.is_string() || !schema.value("properties", Json::object()).contains(name.get<std::string>()))
          bad(at + "/required", name.dump() + " is not among the properties");
  }

 private:
  void bad(const std::string& at, const std::string& what) {
    problems.push_back((at.empty() ? "/" : at) + ": " + what);
  }

  void keyword(const std::string& key, const Json& value, const std::string& at, int depth) {
    if (key == "properties") {
      if (!value.is_object()) return bad(at, "must be an object");
      for (const auto& [name, property] : value.items()) check(property, at + "/" + name, depth + 1);
    } else if (key == "items") {
      check(value, at, depth + 1);
    } else if (key == "type") {
      bool good = value.is_string() ? is_type_name(value) : value.is_array() && !value.empty();
      if (value.is_array())
        for (const Json& one : value) good = good && is_type_name(one);
      if (!good) bad(at, value.dump() + " is no type");
    } else if (key == "additionalProperties") {
      if (value.is_object())
        check(value, at, depth + 1);
      else if (!value.is_boolean())
        bad(at, "must be true, false or a schema");
    } else if (key == "required" || key == "enum" || key == "examples") {
      if (!value.is_array()) bad(at, "must be a list");
    } else if (key == "minimum" || key == "maximum") {
      if (!value.is_number()) bad(at, "must be a number");
    } else if (key == "minLength" || key == "maxLength" || key == "minItems" || key == "maxItems") {
      if (!value.is_number_unsigned()) bad(at, "must be an integer from 0 on");
    } else if (key == "x-unit") {
      if (value != "duration" && value != "bytes") bad(at, value.dump() + " is neither \"duration\" nor \"bytes\"");
    } else if (key == "x-path") {
      if (!value.is_boolean() && value != "with-slash") bad(at, "must be true, false or \"with-slash\"");
    } else if (key == "x-secret") {
      if (!value.is_boolean()) bad(at, "must be true or false");
    } else if (key == "description" || key == "title" || key == "$schema") {
      if (!value.is_string()) bad(at, "must be a string");
    } else if (key != "default") {
      bad(at, "\"" + key + "\" is not in the subset that the hub knows (docs/plugins.md)");
    }
  }
};

}  // namespace

std::vector<std::string> schema_problems(std::string_view schema_json) {
  const Json schema = Json::parse(schema_json, nullptr, false);
  if (schema.is_discarded()) return {"/: it is not JSON"};
  SchemaCheck check;
  check.check(schema, "");
  if (schema.is_object() && schema.value("type", Json("object")) != "object")
    check.problems.push_back("/type: a config is an \"object\"");
  return check.problems;
}

Result<std::string> default_config(std::string_view schema_json) {
  const Json schema = Json::parse(schema_json, nullptr, false);
  Json out = Json::object();
  if (schema.is_object() && schema.contains("properties") && schema["properties"].is_object())
    for (const auto& [name, property] : schema["properties"].items())
      if (property.is_object() && property.contains("default")) out[name] = property["default"];
  if (schema.is_object() && schema.contains("required") && schema["required"].is_array())
    for (const Json& name : schema["required"])
      if (name.is_string() && !out.contains(name.get<std::string>()))
        return fail(Errc::bad_request, "\"" + name.get<std::string>() + "\" is required and has no default");
  return out.dump();
}

}  // namespace weir
