// f32x16 on AVX-512 (F, BW, DQ, VL): one register. The interface is described in ../simd.h.
#pragma once

// GCC 12 takes its own header's "undefined" registers for uninitialised variables (GCC bug 105593).
#pragma GCC diagnostic push
#ifndef __clang__  // does not know this one
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstdint>

namespace lamina::LAMINA_ISA {
namespace {

// 32 registers: 6 x 4 accumulators, 4 of B, 1 broadcast of A, 3 spare.
constexpr int tile_rows = 6;
constexpr int tile_vectors = 4;
constexpr int strip_bands = 1;    // a strip of 64 columns goes beyond the first-level cache
constexpr int live_vectors = 8;   // kLiveRows x 8 accumulators, 3 broadcasts of A, 1 of B
constexpr int random_groups = 2;  // of random numbers at a time: 16 registers of state

struct f32x16 {
  __m512 v;
};
struct i32x16 {
  __m512i v;
};
struct mask16 {
  __mmask16 m;
};

LAMINA_INLINE mask16 first_lanes(int64_t n) { return {static_cast<__mmask16>((1u << n) - 1u)}; }

LAMINA_INLINE f32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
LAMINA_INLINE f32x16 load(const float* p, int64_t n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n).m, p)};
}
LAMINA_INLINE void store(float* p, f32x16 a) { _mm512_storeu_ps(p, a.v); }
LAMINA_INLINE void store(float* p, f32x16 a, int64_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n).m, a.v);
}
LAMINA_INLINE void stream(float* p, f32x16 a) { _mm512_stream_ps(p, a.v); }
LAMINA_INLINE void finish_streams() { _mm_sfence(); }
LAMINA_INLINE f32x16 splat(float x) { return {_mm512_set1_ps(x)}; }
LAMINA_INLINE f32x16 zero() { return {_mm512_setzero_ps()}; }

LAMINA_INLINE f32x16 operator+(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
LAMINA_INLINE f32x16 operator-(f32x16 a, f32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
LAMINA_INLINE f32x16 operator*(f32x16 a, f32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
LAMINA_INLINE f32x16 operator/(f32x16 a, f32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
LAMINA_INLINE f32x16 sqrt(f32x16 a) { return {_mm512_sqrt_ps(a.v)}; }
LAMINA_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
LAMINA_INLINE f32x16 fnma(f32x16 a, f32x16 b, f32x16 c) {
  return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}
LAMINA_INLINE f32x16 min(f32x16 a, f32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
LAMINA_INLINE f32x16 max(f32x16 a, f32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
LAMINA_INLINE f32x16 round(f32x16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
LAMINA_INLINE f32x16 abs(f32x16 a) { return {_mm512_abs_ps(a.v)}; }

LAMINA_INLINE mask16 operator<(f32x16 a, f32x16 b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
LAMINA_INLINE mask16 operator<=(f32x16 a, f32x16 b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)};
}
LAMINA_INLINE mask16 operator>(f32x16 a, f32x16 b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)};
}
LAMINA_INLINE mask16 operator>=(f32x16 a, f32x16 b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)};
}
LAMINA_INLINE mask16 operator==(f32x16 a, f32x16 b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}
LAMINA_INLINE mask16 is_nan(f32x16 a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }

LAMINA_INLINE mask16 operator&(mask16 a, mask16 b) { return {static_cast<__mmask16>(a.m & b.m)}; }
LAMINA_INLINE mask16 operator|(mask16 a, mask16 b) { return {static_cast<__mmask16>(a.m | b.m)}; }
LAMINA_INLINE mask16 operator!(mask16 a) { return {static_cast<__mmask16>(~a.m)}; }
LAMINA_INLINE bool any(mask16 a) { return a.m != 0; }
LAMINA_INLINE uint32_t to_bits(mask16 a) { return a.m; }
LAMINA_INLINE f32x16 select(mask16 m, f32x16 a, f32x16 b) {
  return {_mm512_mask_blend_ps(m.m, b.v, a.v)};
}
LAMINA_INLINE f32x16 zero_where(mask16 m, f32x16 a) {
  return {_mm512_mask_mov_ps(a.v, m.m, _mm512_setzero_ps())};
}
LAMINA_INLINE i32x16 select(mask16 m, i32x16 a, i32x16 b) {
  return {_mm512_mask_blend_epi32(m.m, b.v, a.v)};
}

LAMINA_INLINE i32x16 load(const int32_t* p) { return {_mm512_loadu_si512(p)}; }
LAMINA_INLINE i32x16 load(const int32_t* p, int64_t n) {
  return {_mm512_maskz_loadu_epi32(first_lanes(n).m, p)};
}
LAMINA_INLINE void store(int32_t* p, i32x16 a) { _mm512_storeu_si512(p, a.v); }
LAMINA_INLINE void store(int32_t* p, i32x16 a, int64_t n) {
  _mm512_mask_storeu_epi32(p, first_lanes(n).m, a.v);
}
LAMINA_INLINE i32x16 splat(int32_t x) { return {_mm512_set1_epi32(x)}; }
LAMINA_INLINE i32x16 operator+(i32x16 a, i32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
LAMINA_INLINE i32x16 operator-(i32x16 a, i32x16 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
LAMINA_INLINE i32x16 operator&(i32x16 a, i32x16 b) { return {_mm512_and_si512(a.v, b.v)}; }
LAMINA_INLINE i32x16 operator|(i32x16 a, i32x16 b) { return {_mm512_or_si512(a.v, b.v)}; }
LAMINA_INLINE i32x16 operator^(i32x16 a, i32x16 b) { return {_mm512_xor_si512(a.v, b.v)}; }
template <int n>
LAMINA_INLINE i32x16 shift_left(i32x16 a) {
  return {_mm512_slli_epi32(a.v, n)};
}
template <int n>
LAMINA_INLINE i32x16 shift_right(i32x16 a) {
  return {_mm512_srli_epi32(a.v, n)};
}
template <int n>
LAMINA_INLINE i32x16 shift_right_signed(i32x16 a) {
  return {_mm512_srai_epi32(a.v, n)};
}
LAMINA_INLINE i32x16 mul_even(i32x16 a, i32x16 b) { return {_mm512_mul_epu32(a.v, b.v)}; }
LAMINA_INLINE i32x16 odd_to_even(i32x16 a) { return {_mm512_srli_epi64(a.v, 32)}; }
LAMINA_INLINE i32x16 interleave(i32x16 a, i32x16 b) {
  return {_mm512_mask_blend_epi32(0xAAAA, a.v, _mm512_slli_epi64(b.v, 32))};
}
LAMINA_INLINE mask16 less_unsigned(i32x16 a, i32x16 b) {
  return {_mm512_cmplt_epu32_mask(a.v, b.v)};
}
LAMINA_INLINE mask16 equal(i32x16 a, i32x16 b) { return {_mm512_cmpeq_epi32_mask(a.v, b.v)}; }

LAMINA_INLINE i32x16 bits(f32x16 a) { return {_mm512_castps_si512(a.v)}; }
LAMINA_INLINE f32x16 as_float(i32x16 a) { return {_mm512_castsi512_ps(a.v)}; }
LAMINA_INLINE i32x16 to_int(f32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }
LAMINA_INLINE f32x16 to_float(i32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
// One instruction: the truth table of "mask ? sign : magnitude".
LAMINA_INLINE f32x16 copysign(f32x16 magnitude, f32x16 sign) {
  const __m512i mask = _mm512_set1_epi32(INT32_MIN);
  return {_mm512_castsi512_ps(_mm512_ternarylogic_epi32(mask, _mm512_castps_si512(sign.v),
                                                        _mm512_castps_si512(magnitude.v), 0xCA))};
}
LAMINA_INLINE f32x16 ldexp(f32x16 a, f32x16 n) { return {_mm512_scalef_ps(a.v, n.v)}; }

LAMINA_INLINE f32x16 load_u8(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))};
}
LAMINA_INLINE f32x16 load_f64(const double* p) {
  const __m256 low = _mm512_cvtpd_ps(_mm512_loadu_pd(p));
  const __m256 high = _mm512_cvtpd_ps(_mm512_loadu_pd(p + 8));
  return {_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1)};
}

// Lanes i and i + 8, then i and i + 4, i + 2, i + 1.
LAMINA_INLINE float sum(f32x16 a) {
  const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
LAMINA_INLINE float largest(f32x16 a) {
  const __m256 s8 = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
}

// Pairs, then fours of rows within each quarter of a register, then the quarters.
LAMINA_INLINE void transpose16(float* to, int64_t to_row, const float* from, int64_t from_row) {
  LAMINA_UNROLL
  for (int q = 0; q < 16; q += 4) {
    // Quarter g of row[i] is columns q .. q + 3 of row 4 g + i: put there by the load, because
    // shuffles between quarters would take as long as all those within them.
    __m512 row[4];
    LAMINA_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float* p = from + i * from_row + q;
      row[i] = _mm512_broadcast_f32x4(_mm_loadu_ps(p));
      LAMINA_UNROLL
      for (int g = 1; g < 4; ++g) {
        const __m128 quarter = _mm_loadu_ps(p + 4 * g * from_row);
        row[i] = _mm512_mask_broadcast_f32x4(row[i], static_cast<__mmask16>(0xF << 4 * g), quarter);
      }
    }
    const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(row[0], row[1]));
    const __m512d b = _mm512_castps_pd(_mm512_unpacklo_ps(row[2], row[3]));
    const __m512d c = _mm512_castps_pd(_mm512_unpackhi_ps(row[0], row[1]));
    const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(row[2], row[3]));
    _mm512_storeu_pd(to + q * to_row, _mm512_unpacklo_pd(a, b));
    _mm512_storeu_pd(to + (q + 1) * to_row, _mm512_unpackhi_pd(a, b));
    _mm512_storeu_pd(to + (q + 2) * to_row, _mm512_unpacklo_pd(c, d));
    _mm512_storeu_pd(to + (q + 3) * to_row, _mm512_unpackhi_pd(c, d));
  }
}

// sums[i][j] += a[i * a_row] * B[j], whose vectors lie one after the other. With A first, which
// takes a register less, training on batches of 128 took 1.06 of the time.
template <int rows, int vectors>
LAMINA_INLINE void add_products(f32x16 (&sums)[rows][vectors], const float* a, int64_t a_row,
                                const float* b) {
  f32x16 column[vectors];
  LAMINA_UNROLL
  for (int j = 0; j < vectors; ++j) column[j] = load(b + 16 * j);
  LAMINA_UNROLL
  for (int i = 0; i < rows; ++i) {
    const f32x16 factor = splat(a[i * a_row]);
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) sums[i][j] = fma(factor, column[j], sums[i][j]);
  }
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
