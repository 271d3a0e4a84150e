// Checks a tree against a JSON Schema and says what is wrong in words that name the key, the value and the way out.
// A subset of draft 2020-12 in which verdicts equal the standard's (docs/decisions/0002-own-schema-validator.md):
//   type, properties, required, additionalProperties, enum, const, minimum, maximum, minLength, maxLength, pattern,
//   items, minItems, maxItems, uniqueItems, oneOf, anyOf, $ref to "#" or "#/$defs/name", $defs, default, and the
//   annotations $schema $id $comment title description examples format deprecated readOnly writeOnly, which check
//   nothing.
// Of our own, and ignored by others as any unknown keyword:
//   x-unit: "duration" | "bytes"   a string such as "30s" or "16MiB"; minimum and maximum then count ms or bytes
//   x-name: "key"                  an element of an array is called by that member: channel "agents/{id}"
//   x-expected: "text"             what a message says instead of "expected ..."
//   x-path: true | "with-slash"    a string that is a file's path, see resolve_paths; "with-slash": one without a slash
//                                  is no path but the name of a file in any folder
// Any other keyword is an error, so that nobody relies on a check that does not happen (x-... excepted).
// Limits: 64 levels of schema; at most kProblemsMax problems from one check.
// Threads: a parsed Schema is constant; copies share it.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "manifest/tree.hpp"

namespace weir {

namespace schema {
struct Rules;
}

class Schema {
 public:
  static constexpr std::size_t kProblemsMax = 100;

  // What members of an object are that neither `properties` nor `additionalProperties` speaks of: by the standard
  // anything goes; in a plugin's config they are refused (docs/plugins.md), so that a key with a slip of the pen is not
  // passed over.
  enum class Unknown : unsigned char { as_standard, refused };
  // Errors: bad_request - not JSON, or not a schema of this subset: with line, column and what is wrong.
  static Result<Schema> parse(std::string_view json, Unknown unknown = Unknown::as_standard);

  // Adds a problem for everything in `value` that the schema forbids. `what` stands before each key in the messages
  // (`plugin "logs": config` gives `plugin "logs": config.files: expected ...`); empty for a whole file.
  void check(const tree::Node& value, std::string_view what, std::vector<tree::Problem>& problems) const;

  // Adds the defaults of members that are missing, at every level that is there. Harmless on a value that is not valid.
  void fill_defaults(tree::Node& value) const;

  // Makes relative paths (x-path) start at `folder`. Empty strings stay empty, and names with "with-slash".
  void resolve_paths(tree::Node& value, const std::string& folder) const;

 private:
  explicit Schema(std::shared_ptr<const schema::Rules> rules) : rules_(std::move(rules)) {}
  std::shared_ptr<const schema::Rules> rules_;
};

}  // namespace weir
