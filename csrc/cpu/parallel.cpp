// Threads by OpenMP, which owns the pool. See parallel.h.
#include "cpu/parallel.h"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#ifdef __linux__
#include <pthread.h>
#include <sched.h>

#include <cstdio>
#include <cstring>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

namespace lamina {
namespace {

// Set by the handler of fork() in the child. The parent's workers are not there, and a region
// would wait for them for ever.
std::atomic<bool> forked{false};

#ifdef __linux__
// Whole cores that the control group's quota allows, or 0 where there is none.
int quota_cores() {
  long long quota = 0, period = 0;
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    const int fields = std::fscanf(f, "%lld %lld", &quota, &period);
    std::fclose(f);
    if (fields != 2) quota = 0;  // "max": no limit
  }
  if (quota <= 0 || period <= 0) return 0;
  return static_cast<int>((quota + period - 1) / period);
}
#endif

int usable_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  const int quota = quota_cores();
  if (quota > 0 && quota < cores) cores = quota;
#endif
  return cores > 0 ? cores : 1;
}

constexpr int kMostThreads = 1024;

int initial_threads() {
  if (const char* text = std::getenv("LAMINA_NUM_THREADS"); text != nullptr && *text != '\0') {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (*end != '\0' || n < 1 || n > kMostThreads) {
      throw std::invalid_argument("LAMINA_NUM_THREADS must be a whole number from 1 to " +
                                  std::to_string(kMostThreads) + ", got '" + text + "'");
    }
    return static_cast<int>(n);
  }
  return usable_cores();
}

std::atomic<int>& thread_setting() {
  static std::atomic<int> threads = [] {
#ifdef __linux__
    pthread_atfork(nullptr, nullptr, [] { forked.store(true); });
#endif
    return initial_threads();
  }();
  return threads;
}

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

bool has_openmp() {
#ifdef _OPENMP
  return true;
#else
  return false;
#endif
}

int num_threads() {
  const int threads = thread_setting().load(std::memory_order_relaxed);
#ifdef _OPENMP
  // Within somebody else's region OpenMP would start one thread, past its limit fewer.
  if (forked.load(std::memory_order_relaxed) || omp_in_parallel()) return 1;
  const int limit = omp_get_thread_limit();
  return threads < limit ? threads : limit;
#else
  static_cast<void>(threads);
  return 1;
#endif
}

void set_num_threads(int n) {
  if (n < 1 || n > kMostThreads) {
    throw std::invalid_argument("set_num_threads: n must be from 1 to " +
                                std::to_string(kMostThreads) + ", got " + std::to_string(n));
  }
  thread_setting().store(n);
}

void parallel_region(int workers, FunctionRef<void(int, int)> body) {
#ifdef _OPENMP
  if (workers > 1) {
    const int dynamic = omp_get_dynamic();
    if (dynamic) omp_set_dynamic(0);  // as many as were asked for, if it can be
#pragma omp parallel num_threads(workers)
    body(omp_get_thread_num(), omp_get_num_threads());
    if (dynamic) omp_set_dynamic(dynamic);
    return;
  }
#endif
  static_cast<void>(workers);
  body(0, 1);
}

void Barrier::wait(int count) {
  if (count == 1) return;
  // About 20 us: a hundred times a barrier between threads that run.
  static const int cores = usable_cores();
  const int spins = count <= cores ? 2000 : 0;
  const uint32_t phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1, std::memory_order_release);
    phase_.notify_all();
    return;
  }
  for (int i = 0; i < spins; ++i) {
    if (phase_.load(std::memory_order_acquire) != phase) return;
    pause_briefly();
  }
  phase_.wait(phase, std::memory_order_acquire);
}

void FirstException::capture(int64_t ticket) noexcept {
  int64_t expected = 0;
  if (stored_.compare_exchange_strong(expected, -1)) {
    exception_ = std::current_exception();
    stored_.store(ticket + 1, std::memory_order_release);
  }
}

void FirstException::rethrow() {
  if (stored_.load(std::memory_order_acquire) > 0) std::rethrow_exception(exception_);
}

}  // namespace lamina
