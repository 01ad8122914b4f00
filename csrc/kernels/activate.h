// The activation functions on one vector, for activation.cpp and for the epilogue of the GEMM:
// both therefore give the same bits.
//
// Each is a struct with
//   forward(x, alpha)             y
//   backward(dy, saved, alpha)    dx, where saved is y, but for Gelu and GeluTanh x
// A function of y must not divide by anything that can vanish, so that a saturated y gives 0.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

struct Linear {
  static LAMINA_INLINE f32x16 forward(f32x16 x, f32x16) { return x; }
  static LAMINA_INLINE f32x16 backward(f32x16 dy, f32x16, f32x16) { return dy; }
};

// max(x, 0); the derivative at 0 is 0.
struct Relu {
  static LAMINA_INLINE f32x16 forward(f32x16 x, f32x16) { return max(zero(), x); }
  static LAMINA_INLINE f32x16 backward(f32x16 dy, f32x16 y, f32x16) {
    return select(y > zero(), dy, zero());
  }
};

// x > 0 ? x : alpha x. The sign of y tells that of x as long as alpha >= 0.
struct LeakyRelu {
  static LAMINA_INLINE f32x16 forward(f32x16 x, f32x16 alpha) {
    return select(x > zero(), x, alpha * x);
  }
  static LAMINA_INLINE f32x16 backward(f32x16 dy, f32x16 y, f32x16 alpha) {
    return select(y > zero(), dy, alpha * dy);
  }
};

// x > 0 ? x : alpha (e^x - 1), alpha >= 0. There dy/dx = alpha e^x = y + alpha.
struct Elu {
  static LAMINA_INLINE f32x16 forward(f32x16 x, f32x16 alpha) {
    return select(x > zero(), x, alpha * expm1_nonpositive(min(zero(), x)));
  }
  static LAMINA_INLINE f32x16 backward(f32x16 dy, f32x16 y, f32x16 alpha) {
    return select(y > zero(), dy, dy * (y + alpha));
  }
};

// 1 / (1 + e^-x), dy/dx = y (1 - y).
struct Sigmoid {
  static LAMINA_INLINE f32x16 forward(f32x16 x, f32x16) { return sigmoid(x); }
  static LAMINA_INLINE f32x16 backward(f32x16 dy, f32x16 y, f32x16) {
    return dy * (y * (splat(1.0f) - y));
  }
};

// dy/dx = 1 - y^2.
struct Tanh {
  static LAMINA_INLINE f32x16 forward(f32x16 x, f32x16) { return tanh(x); }
  static LAMINA_INLINE f32x16 backward(f32x16 dy, f32x16 y, f32x16) {
    return dy * fnma(y, y, splat(1.0f));
  }
};

// For products with what has vanished at an infinite x: there gelu has its limits, -0 and infinity,
// and its derivative 0 and 1.
LAMINA_INLINE f32x16 above_minus_infinity(f32x16 x) { return max(splat(-0x1.fffffep127f), x); }
LAMINA_INLINE f32x16 finite(f32x16 x) {
  return min(splat(0x1.fffffep127f), above_minus_infinity(x));
}

// x Phi(x), Phi the distribution function of the normal distribution (Hendrycks and Gimpel, 2016,
// "Gaussian error linear units"); dy/dx = Phi(x) + x phi(x).
struct Gelu {
  static LAMINA_INLINE f32x16 forward(f32x16 x, f32x16) {
    return above_minus_infinity(x) * normal_cdf(x).cdf;
  }
  static LAMINA_INLINE f32x16 backward(f32x16 dy, f32x16 x, f32x16) {
    const NormalCdf normal = normal_cdf(x);
    return dy * fma(finite(x) * splat(0.398942280f), normal.exponential, normal.cdf);
  }
};

// 0.5 x (1 + tanh(u)) = x sigmoid(2u) with 2u = sqrt(8/pi) (x + 0.044715 x^3), from the same paper.
// Beyond |x| = 12 the sigmoid is 0 or 1 to the last bit, and x^3 must not overflow.
struct GeluTanh {
  static constexpr float linear = 1.59576912f;      // sqrt(8 / pi)
  static constexpr float cubic = 0.0713548163f;     // 0.044715 sqrt(8 / pi)
  static constexpr float quadratic = 0.214064449f;  // 3 * 0.044715 sqrt(8 / pi)

  static LAMINA_INLINE f32x16 clamped(f32x16 x) { return min(splat(12.0f), max(splat(-12.0f), x)); }
  static LAMINA_INLINE f32x16 twice_u(f32x16 x) {
    return x * fma(x * x, splat(cubic), splat(linear));
  }
  static LAMINA_INLINE f32x16 forward(f32x16 x, f32x16) {
    const f32x16 u = twice_u(clamped(x));
    return above_minus_infinity(x) * sigmoid_from(u, exp_nonpositive(minus_abs(u)));
  }
  // s + x s (1 - s) d(2u)/dx, with s (1 - s) = e^-|2u| / (1 + e^-|2u|)^2 free of cancellation.
  static LAMINA_INLINE f32x16 backward(f32x16 dy, f32x16 x, f32x16) {
    const f32x16 inner = clamped(x), one = splat(1.0f);
    const f32x16 e = exp_nonpositive(minus_abs(twice_u(inner)));
    const f32x16 near = one / (one + e), far = e * near;
    const f32x16 slope = fma(inner * inner, splat(quadratic), splat(linear));
    return dy * fma(inner * (far * near), slope, select(x < zero(), far, near));
  }
};

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|), dy/dx = 1 - e^-y.
struct Softplus {
  static LAMINA_INLINE f32x16 forward(f32x16 x, f32x16) {
    return softplus_from(x, exp_nonpositive(minus_abs(x)));
  }
  static LAMINA_INLINE f32x16 backward(f32x16 dy, f32x16 y, f32x16) {
    return zero() - dy * expm1(zero() - y);
  }
};

// Calls f with the struct of this activation.
template <class F>
LAMINA_INLINE void with_activation(Activation activation, F&& f) {
  switch (activation) {
    case Activation::linear:
      return f(Linear{});
    case Activation::relu:
      return f(Relu{});
    case Activation::leaky_relu:
      return f(LeakyRelu{});
    case Activation::elu:
      return f(Elu{});
    case Activation::sigmoid:
      return f(Sigmoid{});
    case Activation::tanh:
      return f(Tanh{});
    case Activation::gelu:
      return f(Gelu{});
    case Activation::gelu_tanh:
      return f(GeluTanh{});
    case Activation::softplus:
      return f(Softplus{});
  }
}

}  // namespace
}  // namespace lamina::LAMINA_ISA
