# A C++20 compiler, or one line that says what is missing.
include(CheckLanguage)
check_language(CXX)
if(NOT CMAKE_CXX_COMPILER)
  message(FATAL_ERROR "lamina needs a C++ compiler: on Debian and Ubuntu, apt install g++; "
                      "another one is named by the environment variable CXX")
endif()
enable_language(CXX)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

# What the sources use of C++20 that came late to compilers and their libraries.
include(CheckCXXSourceCompiles)
check_cxx_source_compiles([[
  #include <atomic>
  #include <concepts>
  constinit std::atomic<int> number{0};
  struct Point { int x, y; };
  template <std::integral T> T twice(T x) { return x + x; }
  int main() { number.wait(1); return Point{.x = 0, .y = twice(0)}.x; }
]] LAMINA_COMPILER_KNOWS_CXX20)
if(NOT LAMINA_COMPILER_KNOWS_CXX20)
  message(FATAL_ERROR "lamina needs a C++20 compiler, GCC 11 or Clang 14 or newer; this is "
                      "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, ${CMAKE_CXX_COMPILER}; "
                      "another one is named by the environment variable CXX")
endif()
