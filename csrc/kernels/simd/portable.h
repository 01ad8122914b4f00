// f32x16 in the vectors of four that GCC and Clang have for every architecture: where the processor
// has no such instruction, they make it of others. The interface is described in ../simd.h.
#pragma once

#include <cstdint>
#include <cstring>

namespace lamina::LAMINA_ISA {
namespace {

constexpr int tile_rows = 4;
constexpr int tile_vectors = 1;
constexpr int strip_bands = 16;
constexpr int live_vectors = 1;
constexpr int random_groups = 1;

// Four lanes. A conversion between them keeps the bits, as between those of four doubles below.
using Floats = float __attribute__((vector_size(16)));
using Words = uint32_t __attribute__((vector_size(16)));
using Integers = int32_t __attribute__((vector_size(16)));

struct f32x16 {
  Floats q[4];
};
struct i32x16 {
  Words q[4];
};
struct mask16 {
  Words q[4];  // all ones or all zeros
};

// Builds one of the three types above, quarter by quarter.
template <class Vector, class Quarter>
LAMINA_INLINE Vector each(Quarter&& quarter) {
  return {{quarter(0), quarter(1), quarter(2), quarter(3)}};
}

// a*b + c with one rounding, as the hardware's instruction gives it. The product is exact in
// double; the sum is rounded to odd there, which makes the second rounding, to float, harmless
// (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
// rounding to odd", IEEE Transactions on Computers 57(4), 2008).
#ifdef __FP_FAST_FMAF
LAMINA_INLINE Floats fma(Floats a, Floats b, Floats c) {
  return Floats{__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]),
                __builtin_fmaf(a[2], b[2], c[2]), __builtin_fmaf(a[3], b[3], c[3])};
}
#else
using HalfFloats = float __attribute__((vector_size(8)));
LAMINA_INLINE HalfFloats fma(HalfFloats a, HalfFloats b, HalfFloats c) {
  using Doubles = double __attribute__((vector_size(16)));
  using Longs = int64_t __attribute__((vector_size(16)));
  const Doubles product = __builtin_convertvector(a, Doubles) * __builtin_convertvector(b, Doubles);
  const Doubles addend = __builtin_convertvector(c, Doubles);
  const Doubles sum = product + addend;
  const Doubles part = sum - product;
  const Doubles error = (product - (sum - part)) + (addend - part);
  // True is -1. Of an infinite or NaN sum the error is NaN, which counts as exact.
  const Longs above = error > 0.0, inexact = above | (error < 0.0);
  const Longs even = (Longs(sum) & 1) - 1;
  const Longs step = (above ^ (sum > 0.0)) | 1;  // of the word, towards the exact sum: 1 or -1
  return __builtin_convertvector(Doubles(Longs(sum) + (step & inexact & even)), HalfFloats);
}
// Called, not inlined: in line everywhere it took the compiler twice as long, for a product a fifth
// to a quarter shorter.
__attribute__((noinline, unused)) Floats fma(Floats a, Floats b, Floats c) {
  const HalfFloats low =
      fma(HalfFloats{a[0], a[1]}, HalfFloats{b[0], b[1]}, HalfFloats{c[0], c[1]});
  const HalfFloats high =
      fma(HalfFloats{a[2], a[3]}, HalfFloats{b[2], b[3]}, HalfFloats{c[2], c[3]});
  return Floats{low[0], low[1], high[0], high[1]};
}
#endif

LAMINA_INLINE f32x16 load(const float* p) {
  f32x16 r;
  std::memcpy(r.q, p, sizeof r.q);
  return r;
}
LAMINA_INLINE f32x16 load(const float* p, int64_t n) {
  float lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
LAMINA_INLINE void store(float* p, f32x16 a) { std::memcpy(p, a.q, sizeof a.q); }
LAMINA_INLINE void store(float* p, f32x16 a, int64_t n) {
  float lanes[16];
  store(lanes, a);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
LAMINA_INLINE void stream(float* p, f32x16 a) { store(p, a); }
LAMINA_INLINE void finish_streams() {}
LAMINA_INLINE f32x16 splat(float x) {
  return each<f32x16>([&](int) { return Floats{x, x, x, x}; });
}
LAMINA_INLINE f32x16 zero() { return splat(0.0f); }

LAMINA_INLINE f32x16 operator+(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.q[i] + b.q[i]; });
}
LAMINA_INLINE f32x16 operator-(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.q[i] - b.q[i]; });
}
LAMINA_INLINE f32x16 operator*(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.q[i] * b.q[i]; });
}
LAMINA_INLINE f32x16 operator/(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.q[i] / b.q[i]; });
}
LAMINA_INLINE f32x16 sqrt(f32x16 a) {
  return each<f32x16>([&](int i) {
    return Floats{__builtin_sqrtf(a.q[i][0]), __builtin_sqrtf(a.q[i][1]),
                  __builtin_sqrtf(a.q[i][2]), __builtin_sqrtf(a.q[i][3])};
  });
}
LAMINA_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  return each<f32x16>([&](int i) LAMINA_LAMBDA { return fma(a.q[i], b.q[i], c.q[i]); });
}
LAMINA_INLINE f32x16 fnma(f32x16 a, f32x16 b, f32x16 c) {
  return each<f32x16>([&](int i) LAMINA_LAMBDA { return fma(-a.q[i], b.q[i], c.q[i]); });
}
LAMINA_INLINE f32x16 min(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.q[i] < b.q[i] ? a.q[i] : b.q[i]; });
}
LAMINA_INLINE f32x16 max(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.q[i] > b.q[i] ? a.q[i] : b.q[i]; });
}

LAMINA_INLINE mask16 operator<(f32x16 a, f32x16 b) {
  return each<mask16>([&](int i) { return Words(a.q[i] < b.q[i]); });
}
LAMINA_INLINE mask16 operator<=(f32x16 a, f32x16 b) {
  return each<mask16>([&](int i) { return Words(a.q[i] <= b.q[i]); });
}
LAMINA_INLINE mask16 operator>(f32x16 a, f32x16 b) { return b < a; }
LAMINA_INLINE mask16 operator>=(f32x16 a, f32x16 b) { return b <= a; }
LAMINA_INLINE mask16 operator==(f32x16 a, f32x16 b) {
  return each<mask16>([&](int i) { return Words(a.q[i] == b.q[i]); });
}
LAMINA_INLINE mask16 operator&(mask16 a, mask16 b) {
  return each<mask16>([&](int i) { return a.q[i] & b.q[i]; });
}
LAMINA_INLINE mask16 operator|(mask16 a, mask16 b) {
  return each<mask16>([&](int i) { return a.q[i] | b.q[i]; });
}
LAMINA_INLINE mask16 operator!(mask16 a) {
  return each<mask16>([&](int i) { return ~a.q[i]; });
}
LAMINA_INLINE mask16 is_nan(f32x16 a) { return !(a == a); }
LAMINA_INLINE bool any(mask16 a) {
  const Words seen = a.q[0] | a.q[1] | a.q[2] | a.q[3];
  return (seen[0] | seen[1] | seen[2] | seen[3]) != 0;
}
LAMINA_INLINE uint32_t to_bits(mask16 a) {
  const Words place = {1, 2, 4, 8};
  Words bits = {};
  LAMINA_UNROLL
  for (int i = 0; i < 4; ++i) bits |= (a.q[i] & place) << 4 * i;
  return bits[0] | bits[1] | bits[2] | bits[3];
}
LAMINA_INLINE f32x16 select(mask16 m, f32x16 a, f32x16 b) {
  return each<f32x16>(
      [&](int i) { return Floats((Words(a.q[i]) & m.q[i]) | (Words(b.q[i]) & ~m.q[i])); });
}
LAMINA_INLINE i32x16 select(mask16 m, i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return (a.q[i] & m.q[i]) | (b.q[i] & ~m.q[i]); });
}
LAMINA_INLINE f32x16 zero_where(mask16 m, f32x16 a) {
  return each<f32x16>([&](int i) { return Floats(Words(a.q[i]) & ~m.q[i]); });
}

LAMINA_INLINE i32x16 load(const int32_t* p) {
  i32x16 r;
  std::memcpy(r.q, p, sizeof r.q);
  return r;
}
LAMINA_INLINE i32x16 load(const int32_t* p, int64_t n) {
  int32_t lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
LAMINA_INLINE void store(int32_t* p, i32x16 a) { std::memcpy(p, a.q, sizeof a.q); }
LAMINA_INLINE void store(int32_t* p, i32x16 a, int64_t n) {
  int32_t lanes[16];
  store(lanes, a);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
LAMINA_INLINE i32x16 splat(int32_t x) {
  const auto word = static_cast<uint32_t>(x);
  return each<i32x16>([&](int) { return Words{word, word, word, word}; });
}
LAMINA_INLINE i32x16 operator+(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return a.q[i] + b.q[i]; });
}
LAMINA_INLINE i32x16 operator-(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return a.q[i] - b.q[i]; });
}
LAMINA_INLINE i32x16 operator&(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return a.q[i] & b.q[i]; });
}
LAMINA_INLINE i32x16 operator|(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return a.q[i] | b.q[i]; });
}
LAMINA_INLINE i32x16 operator^(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return a.q[i] ^ b.q[i]; });
}
template <int n>
LAMINA_INLINE i32x16 shift_left(i32x16 a) {
  return each<i32x16>([&](int i) { return a.q[i] << n; });
}
template <int n>
LAMINA_INLINE i32x16 shift_right(i32x16 a) {
  return each<i32x16>([&](int i) { return a.q[i] >> n; });
}
template <int n>
LAMINA_INLINE i32x16 shift_right_signed(i32x16 a) {
  return each<i32x16>([&](int i) { return Words(Integers(a.q[i]) >> n); });
}
LAMINA_INLINE i32x16 mul_even(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) {
    const uint64_t low = static_cast<uint64_t>(a.q[i][0]) * b.q[i][0];
    const uint64_t high = static_cast<uint64_t>(a.q[i][2]) * b.q[i][2];
    return Words{static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32),
                 static_cast<uint32_t>(high), static_cast<uint32_t>(high >> 32)};
  });
}
LAMINA_INLINE i32x16 odd_to_even(i32x16 a) {
  return each<i32x16>([&](int i) { return Words{a.q[i][1], 0, a.q[i][3], 0}; });
}
LAMINA_INLINE i32x16 interleave(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return Words{a.q[i][0], b.q[i][0], a.q[i][2], b.q[i][2]}; });
}
LAMINA_INLINE mask16 less_unsigned(i32x16 a, i32x16 b) {
  return each<mask16>([&](int i) { return Words(a.q[i] < b.q[i]); });
}
LAMINA_INLINE mask16 equal(i32x16 a, i32x16 b) {
  return each<mask16>([&](int i) { return Words(a.q[i] == b.q[i]); });
}

LAMINA_INLINE i32x16 bits(f32x16 a) {
  return each<i32x16>([&](int i) { return Words(a.q[i]); });
}
LAMINA_INLINE f32x16 as_float(i32x16 a) {
  return each<f32x16>([&](int i) { return Floats(a.q[i]); });
}
LAMINA_INLINE f32x16 abs(f32x16 a) { return as_float(bits(a) & splat(0x7fffffff)); }
LAMINA_INLINE f32x16 copysign(f32x16 magnitude, f32x16 sign) {
  return as_float(bits(abs(magnitude)) | (bits(sign) & splat(INT32_MIN)));
}
// From 2^23 on every float is an integer; below, adding that much rounds to one.
LAMINA_INLINE f32x16 round(f32x16 a) {
  const f32x16 large = splat(0x1p23f), size = abs(a);
  return select(size < large, copysign((size + large) - large, a), a);
}
LAMINA_INLINE i32x16 to_int(f32x16 a) {
  const f32x16 rounded = round(a);
  return each<i32x16>(
      [&](int i) { return Words(__builtin_convertvector(rounded.q[i], Integers)); });
}
LAMINA_INLINE f32x16 to_float(i32x16 a) {
  return each<f32x16>([&](int i) { return __builtin_convertvector(Integers(a.q[i]), Floats); });
}

// In two factors, of which only the second rounds.
LAMINA_INLINE f32x16 ldexp(f32x16 a, f32x16 n) {
  const i32x16 whole = to_int(n), half = shift_right_signed<1>(whole), bias = splat(127);
  const f32x16 first = as_float(shift_left<23>(half + bias));
  return a * first * as_float(shift_left<23>(whole - half + bias));
}

template <class T>
LAMINA_INLINE f32x16 load_converted(const T* p) {
  return each<f32x16>([&](int i) {
    const T* four = p + 4 * i;
    return Floats{static_cast<float>(four[0]), static_cast<float>(four[1]),
                  static_cast<float>(four[2]), static_cast<float>(four[3])};
  });
}
LAMINA_INLINE f32x16 load_u8(const uint8_t* p) { return load_converted(p); }
LAMINA_INLINE f32x16 load_f64(const double* p) { return load_converted(p); }

// Lanes i and i + 8, then i and i + 4, i + 2, i + 1.
LAMINA_INLINE float sum(f32x16 a) {
  const Floats s = (a.q[0] + a.q[2]) + (a.q[1] + a.q[3]);
  return (s[0] + s[2]) + (s[1] + s[3]);
}
LAMINA_INLINE float largest(f32x16 a) {
  const auto larger = [](auto x, auto y) { return x > y ? x : y; };
  const Floats l = larger(larger(a.q[0], a.q[2]), larger(a.q[1], a.q[3]));
  return larger(larger(l[0], l[2]), larger(l[1], l[3]));
}

LAMINA_INLINE void transpose16(float* to, int64_t to_row, const float* from, int64_t from_row) {
  for (int64_t i = 0; i < 16; ++i) {
    for (int64_t j = 0; j < 16; ++j) to[i * to_row + j] = from[j * from_row + i];
  }
}

// sums[i][j] += a[i * a_row] * B[j], whose vectors lie one after the other.
template <int rows, int vectors>
LAMINA_INLINE void add_products(f32x16 (&sums)[rows][vectors], const float* a, int64_t a_row,
                                const float* b) {
  f32x16 factor[rows];
  LAMINA_UNROLL
  for (int i = 0; i < rows; ++i) factor[i] = splat(a[i * a_row]);
  LAMINA_UNROLL
  for (int j = 0; j < vectors; ++j) {
    const f32x16 column = load(b + 16 * j);
    LAMINA_UNROLL
    for (int i = 0; i < rows; ++i) sums[i][j] = fma(factor[i], column, sums[i][j]);
  }
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
