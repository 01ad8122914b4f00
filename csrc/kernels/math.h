// Elementary functions on f32x16: polynomials over fma, integer arithmetic for the exponents, and
// the division, which every instruction set rounds alike: beside the polynomials it costs nothing,
// where Newton's steps for a quotient were a third of a tanh. No table, no branch and no estimate
// instruction, so that the bits are the same everywhere. NaN gives NaN.
//
// Largest error in units of the last place of the result (tools/ulps.cpp, flush-to-zero off). Over
// all 2^32 patterns: exp 1.04, sigmoid 1.45, tanh 1.07. Over every 101st: expm1 1.49, elu 0.94, log
// 0.87, log1p_to_one 0.97, softplus 1.63, gelu 8.5, square_root 11; gelu_tanh 2.4 for x >= 0, and
// 3 + 2.5 |2u| for x < 0, where the exponent 2u has been rounded.
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

// x = n log(2) + r, |r| <= log(2) / 2, for |x| < 2^15.
struct ReducedExp {
  f32x16 shifted, n, r;  // the integer n lies in the low bits of `shifted`
};
LAMINA_INLINE ReducedExp reduce_exp(f32x16 x) {
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
  const f32x16 shift = splat(0x1.8p23f);
  const f32x16 shifted = fma(x, splat(1.44269504f), shift);
  const f32x16 n = shifted - shift;
  // log(2) in two parts (Cody and Waite, 1980, "Software manual for the elementary functions"). The
  // first has 15 bits, so that x less n times it is exact, and only the second step rounds.
  return {shifted, n, fnma(n, splat(0x1.7f7d1cp-20f), fnma(n, splat(0x1.62e4p-1f), x))};
}

// e^r - 1 for |r| <= log(2) / 2.
LAMINA_INLINE f32x16 expm1_near_zero(f32x16 r) {
  f32x16 p = splat(1.3870656e-3f);
  p = fma(p, r, splat(8.366262e-3f));
  p = fma(p, r, splat(4.1667435e-2f));
  p = fma(p, r, splat(1.6666546e-1f));
  p = fma(p, r, splat(4.9999997e-1f));
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

// v 2^n for -190 <= n <= 0: v 2^(n + 64) is normal and exact, so the one rounding is of a denormal
// result. Four instructions, ldexp has nine.
LAMINA_INLINE f32x16 scale_down(f32x16 v, const ReducedExp& a) {
  return v * power_of_two<-64>(a) * splat(0x1p-64f);
}

// e^x; 0 below -104 and infinity above 88.73.
LAMINA_INLINE f32x16 exp_nonpositive(f32x16 x) {
  const ReducedExp a = reduce_exp(max(splat(-106.0f), x));
  return scale_down(splat(1.0f) + expm1_near_zero(a.r), a);
}
LAMINA_INLINE f32x16 exp(f32x16 x) {
  return exp_of(reduce_exp(min(splat(89.0f), max(splat(-106.0f), x))));
}

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

// 1 / (1 + e^-x), from e^-|x| so that nothing overflows and a small result keeps its digits. Up to
// 2.3 units in the last place, for gradients, where that exponential is at hand.
LAMINA_INLINE f32x16 sigmoid_from(f32x16 x, f32x16 exp_minus_abs_x) {
  const f32x16 one = splat(1.0f);
  return select(x < zero(), exp_minus_abs_x, one) / (one + exp_minus_abs_x);
}

// --- logistic function and hyperbolic tangent ----------------------------------------------------

// Both are quotients, and what numerators and denominators lose by rounding would take them to 2.5
// units in the last place: each is corrected by what was lost.

// With q = e^-|x| / (1 + e^-|x|) it is q for x < 0 and 1 - q otherwise. Of e^|x| = 2^n (1 + p) and
// s = 2^-n it is s / (1 + s + p), whose numerator is exact.
LAMINA_INLINE f32x16 sigmoid(f32x16 x) {
  const f32x16 one = splat(1.0f);
  const ReducedExp a = reduce_exp(min(splat(106.0f), abs(x)));
  const f32x16 p = expm1_near_zero(a.r);
  // s times 2^64 is normal: as in scale_down, one rounding of a denormal result.
  const f32x16 down = splat(0x1p-64f);
  const f32x16 s64 = as_float(splat((127 + 64) << 23) - shift_left<23>(bits(a.shifted)));
  const f32x16 s = s64 * down;
  const f32x16 denominator = (one + s) + p, lost = ((one - denominator) + s) + p;
  const f32x16 y = one / denominator;
  const f32x16 q = fnma(y * lost, y, y) * s64 * down;
  return select(x < zero(), q, one - q);
}

// |x| = v - n log(2) / 2 with n <= 0. With s = 2^n and t = tanh(v) the result is
// ((1 - s) + (1 + s) t) / ((1 + s) + (1 - s) t), with the sign of x.
LAMINA_INLINE f32x16 tanh(f32x16 x) {
  const i32x16 sign = bits(x) & splat(INT32_MIN);
  const f32x16 a = min(splat(9.02f), as_float(bits(x) ^ sign));  // from there on it is 1
  // As in reduce_exp. From n = -24 on 1 + s would round; by then a v beyond its range does no harm.
  // One part of log(2) / 2 is enough: its error counts as tanh's slope, which falls faster than n.
  const f32x16 shift = splat(0x1.8p23f);
  const f32x16 shifted = max(splat(0x1.8p23f - 23.0f), fnma(a, splat(2.88539008f), shift));
  const f32x16 v = fma(shifted - shift, splat(0.346573591f), a), square = v * v;
  f32x16 p = splat(-5.271453e-2f);
  p = fma(p, square, splat(1.333114e-1f));
  p = fma(p, square, splat(-3.3333322e-1f));
  const f32x16 t = fma(v * square, p, v);
  const f32x16 s = as_float(shift_left<23>(bits(shifted)) + splat(127 << 23));
  const f32x16 less = splat(1.0f) - s, more = splat(1.0f) + s;
  const f32x16 inverse = splat(1.0f) / fma(less, t, more);
  // A first guess of twelve bits, whose products with `less` and `more` are exact where that
  // matters. What the guess leaves of the numerator, divided, is the rest.
  const f32x16 y = as_float(bits(fma(more, t, less) * inverse) & splat(-4096));
  const f32x16 left = fma(fnma(y, less, more), t, fnma(y, more, less));
  return as_float(bits(fma(left, inverse, y)) | sign);
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

// log(1 + e) for 0 <= e <= 1: e and, rounded with it, e^2 times a polynomial around the middle.
LAMINA_INLINE f32x16 log1p_to_one(f32x16 e) {
  const f32x16 t = e - splat(0.5f);
  f32x16 p = splat(-0.0031720093f);
  p = fma(p, t, splat(0.0069552036f));
  p = fma(p, t, splat(-0.0102672195f));
  p = fma(p, t, splat(0.016655743f));
  p = fma(p, t, splat(-0.028890815f));
  p = fma(p, t, splat(0.051088575f));
  p = fma(p, t, splat(-0.09323249f));
  p = fma(p, t, splat(0.17922491f));
  p = fma(p, t, splat(-0.37813956f));
  return fma(e * e, p, e);
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
  const f32x16 g = scale_down(one + expm1_near_zero(reduced.r), reduced);
  const f32x16 below = g * (p * r);
  return {select(x < zero(), below, one - below), g};
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
