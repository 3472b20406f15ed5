# sluice_add_library(NAME [LIBS lib…] [PKG module…]): a static library of all .c files of the
# current folder, except main.c.
function(sluice_add_library name)
  cmake_parse_arguments(A "" "" "LIBS;PKG;SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  list(APPEND sources ${A_SOURCES})
  list(FILTER sources EXCLUDE REGEX "/main\\.c$")
  if(NOT sources)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${A_LIBS})
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PRIVATE sluice_flags PUBLIC ${A_LIBS} Threads::Threads)
  sluice_link_pkg(${name} ${A_PKG})
endfunction()

# Links pkg-config modules to a target.
function(sluice_link_pkg name)
  foreach(module IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER "PKG_${module}" var)
    pkg_check_modules(${var} REQUIRED IMPORTED_TARGET GLOBAL ${module})
    target_link_libraries(${name} PUBLIC PkgConfig::${var})
  endforeach()
endfunction()

# sluice_add_plugin(NAME [LIBS lib…] [PKG module…] [SOURCES file…]): a plugin of all .c files of the current folder, and
# of those named.
# Makes NAME.so in lib/sluice/plugins, and NAME_static for tests that link it (its entry is then
# sluice_plugin_NAME_entry_v0).
function(sluice_add_plugin name)
  cmake_parse_arguments(A "" "" "LIBS;PKG;SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  list(APPEND sources ${A_SOURCES})
  if(NOT sources)
    message(STATUS "plugin ${name}: no sources yet")
    return()
  endif()
  add_library(sluice_plugin_${name} MODULE ${sources})
  target_link_libraries(sluice_plugin_${name} PRIVATE sluice_flags ${A_LIBS} sluice_sdk
    Threads::Threads)
  set_target_properties(sluice_plugin_${name} PROPERTIES
    OUTPUT_NAME ${name} PREFIX "" SUFFIX ".so"
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/sluice/plugins)
  target_link_options(sluice_plugin_${name} PRIVATE
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/sdk/plugin.map -Wl,--exclude-libs,ALL)
  if(NOT SLUICE_SANITIZE)
    target_link_options(sluice_plugin_${name} PRIVATE -Wl,-z,defs)
  endif()
  install(TARGETS sluice_plugin_${name}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR_PLUGINS})
  add_library(${name}_static STATIC EXCLUDE_FROM_ALL ${sources})
  target_compile_definitions(${name}_static PRIVATE SLUICE_PLUGIN_STATIC=${name})
  target_include_directories(${name}_static PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name}_static PRIVATE sluice_flags PUBLIC ${A_LIBS} sluice_sdk
    Threads::Threads)
  foreach(module IN LISTS A_PKG)
    string(MAKE_C_IDENTIFIER "PKG_${module}" var)
    pkg_check_modules(${var} REQUIRED IMPORTED_TARGET GLOBAL ${module})
    target_link_libraries(sluice_plugin_${name} PRIVATE PkgConfig::${var})
    target_link_libraries(${name}_static PUBLIC PkgConfig::${var})
  endforeach()
endfunction()

# sluice_add_unit_test(NAME LIBS lib…): a cmocka binary of all .c files of the current folder.
function(sluice_add_unit_test name)
  cmake_parse_arguments(A "" "" "LIBS;SOURCES" ${ARGN})
  if(NOT A_SOURCES)
    file(GLOB A_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  endif()
  if(NOT A_SOURCES)
    return()
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE sluice_flags ${A_LIBS})
  sluice_link_test_pkg(${name})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300)
endfunction()

function(sluice_link_test_pkg name)
  pkg_check_modules(PKG_cmocka REQUIRED IMPORTED_TARGET GLOBAL cmocka)
  target_link_libraries(${name} PRIVATE PkgConfig::PKG_cmocka)
endfunction()

set(CMAKE_INSTALL_LIBDIR_PLUGINS ${CMAKE_INSTALL_LIBDIR}/sluice/plugins)
