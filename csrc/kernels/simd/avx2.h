// f32x16 on AVX2 with FMA: two registers. The interface is described in ../simd.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace lamina::LAMINA_ISA {
namespace {

// 16 registers: 6 x 1 accumulators of two registers each, 2 of B, 1 broadcast of A, 1 spare.
constexpr int tile_rows = 6;
constexpr int tile_vectors = 1;
constexpr int strip_bands = 12;  // a strip is 14 KB, the rows of 12 bands 63 KB
constexpr int live_vectors = 2;  // kLiveRows x 2 accumulators of two registers, 3 of A, 1 of B
constexpr int random_groups = 1;

struct f32x16 {
  __m256 lo, hi;
};
struct i32x16 {
  __m256i lo, hi;
};
struct mask16 {
  __m256 lo, hi;
};

// All bits set in the first n of eight lanes; n may lie outside [0, 8].
LAMINA_INLINE __m256i first_of_eight(int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
}

LAMINA_INLINE f32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
LAMINA_INLINE f32x16 load(const float* p, int64_t n) {
  return {_mm256_maskload_ps(p, first_of_eight(n)),
          _mm256_maskload_ps(p + 8, first_of_eight(n - 8))};
}
LAMINA_INLINE void store(float* p, f32x16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
LAMINA_INLINE void store(float* p, f32x16 a, int64_t n) {
  _mm256_maskstore_ps(p, first_of_eight(n), a.lo);
  _mm256_maskstore_ps(p + 8, first_of_eight(n - 8), a.hi);
}
LAMINA_INLINE void stream(float* p, f32x16 a) {
  _mm256_stream_ps(p, a.lo);
  _mm256_stream_ps(p + 8, a.hi);
}
LAMINA_INLINE void finish_streams() { _mm_sfence(); }
LAMINA_INLINE f32x16 splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
LAMINA_INLINE f32x16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }

LAMINA_INLINE f32x16 operator+(f32x16 a, f32x16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
LAMINA_INLINE f32x16 operator-(f32x16 a, f32x16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
LAMINA_INLINE f32x16 operator*(f32x16 a, f32x16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
LAMINA_INLINE f32x16 operator/(f32x16 a, f32x16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
LAMINA_INLINE f32x16 sqrt(f32x16 a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
LAMINA_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
LAMINA_INLINE f32x16 fnma(f32x16 a, f32x16 b, f32x16 c) {
  return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
LAMINA_INLINE f32x16 min(f32x16 a, f32x16 b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
LAMINA_INLINE f32x16 max(f32x16 a, f32x16 b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
LAMINA_INLINE f32x16 round(f32x16 a) {
  constexpr int mode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.lo, mode), _mm256_round_ps(a.hi, mode)};
}
LAMINA_INLINE f32x16 abs(f32x16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}

template <int predicate>
LAMINA_INLINE mask16 compare(f32x16 a, f32x16 b) {
  return {_mm256_cmp_ps(a.lo, b.lo, predicate), _mm256_cmp_ps(a.hi, b.hi, predicate)};
}
LAMINA_INLINE mask16 operator<(f32x16 a, f32x16 b) { return compare<_CMP_LT_OQ>(a, b); }
LAMINA_INLINE mask16 operator<=(f32x16 a, f32x16 b) { return compare<_CMP_LE_OQ>(a, b); }
LAMINA_INLINE mask16 operator>(f32x16 a, f32x16 b) { return compare<_CMP_GT_OQ>(a, b); }
LAMINA_INLINE mask16 operator>=(f32x16 a, f32x16 b) { return compare<_CMP_GE_OQ>(a, b); }
LAMINA_INLINE mask16 operator==(f32x16 a, f32x16 b) { return compare<_CMP_EQ_OQ>(a, b); }
LAMINA_INLINE mask16 is_nan(f32x16 a) { return compare<_CMP_UNORD_Q>(a, a); }

LAMINA_INLINE mask16 operator&(mask16 a, mask16 b) {
  return {_mm256_and_ps(a.lo, b.lo), _mm256_and_ps(a.hi, b.hi)};
}
LAMINA_INLINE mask16 operator|(mask16 a, mask16 b) {
  return {_mm256_or_ps(a.lo, b.lo), _mm256_or_ps(a.hi, b.hi)};
}
LAMINA_INLINE mask16 operator!(mask16 a) {
  const __m256 ones = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
  return {_mm256_xor_ps(a.lo, ones), _mm256_xor_ps(a.hi, ones)};
}
LAMINA_INLINE bool any(mask16 a) { return _mm256_movemask_ps(_mm256_or_ps(a.lo, a.hi)) != 0; }
LAMINA_INLINE uint32_t to_bits(mask16 a) {
  return static_cast<uint32_t>(_mm256_movemask_ps(a.lo)) |
         static_cast<uint32_t>(_mm256_movemask_ps(a.hi)) << 8;
}
LAMINA_INLINE f32x16 select(mask16 m, f32x16 a, f32x16 b) {
  return {_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)};
}
LAMINA_INLINE f32x16 zero_where(mask16 m, f32x16 a) {
  return {_mm256_andnot_ps(m.lo, a.lo), _mm256_andnot_ps(m.hi, a.hi)};
}

LAMINA_INLINE __m256i load_eight(const int32_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
LAMINA_INLINE i32x16 load(const int32_t* p) { return {load_eight(p), load_eight(p + 8)}; }
LAMINA_INLINE i32x16 load(const int32_t* p, int64_t n) {
  return {_mm256_maskload_epi32(p, first_of_eight(n)),
          _mm256_maskload_epi32(p + 8, first_of_eight(n - 8))};
}
LAMINA_INLINE void store(int32_t* p, i32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), a.hi);
}
LAMINA_INLINE void store(int32_t* p, i32x16 a, int64_t n) {
  _mm256_maskstore_epi32(p, first_of_eight(n), a.lo);
  _mm256_maskstore_epi32(p + 8, first_of_eight(n - 8), a.hi);
}
LAMINA_INLINE i32x16 splat(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
LAMINA_INLINE i32x16 operator+(i32x16 a, i32x16 b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
LAMINA_INLINE i32x16 operator-(i32x16 a, i32x16 b) {
  return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}
LAMINA_INLINE i32x16 operator&(i32x16 a, i32x16 b) {
  return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
LAMINA_INLINE i32x16 operator|(i32x16 a, i32x16 b) {
  return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)};
}
LAMINA_INLINE i32x16 operator^(i32x16 a, i32x16 b) {
  return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)};
}
template <int n>
LAMINA_INLINE i32x16 shift_left(i32x16 a) {
  return {_mm256_slli_epi32(a.lo, n), _mm256_slli_epi32(a.hi, n)};
}
template <int n>
LAMINA_INLINE i32x16 shift_right(i32x16 a) {
  return {_mm256_srli_epi32(a.lo, n), _mm256_srli_epi32(a.hi, n)};
}
template <int n>
LAMINA_INLINE i32x16 shift_right_signed(i32x16 a) {
  return {_mm256_srai_epi32(a.lo, n), _mm256_srai_epi32(a.hi, n)};
}
LAMINA_INLINE i32x16 mul_even(i32x16 a, i32x16 b) {
  return {_mm256_mul_epu32(a.lo, b.lo), _mm256_mul_epu32(a.hi, b.hi)};
}
LAMINA_INLINE i32x16 odd_to_even(i32x16 a) {
  return {_mm256_srli_epi64(a.lo, 32), _mm256_srli_epi64(a.hi, 32)};
}
LAMINA_INLINE i32x16 interleave(i32x16 a, i32x16 b) {
  return {_mm256_blend_epi32(a.lo, _mm256_slli_epi64(b.lo, 32), 0xAA),
          _mm256_blend_epi32(a.hi, _mm256_slli_epi64(b.hi, 32), 0xAA)};
}
LAMINA_INLINE mask16 less_unsigned(i32x16 a, i32x16 b) {
  const __m256i flip = _mm256_set1_epi32(INT32_MIN);
  return {_mm256_castsi256_ps(
              _mm256_cmpgt_epi32(_mm256_xor_si256(b.lo, flip), _mm256_xor_si256(a.lo, flip))),
          _mm256_castsi256_ps(
              _mm256_cmpgt_epi32(_mm256_xor_si256(b.hi, flip), _mm256_xor_si256(a.hi, flip)))};
}
LAMINA_INLINE mask16 equal(i32x16 a, i32x16 b) {
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.lo, b.lo)),
          _mm256_castsi256_ps(_mm256_cmpeq_epi32(a.hi, b.hi))};
}

LAMINA_INLINE i32x16 bits(f32x16 a) {
  return {_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)};
}
LAMINA_INLINE f32x16 as_float(i32x16 a) {
  return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)};
}
LAMINA_INLINE i32x16 select(mask16 m, i32x16 a, i32x16 b) {
  return bits(select(m, as_float(a), as_float(b)));
}
LAMINA_INLINE i32x16 to_int(f32x16 a) {
  return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)};
}
LAMINA_INLINE f32x16 to_float(i32x16 a) {
  return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
LAMINA_INLINE f32x16 copysign(f32x16 magnitude, f32x16 sign) {
  const __m256 mask = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(mask, magnitude.lo), _mm256_and_ps(mask, sign.lo)),
          _mm256_or_ps(_mm256_andnot_ps(mask, magnitude.hi), _mm256_and_ps(mask, sign.hi))};
}

// In two factors, of which only the second rounds.
LAMINA_INLINE f32x16 ldexp(f32x16 a, f32x16 n) {
  const i32x16 whole = to_int(n), half = shift_right_signed<1>(whole), bias = splat(127);
  const f32x16 first = as_float(shift_left<23>(half + bias));
  return a * first * as_float(shift_left<23>(whole - half + bias));
}

LAMINA_INLINE f32x16 load_u8(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)))};
}
LAMINA_INLINE __m256 load_eight_f64(const double* p) {
  return _mm256_set_m128(_mm256_cvtpd_ps(_mm256_loadu_pd(p + 4)),
                         _mm256_cvtpd_ps(_mm256_loadu_pd(p)));
}
LAMINA_INLINE f32x16 load_f64(const double* p) {
  return {load_eight_f64(p), load_eight_f64(p + 8)};
}

// Lanes i and i + 8, then i and i + 4, i + 2, i + 1.
LAMINA_INLINE float sum(f32x16 a) {
  const __m256 s8 = _mm256_add_ps(a.lo, a.hi);
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
LAMINA_INLINE float largest(f32x16 a) {
  const __m256 s8 = _mm256_max_ps(a.lo, a.hi);
  const __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
}

// 8 x 8: fours of rows within each half of a register, then the halves.
LAMINA_INLINE void transpose8(float* to, int64_t to_row, const float* from, int64_t from_row) {
  __m256 four[8];
  LAMINA_UNROLL
  for (int g = 0; g < 8; g += 4) {
    const float* rows = from + g * from_row;
    const __m256 r0 = _mm256_loadu_ps(rows), r1 = _mm256_loadu_ps(rows + from_row);
    const __m256 r2 = _mm256_loadu_ps(rows + 2 * from_row);
    const __m256 r3 = _mm256_loadu_ps(rows + 3 * from_row);
    const __m256 low01 = _mm256_unpacklo_ps(r0, r1), high01 = _mm256_unpackhi_ps(r0, r1);
    const __m256 low23 = _mm256_unpacklo_ps(r2, r3), high23 = _mm256_unpackhi_ps(r2, r3);
    four[g] = _mm256_shuffle_ps(low01, low23, 0x44);
    four[g + 1] = _mm256_shuffle_ps(low01, low23, 0xEE);
    four[g + 2] = _mm256_shuffle_ps(high01, high23, 0x44);
    four[g + 3] = _mm256_shuffle_ps(high01, high23, 0xEE);
  }
  LAMINA_UNROLL
  for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps(to + c * to_row, _mm256_permute2f128_ps(four[c], four[4 + c], 0x20));
    _mm256_storeu_ps(to + (4 + c) * to_row, _mm256_permute2f128_ps(four[c], four[4 + c], 0x31));
  }
}
LAMINA_INLINE void transpose16(float* to, int64_t to_row, const float* from, int64_t from_row) {
  for (int64_t i = 0; i < 16; i += 8) {
    for (int64_t j = 0; j < 16; j += 8) {
      transpose8(to + i * to_row + j, to_row, from + j * from_row + i, from_row);
    }
  }
}

// sums[i][j] += a[i * a_row] * B[j], whose vectors lie one after the other.
// One half of a vector after the other: 12 sums, 3 of A and one of B are all 16 registers. With
// whole vectors a sum lives in memory, and each term waits for it (1.75 of the time).
template <int rows, int vectors>
LAMINA_INLINE void add_products(f32x16 (&sums)[rows][vectors], const float* a, int64_t a_row,
                                const float* b) {
  f32x16 factor[rows];
  LAMINA_UNROLL
  for (int i = 0; i < rows; ++i) factor[i] = splat(a[i * a_row]);
  LAMINA_UNROLL
  for (int j = 0; j < vectors; ++j) {
    const __m256 low = _mm256_loadu_ps(b + 16 * j);
    LAMINA_UNROLL
    for (int i = 0; i < rows; ++i)
      sums[i][j].lo = _mm256_fmadd_ps(factor[i].lo, low, sums[i][j].lo);
    const __m256 high = _mm256_loadu_ps(b + 16 * j + 8);
    LAMINA_UNROLL
    for (int i = 0; i < rows; ++i)
      sums[i][j].hi = _mm256_fmadd_ps(factor[i].hi, high, sums[i][j].hi);
  }
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
