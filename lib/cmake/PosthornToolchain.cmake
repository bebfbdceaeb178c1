# Compiler, linker and warnings for every target. The reasons stand beside each choice.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_SLOPPINESS=time_macros ${CCACHE})
endif()

set(POSTHORN_SANITIZE "" CACHE STRING "sanitizers, comma separated")
option(POSTHORN_FUZZ "build the libFuzzer targets" OFF)
option(POSTHORN_WERROR "warnings are errors" OFF)
# Kill points and left-out syncs for crash tests; never in what is installed.
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  option(POSTHORN_TEST_HOOKS "kill points and skippable syncs" OFF)
else()
  option(POSTHORN_TEST_HOOKS "kill points and skippable syncs" ON)
endif()

add_library(posthorn_flags INTERFACE)
target_include_directories(posthorn_flags INTERFACE ${CMAKE_SOURCE_DIR})
# ASIO_DISABLE_STD_ALIGNED_ALLOC must be the same in every file, else the allocators differ between them.
target_compile_definitions(posthorn_flags INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED
  ASIO_SEPARATE_COMPILATION ASIO_DISABLE_STD_ALIGNED_ALLOC ASIO_HAS_CO_AWAIT=1)
target_compile_options(posthorn_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Woverloaded-virtual -Wimplicit-fallthrough -Wextra-semi -Wthread-safety -Wno-missing-field-initializers
  -Wno-deprecated-declarations)
if(POSTHORN_TEST_HOOKS)
  target_compile_definitions(posthorn_flags INTERFACE POSTHORN_TEST_HOOKS)
endif()
if(POSTHORN_WERROR)
  target_compile_options(posthorn_flags INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(posthorn_flags INTERFACE -fstack-protector-strong -fstack-clash-protection
    -ffunction-sections -fdata-sections)
  target_compile_definitions(posthorn_flags INTERFACE _GLIBCXX_ASSERTIONS _FORTIFY_SOURCE=2)
  target_link_options(posthorn_flags INTERFACE -pie -Wl,-z,relro,-z,now -Wl,--gc-sections)
endif()
if(POSTHORN_SANITIZE)
  add_compile_options(-fsanitize=${POSTHORN_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${POSTHORN_SANITIZE})
  if(POSTHORN_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined -fno-sanitize=vptr,function)
  endif()
endif()
if(POSTHORN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()
# GNU's linker keeps libraries that nothing uses; a process then loads what it never calls.
add_link_options(-Wl,--as-needed)

find_package(Threads REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(GTest CONFIG REQUIRED)
foreach(pair IN ITEMS "sqlite3 sqlite3" "re2 re2" "icu icu-uc" "icui18n icu-i18n"
                      "argon2 libargon2" "idn2 libidn2" "psl libpsl" "yaml yaml-cpp" "curl libcurl"
                      "zlib zlib" "crypt libcrypt")
  separate_arguments(pair)
  list(GET pair 0 name)
  list(GET pair 1 package)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${package})
endforeach()
# gRPC's package makes this target only when it is configured for the first time in a build folder.
if(NOT TARGET re2::re2)
  add_library(re2::re2 INTERFACE IMPORTED)
  target_link_libraries(re2::re2 INTERFACE PkgConfig::re2)
endif()
# Debian's libunbound.pc demands libevent, which the library itself does not need.
find_library(UNBOUND_LIBRARY unbound REQUIRED)
