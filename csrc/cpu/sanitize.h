// For builds with AddressSanitizer, which knows allocations but not what lies in them: the buffers
// of a program share one arena, which `forbid` and `permit` divide. In an ordinary build both are
// empty.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LAMINA_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define LAMINA_ASAN
#endif

#ifdef LAMINA_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace lamina::sanitize {

#ifdef LAMINA_ASAN
constexpr bool kGuards = true;
inline void forbid(const void* data, size_t bytes) { __asan_poison_memory_region(data, bytes); }
inline void permit(const void* data, size_t bytes) { __asan_unpoison_memory_region(data, bytes); }
#else
constexpr bool kGuards = false;
inline void forbid(const void*, size_t) {}
inline void permit(const void*, size_t) {}
#endif

}  // namespace lamina::sanitize
