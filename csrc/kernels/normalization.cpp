// Statistics and normalisation of the columns of a matrix, for batch normalisation. A column is
// summed over the rows it is given in their order; ops/batch_norm cuts the rows into pieces, adds
// these up, and makes the per-column factors.
#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// Rows that are added to the sums at a time, as in reduce.cpp.
constexpr int64_t kRowsAtOnce = 8;

template <int64_t count>
LAMINA_INLINE void add_squares(float* out, const float* x, const float* mean, int64_t cols) {
  for_each_vector(cols, [&](int64_t j, int64_t n) {
    const f32x16 center = load_upto(mean + j, n);
    f32x16 total = load_upto(out + j, n);
    LAMINA_UNROLL
    for (int64_t i = 0; i < count; ++i) {
      prefetch(x + (i + count) * cols + j);
      const f32x16 d = load_upto(x + i * cols + j, n) - center;
      total = fma(d, d, total);
    }
    store_upto(out + j, total, n);
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
      prefetch(dy + (i + count) * cols + j);
      prefetch(x + (i + count) * cols + j);
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

// out, mean (cols), x (rows, cols)
void column_squares(float* out, const float* x, const float* mean, int64_t rows, int64_t cols) {
  clear(out, cols);
  int64_t i = 0;
  for (; i + kRowsAtOnce <= rows; i += kRowsAtOnce) {
    add_squares<kRowsAtOnce>(out, x + i * cols, mean, cols);
  }
  for (; i < rows; ++i) add_squares<1>(out, x + i * cols, mean, cols);
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
