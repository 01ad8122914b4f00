// f32x16 in plain C++: sixteen floats in an array, left to the compiler to vectorise as the
// baseline of the architecture allows. The interface is described in ../simd.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace lamina::LAMINA_ISA {
namespace {

constexpr int tile_rows = 4;
constexpr int tile_vectors = 1;
constexpr int strip_bands = 16;
constexpr int live_vectors = 1;
constexpr int random_groups = 1;

struct f32x16 {
  float lane[16];
};
struct i32x16 {
  uint32_t lane[16];
};
struct mask16 {
  uint32_t lane[16];  // all ones or all zeros
};

template <class Vector, class Lane>
LAMINA_INLINE Vector each(Lane&& lane) {
  Vector r;
  for (int i = 0; i < 16; ++i) r.lane[i] = lane(i);
  return r;
}

// a*b + c with one rounding, as the hardware's instruction gives it. The product is exact in
// double; the sum is rounded to odd there, which makes the second rounding, to float, harmless
// (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
// rounding to odd", IEEE Transactions on Computers 57(4), 2008).
LAMINA_INLINE float fma_one(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
  return __builtin_fmaf(a, b, c);
#else
  const double product = static_cast<double>(a) * b;
  const double addend = c;
  double sum = product + addend;
  const double part = sum - product;
  const double error = (product - (sum - part)) + (addend - part);
  uint64_t word;
  std::memcpy(&word, &sum, sizeof word);
  const bool inexact = error < 0.0 || error > 0.0;  // false where sum is infinite or NaN
  if (inexact && (word & 1) == 0) {
    word += (error > 0.0) == (sum > 0.0) ? uint64_t{1} : ~uint64_t{0};
    std::memcpy(&sum, &word, sizeof sum);
  }
  return static_cast<float>(sum);
#endif
}
LAMINA_INLINE uint32_t all_ones(bool b) { return b ? ~uint32_t{0} : uint32_t{0}; }

LAMINA_INLINE f32x16 load(const float* p) {
  return each<f32x16>([&](int i) { return p[i]; });
}
LAMINA_INLINE f32x16 load(const float* p, int64_t n) {
  f32x16 r = {};
  for (int64_t i = 0; i < n; ++i) r.lane[i] = p[i];
  return r;
}
LAMINA_INLINE void store(float* p, f32x16 a) { std::memcpy(p, a.lane, sizeof a.lane); }
LAMINA_INLINE void store(float* p, f32x16 a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = a.lane[i];
}
LAMINA_INLINE void stream(float* p, f32x16 a) { store(p, a); }
LAMINA_INLINE void finish_streams() {}
LAMINA_INLINE f32x16 splat(float x) {
  return each<f32x16>([&](int) { return x; });
}
LAMINA_INLINE f32x16 zero() { return splat(0.0f); }

LAMINA_INLINE f32x16 operator+(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.lane[i] + b.lane[i]; });
}
LAMINA_INLINE f32x16 operator-(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.lane[i] - b.lane[i]; });
}
LAMINA_INLINE f32x16 operator*(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.lane[i] * b.lane[i]; });
}
LAMINA_INLINE f32x16 operator/(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.lane[i] / b.lane[i]; });
}
LAMINA_INLINE f32x16 sqrt(f32x16 a) {
  return each<f32x16>([&](int i) { return __builtin_sqrtf(a.lane[i]); });
}
LAMINA_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  return each<f32x16>([&](int i) { return fma_one(a.lane[i], b.lane[i], c.lane[i]); });
}
LAMINA_INLINE f32x16 fnma(f32x16 a, f32x16 b, f32x16 c) {
  return each<f32x16>([&](int i) { return fma_one(-a.lane[i], b.lane[i], c.lane[i]); });
}
LAMINA_INLINE f32x16 min(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
LAMINA_INLINE f32x16 max(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
LAMINA_INLINE f32x16 round(f32x16 a) {
  return each<f32x16>([&](int i) { return __builtin_rintf(a.lane[i]); });
}
LAMINA_INLINE f32x16 abs(f32x16 a) {
  return each<f32x16>([&](int i) { return __builtin_fabsf(a.lane[i]); });
}
LAMINA_INLINE f32x16 copysign(f32x16 magnitude, f32x16 sign) {
  return each<f32x16>([&](int i) { return __builtin_copysignf(magnitude.lane[i], sign.lane[i]); });
}

LAMINA_INLINE mask16 operator<(f32x16 a, f32x16 b) {
  return each<mask16>([&](int i) { return all_ones(a.lane[i] < b.lane[i]); });
}
LAMINA_INLINE mask16 operator<=(f32x16 a, f32x16 b) {
  return each<mask16>([&](int i) { return all_ones(a.lane[i] <= b.lane[i]); });
}
LAMINA_INLINE mask16 operator>(f32x16 a, f32x16 b) { return b < a; }
LAMINA_INLINE mask16 operator>=(f32x16 a, f32x16 b) { return b <= a; }
LAMINA_INLINE mask16 operator==(f32x16 a, f32x16 b) {
  return each<mask16>([&](int i) { return all_ones(a.lane[i] == b.lane[i]); });
}
LAMINA_INLINE mask16 operator&(mask16 a, mask16 b) {
  return each<mask16>([&](int i) { return a.lane[i] & b.lane[i]; });
}
LAMINA_INLINE mask16 operator|(mask16 a, mask16 b) {
  return each<mask16>([&](int i) { return a.lane[i] | b.lane[i]; });
}
LAMINA_INLINE mask16 operator!(mask16 a) {
  return each<mask16>([&](int i) { return ~a.lane[i]; });
}
LAMINA_INLINE mask16 is_nan(f32x16 a) { return !(a == a); }
LAMINA_INLINE bool any(mask16 a) {
  uint32_t seen = 0;
  for (int i = 0; i < 16; ++i) seen |= a.lane[i];
  return seen != 0;
}
LAMINA_INLINE uint32_t to_bits(mask16 a) {
  uint32_t bits = 0;
  for (int i = 0; i < 16; ++i) bits |= (a.lane[i] & 1u) << i;
  return bits;
}
LAMINA_INLINE f32x16 select(mask16 m, f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return m.lane[i] ? a.lane[i] : b.lane[i]; });
}
LAMINA_INLINE i32x16 select(mask16 m, i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return m.lane[i] ? a.lane[i] : b.lane[i]; });
}
LAMINA_INLINE f32x16 zero_where(mask16 m, f32x16 a) { return select(m, zero(), a); }

LAMINA_INLINE i32x16 load(const int32_t* p) {
  return each<i32x16>([&](int i) { return static_cast<uint32_t>(p[i]); });
}
LAMINA_INLINE i32x16 load(const int32_t* p, int64_t n) {
  i32x16 r = {};
  for (int64_t i = 0; i < n; ++i) r.lane[i] = static_cast<uint32_t>(p[i]);
  return r;
}
LAMINA_INLINE void store(int32_t* p, i32x16 a) { std::memcpy(p, a.lane, sizeof a.lane); }
LAMINA_INLINE void store(int32_t* p, i32x16 a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = static_cast<int32_t>(a.lane[i]);
}
LAMINA_INLINE i32x16 splat(int32_t x) {
  return each<i32x16>([&](int) { return static_cast<uint32_t>(x); });
}
LAMINA_INLINE i32x16 operator+(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return a.lane[i] + b.lane[i]; });
}
LAMINA_INLINE i32x16 operator-(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return a.lane[i] - b.lane[i]; });
}
LAMINA_INLINE i32x16 operator&(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return a.lane[i] & b.lane[i]; });
}
LAMINA_INLINE i32x16 operator|(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return a.lane[i] | b.lane[i]; });
}
LAMINA_INLINE i32x16 operator^(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return a.lane[i] ^ b.lane[i]; });
}
template <int n>
LAMINA_INLINE i32x16 shift_left(i32x16 a) {
  return each<i32x16>([&](int i) { return a.lane[i] << n; });
}
template <int n>
LAMINA_INLINE i32x16 shift_right(i32x16 a) {
  return each<i32x16>([&](int i) { return a.lane[i] >> n; });
}
template <int n>
LAMINA_INLINE i32x16 shift_right_signed(i32x16 a) {
  return each<i32x16>(
      [&](int i) { return static_cast<uint32_t>(static_cast<int32_t>(a.lane[i]) >> n); });
}
LAMINA_INLINE i32x16 mul_even(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) {
    const uint64_t product = static_cast<uint64_t>(a.lane[i & ~1]) * b.lane[i & ~1];
    return static_cast<uint32_t>(i % 2 == 0 ? product : product >> 32);
  });
}
LAMINA_INLINE i32x16 odd_to_even(i32x16 a) {
  return each<i32x16>([&](int i) { return i % 2 == 0 ? a.lane[i + 1] : 0u; });
}
LAMINA_INLINE i32x16 interleave(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return i % 2 == 0 ? a.lane[i] : b.lane[i - 1]; });
}
LAMINA_INLINE mask16 less_unsigned(i32x16 a, i32x16 b) {
  return each<mask16>([&](int i) { return all_ones(a.lane[i] < b.lane[i]); });
}
LAMINA_INLINE mask16 equal(i32x16 a, i32x16 b) {
  return each<mask16>([&](int i) { return all_ones(a.lane[i] == b.lane[i]); });
}

LAMINA_INLINE i32x16 bits(f32x16 a) {
  i32x16 r;
  std::memcpy(r.lane, a.lane, sizeof r.lane);
  return r;
}
LAMINA_INLINE f32x16 as_float(i32x16 a) {
  f32x16 r;
  std::memcpy(r.lane, a.lane, sizeof r.lane);
  return r;
}
LAMINA_INLINE i32x16 to_int(f32x16 a) {
  return each<i32x16>([&](int i) {
    return static_cast<uint32_t>(static_cast<int32_t>(__builtin_rintf(a.lane[i])));
  });
}
LAMINA_INLINE f32x16 to_float(i32x16 a) {
  return each<f32x16>([&](int i) { return static_cast<float>(static_cast<int32_t>(a.lane[i])); });
}

// In two factors, of which only the second rounds.
LAMINA_INLINE f32x16 ldexp(f32x16 a, f32x16 n) {
  const i32x16 whole = to_int(n), half = shift_right_signed<1>(whole), bias = splat(127);
  const f32x16 first = as_float(shift_left<23>(half + bias));
  return a * first * as_float(shift_left<23>(whole - half + bias));
}

LAMINA_INLINE f32x16 load_u8(const uint8_t* p) {
  return each<f32x16>([&](int i) { return static_cast<float>(p[i]); });
}
LAMINA_INLINE f32x16 load_f64(const double* p) {
  return each<f32x16>([&](int i) { return static_cast<float>(p[i]); });
}

// Lanes i and i + 8, then i and i + 4, i + 2, i + 1.
LAMINA_INLINE float sum(f32x16 a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.lane[i] = a.lane[i] + a.lane[i + half];
  }
  return a.lane[0];
}
LAMINA_INLINE float largest(f32x16 a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) {
      a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
    }
  }
  return a.lane[0];
}

LAMINA_INLINE void transpose16(float* to, int64_t to_row, const float* from, int64_t from_row) {
  for (int64_t i = 0; i < 16; ++i) {
    for (int64_t j = 0; j < 16; ++j) to[i * to_row + j] = from[j * from_row + i];
  }
}

// sums[i][j] += a[i] * B[j], whose vectors lie one after the other.
template <int rows, int vectors>
LAMINA_INLINE void add_products(f32x16 (&sums)[rows][vectors], const f32x16 (&a)[rows],
                                const float* b) {
  LAMINA_UNROLL
  for (int j = 0; j < vectors; ++j) {
    const f32x16 column = load(b + 16 * j);
    LAMINA_UNROLL
    for (int i = 0; i < rows; ++i) sums[i][j] = fma(a[i], column, sums[i][j]);
  }
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
