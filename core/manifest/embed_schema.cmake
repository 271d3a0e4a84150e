# cmake -D SCHEMA=in.json -D LIMITS=limits.def -D JSON=out.json -D CPP=out.cpp -P embed_schema.cmake
# Puts the table of limits into the manifest's schema, so that every limit has one description, and writes the whole as
# a file for editors and as a string for the program.
cmake_minimum_required(VERSION 3.25)
file(READ ${SCHEMA} schema)
file(READ ${LIMITS} limits)
string(REGEX REPLACE "//[^\n]*" "" limits "${limits}")

set(properties "")
set(number "(-?[0-9]+)")
set(text "\"(([^\"\\\\]|\\\\.)*)\"")
set(entry "WEIR_LIMIT\\(([a-z_0-9]+), *${number}, *${number}, *${number}, *([a-z]+),[ \n]*${text},[ \n]*${text}\\)")
while(limits MATCHES "${entry}")
  set(name "${CMAKE_MATCH_1}")
  set(fallback "${CMAKE_MATCH_2}")
  set(low "${CMAKE_MATCH_3}")
  set(high "${CMAKE_MATCH_4}")
  set(unit "${CMAKE_MATCH_5}")
  set(description "At it: ${CMAKE_MATCH_6}. Why this default: ${CMAKE_MATCH_8}.")
  set(matched "${CMAKE_MATCH_0}")
  if(unit STREQUAL "count")
    set(type "\"type\": \"integer\"")
  elseif(unit STREQUAL "bytes")
    set(type "\"$ref\": \"#/$defs/bytes\", \"x-unit\": \"bytes\"")
  elseif(unit STREQUAL "ms")
    # The names end in _ms, so a bare number leaves no doubt here.
    set(type "\"type\": [\"string\", \"integer\"], \"pattern\": \"^[0-9]+([.][0-9]+)?(ms|s|m|h|d)$\", \"x-unit\": \"duration\"")
  else()
    message(FATAL_ERROR "limits.def: ${name} has the unit ${unit}; expected count, bytes or ms")
  endif()
  if(properties)
    string(APPEND properties ",\n        ")
  endif()
  string(APPEND properties
    "\"${name}\": {\"description\": \"${description}\", ${type}, \"minimum\": ${low}, \"maximum\": ${high}, \"default\": ${fallback}}")
  string(FIND "${limits}" "${matched}" at)
  string(LENGTH "${matched}" length)
  math(EXPR at "${at} + ${length}")
  string(SUBSTRING "${limits}" ${at} -1 limits)
endwhile()
if(limits MATCHES "WEIR_LIMIT\\([^\n]*")
  message(FATAL_ERROR "limits.def: this line is not understood: ${CMAKE_MATCH_0}")
endif()

string(REPLACE "\"@LIMITS@\": {}" "${properties}" schema "${schema}")
file(WRITE ${JSON} "${schema}")
# Pieces, because one literal may not be longer than 64 KiB everywhere.
set(literals "")
while(NOT schema STREQUAL "")
  string(SUBSTRING "${schema}" 0 8000 piece)
  string(LENGTH "${piece}" length)
  string(SUBSTRING "${schema}" ${length} -1 schema)
  string(APPEND literals "\n    R\"weir(${piece})weir\"")
endwhile()
file(WRITE ${CPP} "// Made by embed_schema.cmake from manifest.schema.json and limits.def.
#include \"manifest/manifest.hpp\"

namespace weir {

std::string_view manifest_schema() {
  static constexpr std::string_view kText =${literals};
  return kText;
}

}  // namespace weir
")
