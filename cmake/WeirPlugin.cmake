# weir_add_plugin(NAME SOURCES a.cpp ... [LINKS ...]): a plugin for Weir, libweir-NAME.so, as the target weir_plugin_NAME.
# In the tree it lands where the hub of the same build looks for plugins (WEIR_PLUGIN_OUTPUT_DIRECTORY); outside, after
# find_package(weir-plugin-sdk 1), in the build folder.
#
# Installed where WEIR_PLUGIN_INSTALL_DIRECTORY says, if it is set.
#
# The flags are part of the contract:
# - hidden visibility: the entry is the only exported symbol, so two plugins never see each other's;
# - a version script: templates of the C++ library are visible even so, because its headers say so;
# - no unique symbols (g++): a static in an inline function would otherwise be shared by all plugins of the process;
# - -z defs: a symbol that is missing is found now, not when the hub loads the file. A plugin takes nothing from the hub.
#   Left off under a sanitizer, whose runtime lives in the program and is undefined in every shared object.
function(weir_add_plugin name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  if(NOT name MATCHES "^[a-z][a-z0-9-]*$")
    message(FATAL_ERROR "weir_add_plugin(${name}): a name is made of a-z, 0-9 and '-'")
  endif()
  if(NOT ARG_SOURCES)
    message(FATAL_ERROR "weir_add_plugin(${name}): SOURCES is missing")
  endif()
  set(target weir_plugin_${name})
  add_library(${target} MODULE ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE weir::plugin-sdk ${ARG_LINKS})
  if(TARGET weir_options)
    target_link_libraries(${target} PRIVATE weir_options)
  endif()
  set_target_properties(${target} PROPERTIES
    PREFIX libweir- OUTPUT_NAME ${name} SUFFIX .so
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  set(map ${CMAKE_CURRENT_BINARY_DIR}/${target}.map)
  file(CONFIGURE OUTPUT ${map} CONTENT "{ global: weir_plugin_entry; local: *; };\n")
  target_link_options(${target} PRIVATE -Wl,--version-script=${map})
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${map})
  get_directory_property(flags COMPILE_OPTIONS)
  if(NOT "${flags} ${CMAKE_CXX_FLAGS} ${CMAKE_C_FLAGS}" MATCHES "-fsanitize=")
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
  if(WEIR_PLUGIN_INSTALL_DIRECTORY)
    install(TARGETS ${target} LIBRARY DESTINATION ${WEIR_PLUGIN_INSTALL_DIRECTORY} COMPONENT plugins)
  endif()
  if(WEIR_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${WEIR_PLUGIN_OUTPUT_DIRECTORY})
  endif()
endfunction()
