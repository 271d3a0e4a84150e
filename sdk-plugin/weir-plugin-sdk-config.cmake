# find_package(weir-plugin-sdk 1): the target weir::plugin-sdk and the function weir_add_plugin().
include(${CMAKE_CURRENT_LIST_DIR}/weir-plugin-sdk-targets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/WeirPlugin.cmake)
