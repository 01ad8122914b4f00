// Waiting for another thread's word.
#pragma once

#include <atomic>

namespace lamina {

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits while waiting(value) is true: spins for about as long as the leader works alone between two
// pieces of shared work, then sleeps, because a core that is shared must not be held by one that
// waits.
template <class T, class Waiting>
void wait_while(std::atomic<T>& value, int spins, Waiting&& waiting) {
  for (int i = 0; i < spins; ++i) {
    if (!waiting(value.load())) return;
    pause_briefly();
  }
  for (T now = value.load(); waiting(now); now = value.load()) value.wait(now);
}

}  // namespace lamina
