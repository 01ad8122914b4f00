// Elementary functions on f32x16: polynomials over fma, integer arithmetic for the exponents, and
// the division, which every instruction set rounds alike: beside the polynomials it costs nothing,
// where Newton's steps for a quotient were a third of a tanh. No table, no branch and no estimate
// instruction, so that the bits are the same everywhere. NaN gives NaN.
//
// Largest error in units of the last place of the result, against float64, over every 97th float32
// of the domain, denormals included (flush-to-zero off):
//
//   square_root 11   exp 0.98   expm1 1.41   sigmoid 2.28   tanh 2.49   log 0.85
//   log1p_to_one 1.63   normal_cdf: cdf 6.5 for x < 0 down to the denormals, 3.6 for x >= 0,
//   exponential 1.10
//
// and of what activate.h makes of them: elu 0.88, softplus 2.27, gelu 8.7 at any x; gelu_tanh 2.4
// for x >= 0, and 3 + 2.5 |2u| for x < 0, where the exponent 2u has been rounded.
//
// The coefficients are minimax fits of the relative error, made for this file: weighted least
// squares at Chebyshev nodes with Lawson's reweighting in extended precision, and each
// coefficient rounded to float32 from the lowest on before the others are fitted again.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// --- a root --------------------------------------------------------------------------------------

// sqrt(x) for x >= 0. Halved and negated exponent bits are near the inverse root; one Newton step,
// its constants and the first guess fitted together, makes half of it to 6.5e-4, and one of Heron's
// steps the root to 7e-7. Made for Adam, whose update was bound by arithmetic when three products
// more, for a root right to the last place, made it 12 % longer; it moves a weight by a thousandth
// of itself. The root of infinity is infinity. Below 2^-116 the last step underflows, which leaves
// the 6.5e-4, and of a denormal the result is wrong, but below 1.3e-19, a thousandth of the
// smallest epsilon that Adam takes.
LAMINA_INLINE f32x16 square_root(f32x16 x) {
  const f32x16 z = min(splat(0x1.fffffep127f), x);
  const f32x16 y = as_float(splat(0x5EDFB6CB) - shift_right<1>(bits(z)));
  const f32x16 half = y * fnma(z * y, y, splat(1.1910667f));
  const f32x16 s = z * (half + half);
  return fma(fnma(s, s, x), half, s);
}

// --- exponentials -------------------------------------------------------------------------------

// x = n log(2) + r, |r| <= log(2) / 2, for |x| < 2^21.
struct ReducedExp {
  f32x16 shifted, n, r;  // the integer n lies in the low bits of `shifted`
};
LAMINA_INLINE ReducedExp reduce_exp(f32x16 x) {
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
  const f32x16 shift = splat(0x1.8p23f);
  const f32x16 shifted = fma(x, splat(1.44269504f), shift);
  const f32x16 n = shifted - shift;
  const f32x16 r = fnma(n, splat(0.693147182f), x);
  return {shifted, n, fnma(n, splat(-1.90465430e-9f), r)};
}

// e^r - 1 for |r| <= log(2) / 2.
LAMINA_INLINE f32x16 expm1_near_zero(f32x16 r) {
  f32x16 p = splat(1.9944266e-4f);
  p = fma(p, r, splat(1.3932667e-3f));
  p = fma(p, r, splat(8.333208e-3f));
  p = fma(p, r, splat(4.166649e-2f));
  p = fma(p, r, splat(1.6666667e-1f));
  p = fma(p, r, splat(0.5f));
  return fma(r * r, p, r);
}
LAMINA_INLINE f32x16 exp_of(const ReducedExp& a) {
  return ldexp(splat(1.0f) + expm1_near_zero(a.r), a.n);
}

// 2^(n - less) for -126 <= n - less <= 127: the exponent's bits, as those of 1.5 * 2^23 are
// shifted out.
template <int less>
LAMINA_INLINE f32x16 power_of_two(const ReducedExp& a) {
  return as_float(shift_left<23>(bits(a.shifted)) + splat((127 - less) << 23));
}

// e^x; 0 below -104 and infinity above 88.73.
LAMINA_INLINE f32x16 exp_nonpositive(f32x16 x) {
  return exp_of(reduce_exp(max(splat(-106.0f), x)));
}
LAMINA_INLINE f32x16 exp(f32x16 x) { return exp_nonpositive(min(splat(89.0f), x)); }

// e^x - 1, of full relative accuracy near 0. Computed as twice a half, for 2^128 would overflow.
LAMINA_INLINE f32x16 expm1(f32x16 x) {
  const ReducedExp a = reduce_exp(min(splat(89.0f), max(splat(-18.0f), x)));
  const f32x16 s = power_of_two<1>(a);
  const f32x16 half = fma(s, expm1_near_zero(a.r), s - splat(0.5f));
  return select(abs(x) < splat(0x1p-100f), x, half + half);
}
LAMINA_INLINE f32x16 expm1_nonpositive(f32x16 x) {
  const ReducedExp a = reduce_exp(max(splat(-18.0f), x));
  const f32x16 s = power_of_two<0>(a);
  return fma(s, expm1_near_zero(a.r), s - splat(1.0f));
}

// -|x| in one operation.
LAMINA_INLINE f32x16 minus_abs(f32x16 x) { return as_float(bits(x) | splat(INT32_MIN)); }

// 1 / (1 + e^-x), from e^-|x| so that nothing overflows and a small result keeps its digits.
LAMINA_INLINE f32x16 sigmoid_from(f32x16 x, f32x16 exp_minus_abs_x) {
  const f32x16 one = splat(1.0f);
  return select(x < zero(), exp_minus_abs_x, one) / (one + exp_minus_abs_x);
}
LAMINA_INLINE f32x16 sigmoid(f32x16 x) { return sigmoid_from(x, exp_nonpositive(minus_abs(x))); }

// (1 - e^-2|x|) / (1 + e^-2|x|) with the sign of x.
LAMINA_INLINE f32x16 tanh(f32x16 x) {
  const f32x16 e = expm1_nonpositive(splat(-2.0f) * abs(x));
  return copysign(e / (splat(2.0f) + e), x);
}

// --- logarithms ---------------------------------------------------------------------------------

// x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), for normal x > 0.
struct ReducedLog {
  i32x16 e;
  f32x16 f;
};
LAMINA_INLINE ReducedLog reduce_log(f32x16 x) {
  const i32x16 root_half = splat(0x3F3504F3);
  const i32x16 e = shift_right_signed<23>(bits(x) - root_half);
  return {e, as_float(bits(x) - shift_left<23>(e)) - splat(1.0f)};
}

// e log(2) + log(1 + f).
LAMINA_INLINE f32x16 log_of(f32x16 e, f32x16 f) {
  f32x16 p = splat(-7.8616634e-2f);
  p = fma(p, f, splat(1.2882942e-1f));
  p = fma(p, f, splat(-1.3128504e-1f));
  p = fma(p, f, splat(1.4180948e-1f));
  p = fma(p, f, splat(-1.6624558e-1f));
  p = fma(p, f, splat(2.0002301e-1f));
  p = fma(p, f, splat(-2.500081e-1f));
  p = fma(p, f, splat(3.3333316e-1f));
  const f32x16 square = f * f;
  const f32x16 tail = fma(square, splat(-0.5f), square * f * p);
  return fma(e, splat(0.693147182f), f + fma(e, splat(-1.90465430e-9f), tail));
}

// `result` where x > 0 is finite, and log(0) = -inf, log(inf) = inf, log(negative) = NaN.
LAMINA_INLINE f32x16 log_limits(f32x16 x, f32x16 result) {
  result = select(x < splat(__builtin_inff()), result, x);
  result = select(x == zero(), splat(-__builtin_inff()), result);
  return select(x < zero(), splat(__builtin_nanf("")), result);
}

// For a normal x > 0, or NaN.
LAMINA_INLINE f32x16 log_normal(f32x16 x) {
  const ReducedLog a = reduce_log(x);
  return select(is_nan(x), x, log_of(to_float(a.e), a.f));
}

LAMINA_INLINE f32x16 log(f32x16 x) {
  const mask16 denormal = x < splat(0x1p-126f);
  const ReducedLog a = reduce_log(select(denormal, x * splat(0x1p24f), x));
  const f32x16 e = to_float(a.e) - select(denormal, splat(24.0f), zero());
  return log_limits(x, log_of(e, a.f));
}

// log(1 + e) for 0 <= e <= 1: e times a polynomial around the middle, where no digits cancel.
LAMINA_INLINE f32x16 log1p_to_one(f32x16 e) {
  const f32x16 t = e - splat(0.5f);
  f32x16 p = splat(-2.9436122e-3f);
  p = fma(p, t, splat(4.478766e-3f));
  p = fma(p, t, splat(-6.903457e-3f));
  p = fma(p, t, splat(1.1970353e-2f));
  p = fma(p, t, splat(-2.0545619e-2f));
  p = fma(p, t, splat(3.6572307e-2f));
  p = fma(p, t, splat(-6.768897e-2f));
  p = fma(p, t, splat(1.3261229e-1f));
  p = fma(p, t, splat(-2.885271e-1f));
  return e * fma(p, t, splat(8.109302e-1f));
}

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|), from that exponential.
LAMINA_INLINE f32x16 softplus_from(f32x16 x, f32x16 exp_minus_abs_x) {
  return max(zero(), x) + log1p_to_one(exp_minus_abs_x);
}

// --- the normal distribution --------------------------------------------------------------------

// Phi(x) = (1 + erf(x / sqrt(2))) / 2 and e^(-x^2 / 2), which is what gelu and its gradient ask
// for. Phi(-a) = e^(-a^2 / 2) h(a) keeps its relative accuracy in the tail, where 1 + erf would
// cancel. (a + k) h(a) is a polynomial in (a - k) / (a + k), k = 3.5, after Shepherd and
// Laframboise (1981), "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < infinity".
struct NormalCdf {
  f32x16 cdf, exponential;
};
LAMINA_INLINE NormalCdf normal_cdf(f32x16 x) {
  const f32x16 a = min(splat(15.0f), abs(x));  // e^(-15^2 / 2) is 0 already
  const f32x16 one = splat(1.0f);
  const f32x16 r = one / (a + splat(3.5f));
  const f32x16 t = fnma(splat(7.0f), r, one);
  f32x16 p = splat(9.4449744e-5f);
  p = fma(p, t, splat(4.054252e-4f));
  p = fma(p, t, splat(-4.7483266e-4f));
  p = fma(p, t, splat(-3.155994e-3f));
  p = fma(p, t, splat(6.484232e-3f));
  p = fma(p, t, splat(1.7399238e-2f));
  p = fma(p, t, splat(-1.1605143e-1f));
  p = fma(p, t, splat(3.154259e-1f));
  p = fma(p, t, splat(-5.6556183e-1f));
  p = fma(p, t, splat(7.4441606e-1f));
  // What a * a gains by rounding would cost a relative error of half of it.
  const f32x16 square = a * a;
  const f32x16 gained = fnma(a, a, square);
  ReducedExp reduced = reduce_exp(splat(-0.5f) * square);
  reduced.r = fma(splat(0.5f), gained, reduced.r);
  const f32x16 g = exp_of(reduced);
  const f32x16 below = g * (p * r);
  return {select(x < zero(), below, one - below), g};
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
