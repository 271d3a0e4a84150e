// A plugin's schema that is itself wrong must be refused with words for its author.
#include <gtest/gtest.h>

#include "manifest/schema.hpp"

namespace weir {
namespace {

std::string mistake(const std::string& text) {
  const auto parsed = Schema::parse(text);
  return parsed ? "" : parsed.error().message;
}

TEST(SchemaMistakesTest, WhatIsNoJsonIsPointedAt) {
  EXPECT_EQ(mistake("{\n \"type\": }"), "line 2, column 10: not JSON: expected a value, found '}'");
}

TEST(SchemaMistakesTest, WhatIsNoSchemaIsNamed) {
  EXPECT_EQ(mistake("5"), "line 1, column 1: a schema is an object, true or false, not an integer 5");
  EXPECT_EQ(
      mistake(R"({"type":"strin"})"),
      R"(line 1, column 9: type is "strin"; expected one of "null", "boolean", "integer", "number", "string", "array", "object"; did you mean "string"?)");
  EXPECT_EQ(mistake(R"({"type":[]})").substr(0, 37), "line 1, column 9: type is an array; e");
  EXPECT_EQ(mistake(R"({"properties":{"a":[]}})"),
            "line 1, column 20: a schema is an object, true or false, not an array");
  EXPECT_EQ(mistake(R"({"properties":[]})"),
            "line 1, column 15: properties is an array; expected an object of schemas");
  EXPECT_EQ(mistake(R"({"required":"a"})"), R"(line 1, column 13: required is "a"; expected an array of strings)");
  EXPECT_EQ(mistake(R"({"minimum":"1"})"), R"(line 1, column 12: minimum is "1"; expected a number)");
  EXPECT_EQ(mistake(R"({"maxItems":-1})"), "line 1, column 13: maxItems is -1; expected an integer from 0");
  EXPECT_EQ(mistake(R"({"enum":[]})"), "line 1, column 9: enum is an array; expected an array of at least one value");
  EXPECT_EQ(mistake(R"({"uniqueItems":1})"), "line 1, column 16: uniqueItems is 1; expected true or false");
  EXPECT_EQ(mistake(R"({"oneOf":{}})"),
            "line 1, column 10: oneOf is an object; expected an array of at least one schema");
  EXPECT_EQ(mistake(R"({"x-unit":"seconds"})"),
            R"(line 1, column 11: x-unit is "seconds"; expected one of "duration", "bytes")");
  EXPECT_NE(mistake(R"({"pattern":"("})").find("pattern \"(\" is no regular expression"), std::string::npos);
}

TEST(SchemaMistakesTest, AKeywordThatIsNotCheckedIsRefused) {
  EXPECT_EQ(
      mistake(R"({"patternProperties":{}})"),
      "line 1, column 22: keyword \"patternProperties\" is not in the subset of JSON Schema that is checked here");
  EXPECT_EQ(mistake(R"({"requierd":[]})"),
            "line 1, column 13: keyword \"requierd\" is not in the subset of JSON Schema that is checked here; did you "
            "mean \"required\"?");
  EXPECT_EQ(mistake(R"({"x-anything":1,"title":"t","format":"uri","examples":[1],"$comment":"c"})"), "");
}

TEST(SchemaMistakesTest, ReferencesMustLeadSomewhereAndNotInACircle) {
  EXPECT_EQ(
      mistake(R"({"$ref":"#/$defs/nmae","$defs":{"name":{}}})"),
      R"(line 1, column 9: $ref "#/$defs/nmae" leads nowhere; did you mean "#/$defs/name"?; it may be "#" or "#/$defs/...")");
  const std::string circle = "$ref, oneOf or anyOf of a schema lead back to itself without a step into the value";
  EXPECT_EQ(mistake(R"({"$ref":"#"})"), circle);
  EXPECT_EQ(mistake(R"({"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"anyOf":[{"$ref":"#/$defs/a"}]}}})"), circle);
  EXPECT_EQ(mistake(R"({"properties":{"a":{"$ref":"#"}}})"), "");
}

TEST(SchemaMistakesTest, ADefaultMustKeepItsSchema) {
  EXPECT_EQ(
      mistake(R"({"properties":{"a":{"type":"integer","default":"x"}}})"),
      R"(line 1, column 48: a default does not keep its own schema: default: expected an integer, got a string "x")");
}

}  // namespace
}  // namespace weir
