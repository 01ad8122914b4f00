// One K block of a matrix product: the micro-kernel and the loops around its tiles. How K is cut
// into blocks and the matrix into tiles that are shared out is decided in ops/gemm.
//
// Assumptions: B and C have unit column stride (gemm_pack makes that of any matrix); A may have
// any strides, because its elements are broadcast one at a time.
#include "kernels/activate.h"
#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

struct Block {
  float* c;
  int64_t c_row;
  const float* a;
  int64_t a_row, a_col;
  const float* b;
  int64_t b_row;
  int64_t k;
  float alpha, beta;
  const GemmEpilogue* epilogue;  // null, linear without bias, or bias with linear or relu
};

// C (rows x columns) of one tile, held in rows * vectors accumulators from the first p to the
// last. `partial` is the number of lanes of the last vector, used only where `masked`.
template <int rows, int vectors, bool masked>
LAMINA_INLINE void tile(const Block& t, int64_t i0, int64_t j0, int64_t partial) {
  f32x16 acc[rows][vectors];
  LAMINA_UNROLL
  for (int i = 0; i < rows; ++i) {
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) acc[i][j] = zero();
  }
  const float* a = t.a + i0 * t.a_row;
  const float* b = t.b + j0;
  for (int64_t p = 0; p < t.k; ++p) {
    f32x16 bv[vectors];
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) {
      bv[j] = masked && j == vectors - 1 ? load(b + kLanes * j, partial) : load(b + kLanes * j);
    }
    LAMINA_UNROLL
    for (int i = 0; i < rows; ++i) {
      const f32x16 av = splat(a[i * t.a_row]);
      LAMINA_UNROLL
      for (int j = 0; j < vectors; ++j) acc[i][j] = fma(av, bv[j], acc[i][j]);
    }
    a += t.a_col;
    b += t.b_row;
  }

  const GemmEpilogue* e = t.epilogue;
  if (!masked && t.alpha == 1.0f && t.beta == 0.0f && e == nullptr) {  // the common case
    LAMINA_UNROLL
    for (int i = 0; i < rows; ++i) {
      float* c = t.c + (i0 + i) * t.c_row + j0;
      LAMINA_UNROLL
      for (int j = 0; j < vectors; ++j) store(c + kLanes * j, acc[i][j]);
    }
    return;
  }
  const f32x16 alpha = splat(t.alpha), beta = splat(t.beta);
  LAMINA_UNROLL
  for (int j = 0; j < vectors; ++j) {
    const int64_t n = masked && j == vectors - 1 ? partial : kLanes;
    const int64_t column = j0 + kLanes * j;
    const f32x16 bias =
        e != nullptr && e->bias != nullptr
            ? (masked && j == vectors - 1 ? load(e->bias + column, n) : load(e->bias + column))
            : zero();
    LAMINA_UNROLL
    for (int i = 0; i < rows; ++i) {
      float* c = t.c + (i0 + i) * t.c_row + column;
      f32x16 v = acc[i][j];
      if (t.beta == 0.0f) {
        if (t.alpha != 1.0f) v = alpha * v;
      } else {
        const f32x16 old = masked && j == vectors - 1 ? load(c, n) : load(c);
        // alpha = beta = 1, the step from one K block to the next, costs one addition.
        v = t.alpha == 1.0f && t.beta == 1.0f ? v + old : fma(alpha, v, beta * old);
      }
      if (e != nullptr) {
        v = v + bias;
        if (e->activation == Activation::relu) v = Relu::forward(v, zero());
      }
      if (masked && j == vectors - 1) {
        store(c, v, n);
      } else {
        store(c, v);
      }
    }
  }
}

// `columns` is what is left of the row: at least the tile's width, or a remainder.
template <int rows, int vectors>
LAMINA_INLINE void tile_columns(const Block& t, int64_t i0, int64_t j0, int64_t columns) {
  if (columns >= kLanes * vectors) {
    tile<rows, vectors, false>(t, i0, j0, kLanes);
  } else if constexpr (vectors > 1) {
    if (columns > kLanes * (vectors - 1)) {
      tile<rows, vectors, true>(t, i0, j0, columns - kLanes * (vectors - 1));
    } else {
      tile_columns<rows, vectors - 1>(t, i0, j0, columns);
    }
  } else {
    tile<rows, 1, true>(t, i0, j0, columns);
  }
}

// `height` rows, at most `rows`.
template <int rows>
void row_of_tiles(const Block& t, int64_t i0, int64_t j0, int64_t columns, int64_t height) {
  if constexpr (rows > 1) {
    if (height < rows) return row_of_tiles<rows - 1>(t, i0, j0, columns, height);
  }
  tile_columns<rows, tile_vectors>(t, i0, j0, columns);
}

// Any other activation reads the finished block once more, while it is in the cache.
void activate_block(const Block& t, const GemmEpilogue& e, int64_t m, int64_t n) {
  with_activation(e.activation, [&](auto function) {
    const f32x16 alpha = splat(e.alpha);
    for (int64_t i = 0; i < m; ++i) {
      for_each_vector(n, [&](int64_t j, int64_t lanes) {
        float* c = t.c + i * t.c_row + j;
        const f32x16 bias = e.bias != nullptr ? load_upto(e.bias + j, lanes) : zero();
        store_upto(c, decltype(function)::forward(load_upto(c, lanes) + bias, alpha), lanes);
      });
    }
  });
}

}  // namespace

void gemm_block(float* c, int64_t c_row, const float* a, int64_t a_row, int64_t a_col,
                const float* b, int64_t b_row, int64_t m, int64_t n, int64_t k, float alpha,
                float beta, const GemmEpilogue* epilogue) {
  const bool in_tile = epilogue == nullptr || epilogue->activation == Activation::linear ||
                       epilogue->activation == Activation::relu;
  const Block t{c, c_row, a, a_row, a_col, b, b_row, k, alpha, beta, in_tile ? epilogue : nullptr};
  constexpr int64_t width = kLanes * tile_vectors;
  // Rows are shared out evenly: 32 as 6 + 6 + 5 + 5 + 5 + 5, because a last tile of 2 would read
  // all of B for a third of the arithmetic.
  const int64_t bands = (m + tile_rows - 1) / tile_rows;
  for (int64_t j = 0; j < n; j += width) {
    for (int64_t band = 0, i = 0; band < bands; ++band) {
      const int64_t height = (m - i + bands - band - 1) / (bands - band);
      row_of_tiles<tile_rows>(t, i, j, n - j, height);
      i += height;
    }
  }
  if (!in_tile) activate_block(t, *epilogue, m, n);
}

void gemm_pack(float* packed, int64_t width, const float* b, int64_t b_row, int64_t b_col,
               int64_t k, int64_t n) {
  if (b_col == 1) {
    for (int64_t p = 0; p < k; ++p) {
      float* row = packed + p * width;
      for_each_vector(width, [&](int64_t j, int64_t lanes) {
        __builtin_prefetch(b + (p + 4) * b_row + j);
        const int64_t have = n - j < 0 ? 0 : n - j < lanes ? n - j : lanes;
        store_upto(row + j, load_upto(b + p * b_row + j, have), lanes);
      });
    }
    return;
  }
  // A transpose in blocks of sixteen by sixteen, and element by element at the edges.
  const int64_t whole_k = b_row == 1 ? k / kLanes * kLanes : 0;
  const int64_t whole_n = b_row == 1 ? n / kLanes * kLanes : 0;
  for (int64_t j = 0; j < whole_n; j += kLanes) {
    for (int64_t p = 0; p < whole_k; p += kLanes) {
      transpose16(packed + p * width + j, width, b + p + j * b_col, b_col);
    }
  }
  for (int64_t p = 0; p < k; ++p) {
    for (int64_t j = p < whole_k ? whole_n : 0; j < width; ++j) {
      packed[p * width + j] = j < n ? b[p * b_row + j * b_col] : 0.0f;
    }
  }
}

}  // namespace lamina::LAMINA_ISA
