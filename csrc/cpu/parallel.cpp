// Regions of threads, OpenMP's as a rule, and the sharing of work among them. See parallel.h.
#include "cpu/parallel.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#ifdef __linux__
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

#include "cpu/cores.h"
#include "cpu/own_threads.h"
#include "cpu/waiting.h"

namespace lamina {
namespace {

// Whether regions may be OpenMP's. Not in a child after fork(): its workers are the parent's, and
// the child would wait for them for ever. Nor after the system has refused a thread.
std::atomic<bool> openmp_serves{true};

// Asked for once: it takes system calls.
int machine_cores() {
  static const int cores = usable_cores();
  return cores;
}

constexpr int kMostThreads = 1024;
std::atomic<bool> oversubscribes{false};

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
  // A number for each level of nesting, of which we have one. Where it is none, OpenMP has its
  // default too. joblib sets this in its workers, so that together they have the machine's cores.
  if (const char* text = std::getenv("OMP_NUM_THREADS"); text != nullptr) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (end != text && n >= 1) return static_cast<int>(std::min<long>(n, kMostThreads));
  }
  return machine_cores();
}

std::atomic<int>& thread_setting() {
  static std::atomic<int> threads = [] {
#ifdef __linux__
    pthread_atfork(nullptr, nullptr, [] {
      openmp_serves.store(false);
      forget_own_threads();
    });
#endif
    return initial_threads();
  }();
  return threads;
}

using Clock = std::chrono::steady_clock;

// Until when leaders work alone, and for how long they last decided to; in ns of Clock.
std::atomic<int64_t> alone_until{0}, alone_for{0};

int64_t nanoseconds(Clock::duration d) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
}

bool machine_is_busy(Clock::time_point now) {
  return nanoseconds(now.time_since_epoch()) < alone_until.load(std::memory_order_relaxed);
}

// In ns: later than a tile that is under way, and than a thread that has to be woken.
constexpr int64_t kLateTile = 200'000, kLateThread = 1'000'000;

// Tiles of one piece of work take about the same time. One that keeps the leader waiting for longer
// than all of his own took is held by a thread that has lost its core, and will lose it again:
// leaders work alone for a while, twice as long if that was so only lately.
void judge(Clock::duration working, Clock::time_point waits, Clock::time_point now, int64_t late) {
  constexpr int64_t kShortest = 2'000'000, kLongest = 256'000'000;
  if (nanoseconds(now - waits) < nanoseconds(working) + late) return;
  const int64_t moment = nanoseconds(now.time_since_epoch());
  const int64_t last = alone_for.load(std::memory_order_relaxed);
  const bool lately = moment < alone_until.load(std::memory_order_relaxed) + 4 * last;
  const int64_t time = lately ? std::min(2 * last, kLongest) : kShortest;
  alone_for.store(time, std::memory_order_relaxed);
  alone_until.store(moment + time, std::memory_order_relaxed);
}

// 20 to 80 us: processors pause for different times.
int spins_of(int workers) { return workers <= machine_cores() ? 2000 : 0; }

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
  int most = oversubscribes.load(std::memory_order_relaxed) ? kMostThreads : machine_cores();
  if (in_region_of_own_threads()) return 1;
#ifdef _OPENMP
  // Within somebody else's region OpenMP would start one thread, past its limit fewer.
  if (omp_in_parallel()) return 1;
  most = std::min(most, omp_get_thread_limit());
#endif
  return std::min(threads, most);
}

void set_num_threads(int n, bool oversubscribe) {
  if (n < 1 || n > kMostThreads) {
    throw std::invalid_argument("set_num_threads: n must be from 1 to " +
                                std::to_string(kMostThreads) + ", got " + std::to_string(n));
  }
  thread_setting().store(n);
  oversubscribes.store(oversubscribe);
}

#ifdef _OPENMP
namespace {

// libgomp ends the process where it gets no thread, so those that a region lacks are started for a
// moment before: twice as many, because the system counts a thread a little longer than it lives.
// That takes about 25 us a thread, once, as libgomp keeps the threads of a caller's last region.
bool openmp_can_start(int workers) {
  thread_local int there = 1;
  // Of stacks of a size that only libgomp knows.
  static const bool own_stacks = std::getenv("OMP_STACKSIZE") || std::getenv("GOMP_STACKSIZE");
  if (own_stacks || !openmp_serves.load(std::memory_order_relaxed)) return false;
  if (workers > there && !can_start_threads(2 * (workers - there))) {
    openmp_serves.store(false);
    return false;
  }
  there = workers;
  return true;
}

}  // namespace
#endif

void parallel_region(int workers, FunctionRef<void(int, int)> body) {
  if (workers <= 1) return body(0, 1);
#ifdef _OPENMP
  if (openmp_can_start(workers)) {
    const int dynamic = omp_get_dynamic();
    if (dynamic) omp_set_dynamic(0);  // as many as were asked for, if it can be
#pragma omp parallel num_threads(workers)
    body(omp_get_thread_num(), omp_get_num_threads());
    if (dynamic) omp_set_dynamic(dynamic);
    return;
  }
#endif
  region_of_own_threads(workers, spins_of(workers), body);
}

bool better_alone() {
  return !oversubscribes.load(std::memory_order_relaxed) && machine_is_busy(Clock::now());
}

// Other pools' threads may spin on the cores, as PyTorch's do for milliseconds after each of its
// operations: a product of 60 us then waited 2 ms for a thread that had nothing left to do.
void region_ended(Clock::time_point begin, Clock::time_point done) {
  if (oversubscribes.load(std::memory_order_relaxed)) return;
  judge(done - begin, done, Clock::now(), kLateThread);
}

Team::Team(int most_workers) : shares_(most_workers > 1 ? most_workers : 0) {
  for (int64_t i = 0; i < shares_.size(); ++i) new (&shares_[i]) Share;
}

void Team::run(int64_t tiles, int workers, FunctionRef<void(int64_t, int)> body) {
  const bool shares = workers > 1 && tiles > 1;
  const auto begin = shares ? Clock::now() : Clock::time_point{};
  if (!shares || machine_is_busy(begin)) {
    for (int64_t tile = 0; tile < tiles; ++tile) body(tile, 0);
    return;
  }
  for (int i = 0; i < workers; ++i) {
    shares_[i].next.store(tiles * i / workers, std::memory_order_relaxed);
    shares_[i].last = tiles * (i + 1) / workers;
  }
  workers_ = workers;
  body_ = &body;
  open_.store(true);
  call_.fetch_add(1);
  call_.notify_all();
  take_tiles(0);
  const bool each_his_own = oversubscribes.load(std::memory_order_relaxed);
  for (int i = 1; each_his_own && i < workers; ++i) {
    while (shares_[i].next.load() < shares_[i].last) std::this_thread::yield();
  }
  // In this order a helper either sees that the work is closed or is seen inside.
  open_.store(false);
  if (inside_.load() != 0) {
    const auto waits = Clock::now();
    wait_while(inside_, spins_of(workers), [](int helpers) { return helpers != 0; });
    if (!each_his_own) judge(waits - begin, waits, Clock::now(), kLateTile);
  }
  if (failed_.load()) {
    failed_.store(false);
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

void Team::take_tiles(int worker) {
  const int shares = oversubscribes.load(std::memory_order_relaxed) ? 1 : workers_;
  for (int i = 0; i < shares; ++i) {
    Share& share = shares_[(worker + i) % workers_];
    while (share.next.load(std::memory_order_relaxed) < share.last) {
      const int64_t tile = share.next.fetch_add(1);
      if (tile >= share.last) break;
      if (failed_.load(std::memory_order_relaxed)) continue;
      shares_[worker].busy = true;
      try {
        (*body_)(tile, worker);
      } catch (...) {
        if (!failed_.exchange(true)) failure_ = std::current_exception();
      }
    }
  }
}

void Team::help(int worker) {
  uint32_t seen = 0;
  while (!dismissed_.load()) {
    inside_.fetch_add(1);
    if (open_.load()) take_tiles(worker);
    if (inside_.fetch_sub(1) == 1) inside_.notify_one();
    // Work that was handed out before this one looked has been taken; wait for the next.
    wait_while(call_, spins_of(static_cast<int>(shares_.size())),
               [&](uint32_t call) { return call == seen; });
    seen = call_.load();
  }
}

int Team::busy() const {
  int count = 0;
  for (int64_t i = 0; i < shares_.size(); ++i) count += shares_[i].busy ? 1 : 0;
  return std::max(count, 1);
}

void Team::dismiss() {
  dismissed_.store(true);
  call_.fetch_add(1);
  call_.notify_all();
}

int Pace::workers(int most) const {
  return alone_ && !oversubscribes.load(std::memory_order_relaxed) ? 1 : most;
}

void Pace::enter(Phase phase, bool alone) {
  phase_ = phase;
  alone_ = alone;
  pieces_ = 0;
  best_ = Clock::duration::max();
}

// A trial is of a few pieces each way, some hundredths of the time in between at the most. The
// first one is left out: the data have to come from the other cores. Long pieces are worth a team.
void Pace::took(Clock::time_point begin, Clock::time_point end) {
  using std::chrono::milliseconds;
  constexpr auto kSoon = milliseconds(5), kLater = milliseconds(250), kLong = milliseconds(1);
  constexpr int kPieces = 4;
  if (phase_ == Phase::settled) {
    if (until_ == Clock::time_point{}) until_ = end + kSoon;
    if (end >= until_) enter(Phase::team, false);
    return;
  }
  const auto time = end - begin;
  if (++pieces_ > 1) best_ = std::min(best_, time);
  if (phase_ == Phase::team && time > kLong) {
    until_ = end + kLater;
    enter(Phase::settled, false);
  } else if (pieces_ == kPieces && phase_ == Phase::team) {
    best_of_team_ = best_;
    enter(Phase::alone, true);
  } else if (pieces_ == kPieces) {
    until_ = end + kLater;
    enter(Phase::settled, best_ < best_of_team_ * 19 / 20);
  }
}

namespace {

// Has the system find the pages of memory that is about to be written, all at once instead of one
// after the other as each is met: 400 MB take 145 ms instead of 215, by two threads 86 instead of
// 130. A system that cannot does nothing.
void find_pages([[maybe_unused]] float* begin, [[maybe_unused]] int64_t n) {
#ifdef MADV_POPULATE_WRITE
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(begin) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(begin + n);
  madvise(reinterpret_cast<void*>(first), end - first, MADV_POPULATE_WRITE);
#endif
}

}  // namespace

AlignedArray<float> zeros(int64_t n) {
  AlignedArray<float> array(n);
  constexpr int64_t piece = int64_t{1} << 20;
  for_tiles((n + piece - 1) / piece, 0, [&](int64_t tile, float*) {
    float* begin = array.data() + tile * piece;
    const int64_t length = std::min(piece, n - tile * piece);
    if (length == piece) find_pages(begin, length);
    std::fill_n(begin, length, 0.0f);
  });
  return array;
}

}  // namespace lamina
