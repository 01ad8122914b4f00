// Losses, one value a row, and their gradients. A row is read whole before its gradient is
// written, so that the gradient may take the place of the first input.
//
// The cross-entropy of a softmax is in softmax_cross_entropy.cpp.
#include "kernels/declarations.h"
#include "kernels/lanes.h"
#include "kernels/math.h"
#include "kernels/simd.h"
#include "kernels/tree.h"

namespace lamina::LAMINA_ISA {
namespace {

// 1 in the lane of element `label`, 0 elsewhere, for the vector that begins at element j.
LAMINA_INLINE f32x16 onehot(int64_t j, int32_t label) {
  const i32x16 element = lane_numbers() + splat(static_cast<int32_t>(j));
  return select(equal(element, splat(label)), splat(1.0f), zero());
}

// A row's loss is the mean over its elements. F gives the loss of a vector of elements and its
// derivative: f(x, t, &dx). The terms are divided before they are added, so that only a mean can
// overflow, not the sum.
template <class F>
LAMINA_INLINE void mean_over_row(float* loss, float* dx, const float* x, const float* targets,
                                 const float* weights, int64_t rows, int64_t cols, float scale,
                                 F&& f) {
  const float share = 1.0f / static_cast<float>(cols);
  for (int64_t i = 0; i < rows; ++i) {
    const float weight = weight_of(weights, i);
    const f32x16 g = splat(weight * scale * share);
    TreeSum total;
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      f32x16 slope;
      const f32x16 term =
          f(load_upto(x + i * cols + j, n), load_upto(targets + i * cols + j, n), slope);
      total.add_product(or_fill(term, n, 0.0f), splat(share));
      if (dx != nullptr) store_upto(dx + i * cols + j, without_denormals(slope * g), n);
    });
    loss[i] = sum(total.total()) * weight;
  }
}

// Keras's floor and ceiling of a probability (keras/src/backend/numpy/nn.py). The ceiling is
// 1 - 2^-23, the float32 nearest to 1 - 1e-7.
constexpr float kLeast = 1e-7f;
constexpr float kMost = 1.0f - 1e-7f;

LAMINA_INLINE f32x16 clip(f32x16 q) { return min(splat(kMost), max(splat(kLeast), q)); }
// Not "between the two": a NaN is not clipped, so its gradient stays NaN.
LAMINA_INLINE mask16 inside(f32x16 q) { return !((q < splat(kLeast)) | (q > splat(kMost))); }

LAMINA_INLINE float row_sum(const float* x, int64_t cols) {
  TreeSum total;
  for_each_vector(cols, [&](int64_t j, int64_t n) { total.add(load_upto(x + j, n)); });
  return sum(total.total());
}

}  // namespace

// max(x, 0) - x t + log(1 + e^-|x|), derivative sigmoid(x) - t. Of an infinite x the limit: it is
// computed at the largest finite one, which gives 0, or the sign of an infinity.
void sigmoid_cross_entropy(float* loss, float* dlogits, const float* logits, const float* targets,
                           const float* weights, int64_t rows, int64_t cols, float scale) {
  mean_over_row(loss, dlogits, logits, targets, weights, rows, cols, scale,
                [](f32x16 x, f32x16 t, f32x16& slope) {
                  const f32x16 e = exp_nonpositive(minus_abs(x));
                  slope = sigmoid_from(x, e) - t;
                  const f32x16 infinity = splat(__builtin_inff()), most = splat(0x1.fffffep127f);
                  const f32x16 z = min(most, max(zero() - most, x));
                  const f32x16 term = fnma(z, t, max(zero(), z)) + log1p_to_one(e);
                  const mask16 grows = (abs(x) == infinity) & !(term == zero());
                  return select(grows, term * infinity, term);
                });
}

// (p - t)^2, derivative 2 (p - t)
void mean_squared_error(float* loss, float* dpredictions, const float* predictions,
                        const float* targets, const float* weights, int64_t rows, int64_t cols,
                        float scale) {
  mean_over_row(loss, dpredictions, predictions, targets, weights, rows, cols, scale,
                [](f32x16 p, f32x16 t, f32x16& slope) {
                  const f32x16 d = p - t;
                  slope = d + d;
                  return d * d;
                });
}

// |p - t|, derivative sign(p - t), 0 at 0
void mean_absolute_error(float* loss, float* dpredictions, const float* predictions,
                         const float* targets, const float* weights, int64_t rows, int64_t cols,
                         float scale) {
  mean_over_row(loss, dpredictions, predictions, targets, weights, rows, cols, scale,
                [](f32x16 p, f32x16 t, f32x16& slope) {
                  const f32x16 d = p - t;
                  const f32x16 sign = copysign(splat(1.0f), d);
                  slope = select(is_nan(d) | (d == zero()), d, sign);
                  return abs(d);
                });
}

// q = p / S, S = sum_k p_k; loss = -sum_j t_j log(clip(q_j)). With U the j where q_j is not
// clipped, dloss/dq_j = -t_j / q_j on U and 0 elsewhere, and through the division
// dloss/dp_i = (dloss/dq_i + sum over U of t_j) / S.
void cross_entropy_onehot(float* loss, float* dprobabilities, const float* probabilities,
                          const float* targets, const float* weights, int64_t rows, int64_t cols,
                          float scale) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* p = probabilities + i * cols;
    const float* t = targets + i * cols;
    const float weight = weight_of(weights, i);
    const float inverse = 1.0f / row_sum(p, cols);
    const f32x16 normalize_by = splat(inverse);

    TreeSum total, unclipped;
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 q = load_upto(p + j, n) * normalize_by;
      const f32x16 target = load_upto(t + j, n);
      const f32x16 term = or_fill(target * log_normal(clip(q)), n, 0.0f);
      total.add(zero() - term);
      unclipped.add(select(inside(q), target, zero()));
    });
    loss[i] = sum(total.total()) * weight;
    if (dprobabilities == nullptr) continue;

    const f32x16 all = splat(sum(unclipped.total())), g = splat(weight * scale * inverse);
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 q = load_upto(p + j, n) * normalize_by;
      const f32x16 pull = load_upto(t + j, n) / clip(q);
      const f32x16 d = (all - select(inside(q), pull, zero())) * g;
      store_upto(dprobabilities + i * cols + j, without_denormals(d), n);
    });
  }
}

// The same with t = 1 at the label: one logarithm a row.
void cross_entropy_sparse(float* loss, float* dprobabilities, const float* probabilities,
                          const int32_t* labels, const float* weights, int64_t rows, int64_t cols,
                          float scale) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* p = probabilities + i * cols;
    const float weight = weight_of(weights, i);
    const float inverse = 1.0f / row_sum(p, cols);
    const f32x16 q = splat(p[labels[i]] * inverse);
    store(loss + i, (zero() - log_normal(clip(q))) * splat(weight), 1);
    if (dprobabilities == nullptr) continue;

    // The weight is a factor even where clipping is active: an infinite one shows.
    const f32x16 g = splat(weight * scale) * select(inside(q), splat(inverse), zero());
    const f32x16 pull = splat(1.0f) / clip(q);
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 d = (splat(1.0f) - onehot(j, labels[i]) * pull) * g;
      store_upto(dprobabilities + i * cols + j, without_denormals(d), n);
    });
  }
}

// -(t log(q) + (1 - t) log(1 - q)), q = clip(p); derivative (q - t) / (q (1 - q)) where unclipped
void binary_cross_entropy(float* loss, float* dprobabilities, const float* probabilities,
                          const float* targets, const float* weights, int64_t rows, int64_t cols,
                          float scale) {
  mean_over_row(loss, dprobabilities, probabilities, targets, weights, rows, cols, scale,
                [](f32x16 p, f32x16 t, f32x16& slope) {
                  const f32x16 one = splat(1.0f);
                  const f32x16 q = clip(p), rest = one - q;
                  slope = select(inside(p), (q - t) / (q * rest), zero());
                  return zero() - fma(t, log_normal(q), (one - t) * log_normal(rest));
                });
}

}  // namespace lamina::LAMINA_ISA
