// `weir plugin new KIND NAME [FOLDER]`: a plugin to begin with, that builds, tests itself and does something.
// Threads: [main].
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace weir {

struct TemplateFile {
  const char* kind;  // "source", "auth", "source-c"
  const char* name;  // "plugin.cpp": becomes NAME.cpp
  const char* text;  // @NAME@ and @CLASS@ stand for the plugin's name
};
// Those of sdk-plugin/template, from the program itself.
std::vector<TemplateFile> plugin_templates();
std::vector<std::string> template_kinds();

// Writes the template of that kind into `folder` ("" : the name) and returns the files it wrote.
// Errors: bad_request - an unknown kind, a name that is not a-z, 0-9 and '-', a folder that has something in it
// already,
//         or what the system said.
Result<std::vector<std::string>> scaffold_plugin(std::string_view kind, std::string_view name, std::string folder);

}  // namespace weir
