# Warnings, hardening and instrumentation, as one interface target that everything links.
include(CheckCCompilerFlag)

add_library(sluice_flags INTERFACE)

target_compile_options(sluice_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wformat=2 -Wimplicit-fallthrough
  -Werror=format-security
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Werror=implicit
    -Werror=incompatible-pointer-types -Werror=int-conversion>)
if(SLUICE_WERROR)
  target_compile_options(sluice_flags INTERFACE -Werror)
endif()
target_compile_definitions(sluice_flags INTERFACE _GNU_SOURCE)

# OpenSSF compiler hardening guide, as far as gcc 12 and clang 14 know it.
set(sluice_hardening
  -fstack-clash-protection -fstack-protector-strong -fcf-protection=full
  -ftrivial-auto-var-init=zero -fno-delete-null-pointer-checks -fno-strict-overflow
  -fno-strict-aliasing -fexceptions)
foreach(flag IN LISTS sluice_hardening)
  string(MAKE_C_IDENTIFIER "SLUICE_HAS${flag}" var)
  check_c_compiler_flag(${flag} ${var})
  if(${var})
    target_compile_options(sluice_flags INTERFACE ${flag})
  endif()
endforeach()
target_link_options(sluice_flags INTERFACE -Wl,-z,noexecstack,-z,relro,-z,now -Wl,--as-needed)

if(SLUICE_SANITIZE)
  target_compile_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE}
    -fno-omit-frame-pointer -g)
  target_link_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE})
  if(SLUICE_SANITIZE MATCHES "undefined")
    target_compile_options(sluice_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
else()
  target_compile_options(sluice_flags INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>)
endif()
if(SLUICE_COVERAGE)
  target_compile_options(sluice_flags INTERFACE --coverage -O0 -g)
  target_link_options(sluice_flags INTERFACE --coverage)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O3 -g")
