# Debian 12's packages, all of them; `./dev` installs these (tools/packages.txt).
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(luajit REQUIRED IMPORTED_TARGET luajit)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)

add_library(weir_boost INTERFACE)
target_link_libraries(weir_boost INTERFACE Boost::headers)

# Sanitizers bring their own malloc. Nothing refers to the library by name, so the linker must be told to keep it.
if(NOT WEIR_SANITIZE)
  find_library(WEIR_TCMALLOC_LIBRARY tcmalloc_minimal REQUIRED)
  add_library(weir_tcmalloc INTERFACE)
  target_link_libraries(weir_tcmalloc INTERFACE -Wl,--push-state,--no-as-needed ${WEIR_TCMALLOC_LIBRARY} -Wl,--pop-state)
  target_compile_definitions(weir_tcmalloc INTERFACE WEIR_TCMALLOC)
endif()
