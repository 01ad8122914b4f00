// f32x16 on AArch64 NEON: four registers. The interface is described in ../simd.h.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace lamina::LAMINA_ISA {
namespace {

// 32 registers: 6 x 1 accumulators of four registers each, 4 of B, 1 broadcast of A, 3 spare.
constexpr int tile_rows = 6;
constexpr int tile_vectors = 1;
constexpr int strip_bands = 12;  // a strip is 14 KB, the rows of 12 bands 63 KB
constexpr int live_vectors = 2;  // kLiveRows x 2 accumulators of four registers, 3 of A, 1 of B
constexpr int random_groups = 1;

struct f32x16 {
  float32x4_t q[4];
};
struct i32x16 {
  uint32x4_t q[4];
};
struct mask16 {
  uint32x4_t q[4];
};

// Builds one of the three types above, quarter by quarter.
template <class Vector, class Quarter>
LAMINA_INLINE Vector each(Quarter&& quarter) {
  return {{quarter(0), quarter(1), quarter(2), quarter(3)}};
}

LAMINA_INLINE f32x16 load(const float* p) {
  return each<f32x16>([&](int i) { return vld1q_f32(p + 4 * i); });
}
LAMINA_INLINE f32x16 load(const float* p, int64_t n) {
  float lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
LAMINA_INLINE void store(float* p, f32x16 a) {
  LAMINA_UNROLL
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.q[i]);
}
LAMINA_INLINE void store(float* p, f32x16 a, int64_t n) {
  float lanes[16];
  store(lanes, a);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
LAMINA_INLINE void stream(float* p, f32x16 a) { store(p, a); }
LAMINA_INLINE void finish_streams() {}
LAMINA_INLINE f32x16 splat(float x) {
  return each<f32x16>([&](int) { return vdupq_n_f32(x); });
}
LAMINA_INLINE f32x16 zero() { return splat(0.0f); }

LAMINA_INLINE f32x16 operator+(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vaddq_f32(a.q[i], b.q[i]); });
}
LAMINA_INLINE f32x16 operator-(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vsubq_f32(a.q[i], b.q[i]); });
}
LAMINA_INLINE f32x16 operator*(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vmulq_f32(a.q[i], b.q[i]); });
}
LAMINA_INLINE f32x16 operator/(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vdivq_f32(a.q[i], b.q[i]); });
}
LAMINA_INLINE f32x16 sqrt(f32x16 a) {
  return each<f32x16>([&](int i) { return vsqrtq_f32(a.q[i]); });
}
LAMINA_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  return each<f32x16>([&](int i) { return vfmaq_f32(c.q[i], a.q[i], b.q[i]); });
}
LAMINA_INLINE f32x16 fnma(f32x16 a, f32x16 b, f32x16 c) {
  return each<f32x16>([&](int i) { return vfmsq_f32(c.q[i], a.q[i], b.q[i]); });
}

LAMINA_INLINE mask16 operator<(f32x16 a, f32x16 b) {
  return each<mask16>([&](int i) { return vcltq_f32(a.q[i], b.q[i]); });
}
LAMINA_INLINE mask16 operator<=(f32x16 a, f32x16 b) {
  return each<mask16>([&](int i) { return vcleq_f32(a.q[i], b.q[i]); });
}
LAMINA_INLINE mask16 operator>(f32x16 a, f32x16 b) { return b < a; }
LAMINA_INLINE mask16 operator>=(f32x16 a, f32x16 b) { return b <= a; }
LAMINA_INLINE mask16 operator==(f32x16 a, f32x16 b) {
  return each<mask16>([&](int i) { return vceqq_f32(a.q[i], b.q[i]); });
}
LAMINA_INLINE mask16 operator&(mask16 a, mask16 b) {
  return each<mask16>([&](int i) { return vandq_u32(a.q[i], b.q[i]); });
}
LAMINA_INLINE mask16 operator|(mask16 a, mask16 b) {
  return each<mask16>([&](int i) { return vorrq_u32(a.q[i], b.q[i]); });
}
LAMINA_INLINE mask16 operator!(mask16 a) {
  return each<mask16>([&](int i) { return vmvnq_u32(a.q[i]); });
}
LAMINA_INLINE mask16 is_nan(f32x16 a) { return !(a == a); }
LAMINA_INLINE bool any(mask16 a) {
  return vmaxvq_u32(vorrq_u32(vorrq_u32(a.q[0], a.q[1]), vorrq_u32(a.q[2], a.q[3]))) != 0;
}
LAMINA_INLINE uint32_t to_bits(mask16 a) {
  const uint32x4_t place = {1, 2, 4, 8};
  uint32_t bits = 0;
  for (int i = 0; i < 4; ++i) bits |= vaddvq_u32(vandq_u32(a.q[i], place)) << 4 * i;
  return bits;
}
LAMINA_INLINE f32x16 select(mask16 m, f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vbslq_f32(m.q[i], a.q[i], b.q[i]); });
}
LAMINA_INLINE i32x16 select(mask16 m, i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return vbslq_u32(m.q[i], a.q[i], b.q[i]); });
}
LAMINA_INLINE f32x16 zero_where(mask16 m, f32x16 a) { return select(m, zero(), a); }
// Not vminq and vmaxq: those return NaN where either is NaN, and x86 returns b.
LAMINA_INLINE f32x16 min(f32x16 a, f32x16 b) { return select(a < b, a, b); }
LAMINA_INLINE f32x16 max(f32x16 a, f32x16 b) { return select(a > b, a, b); }
LAMINA_INLINE f32x16 round(f32x16 a) {
  return each<f32x16>([&](int i) { return vrndnq_f32(a.q[i]); });
}
LAMINA_INLINE f32x16 abs(f32x16 a) {
  return each<f32x16>([&](int i) { return vabsq_f32(a.q[i]); });
}

LAMINA_INLINE i32x16 load(const int32_t* p) {
  return each<i32x16>([&](int i) { return vreinterpretq_u32_s32(vld1q_s32(p + 4 * i)); });
}
LAMINA_INLINE i32x16 load(const int32_t* p, int64_t n) {
  int32_t lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
LAMINA_INLINE void store(int32_t* p, i32x16 a) {
  LAMINA_UNROLL
  for (int i = 0; i < 4; ++i) vst1q_s32(p + 4 * i, vreinterpretq_s32_u32(a.q[i]));
}
LAMINA_INLINE void store(int32_t* p, i32x16 a, int64_t n) {
  int32_t lanes[16];
  store(lanes, a);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
LAMINA_INLINE i32x16 splat(int32_t x) {
  return each<i32x16>([&](int) { return vdupq_n_u32(static_cast<uint32_t>(x)); });
}
LAMINA_INLINE i32x16 operator+(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return vaddq_u32(a.q[i], b.q[i]); });
}
LAMINA_INLINE i32x16 operator-(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return vsubq_u32(a.q[i], b.q[i]); });
}
LAMINA_INLINE i32x16 operator&(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return vandq_u32(a.q[i], b.q[i]); });
}
LAMINA_INLINE i32x16 operator|(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return vorrq_u32(a.q[i], b.q[i]); });
}
LAMINA_INLINE i32x16 operator^(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return veorq_u32(a.q[i], b.q[i]); });
}
template <int n>
LAMINA_INLINE i32x16 shift_left(i32x16 a) {
  return each<i32x16>([&](int i) { return vshlq_n_u32(a.q[i], n); });
}
template <int n>
LAMINA_INLINE i32x16 shift_right(i32x16 a) {
  return each<i32x16>([&](int i) { return vshrq_n_u32(a.q[i], n); });
}
template <int n>
LAMINA_INLINE i32x16 shift_right_signed(i32x16 a) {
  return each<i32x16>(
      [&](int i) { return vreinterpretq_u32_s32(vshrq_n_s32(vreinterpretq_s32_u32(a.q[i]), n)); });
}
LAMINA_INLINE i32x16 mul_even(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) {
    return vreinterpretq_u32_u64(vmull_u32(vmovn_u64(vreinterpretq_u64_u32(a.q[i])),
                                           vmovn_u64(vreinterpretq_u64_u32(b.q[i]))));
  });
}
LAMINA_INLINE i32x16 odd_to_even(i32x16 a) {
  return each<i32x16>(
      [&](int i) { return vreinterpretq_u32_u64(vshrq_n_u64(vreinterpretq_u64_u32(a.q[i]), 32)); });
}
LAMINA_INLINE i32x16 interleave(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) {
    return vreinterpretq_u32_u64(
        vsliq_n_u64(vreinterpretq_u64_u32(a.q[i]), vreinterpretq_u64_u32(b.q[i]), 32));
  });
}
LAMINA_INLINE mask16 less_unsigned(i32x16 a, i32x16 b) {
  return each<mask16>([&](int i) { return vcltq_u32(a.q[i], b.q[i]); });
}
LAMINA_INLINE mask16 equal(i32x16 a, i32x16 b) {
  return each<mask16>([&](int i) { return vceqq_u32(a.q[i], b.q[i]); });
}

LAMINA_INLINE i32x16 bits(f32x16 a) {
  return each<i32x16>([&](int i) { return vreinterpretq_u32_f32(a.q[i]); });
}
LAMINA_INLINE f32x16 as_float(i32x16 a) {
  return each<f32x16>([&](int i) { return vreinterpretq_f32_u32(a.q[i]); });
}
LAMINA_INLINE i32x16 to_int(f32x16 a) {
  return each<i32x16>([&](int i) { return vreinterpretq_u32_s32(vcvtnq_s32_f32(a.q[i])); });
}
LAMINA_INLINE f32x16 to_float(i32x16 a) {
  return each<f32x16>([&](int i) { return vcvtq_f32_s32(vreinterpretq_s32_u32(a.q[i])); });
}
LAMINA_INLINE f32x16 copysign(f32x16 magnitude, f32x16 sign) {
  const uint32x4_t mask = vdupq_n_u32(0x80000000u);
  return each<f32x16>([&](int i) { return vbslq_f32(mask, sign.q[i], magnitude.q[i]); });
}

// In two factors, of which only the second rounds.
LAMINA_INLINE f32x16 ldexp(f32x16 a, f32x16 n) {
  const i32x16 whole = to_int(n), half = shift_right_signed<1>(whole), bias = splat(127);
  const f32x16 first = as_float(shift_left<23>(half + bias));
  return a * first * as_float(shift_left<23>(whole - half + bias));
}

LAMINA_INLINE f32x16 load_u8(const uint8_t* p) {
  const uint8x16_t bytes = vld1q_u8(p);
  const uint16x8_t low = vmovl_u8(vget_low_u8(bytes));
  const uint16x8_t high = vmovl_high_u8(bytes);
  return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_high_u16(low)),
           vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_high_u16(high))}};
}
LAMINA_INLINE f32x16 load_f64(const double* p) {
  return each<f32x16>([&](int i) {
    return vcvt_high_f32_f64(vcvt_f32_f64(vld1q_f64(p + 4 * i)), vld1q_f64(p + 4 * i + 2));
  });
}

// Lanes i and i + 8, then i and i + 4, i + 2, i + 1.
LAMINA_INLINE float sum(f32x16 a) {
  const float32x4_t s4 = vaddq_f32(vaddq_f32(a.q[0], a.q[2]), vaddq_f32(a.q[1], a.q[3]));
  const float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
  return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
}
LAMINA_INLINE float largest(f32x16 a) {
  float lanes[16];
  store(lanes, a);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) {
      lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
    }
  }
  return lanes[0];
}

LAMINA_INLINE void transpose16(float* to, int64_t to_row, const float* from, int64_t from_row) {
  for (int64_t i = 0; i < 16; i += 4) {
    for (int64_t j = 0; j < 16; j += 4) {
      const float* rows = from + j * from_row + i;
      const float32x4x2_t a = vtrnq_f32(vld1q_f32(rows), vld1q_f32(rows + from_row));
      const float32x4x2_t b =
          vtrnq_f32(vld1q_f32(rows + 2 * from_row), vld1q_f32(rows + 3 * from_row));
      float* columns = to + i * to_row + j;
      for (int c = 0; c < 2; ++c) {
        vst1q_f32(columns + c * to_row,
                  vcombine_f32(vget_low_f32(a.val[c]), vget_low_f32(b.val[c])));
        vst1q_f32(columns + (2 + c) * to_row,
                  vcombine_f32(vget_high_f32(a.val[c]), vget_high_f32(b.val[c])));
      }
    }
  }
}

// sums[i][j] += a[i * a_row] * B[j], whose vectors lie one after the other. One quarter of a vector
// after the other, which takes one register.
template <int rows, int vectors>
LAMINA_INLINE void add_products(f32x16 (&sums)[rows][vectors], const float* a, int64_t a_row,
                                const float* b) {
  f32x16 factor[rows];
  LAMINA_UNROLL
  for (int i = 0; i < rows; ++i) factor[i] = splat(a[i * a_row]);
  LAMINA_UNROLL
  for (int v = 0; v < 4 * vectors; ++v) {
    const float32x4_t quarter = vld1q_f32(b + 4 * v);
    LAMINA_UNROLL
    for (int i = 0; i < rows; ++i) {
      float32x4_t& sum = sums[i][v / 4].q[v % 4];
      sum = vfmaq_f32(sum, factor[i].q[v % 4], quarter);
    }
  }
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
