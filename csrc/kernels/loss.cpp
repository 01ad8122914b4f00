// Losses, one value a row, and their gradients. A row is read whole before its gradient is
// written, so that the gradient may take the place of the first input.
//
// From logits a loss is finite for any finite logits: where the difference of two logits leaves
// the range of float32, it stays a little inside, with room for the roundings that follow.
#include "kernels/declarations.h"
#include "kernels/lanes.h"
#include "kernels/math.h"
#include "kernels/narrow.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

LAMINA_INLINE float weight_of(const float* weights, int64_t row) {
  return weights != nullptr ? weights[row] : 1.0f;
}

// x - most, finite where x is finite.
LAMINA_INLINE f32x16 shift_logits(f32x16 x, f32x16 most) {
  const f32x16 shifted = x - most;
  return select(x >= splat(-kLargest), max(splat(-3.4e38f), shifted), shifted);
}

// 1 in the lane of element `label`, 0 elsewhere, for the vector that begins at element j.
LAMINA_INLINE f32x16 onehot(int64_t j, int32_t label) {
  const i32x16 element = lane_numbers() + splat(static_cast<int32_t>(j));
  return select(equal(element, splat(label)), splat(1.0f), zero());
}

// Where the rows of targets come from. A Block is the targets of sixteen short rows; a Row goes
// through a long one with its logits: add() takes their vectors in order, mass() is the sum of the
// targets and weighted() that of their products with the shifted logits, and the gradient is
// less(probabilities) with correct() at the end.
struct OnehotTargets {
  const float* targets;
  int64_t cols;

  struct Block {
    Columns columns;
    Block(const OnehotTargets& from, int64_t row, int64_t left) {
      columns.read(from.targets + row * from.cols, left, from.cols);
    }
    LAMINA_INLINE f32x16 at(int64_t j) const { return columns.at(j); }
  };

  struct Row {
    const float* t;
    f32x16 total = zero(), products = zero();
    LAMINA_INLINE Row(const OnehotTargets& from, int64_t row, const float*, f32x16)
        : t(from.targets + row * from.cols) {}
    // A target of 0 counts for nothing, even where the logit is -inf.
    LAMINA_INLINE void add(int64_t j, int64_t n, f32x16 shifted) {
      const f32x16 v = load_upto(t + j, n);
      total = total + v;
      products = products + select(v == zero(), zero(), v * shifted);
    }
    LAMINA_INLINE float mass() const { return sum(total); }
    LAMINA_INLINE float weighted() const { return sum(products); }
    LAMINA_INLINE f32x16 less(f32x16 p, int64_t j, int64_t n) const {
      return p - load_upto(t + j, n);
    }
    LAMINA_INLINE float kept(const float*) const { return 0.0f; }
    LAMINA_INLINE void correct(float*, float, f32x16, f32x16) const {}
  };
};

// One label is one element: a long row's other elements are left alone.
struct SparseTargets {
  const int32_t* labels;

  struct Block {
    i32x16 label;
    Block(const SparseTargets& from, int64_t row, int64_t left)
        : label(left < kLanes ? load(from.labels + row, left) : load(from.labels + row)) {}
    LAMINA_INLINE f32x16 at(int64_t j) const {
      return select(equal(label, splat(static_cast<int32_t>(j))), splat(1.0f), zero());
    }
  };

  struct Row {
    int64_t label;
    f32x16 shifted;
    LAMINA_INLINE Row(const SparseTargets& from, int64_t row, const float* x, f32x16 most)
        : label(from.labels[row]), shifted(shift_logits(splat(x[label]), most)) {}
    LAMINA_INLINE void add(int64_t, int64_t, f32x16) {}
    LAMINA_INLINE float mass() const { return 1.0f; }
    LAMINA_INLINE float weighted() const { return largest(shifted); }
    LAMINA_INLINE f32x16 less(f32x16 p, int64_t, int64_t) const { return p; }
    LAMINA_INLINE float kept(const float* row) const { return row[label]; }
    LAMINA_INLINE void correct(float* dx, float e, f32x16 probability, f32x16 g) const {
      store(dx + label, (splat(e) * probability - splat(1.0f)) * g, 1);
    }
  };
};

// For rows of up to sixteen columns.
template <class Targets>
LAMINA_INLINE void narrow_cross_entropy(float* loss, float* dlogits, const float* logits,
                                        Targets targets, const float* weights, int64_t rows,
                                        int64_t cols, float scale) {
  Columns block;
  for (int64_t i = 0; i < rows; i += kLanes) {
    const int64_t left = rows - i, height = left < kLanes ? left : kLanes;
    block.read(logits + i * cols, left, cols);
    const typename Targets::Block target(targets, i, left);
    const f32x16 weight = weights == nullptr ? splat(1.0f) : load_upto(weights + i, height);

    f32x16 most = splat(-kInfinity), total = zero(), weighted = zero(), mass = zero();
    for (int64_t j = 0; j < cols; ++j) most = max(most, block.at(j));
    for (int64_t j = 0; j < cols; ++j) {
      const f32x16 shifted = shift_logits(block.at(j), most), t = target.at(j);
      const f32x16 e = exp_nonpositive(shifted);
      block.set(j, e);
      total = total + e;
      mass = mass + t;
      weighted = weighted + select(t == zero(), zero(), t * shifted);
    }
    store_upto(loss + i, (log(total) * mass - weighted) * weight, height);
    if (dlogits == nullptr) continue;

    const f32x16 probability = mass / total, g = weight * splat(scale);
    for (int64_t j = 0; j < cols; ++j) {
      block.set(j, (block.at(j) * probability - target.at(j)) * g);
    }
    block.write(dlogits + i * cols, left, cols);
  }
}

// loss = sum_j t_j (log(sum_k exp(x_k - m)) - (x_j - m)), dx = (softmax(x) sum_j t_j - t) * g.
// The exponentials of a row wait in dlogits, or on the stack where that is written past the caches.
template <class Targets>
LAMINA_INLINE void softmax_cross_entropy(float* loss, float* dlogits, const float* logits,
                                         Targets targets, const float* weights, int64_t rows,
                                         int64_t cols, float scale) {
  if (cols <= kLanes) {
    narrow_cross_entropy(loss, dlogits, logits, targets, weights, rows, cols, scale);
    return;
  }
  const bool past =
      dlogits != nullptr && streamed(rows * cols, dlogits, logits) && cols <= kKeptFloats;
  alignas(64) float kept[kKeptFloats];
  for (int64_t i = 0; i < rows; ++i) {
    const float* x = logits + i * cols;
    float* dx = dlogits != nullptr ? dlogits + i * cols : nullptr;
    float* kept_row = past ? kept : dx;
    const float weight = weight_of(weights, i);

    f32x16 most = splat(-kInfinity);
    for_each_vector(cols,
                    [&](int64_t j, int64_t n) { most = max(most, load_or(x + j, n, -kInfinity)); });
    most = splat(largest(most));

    typename Targets::Row target(targets, i, x, most);
    const float* next = next_row(x, cols);
    f32x16 total = zero();
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      prefetch(next + j);
      const f32x16 shifted = shift_logits(load_or(x + j, n, -kInfinity), most);
      const f32x16 e = exp_nonpositive(shifted);
      total = total + e;
      target.add(j, n, shifted);
      if (dx != nullptr) store_upto(kept_row + j, e, n);
    });
    const float exponentials = sum(total), mass = target.mass();
    const f32x16 row_loss = log(splat(exponentials)) * splat(mass) - splat(target.weighted());
    store(loss + i, row_loss * splat(weight), 1);
    if (dx == nullptr) continue;

    const f32x16 probability = splat(mass / exponentials), g = splat(weight * scale);
    const float at_label = target.kept(kept_row);
    map_vectors(dx, cols, past, [&](int64_t j, int64_t n) {
      return target.less(load_upto(kept_row + j, n) * probability, j, n) * g;
    });
    target.correct(dx, at_label, probability, g);
  }
  if (past) finish_streams();
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
    f32x16 total = zero();
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      f32x16 slope;
      const f32x16 term =
          f(load_upto(x + i * cols + j, n), load_upto(targets + i * cols + j, n), slope);
      total = fma(or_fill(term, n, 0.0f), splat(share), total);
      if (dx != nullptr) store_upto(dx + i * cols + j, slope * g, n);
    });
    loss[i] = sum(total) * weight;
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
  f32x16 total = zero();
  for_each_vector(cols, [&](int64_t j, int64_t n) { total = total + load_upto(x + j, n); });
  return sum(total);
}

}  // namespace

void softmax_cross_entropy_sparse(float* loss, float* dlogits, const float* logits,
                                  const int32_t* labels, const float* weights, int64_t rows,
                                  int64_t cols, float scale) {
  softmax_cross_entropy(loss, dlogits, logits, SparseTargets{labels}, weights, rows, cols, scale);
}

void softmax_cross_entropy_onehot(float* loss, float* dlogits, const float* logits,
                                  const float* targets, const float* weights, int64_t rows,
                                  int64_t cols, float scale) {
  softmax_cross_entropy(loss, dlogits, logits, OnehotTargets{targets, cols}, weights, rows, cols,
                        scale);
}

// max(x, 0) - x t + log(1 + e^-|x|), derivative sigmoid(x) - t
void sigmoid_cross_entropy(float* loss, float* dlogits, const float* logits, const float* targets,
                           const float* weights, int64_t rows, int64_t cols, float scale) {
  mean_over_row(loss, dlogits, logits, targets, weights, rows, cols, scale,
                [](f32x16 x, f32x16 t, f32x16& slope) {
                  const f32x16 e = exp_nonpositive(minus_abs(x));
                  slope = sigmoid_from(x, e) - t;
                  return fnma(x, t, max(zero(), x)) + log1p_to_one(e);
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

    f32x16 total = zero(), unclipped = zero();
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 q = load_upto(p + j, n) * normalize_by;
      const f32x16 target = load_upto(t + j, n);
      const f32x16 term = or_fill(target * log_normal(clip(q)), n, 0.0f);
      total = total - term;
      unclipped = unclipped + select(inside(q), target, zero());
    });
    loss[i] = sum(total) * weight;
    if (dprobabilities == nullptr) continue;

    const f32x16 all = splat(sum(unclipped)), g = splat(weight * scale * inverse);
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 q = load_upto(p + j, n) * normalize_by;
      const f32x16 pull = load_upto(t + j, n) / clip(q);
      store_upto(dprobabilities + i * cols + j, (all - select(inside(q), pull, zero())) * g, n);
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

    const f32x16 g = select(inside(q), splat(weight * scale * inverse), zero());
    const f32x16 pull = splat(1.0f) / clip(q);
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 d = (splat(1.0f) - onehot(j, labels[i]) * pull) * g;
      store_upto(dprobabilities + i * cols + j, d, n);
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
