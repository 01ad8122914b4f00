# One line per instruction set: lamina_isa(<name> <architecture pattern> <backend of simd.h> <flags>).
# Each becomes an OBJECT library of the same kernel sources; the best one that the machine and its
# operating system support is picked at import. Never -march=native, never -ffast-math.
set(LAMINA_ISAS "")
set(LAMINA_ONLY_ISAS "" CACHE STRING "Build only those whose name matches; portable must be one")

# What is compiled for: on macOS that may be another architecture than the machine's.
set(LAMINA_ARCHITECTURE "${CMAKE_SYSTEM_PROCESSOR}")
if(APPLE AND CMAKE_OSX_ARCHITECTURES)
  set(LAMINA_ARCHITECTURE "${CMAKE_OSX_ARCHITECTURES}")
  if(CMAKE_OSX_ARCHITECTURES MATCHES ";")
    message(FATAL_ERROR "lamina is built for one architecture at a time, got CMAKE_OSX_ARCHITECTURES "
                        "${CMAKE_OSX_ARCHITECTURES}: build each, and join the results with lipo")
  endif()
endif()

function(lamina_isa name architecture backend)
  if(NOT LAMINA_ARCHITECTURE MATCHES "${architecture}"
     OR (LAMINA_ONLY_ISAS AND NOT name MATCHES "${LAMINA_ONLY_ISAS}"))
    return()
  endif()
  add_library(lamina_kernels_${name} OBJECT ${LAMINA_KERNEL_SOURCES})
  target_compile_definitions(lamina_kernels_${name} PRIVATE LAMINA_ISA=${name} ${backend})
  target_compile_options(lamina_kernels_${name} PRIVATE -O3 ${ARGN})
  target_link_libraries(lamina_kernels_${name} PRIVATE lamina_options lamina_sanitizers)
  set_target_properties(lamina_kernels_${name} PROPERTIES UNITY_BUILD OFF)
  set(LAMINA_ISAS ${LAMINA_ISAS} ${name} PARENT_SCOPE)
endfunction()

# GCC 12 takes the undefined operand inside its own AVX-512 headers for an uninitialised variable.
lamina_isa(avx512 "^(x86_64|AMD64|amd64)$" LAMINA_SIMD_AVX512
           -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512
           -Wno-uninitialized $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
lamina_isa(avx2 "^(x86_64|AMD64|amd64)$" LAMINA_SIMD_AVX2 -mavx2 -mfma)
lamina_isa(neon "^(aarch64|arm64|ARM64)$" LAMINA_SIMD_NEON)
# -O1: its vectors leave little to do for more, which would take half as long again to compile.
lamina_isa(portable ".*" LAMINA_SIMD_PORTABLE -O1)

# A matrix unit: one more copy of the product of bf16 parts, beside the kernels of an instruction set
# that every processor with the unit has. Where the compiler or the assembler does not know the unit,
# which it is asked with a small probe, the build is without.
include(CheckCXXSourceCompiles)
function(lamina_matrix_unit name architecture backend probe)
  if(NOT LAMINA_ARCHITECTURE MATCHES "${architecture}"
     OR (LAMINA_ONLY_ISAS AND NOT name MATCHES "${LAMINA_ONLY_ISAS}"))
    return()
  endif()
  set(flags ${ARGN})
  list(FILTER flags EXCLUDE REGEX "^\\$<")
  list(JOIN flags " " CMAKE_REQUIRED_FLAGS)
  check_cxx_source_compiles("${probe}" LAMINA_COMPILER_KNOWS_${name})
  if(NOT LAMINA_COMPILER_KNOWS_${name})
    return()
  endif()
  add_library(lamina_kernels_${name} OBJECT ${CMAKE_CURRENT_SOURCE_DIR}/csrc/kernels/matrix_unit.cpp)
  target_compile_definitions(lamina_kernels_${name} PRIVATE LAMINA_ISA=${name} ${backend})
  target_compile_options(lamina_kernels_${name} PRIVATE -O3 ${ARGN})
  target_link_libraries(lamina_kernels_${name} PRIVATE lamina_options lamina_sanitizers)
  set_target_properties(lamina_kernels_${name} PROPERTIES UNITY_BUILD OFF)
  set(LAMINA_ISAS ${LAMINA_ISAS} ${name} PARENT_SCOPE)
endfunction()

lamina_matrix_unit(amx "^(x86_64|AMD64|amd64)$" "LAMINA_SIMD_AVX512;LAMINA_TILES_AMX"
                   "#include <immintrin.h>\nint main() { _tile_release(); }"
                   -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512
                   -mamx-tile -mamx-bf16 -Wno-uninitialized
                   $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
