// What stands around a product of bf16 parts: float32 matrices split into parts and laid out in the
// tiles of a matrix unit, and its sums made into C. The product itself is matrix_unit.cpp; how a
// matrix is cut is decided in ops/split_product.
#include "kernels/activate.h"
#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// Sixteen floats that have the bits of bf16: the nearest, ties to even. What rounds past the range
// becomes infinite, as in any rounding, and NaN stays NaN: rounded, its highest ones would carry
// into the sign.
LAMINA_INLINE f32x16 to_bf16(f32x16 x) {
  const i32x16 u = bits(x);
  const i32x16 odd = shift_right<16>(u) & splat(int32_t{1});
  const i32x16 rounded = (u + splat(int32_t{0x7fff}) + odd) & splat(int32_t{-0x10000});
  return as_float(select(is_nan(x), splat(int32_t{0x7fc00000}), rounded));
}

// Sixteen words of each part: x in the low halves, y in the high ones.
LAMINA_INLINE void store_parts(float* words, int64_t next, f32x16 x, f32x16 y, int parts) {
  for (int part = 0; part < parts; ++part) {
    const f32x16 low = to_bf16(x), high = to_bf16(y);
    store(words + part * next, as_float(shift_right<16>(bits(low)) | bits(high)));
    x = x - low;
    y = y - high;
  }
}

int64_t upto(int64_t n, int64_t most) { return n < 0 ? 0 : n < most ? n : most; }

// to[i * to_row + j] = from[i * row + j * col] for i < rows and j < columns, else 0; 16 x 16.
void copy_square(float* to, int64_t to_row, const float* from, int64_t row, int64_t col,
                 int64_t rows, int64_t columns) {
  if (col == 1) {
    for (int64_t i = 0; i < kUnitSide; ++i) {
      const f32x16 v = i >= rows              ? zero()
                       : columns == kUnitSide ? load(from + i * row)
                                              : load(from + i * row, columns);
      store(to + i * to_row, v);
    }
  } else if (row == 1 && rows == kUnitSide && columns == kUnitSide) {
    transpose16(to, to_row, from, col);
  } else {
    for (int64_t i = 0; i < kUnitSide; ++i) {
      for (int64_t j = 0; j < kUnitSide; ++j) {
        to[i * to_row + j] = i < rows && j < columns ? from[i * row + j * col] : 0.0f;
      }
    }
  }
}

}  // namespace

void split_left(float* tiles, int64_t block, const float* a, int64_t a_row, int64_t a_col,
                int64_t m, int64_t k, int parts) {
  alignas(64) float square[kUnitSide * kUnitTerms];
  for (int64_t i0 = 0; i0 < m; i0 += kUnitSide) {
    const int64_t rows = upto(m - i0, kUnitSide);
    float* tile = tiles + i0 / kUnitSide * block;
    for (int64_t p0 = 0; p0 < k; p0 += kUnitTerms) {
      const float* from = a + i0 * a_row + p0 * a_col;
      const bool whole = a_col == 1 && p0 + kUnitTerms <= k;
      if (!whole) {
        for (int64_t half = 0; half < kUnitTerms; half += kUnitSide) {
          copy_square(square + half, kUnitTerms, from + half * a_col, a_row, a_col, rows,
                      upto(k - p0 - half, kUnitSide));
        }
        from = square;
      }
      const int64_t row = whole ? a_row : kUnitTerms;
      for (int64_t i = 0; i < kUnitSide; ++i) {
        const bool there = i < rows;
        const f32x16 x = there ? load(from + i * row) : zero();
        const f32x16 y = there ? load(from + i * row + kUnitSide) : zero();
        store_parts(tile + i * kUnitSide, kUnitTile, x, y, parts);
      }
      tile += parts * kUnitTile;
    }
  }
}

void split_right(float* tiles, int64_t block, const float* b, int64_t b_row, int64_t b_col,
                 int64_t k, int64_t n, int parts) {
  alignas(64) float square[kUnitTerms * kUnitSide];
  for (int64_t p0 = 0; p0 < k; p0 += kUnitTerms) {
    for (int64_t j0 = 0; j0 < n; j0 += kUnitSide) {
      const int64_t columns = upto(n - j0, kUnitSide);
      const float* from = b + p0 * b_row + j0 * b_col;
      const bool whole = b_col == 1 && columns == kUnitSide && p0 + kUnitTerms <= k;
      if (!whole) {
        for (int64_t half = 0; half < kUnitTerms; half += kUnitSide) {
          copy_square(square + half * kUnitSide, kUnitSide, from + half * b_row, b_row, b_col,
                      upto(k - p0 - half, kUnitSide), columns);
        }
        from = square;
      }
      const int64_t row = whole ? b_row : kUnitSide;
      float* tile = tiles + j0 / kUnitSide * block + p0 / kUnitTerms * parts * kUnitTile;
      for (int64_t i = 0; i < kUnitSide; ++i) {
        store_parts(tile + i * kUnitSide, kUnitTile, load(from + i * row),
                    load(from + (i + kUnitSide) * row), parts);
      }
    }
  }
}

void split_lines(float* lines, const float* low, int64_t low_n, const float* high, int64_t high_n,
                 int64_t row, int64_t rows, int64_t step, int64_t blocks, int parts) {
  const auto some = [](const float* from, int64_t n) {
    return n >= kUnitSide ? load(from) : n > 0 ? load(from, n) : zero();
  };
  for (int64_t r = 0; r < rows; ++r, low += row, high += row) {
    for (int64_t p = 0; p < blocks * step; p += step) {
      store_parts(lines, kUnitSide, some(low + p, low_n - p), some(high + p, high_n - p), parts);
      lines += parts * kUnitSide;
    }
  }
}

void gather_lines(float* tiles, int64_t block, const float* lines, const int64_t* from,
                  int64_t blocks, int parts) {
  for (int64_t i = 0; i < kUnitSide; ++i) {
    const bool there = from[i] >= 0;
    const float* line = there ? lines + from[i] : lines;
    for (int64_t b = 0; b < blocks; ++b) {
      for (int part = 0; part < parts; ++part, line += kUnitSide) {
        store(tiles + b * block + part * kUnitTile + i * kUnitSide, there ? load(line) : zero());
      }
    }
  }
}

void split_finish(float* c, int64_t c_row, const float* sums, int64_t columns, int64_t m, int64_t n,
                  float alpha, float beta, const GemmEpilogue* epilogue) {
  const GemmEpilogue e =
      epilogue == nullptr ? GemmEpilogue{nullptr, Activation::linear, 0.0f} : *epilogue;
  const f32x16 scale = splat(alpha), keep = splat(beta), slope = splat(e.alpha);
  with_activation(e.activation, [&](auto function) {
    for (int64_t i = 0; i < m; ++i) {
      const float* row = sums + (i / kUnitSide * columns * kUnitSide + i % kUnitSide) * kUnitSide;
      for_each_vector(n, [&](int64_t j, int64_t lanes) {
        float* to = c + i * c_row + j;
        f32x16 v = scale * load(row + j * kUnitSide);
        if (beta != 0.0f) v = fma(keep, load_upto(to, lanes), v);
        if (e.bias != nullptr) v = v + load_upto(e.bias + j, lanes);
        store_upto(to, decltype(function)::forward(v, slope), lanes);
      });
    }
  });
}

}  // namespace lamina::LAMINA_ISA
