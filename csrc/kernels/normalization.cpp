// Statistics and normalisation of the columns of a matrix, for batch normalisation. A column is
// summed over the rows it is given in their order; ops/batch_norm cuts the rows into pieces, adds
// these up, and makes the per-column factors.
#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// Four vectors of columns at a time: the sums of one alone would wait for each other.
constexpr int kColumnVectors = 4;

template <int vectors>
LAMINA_INLINE void deviations(float* sums, float* squares, const float* x, const float* center,
                              int64_t rows, int64_t cols, int64_t j, int64_t n) {
  f32x16 sum[vectors], square[vectors], middle[vectors];
  LAMINA_UNROLL
  for (int v = 0; v < vectors; ++v) {
    sum[v] = square[v] = zero();
    middle[v] = load_upto(center + j + v * kLanes, n);
  }
  for (int64_t i = 0; i < rows; ++i) {
    LAMINA_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const f32x16 d = load_upto(x + i * cols + j + v * kLanes, n) - middle[v];
      sum[v] = sum[v] + d;
      square[v] = fma(d, d, square[v]);
    }
  }
  LAMINA_UNROLL
  for (int v = 0; v < vectors; ++v) {
    store_upto(sums + j + v * kLanes, sum[v], n);
    store_upto(squares + j + v * kLanes, square[v], n);
  }
}

template <int vectors>
LAMINA_INLINE void sums(float* dscale, float* dshift, const float* dy, const float* x,
                        const float* mean, const float* rstd, int64_t rows, int64_t cols, int64_t j,
                        int64_t n) {
  f32x16 along[vectors], total[vectors], center[vectors];
  LAMINA_UNROLL
  for (int v = 0; v < vectors; ++v) {
    along[v] = total[v] = zero();
    center[v] = load_upto(mean + j + v * kLanes, n);
  }
  for (int64_t i = 0; i < rows; ++i) {
    LAMINA_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const int64_t at = i * cols + j + v * kLanes;
      const f32x16 d = load_upto(dy + at, n);
      total[v] = total[v] + d;
      along[v] = fma(d, load_upto(x + at, n) - center[v], along[v]);
    }
  }
  LAMINA_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const int64_t at = j + v * kLanes;
    store_upto(dshift + at, total[v], n);
    store_upto(dscale + at, along[v] * load_upto(rstd + at, n), n);
  }
}

// Wider matrices go by rows, as in reduce.cpp.
constexpr int64_t kRowsAtOnce = 8;
constexpr int64_t kNarrow = 128;  // columns

template <int64_t count>
LAMINA_INLINE void add_deviations(float* sums, float* squares, const float* x, const float* center,
                                  int64_t cols) {
  for_each_vector(cols, [&](int64_t j, int64_t n) {
    const f32x16 middle = load_upto(center + j, n);
    f32x16 sum = load_upto(sums + j, n), square = load_upto(squares + j, n);
    LAMINA_UNROLL
    for (int64_t i = 0; i < count; ++i) {
      prefetch_second(x + 2 * count * cols + j * count + i * kLanes);
      const f32x16 d = load_upto(x + i * cols + j, n) - middle;
      sum = sum + d;
      square = fma(d, d, square);
    }
    store_upto(sums + j, sum, n);
    store_upto(squares + j, square, n);
  });
}

template <int64_t count>
LAMINA_INLINE void add_products(float* along, float* plain, const float* dy, const float* x,
                                const float* mean, int64_t cols) {
  for_each_vector(cols, [&](int64_t j, int64_t n) {
    const f32x16 center = load_upto(mean + j, n);
    f32x16 product = load_upto(along + j, n), total = load_upto(plain + j, n);
    LAMINA_UNROLL
    for (int64_t i = 0; i < count; ++i) {
      const int64_t later = 2 * count * cols + j * count + i * kLanes;
      prefetch_second(dy + later);
      prefetch_second(x + later);
      const f32x16 d = load_upto(dy + i * cols + j, n);
      total = total + d;
      product = fma(d, load_upto(x + i * cols + j, n) - center, product);
    }
    store_upto(along + j, product, n);
    store_upto(plain + j, total, n);
  });
}

LAMINA_INLINE void clear(float* out, int64_t n) {
  for_each_vector(n, [&](int64_t j, int64_t lanes) { store_upto(out + j, zero(), lanes); });
}

}  // namespace

// sums, squares, center (cols), x (rows, cols)
void column_deviations(float* sums, float* squares, const float* x, const float* center,
                       int64_t rows, int64_t cols) {
  if (cols <= kNarrow) {
    int64_t j = 0;
    for (; j + kColumnVectors * kLanes <= cols; j += kColumnVectors * kLanes) {
      deviations<kColumnVectors>(sums, squares, x, center, rows, cols, j, kLanes);
    }
    for_each_vector(cols - j, [&](int64_t i, int64_t n) {
      deviations<1>(sums, squares, x, center, rows, cols, j + i, n);
    });
    return;
  }
  clear(sums, cols);
  clear(squares, cols);
  int64_t i = 0;
  for (; i + kRowsAtOnce <= rows; i += kRowsAtOnce) {
    add_deviations<kRowsAtOnce>(sums, squares, x + i * cols, center, cols);
  }
  for (; i < rows; ++i) add_deviations<1>(sums, squares, x + i * cols, center, cols);
}

// y, x (rows, cols), mean, scale, shift (cols)
void normalize(float* y, const float* x, const float* mean, const float* scale, const float* shift,
               int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, x += cols, y += cols) {
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 d = load_upto(x + j, n) - load_upto(mean + j, n);
      store_upto(y + j, fma(d, load_upto(scale + j, n), load_upto(shift + j, n)), n);
    });
  }
}

// dscale, dshift, mean, rstd (cols), dy, x (rows, cols). rstd is the same in every row, so it
// multiplies the sum.
void normalize_sums(float* dscale, float* dshift, const float* dy, const float* x,
                    const float* mean, const float* rstd, int64_t rows, int64_t cols) {
  if (cols <= kNarrow) {
    int64_t j = 0;
    for (; j + kColumnVectors * kLanes <= cols; j += kColumnVectors * kLanes) {
      sums<kColumnVectors>(dscale, dshift, dy, x, mean, rstd, rows, cols, j, kLanes);
    }
    for_each_vector(cols - j, [&](int64_t i, int64_t n) {
      sums<1>(dscale, dshift, dy, x, mean, rstd, rows, cols, j + i, n);
    });
    return;
  }
  clear(dscale, cols);
  clear(dshift, cols);
  int64_t i = 0;
  for (; i + kRowsAtOnce / 2 <= rows; i += kRowsAtOnce / 2) {
    add_products<kRowsAtOnce / 2>(dscale, dshift, dy + i * cols, x + i * cols, mean, cols);
  }
  for (; i < rows; ++i) add_products<1>(dscale, dshift, dy + i * cols, x + i * cols, mean, cols);
  for_each_vector(cols, [&](int64_t j, int64_t n) {
    store_upto(dscale + j, load_upto(dscale + j, n) * load_upto(rstd + j, n), n);
  });
}

// dx, dy, x (rows, cols), mean, a, b, c (cols)
void normalize_backward(float* dx, const float* dy, const float* x, const float* mean,
                        const float* a, const float* b, const float* c, int64_t rows,
                        int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, x += cols, dy += cols, dx += cols) {
    for_each_vector(cols, [&](int64_t j, int64_t n) {
      const f32x16 d = load_upto(x + j, n) - load_upto(mean + j, n);
      const f32x16 rest = fma(load_upto(b + j, n), d, load_upto(c + j, n));
      store_upto(dx + j, fma(load_upto(a + j, n), load_upto(dy + j, n), rest), n);
    });
  }
}

}  // namespace lamina::LAMINA_ISA
