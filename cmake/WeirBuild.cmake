# How everything here is compiled. Targets link weir_options instead of inheriting global flags.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(WEIR_PLUGIN_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/weir)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(weir_options INTERFACE)
target_compile_options(weir_options INTERFACE -Wall -Wextra -Wshadow
  $<$<COMPILE_LANGUAGE:CXX>:-Wconversion -Wnon-virtual-dtor> $<$<BOOL:${WEIR_WERROR}>:-Werror>)
if(WEIR_SANITIZE)
  add_compile_options(-fsanitize=${WEIR_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${WEIR_SANITIZE})
  if(WEIR_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize=function -fno-sanitize-recover=undefined)
    add_link_options(-fno-sanitize=function)
  endif()
endif()
if(WEIR_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# weir_layer(routing SOURCES a.cpp b.cpp LINKS weir_protocol): one folder of core/ as one static library.
# What a layer may see is exactly what it links, so the include map of ARCHITECTURE.md is enforced here.
function(weir_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(weir_${name} STATIC ${ARG_SOURCES})
  target_include_directories(weir_${name} PUBLIC ${PROJECT_SOURCE_DIR}/core)
  target_link_libraries(weir_${name} PUBLIC ${ARG_LINKS} PRIVATE weir_options ${ARG_PRIVATE_LINKS})
endfunction()

# Where an installed hub looks for its plugins: beside the program's own folder (core/server/setup.cpp).
set(WEIR_PLUGIN_INSTALL_DIRECTORY lib/weir)
