# Writes the files of sdk-plugin/template into a C++ source, so that `weir plugin new` works wherever the program is.
# cmake -DFOLDER=... -DOUT=... -P embed_templates.cmake
file(GLOB_RECURSE files RELATIVE ${FOLDER} ${FOLDER}/*)
list(SORT files)
set(text "// Made from sdk-plugin/template by embed_templates.cmake.\n#include \"plugin_host/scaffold.hpp\"\n\nnamespace weir {\n")
string(APPEND text "std::vector<TemplateFile> plugin_templates() {\n  return {\n")
foreach(file IN LISTS files)
  get_filename_component(kind ${file} DIRECTORY)
  get_filename_component(name ${file} NAME)
  file(READ ${FOLDER}/${file} content)
  string(APPEND text "      {\"${kind}\", \"${name}\", R\"weir-file(${content})weir-file\"},\n")
endforeach()
string(APPEND text "  };\n}\n}  // namespace weir\n")
file(WRITE ${OUT} "${text}")
