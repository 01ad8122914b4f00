// The only user of threads. Everything above says what a tile of its work is and how many there
// are; who runs which tile is decided here and never changes a result.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "cpu/memory.h"

namespace lamina {

// Threads a region may use: LAMINA_NUM_THREADS, or what set_num_threads was given, or the cores
// that this process may really use (affinity mask and cgroup quota). Always 1 without OpenMP, and
// in a child after fork(), where the parent's workers do not exist.
int num_threads();
void set_num_threads(int n);
bool has_openmp();

// A non-owning reference to something callable: no allocation, one indirect call.
template <class Signature>
class FunctionRef;
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)
  FunctionRef(F&& f)  // NOLINT: implicit on purpose
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

// Calls body(worker, count) on `count` threads at once, the caller being worker 0, and returns when
// all have. `count` is at most `workers`: OpenMP may have reasons to start fewer, so work is cut by
// count and never by what was asked for. body must not throw.
void parallel_region(int workers, FunctionRef<void(int worker, int count)> body);

// Workers wait here for each other. A waiter spins for as long as a barrier between threads that
// each have a core takes, then sleeps: a core that is shared must not be held by one that waits.
class Barrier {
 public:
  void wait(int count);  // of workers, the same for all

 private:
  std::atomic<int> arrived_{0};
  std::atomic<uint32_t> phase_{0};
};

// Keeps the first exception that a worker meets, to be thrown again outside the region: an
// exception that left a region would end the process. A ticket counts the barriers that lie before
// it, so that all workers see a failure at the same barrier and none waits at the next one alone.
class FirstException {
 public:
  void capture(int64_t ticket = 0) noexcept;
  bool any(int64_t ticket) const {
    const int64_t stored = stored_.load(std::memory_order_acquire);
    return stored > 0 && stored <= ticket + 1;
  }
  void rethrow();

 private:
  std::atomic<int64_t> stored_{0};  // ticket + 1; -1 while being written
  std::exception_ptr exception_;
};

// The tiles of worker `worker` are [first, last): contiguous, as equal as they can be, and a
// single one is worker 0's.
struct TileRange {
  int64_t first, last;
};
inline TileRange tiles_of(int64_t tiles, int worker, int workers) {
  return {(tiles * worker + workers - 1) / workers, (tiles * (worker + 1) + workers - 1) / workers};
}

// Runs body(tile, scratch) for every tile, on as many threads as there are tiles or workers.
// scratch is aligned and holds scratch_floats floats, one piece a worker.
template <class Body>
void for_tiles(int64_t tiles, int64_t scratch_floats, Body&& body) {
  if (tiles <= 0) return;
  const int workers = static_cast<int>(tiles < num_threads() ? tiles : num_threads());
  const int64_t piece = (scratch_floats + 15) / 16 * 16;
  AlignedArray<float> scratch(piece * workers);
  FirstException failure;
  parallel_region(workers, [&](int worker, int count) {
    try {
      const TileRange mine = tiles_of(tiles, worker, count);
      for (int64_t tile = mine.first; tile < mine.last; ++tile) {
        body(tile, scratch.data() + piece * worker);
      }
    } catch (...) {
      failure.capture();
    }
  });
  failure.rethrow();
}

}  // namespace lamina
