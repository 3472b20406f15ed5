# sluice_plugin(NAME source…): a plugin NAME.so of these sources, linked with the SDK, exporting its
# entry alone. Link more libraries with target_link_libraries(NAME PRIVATE …).
function(sluice_plugin name)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE sluice::sdk Threads::Threads)
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so" C_VISIBILITY_PRESET hidden
    C_STANDARD 11 C_STANDARD_REQUIRED ON LINK_DEPENDS ${SLUICE_PLUGIN_MAP})
  target_link_options(${name} PRIVATE
    -Wl,--version-script=${SLUICE_PLUGIN_MAP} -Wl,--exclude-libs,ALL)
  # A sanitizer's symbols are in the program, not in a library that could be named.
  if(NOT "${CMAKE_C_FLAGS}" MATCHES "-fsanitize=")
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
endfunction()
