// Optimizer steps over n parameters in one pass: every array is read once and written once.
#include "kernels/declarations.h"
#include "kernels/math.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// Moments that decay would stay denormal for ever, since 0.9 of four of the smallest numbers is
// rounded to four.
template <bool clears>
LAMINA_INLINE bool adam(float* w, float* m, float* v, const float* dw, int64_t n,
                        const AdamStep& step) {
  const f32x16 rate = splat(step.rate), epsilon = splat(step.epsilon);
  const f32x16 fresh_m = splat(step.decay_1), fresh_v = splat(step.decay_2);
  Finite finite;
  for_each_vector(n, [&](int64_t i, int64_t lanes) {
    const f32x16 g = load_upto(dw + i, lanes);
    f32x16 mean = load_upto(m + i, lanes);
    f32x16 square = load_upto(v + i, lanes);
    mean = fma(fresh_m, g - mean, mean);
    square = fnma(fresh_v, fnma(g, g, square), square);
    if constexpr (clears) {
      mean = without_denormals(mean);
      square = without_denormals(square);
    }
    const f32x16 update = rate * mean / (square_root(square) + epsilon);
    const f32x16 fresh = load_upto(w + i, lanes) - update;
    finite.see(fresh);
    store_upto(m + i, mean, lanes);
    store_upto(v + i, square, lanes);
    store_upto(w + i, fresh, lanes);
  });
  return finite.all();
}

}  // namespace

bool sgd_step(float* w, const float* dw, int64_t n, float rate) {
  const f32x16 r = splat(rate);
  Finite finite;
  for_each_vector(n, [&](int64_t i, int64_t lanes) {
    const f32x16 fresh = fnma(r, load_upto(dw + i, lanes), load_upto(w + i, lanes));
    finite.see(fresh);
    store_upto(w + i, fresh, lanes);
  });
  return finite.all();
}

bool sgd_momentum_step(float* w, float* m, const float* dw, int64_t n, float rate, float momentum,
                       bool nesterov) {
  const f32x16 r = splat(rate), mu = splat(momentum);
  Finite finite;
  for_each_vector(n, [&](int64_t i, int64_t lanes) {
    const f32x16 g = load_upto(dw + i, lanes);
    const f32x16 velocity = without_denormals(fnma(r, g, mu * load_upto(m + i, lanes)));
    const f32x16 step = nesterov ? fnma(r, g, mu * velocity) : velocity;
    const f32x16 fresh = load_upto(w + i, lanes) + step;
    finite.see(fresh);
    store_upto(m + i, velocity, lanes);
    store_upto(w + i, fresh, lanes);
  });
  return finite.all();
}

// Kingma and Ba, "Adam: a method for stochastic optimization" (ICLR 2015), with epsilon beside the
// root of the uncorrected v as in Keras ("epsilon hat" of the paper). The root is a Newton step: an
// exact one would wait for the divider, which is taken by the quotient.
// A v that overflows stops its parameter. Denormal moments are cleared in some steps only, which is
// enough: in every step it would take 18 % longer.
bool adam_step(float* w, float* m, float* v, const float* dw, int64_t n, const AdamStep& step) {
  return step.clears ? adam<true>(w, m, v, dw, n, step) : adam<false>(w, m, v, dw, n, step);
}

}  // namespace lamina::LAMINA_ISA
