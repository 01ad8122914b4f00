// Cross-entropy of the softmax of logits, one value a row, and its gradient. A row is read whole
// before its gradient is written, so that the gradient may take the place of the logits.
//
// A loss is finite for any finite logits: where the difference of two logits leaves the range of
// float32, it stays a little inside, with room for the roundings that follow.
#include "kernels/declarations.h"
#include "kernels/lanes.h"
#include "kernels/math.h"
#include "kernels/narrow.h"
#include "kernels/simd.h"
#include "kernels/tree.h"

namespace lamina::LAMINA_ISA {
namespace {

// x - most, finite where x is finite.
LAMINA_INLINE f32x16 shift_logits(f32x16 x, f32x16 most) {
  const f32x16 shifted = x - most;
  return select(x >= splat(-kLargest), max(splat(-3.4e38f), shifted), shifted);
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
    TreeSum total, products;
    LAMINA_INLINE Row(const OnehotTargets& from, int64_t row, const float*, f32x16)
        : t(from.targets + row * from.cols) {}
    // A target of 0 counts for nothing, even where the logit is -inf.
    LAMINA_INLINE void add(int64_t j, int64_t n, f32x16 shifted) {
      const f32x16 v = load_upto(t + j, n);
      total.add(v);
      products.add(select(v == zero(), zero(), v * shifted));
    }
    LAMINA_INLINE float mass() const { return sum(total.total()); }
    LAMINA_INLINE float weighted() const { return sum(products.total()); }
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
      store(dx + label, without_denormals((splat(e) * probability - splat(1.0f)) * g), 1);
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
      block.set(j, without_denormals((block.at(j) * probability - target.at(j)) * g));
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
    TreeSum total;
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      prefetch(next + j);
      const f32x16 shifted = shift_logits(load_or(x + j, n, -kInfinity), most);
      const f32x16 e = exp_nonpositive(shifted);
      total.add(e);
      target.add(j, n, shifted);
      if (dx != nullptr) store_upto(kept_row + j, e, n);
    });
    const float exponentials = sum(total.total()), mass = target.mass();
    const f32x16 row_loss = log(splat(exponentials)) * splat(mass) - splat(target.weighted());
    store(loss + i, row_loss * splat(weight), 1);
    if (dx == nullptr) continue;

    const f32x16 probability = splat(mass / exponentials), g = splat(weight * scale);
    const float at_label = target.kept(kept_row);
    map_vectors(dx, cols, past, [&](int64_t j, int64_t n) {
      return without_denormals(target.less(load_upto(kept_row + j, n) * probability, j, n) * g);
    });
    target.correct(dx, at_label, probability, g);
  }
  if (past) finish_streams();
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

}  // namespace lamina::LAMINA_ISA
