// What this machine could do: the limits that the tables of the benchmarks are held against.
//
//   probe SECONDS L1_BYTES L2_BYTES L3_BYTES CPU [CPU ...]
//
// One thread for each CPU named, bound to it. Prints one JSON object: GFLOP/s of fused
// multiply-adds in float32 ("fma") and of AMX bf16 products ("amx"; "no_amx" says why where there
// is none), nanoseconds that a cache line takes from the first CPU to the second and back ("round
// trip", if there are two), and GB/s of reading, of the triad a = b + s c and of an optimizer's
// update of three arrays by a fourth at every level of the memory, all threads together. L1_BYTES
// of 0 asks for "fma" and "round trip" alone. L2_BYTES is a thread's, L3_BYTES what all share, 0
// for a level that is not there. Bytes are those that the program names: a store counts once, the
// read of its cache line that most processors add does not.
//
// Each figure is the best of several rounds of SECONDS: these are limits, and everything that
// disturbs a round lowers it. Compiled without -march; each loop names the instructions it uses.

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

struct Loops {
  int64_t bytes;  // a vector's
  float (*fma)(int64_t rounds, float factor, float term);
  float (*read)(const float* x, int64_t n);
  void (*triad)(float* a, const float* b, const float* c, float factor, int64_t n);
  void (*update)(float* w, float* m, float* v, const float* g, float factor, int64_t n);
  void (*stream_triad)(float* a, const float* b, const float* c, float factor, int64_t n);
};

#if defined(__x86_64__)
namespace avx512 {
#define BYTES 64
#define TARGET __attribute__((target("avx512f")))
#define STREAM(p, v) _mm512_stream_ps(p, reinterpret_cast<__m512>(v))
#include "probe_loops.h"
#undef BYTES
#undef TARGET
#undef STREAM
}  // namespace avx512

namespace avx2 {
#define BYTES 32
#define TARGET __attribute__((target("avx2,fma")))
#define STREAM(p, v) _mm256_stream_ps(p, reinterpret_cast<__m256>(v))
#include "probe_loops.h"
#undef BYTES
#undef TARGET
#undef STREAM
}  // namespace avx2
#endif

// SSE2, NEON, or whatever else every processor of this architecture has.
namespace baseline {
#define BYTES 16
#define TARGET
#if defined(__x86_64__)
#define STREAM(p, v) _mm_stream_ps(p, reinterpret_cast<__m128>(v))
#endif
#include "probe_loops.h"
#undef BYTES
#undef TARGET
#undef STREAM
}  // namespace baseline

Loops widest() {
#if defined(__x86_64__)
  const char* held = std::getenv("LAMINA_BENCH_ISA");  // isa.py
  const bool is_held = held != nullptr && *held != '\0';
  if (!is_held && __builtin_cpu_supports("avx512f")) return avx512::kLoops;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kLoops;
#endif
  return baseline::kLoops;
}

// AMX: products of bf16 tiles, 16 rows of 64 bytes each.
#if defined(__x86_64__) && defined(__linux__) && __has_include(<amxbf16intrin.h>)
#define HAS_AMX 1
#include <cpuid.h>

struct TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

std::string why_no_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool known = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0;
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;
  if (!known || (d & (kBf16 | kTile)) != (kBf16 | kTile)) return "the processor has none";
  // Linux gives a process the tiles on request (arch_prctl(2)); its threads inherit them.
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) {
    return "the operating system refuses the tiles";
  }
  return "";
}

// Four accumulators, two tiles of each operand: every product has another accumulator than the
// three before it, and nothing is loaded. The tiles hold zeros, which take as long as anything.
__attribute__((target("amx-tile,amx-bf16"))) void amx_products(int64_t rounds) {
  const TileConfig config;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}
#else
std::string why_no_amx() { return "the compiler, or the system, does not know it"; }
#endif

volatile float sink;  // results go here, so that no loop can be left out

void bind_to(int cpu) {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) {
    std::fprintf(stderr, "cannot run on CPU %d\n", cpu);
    std::exit(1);
  }
#else
  (void)cpu;
#endif
}

struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Floats = std::unique_ptr<float, Free>;

// n zeros, on huge pages where Linux has them to give: NumPy asks for the same.
Floats allocate(int64_t n) {
  constexpr size_t kPage = size_t{2} << 20;
  const size_t bytes = (n * sizeof(float) + kPage - 1) / kPage * kPage;
  Floats floats(static_cast<float*>(std::aligned_alloc(kPage, bytes)));
  if (!floats) {
    std::fprintf(stderr, "no memory for %lld floats\n", static_cast<long long>(n));
    std::exit(1);
  }
#if defined(__linux__)
  madvise(floats.get(), bytes, MADV_HUGEPAGE);
#endif
  std::memset(floats.get(), 0, bytes);
  return floats;
}

class Probe {
  using Clock = std::chrono::steady_clock;

 public:
  Probe(double seconds, std::vector<int> cpus) : seconds_(seconds), cpus_(std::move(cpus)) {}

  // The most units a second that all threads together get through, of several rounds. prepare()
  // runs on each thread and returns the call that is timed, which does `units` of work.
  double best(double units, const std::function<std::function<void()>()>& prepare) const {
    constexpr int kRounds = 7;
    const int threads = static_cast<int>(cpus_.size());
    std::barrier together(threads);
    std::vector<Clock::time_point> starts(threads), ends(threads);
    int64_t calls = 1;
    double best = 0;
    auto work = [&](int thread) {
      bind_to(cpus_[thread]);
      const auto call = prepare();
      call();
      // Round -1 finds how many calls fill the time.
      for (int round = -1; round < kRounds; ++round) {
        together.arrive_and_wait();
        starts[thread] = Clock::now();
        int64_t done = 0;
        do {
          for (int64_t i = 0; i < calls; ++i) call();
          done += calls;
          ends[thread] = Clock::now();
        } while (round < 0 && thread == 0 && seconds(starts[0], ends[0]) < seconds_);
        together.arrive_and_wait();
        if (thread != 0) continue;
        if (round < 0) {
          calls = done;
        } else {
          // From the first start to the last end: the barrier may let one thread go much later.
          const double elapsed = seconds(*std::min_element(starts.begin(), starts.end()),
                                         *std::max_element(ends.begin(), ends.end()));
          best = std::max(best, done * units * threads / elapsed);
        }
      }
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
    work(0);
    for (auto& other : others) other.join();
    return best;
  }

  double fma(const Loops& loops) const {
    constexpr int64_t kRounds = 1000;
    volatile float factor = 0.5f, term = 0.5f;
    const double flops = 2.0 * 12 * (loops.bytes / sizeof(float)) * kRounds;
    return best(
        flops, [&] { return [&loops, a = factor, b = term] { sink = loops.fma(kRounds, a, b); }; });
  }

  // Seconds of the fastest of several rounds; at least two threads.
  double round_trip() const {
    constexpr int kRounds = 7, kTrips = 2000;
    alignas(64) std::atomic<int> ball{0};
    std::thread other([&] {
      bind_to(cpus_[1]);
      for (int i = 0; i < kRounds * kTrips; ++i) {
        while (ball.load() != 2 * i + 1) {
        }
        ball.store(2 * i + 2);
      }
    });
    bind_to(cpus_[0]);
    double best = 1;
    for (int round = 0, i = 0; round < kRounds; ++round) {
      const Clock::time_point start = Clock::now();
      for (int trip = 0; trip < kTrips; ++trip, ++i) {
        ball.store(2 * i + 1);
        while (ball.load() != 2 * i + 2) {
        }
      }
      best = std::min(best, seconds(start, Clock::now()) / kTrips);
    }
    other.join();
    return best;
  }

  // bytes: what each thread reads, over and over.
  double read(const Loops& loops, int64_t bytes) const {
    const int64_t n = whole(bytes / sizeof(float));
    return best(n * sizeof(float), [&, n] {
      return
          [&loops, n, x = std::shared_ptr<float>(allocate(n))] { sink = loops.read(x.get(), n); };
    });
  }

  // bytes: each thread's arrays together; loop(arrays, n) goes through n floats of each, and moves
  // so many of an element.
  template <int count, class Loop>
  double arrays(int64_t bytes, int transfers, Loop loop) const {
    const int64_t n = whole(bytes / sizeof(float) / count);
    return best(transfers * n * sizeof(float), [=] {
      // One piece of memory, the arrays some lines out of step: at equal offsets in their pages
      // they would fight for the same sets of the caches.
      const int64_t gap = n + 16 * 17;
      return [=, x = std::shared_ptr<float>(allocate(count * gap))] {
        std::array<float*, count> pieces;
        for (int i = 0; i < count; ++i) pieces[i] = x.get() + i * gap;
        loop(pieces, n);
      };
    });
  }

  double triad(decltype(Loops::triad) loop, int64_t bytes) const {
    return arrays<3>(bytes, 3,
                     [loop](const auto& a, int64_t n) { loop(a[0], a[1], a[2], 0.5f, n); });
  }

  double update(const Loops& loops, int64_t bytes) const {
    return arrays<4>(bytes, 7, [loop = loops.update](const auto& a, int64_t n) {
      loop(a[0], a[1], a[2], a[3], 0.5f, n);
    });
  }

#if HAS_AMX
  double amx() const {
    constexpr int64_t kRounds = 1000;
    return best(4.0 * 16 * 16 * 32 * 2 * kRounds, [] { return [] { amx_products(kRounds); }; });
  }
#endif

 private:
  static double seconds(Clock::time_point start, Clock::time_point end) {
    return std::chrono::duration<double>(end - start).count();
  }

  // The loops go in steps of up to eight vectors of up to 64 bytes.
  static int64_t whole(int64_t floats) { return std::max<int64_t>(floats / 128, 1) * 128; }

  double seconds_;
  std::vector<int> cpus_;
};

void print(const char* name, double value) { std::printf("\"%s\": %.4g, ", name, value / 1e9); }

void print_memory(const Probe& probe, const Loops& loops, int64_t l1, int64_t l2, int64_t l3,
                  int64_t threads) {
  // Half a level: its other half is for whatever else is cached.
  print("L1 read", probe.read(loops, l1 / 2));
  print("L2 read", probe.read(loops, l2 / 2));
  print("L2 triad", probe.triad(loops.triad, l2 / 2));
  print("L2 update", probe.update(loops, l2 / 2));
  if (const int64_t share = l3 / 2 / threads; share >= 2 * l2) {
    print("L3 read", probe.read(loops, share));
    print("L3 triad", probe.triad(loops.triad, share));
    print("L3 update", probe.update(loops, share));
  }
  // Four times what is cached, but memory is dear on small machines.
  const int64_t cached = std::max(l3, l2 * threads);
  const int64_t far = std::clamp(4 * cached, int64_t{96} << 20, int64_t{1} << 30) / threads;
  print("DRAM read", probe.read(loops, far));
  print("DRAM triad", probe.triad(loops.triad, far));
  print("DRAM update", probe.update(loops, far));
  if (loops.stream_triad) print("DRAM triad, streaming", probe.triad(loops.stream_triad, far));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: %s SECONDS L1_BYTES L2_BYTES L3_BYTES CPU [CPU ...]\n", argv[0]);
    return 2;
  }
  const int64_t l1 = std::atoll(argv[2]), l2 = std::atoll(argv[3]), l3 = std::atoll(argv[4]);
  std::vector<int> cpus;
  for (int i = 5; i < argc; ++i) cpus.push_back(std::atoi(argv[i]));
  const int64_t threads = static_cast<int64_t>(cpus.size());
  const Probe probe(std::atof(argv[1]), cpus);
  const Loops loops = widest();

  std::printf("{");
  print("fma", probe.fma(loops));
  if (threads > 1) std::printf("\"round trip\": %.4g, ", probe.round_trip() * 1e9);
  if (l1 > 0) print_memory(probe, loops, l1, l2, l3, threads);
  const std::string no_amx = why_no_amx();
  if (l1 > 0 && no_amx.empty()) {
#if HAS_AMX
    print("amx", probe.amx());
#endif
  } else if (l1 > 0) {
    std::printf("\"no_amx\": \"%s\", ", no_amx.c_str());
  }
  std::printf("\"vector_bits\": %d}\n", static_cast<int>(8 * loops.bytes));
}
