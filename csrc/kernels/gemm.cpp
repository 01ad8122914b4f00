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
  const LiveTerms* live;         // null: all terms
};

// Calls body(p) for the terms that any of the rows i0 .. i0 + rows takes.
template <int rows, class Body>
LAMINA_INLINE void for_live_terms(const LiveTerms& live, int64_t i0, int64_t k, Body&& body) {
  for (int64_t p = 0; p < k; p += kLiveBits) {
    const uint32_t* word = live.words + i0 * live.row + p / kLiveBits * live.word;
    uint32_t bits = live.always[p / kLiveBits];
    LAMINA_UNROLL
    for (int i = 0; i < rows; ++i) bits |= word[i * live.row];
    for (; bits != 0; bits &= bits - 1) body(p + __builtin_ctz(bits));
  }
}

// C (rows x columns) of one tile, held in rows * vectors accumulators from the first p to the
// last. `partial` is the number of lanes of the last vector, used only where `masked`.
template <int rows, int vectors, bool masked, bool live>
LAMINA_INLINE void tile(const Block& t, int64_t i0, int64_t j0, int64_t partial) {
  f32x16 acc[rows][vectors];
  LAMINA_UNROLL
  for (int i = 0; i < rows; ++i) {
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) acc[i][j] = zero();
  }
  const auto add_term = [&](const float* a, const float* b) LAMINA_LAMBDA {
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
  };
  const float* a = t.a + i0 * t.a_row;
  const float* b = t.b + j0;
  if constexpr (live) {
    for_live_terms<rows>(*t.live, i0, t.k, [&](int64_t p) LAMINA_LAMBDA {
      add_term(a + p * t.a_col, b + p * t.b_row);
    });
  } else {
    for (int64_t p = 0; p < t.k; ++p, a += t.a_col, b += t.b_row) add_term(a, b);
  }

  // Each choice stands outside the loops over the accumulators, which stay in registers.
  const auto each = [&](auto&& body) LAMINA_LAMBDA {
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) {
      const bool last = masked && j == vectors - 1;
      LAMINA_UNROLL
      for (int i = 0; i < rows; ++i) {
        body(acc[i][j], t.c + (i0 + i) * t.c_row + j0 + kLanes * j, last);
      }
    }
  };
  const auto read = [&](const float* p, bool last)
                        LAMINA_LAMBDA { return masked && last ? load(p, partial) : load(p); };
  if (t.beta == 0.0f) {
    if (t.alpha != 1.0f) {
      const f32x16 alpha = splat(t.alpha);
      each([&](f32x16& v, const float*, bool) LAMINA_LAMBDA { v = alpha * v; });
    }
  } else if (t.alpha == 1.0f && t.beta == 1.0f) {  // from one K block to the next
    each([&](f32x16& v, const float* c, bool last) LAMINA_LAMBDA { v = v + read(c, last); });
  } else {
    const f32x16 alpha = splat(t.alpha), beta = splat(t.beta);
    each([&](f32x16& v, const float* c, bool last)
             LAMINA_LAMBDA { v = fma(alpha, v, beta * read(c, last)); });
  }
  if (const GemmEpilogue* e = t.epilogue; e != nullptr) {
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) {
      const bool last = masked && j == vectors - 1;
      const f32x16 bias = e->bias == nullptr ? zero() : read(e->bias + j0 + kLanes * j, last);
      LAMINA_UNROLL
      for (int i = 0; i < rows; ++i) acc[i][j] = acc[i][j] + bias;
    }
    if (e->activation == Activation::relu) {
      each([&](f32x16& v, const float*, bool) LAMINA_LAMBDA { v = Relu::forward(v, zero()); });
    }
  }
  each([&](f32x16 v, float* c, bool last) LAMINA_LAMBDA {
    if (masked && last) {
      store(c, v, partial);
    } else {
      store(c, v);
    }
  });
}

// `columns` is what is left of the row: at least the tile's width, or a remainder.
template <int rows, int vectors, bool live>
LAMINA_INLINE void tile_columns(const Block& t, int64_t i0, int64_t j0, int64_t columns) {
  if (columns >= kLanes * vectors) {
    tile<rows, vectors, false, live>(t, i0, j0, kLanes);
  } else if constexpr (vectors > 1) {
    if (columns > kLanes * (vectors - 1)) {
      tile<rows, vectors, true, live>(t, i0, j0, columns - kLanes * (vectors - 1));
    } else {
      tile_columns<rows, vectors - 1, live>(t, i0, j0, columns);
    }
  } else {
    tile<rows, 1, true, live>(t, i0, j0, columns);
  }
}

// `height` rows, at most `rows`.
template <int rows, int vectors, bool live>
void row_of_tiles(const Block& t, int64_t i0, int64_t j0, int64_t columns, int64_t height) {
  if constexpr (rows > 1) {
    if (height < rows) return row_of_tiles<rows - 1, vectors, live>(t, i0, j0, columns, height);
  }
  tile_columns<rows, vectors, live>(t, i0, j0, columns);
}

// Rows are shared out evenly: 32 as 6 + 6 + 5 + 5 + 5 + 5, because a last tile of 2 would read all
// of B for a third of the arithmetic.
template <int rows, int vectors, bool live>
void all_tiles(const Block& t, int64_t m, int64_t n) {
  const int64_t bands = (m + rows - 1) / rows;
  for (int64_t j = 0; j < n; j += kLanes * vectors) {
    for (int64_t band = 0, i = 0; band < bands; ++band) {
      const int64_t height = (m - i + bands - band - 1) / (bands - band);
      row_of_tiles<rows, vectors, live>(t, i, j, n - j, height);
      i += height;
    }
  }
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
                float beta, const GemmEpilogue* epilogue, const LiveTerms* live) {
  const bool in_tile = epilogue == nullptr || epilogue->activation == Activation::linear ||
                       epilogue->activation == Activation::relu;
  const Block t{c,   c_row, a, a_row, a_col, b, b_row, k, alpha, beta, in_tile ? epilogue : nullptr,
                live};
  if (live == nullptr) {
    all_tiles<tile_rows, tile_vectors, false>(t, m, n);
  } else {
    all_tiles<kLiveRows, live_vectors, true>(t, m, n);
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
