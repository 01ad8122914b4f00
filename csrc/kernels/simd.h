// f32x16: the one vector type that every kernel is written against.
//
// Sixteen float32 lanes on every instruction set: one register on AVX-512, two on AVX2, four on
// NEON, a plain array otherwise. Because the number of lanes and the order of a sum across them
// never change, neither do the bits of a result. Only these headers know intrinsics.
//
// What each backend defines, in lamina::LAMINA_ISA with internal linkage:
//
//   f32x16  load(p) load(p, n) store(p, v) store(p, v, n)   unaligned; with n: only the first
//                                                           n of 16 lanes, the others read as 0
//           splat(x) zero()
//           a + b, a - b, a * b, a / b, sqrt(a)             correctly rounded
//           fma(a, b, c) = a*b + c, fnma(a, b, c) = c - a*b one rounding
//           min(a, b) = a < b ? a : b, max(a, b) = a > b ? a : b    so b where either is NaN
//           a < b, a <= b, a > b, a >= b, a == b, is_nan(a) -> mask16
//           round(a)                                        to the nearest integer, ties to even
//           abs(a), copysign(magnitude, sign)
//           ldexp(a, n) = a 2^n, rounded once               n integral, |n| <= 250; 1/2 <= |a| <= 2
//           stream(p, v)                                    a store past the caches where there is
//                                                           one; p on a multiple of 64 bytes
//           finish_streams()                                before anyone else may read them
//   mask16  a & b, a | b, !a, select(m, a, b) = m ? a : b (f32x16 and i32x16), any(m)
//           zero_where(m, a) = m ? 0 : a                    cheaper than select
//           to_bits(m)                                      bit i is lane i's
//   i32x16  load/store as above, splat; a + b, a - b, a & b, a | b, a ^ b, shift_left<n>(a),
//           shift_right<n>(a) (logical), shift_right_signed<n>(a)
//           mul_even(a, b)                                  unsigned products of the even lanes,
//           low
//                                                           half in the even lane, high in the odd
//           odd_to_even(a)                                  lane 2i = a's 2i + 1, odd lanes 0
//           interleave(a, b)                                lane 2i = a's, 2i + 1 = b's lane 2i
//           less_unsigned(a, b), equal(a, b) -> mask16
//           bits(f32x16), as_float(i32x16)                  reinterpretation
//           to_int(f32x16)                                  nearest even; |x| < 2^31 is required
//           to_float(i32x16)                                signed
//   load_u8(p), load_f64(p)                                 sixteen values converted to float32
//   sum(v), largest(v)                                      across lanes, in one fixed order
//   add_products(sums, a, a_row, b)                         sums[i][j] = fma(a[i * a_row], the
//                                                           vector at b + 16 j, sums[i][j]), loaded
//                                                           in the order that suits the registers
//   transpose16(to, to_row, from, from_row)                 to[i * to_row + j] =
//                                                           from[j * from_row + i], 16 x 16
//
// The tile of the GEMM micro-kernel is a constant of the instruction set too: tile_rows x
// tile_vectors accumulators, with the register budget beside it; strip_bands tiles, one below the
// other, meet a strip of B. So are random_groups, the groups of 64 random numbers made side by
// side: as many as the registers hold.
#pragma once

#include <cstdint>
#include <cstring>

#ifndef LAMINA_ISA
#error "kernels are compiled once per instruction set, with -DLAMINA_ISA=<name>"
#endif

#define LAMINA_INLINE inline __attribute__((always_inline))
// The same for a lambda: [...](...) LAMINA_LAMBDA { ... }
#define LAMINA_LAMBDA __attribute__((always_inline))
// Forces full unrolling: without it GCC keeps accumulators in memory and a kernel runs at half
// its speed.
#define LAMINA_UNROLL _Pragma("GCC unroll 32")

#if defined(LAMINA_SIMD_AVX512)
#include "simd/avx512.h"
#elif defined(LAMINA_SIMD_AVX2)
#include "simd/avx2.h"
#elif defined(LAMINA_SIMD_NEON)
#include "simd/neon.h"
#else
#include "simd/portable.h"
#endif

#include "kernels/kernels.h"

namespace lamina::LAMINA_ISA {
namespace {

constexpr int64_t kLanes = 16;

// Applies body(i, n) to [0, count) in steps of one vector; n is 16 but for the last, partial one.
template <class Body>
LAMINA_INLINE void for_each_vector(int64_t count, Body&& body) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, kLanes);
  if (i < count) body(i, count - i);
}

// A full vector takes the plain instruction, a partial one the masked one.
LAMINA_INLINE f32x16 load_upto(const float* p, int64_t n) {
  return n == kLanes ? load(p) : load(p, n);
}
LAMINA_INLINE void store_upto(float* p, f32x16 v, int64_t n) {
  if (n == kLanes) {
    store(p, v);
  } else {
    store(p, v, n);
  }
}

// Memory that will be read soon, into the first cache, or into the second.
LAMINA_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
LAMINA_INLINE void prefetch_second(const void* p) { __builtin_prefetch(p, 0, 2); }

// Asks for a row that is about to be read: rows lie anywhere, so nobody else fetches them. All its
// lines at once and into the second cache, which has more of them under way than the first: 60000
// shuffled rows of 784 float32 take 16 ms instead of 26, and line by line beside the copy 21. The
// processor follows a longer row by itself.
LAMINA_INLINE void fetch_row(const void* row, int64_t bytes) {
  constexpr int64_t line = 64, most = 16384;
  const char* p = static_cast<const char*>(row);
  for (int64_t at = 0; at < (bytes < most ? bytes : most); at += line) prefetch_second(p + at);
}

// Stays zero while what it sees is finite, and is NaN from then on.
struct Finite {
  f32x16 marks = zero();
  LAMINA_INLINE void see(f32x16 x) { marks = fma(x, zero(), marks); }
  LAMINA_INLINE bool all() const { return !any(is_nan(marks)); }
};

// x, but zero where it is denormal: for what arises as such in numbers, and is read again by sums
// and products, where each denormal operand costs some processors a hundred cycles.
LAMINA_INLINE f32x16 without_denormals(f32x16 x) {
  return zero_where(abs(x) < splat(0x1p-126f), x);
}

// Whether a kernel writes n values past the caches: kernels.h says when. What is written over an
// input is in the cache already.
LAMINA_INLINE bool streamed(int64_t n, const float* y, const float* x) {
  return n >= kStreamedRun && y != x;
}

// y[i .. i + n) = body(i, n) over [0, count). Streamed, the vectors lie on cache lines.
template <class Body>
LAMINA_INLINE void map_vectors(float* y, int64_t count, bool streamed, Body&& body) {
  const auto plain = [&](int64_t i, int64_t n) { store_upto(y + i, body(i, n), n); };
  if (!streamed) {
    for_each_vector(count, plain);
    return;
  }
  const int64_t off = static_cast<int64_t>(reinterpret_cast<uintptr_t>(y) / sizeof(float) % kLanes);
  int64_t i = off == 0 ? 0 : kLanes - off < count ? kLanes - off : count;
  if (i > 0) plain(0, i);
  for (; i + kLanes <= count; i += kLanes) stream(y + i, body(i, kLanes));
  if (i < count) plain(i, count - i);
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
