// The only user of threads. Everything above says what a tile of its work is and how many there
// are; who runs which tile is decided here and never changes a result.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>

#include "cpu/float_state.h"
#include "cpu/function_ref.h"
#include "cpu/memory.h"

namespace lamina {

// Threads that work together: what set_num_threads was given, or LAMINA_NUM_THREADS, or
// OMP_NUM_THREADS, or the cores that this process may really use (usable_cores); never more than
// those cores, because more only take turns. With `oversubscribe` there are as many as were asked
// for, and each does a share of its own, whatever that costs: for tests of what may depend on who
// does what. 1 within a region, ours or somebody else's.
int num_threads();
void set_num_threads(int n, bool oversubscribe = false);
bool has_openmp();

// Calls body(worker, count) on `count` threads at once, the caller being worker 0, and returns when
// all have. `count` is at most `workers`: OpenMP may have reasons to start fewer, and the system
// may give no more, so work is cut by count and never by what was asked for. body must not throw.
//
// The threads are OpenMP's, or of our own (own_threads.h) where OpenMP's cannot be had: in a child
// after fork(), where libgomp would wait for the parent's; where the system gives no more threads,
// for which libgomp ends the process; and in a build without OpenMP.
void parallel_region(int workers, FunctionRef<void(int worker, int count)> body);

// The workers of one region. Worker 0 leads: it hands out the tiles of one piece of work after the
// other and takes its share; the others help while there is work. Nobody waits for a helper that
// holds no tile, so one that does not get a core costs what it does not do, and no more.
//
// A helper has tiles of its own, the same ones for the same work, because they are likely to be in
// its cache; who is done with his takes from the others.
class Team {
 public:
  explicit Team(int most_workers);  // allocates

  // Worker 0: body(tile, worker) for every tile, each once, on any of `workers`; returns when all
  // are done. What a body throws first is thrown here; tiles that have not begun are then left out.
  void run(int64_t tiles, int workers, FunctionRef<void(int64_t tile, int worker)> body);
  void dismiss();  // worker 0, once: the others return from help()
  void help(int worker);
  int busy() const;  // how many workers have run a tile; after the region

 private:
  struct alignas(kCacheLine) Share {
    std::atomic<int64_t> next{0};
    int64_t last = 0;
    bool busy = false;  // written by its worker
  };
  void take_tiles(int worker);

  AlignedArray<Share> shares_;
  int workers_ = 1;
  const FunctionRef<void(int64_t, int)>* body_ = nullptr;
  std::atomic<bool> open_{false}, failed_{false}, dismissed_{false};
  std::atomic<int> inside_{0};     // helpers that may hold a tile
  std::atomic<uint32_t> call_{0};  // counts pieces of work; helpers sleep on it
  std::exception_ptr failure_;
};

// Is the machine so busy, by what regions lately waited for, that work is better not shared?
bool better_alone();
// What that is judged by: a region has ended whose work took from begin to done, and whose threads
// took until now to meet.
void region_ended(std::chrono::steady_clock::time_point begin,
                  std::chrono::steady_clock::time_point done);

// Whether a team or its leader alone does short pieces of work sooner, such as the batches of an
// epoch. What workers read of each other's can cost more than they save, where their cores share no
// cache, or are threads of one core; and on a virtual machine that changes while it runs. So both
// are tried now and then, and the faster one goes on.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  int workers(int most) const;  // of so many, for the next piece
  // They have done it from begin to end; of pieces that are not alike only some should be told of.
  void took(Clock::time_point begin, Clock::time_point end);

 private:
  enum class Phase { settled, team, alone };
  void enter(Phase phase, bool alone);

  Phase phase_ = Phase::settled;
  bool alone_ = false;
  int pieces_ = 0;  // of this phase
  Clock::duration best_{}, best_of_team_{};
  Clock::time_point until_{};  // of a settled phase; none yet
};

// Calls lead(team, count) on worker 0 of one region, with `count` workers to hand tiles to. The
// others compute in the default state too: what they would have is that of whoever started them.
template <class Lead>
void with_team(int workers, Lead&& lead) {
  Team team(workers);
  std::exception_ptr failure;
  const auto begin = std::chrono::steady_clock::now();
  auto done = begin;
  parallel_region(workers, [&](int worker, int count) {
    const DefaultFloatState state;
    if (worker != 0) return team.help(worker);
    try {
      lead(team, count);
    } catch (...) {
      failure = std::current_exception();
    }
    team.dismiss();
    done = std::chrono::steady_clock::now();
  });
  region_ended(begin, done);
  if (failure) std::rethrow_exception(failure);
}

// As many threads as have `least` tiles each: by default a few dozen microseconds of work, which
// pay for waking a thread. One on a busy machine: even a thread that gets no tile has to come.
inline int workers_for_tiles(int64_t tiles, int64_t least = 4) {
  if (tiles >= 2 * least && better_alone()) return 1;
  const int64_t useful = std::max<int64_t>(1, tiles / std::max<int64_t>(1, least));
  return static_cast<int>(std::min<int64_t>(useful, num_threads()));
}

// Floats of scratch that keep the workers' pieces apart.
inline int64_t scratch_piece(int64_t floats) { return (floats + 15) / 16 * 16; }

// Runs body(tile, scratch) for every tile. scratch is aligned and holds scratch_floats floats, one
// piece a worker.
template <class Body>
void for_tiles(int64_t tiles, int64_t scratch_floats, Body&& body, int64_t least = 4) {
  if (tiles <= 0) return;
  const int workers = workers_for_tiles(tiles, least);
  const int64_t piece = scratch_piece(scratch_floats);
  AlignedArray<float> scratch(piece * workers);
  if (workers == 1) {
    for (int64_t tile = 0; tile < tiles; ++tile) body(tile, scratch.data());
    return;
  }
  const auto share = [&](int64_t tile, int worker) { body(tile, scratch.data() + piece * worker); };
  with_team(workers, [&](Team& team, int count) { team.run(tiles, count, share); });
}

// n zeros. All threads write them: the system has to find the pages of much memory first.
AlignedArray<float> zeros(int64_t n);

}  // namespace lamina
