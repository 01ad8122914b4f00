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

constexpr int64_t kWidth = kLanes * tile_vectors;  // of a strip of B
static_assert(kStripColumns % kWidth == 0);

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
  int64_t ahead = 0;             // from a row of A to one that will be read later; 0: none
  bool fetches_c = false;        // C is far away
};

// Asks for as large a part of some rows of A as the columns from j on are of C: the rows are too
// short for the hardware to foresee, and all at once would have to wait for each other.
LAMINA_INLINE void fetch_rows(const float* a, int64_t a_row, int64_t rows, int64_t k, int64_t j,
                              int64_t width, int64_t n) {
  const int64_t lines = (k + kLanes - 1) / kLanes, end = lines * (j + width) / n;
  for (int64_t line = lines * j / n; line < end && line < lines; ++line) {
    for (int64_t r = 0; r < rows; ++r) prefetch_second(a + r * a_row + line * kLanes);
  }
}

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
  float* const c = t.c + i0 * t.c_row + j0;
  const int64_t c_row = t.c_row;  // not read again after each store
  f32x16 acc[rows][vectors];
  LAMINA_UNROLL
  for (int i = 0; i < rows; ++i) {
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) acc[i][j] = zero();
  }
  if (!live && t.fetches_c) {
    LAMINA_UNROLL
    for (int i = 0; i < rows; ++i) {
      // The last float's line: the first one's has come with the tile to the left, or is the same.
      LAMINA_UNROLL
      for (int j = 0; j < vectors; ++j) {
        prefetch(c + i * c_row + kLanes * (j + 1) - 1);
      }
    }
  }
  const auto add_term = [&](const float* a, const float* b) LAMINA_LAMBDA {
    if constexpr (live && !masked) return add_products(acc, a, t.a_row, b);
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
        body(acc[i][j], c + i * c_row + kLanes * j, last);
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
    each([&](f32x16& v, const float* p, bool last) LAMINA_LAMBDA { v = v + read(p, last); });
  } else {
    const f32x16 alpha = splat(t.alpha), beta = splat(t.beta);
    each([&](f32x16& v, const float* p, bool last)
             LAMINA_LAMBDA { v = fma(alpha, v, beta * read(p, last)); });
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
  each([&](f32x16 v, float* p, bool last) LAMINA_LAMBDA {
    if (masked && last) {
      store(p, v, partial);
    } else {
      store(p, v);
    }
  });
}

// `bands` tiles, one below the other. `columns` is what is left of the row: at least the tile's
// width, or a remainder.
template <int rows, int vectors, bool live>
LAMINA_INLINE void tile_columns(const Block& t, int64_t i0, int64_t j0, int64_t columns,
                                int64_t bands) {
  const int64_t end = i0 + bands * rows;
  if (columns >= kLanes * vectors) {
    for (; i0 < end; i0 += rows) tile<rows, vectors, false, live>(t, i0, j0, kLanes);
  } else if constexpr (vectors > 1) {
    if (columns > kLanes * (vectors - 1)) {
      const int64_t partial = columns - kLanes * (vectors - 1);
      for (; i0 < end; i0 += rows) tile<rows, vectors, true, live>(t, i0, j0, partial);
    } else {
      tile_columns<rows, vectors - 1, live>(t, i0, j0, columns, bands);
    }
  } else {
    for (; i0 < end; i0 += rows) tile<rows, 1, true, live>(t, i0, j0, columns);
  }
}

// Bands of `height` rows, at most `rows`.
template <int rows, int vectors, bool live>
void column_of_tiles(const Block& t, int64_t i0, int64_t j0, int64_t columns, int64_t height,
                     int64_t bands) {
  if constexpr (rows > 1) {
    if (height < rows) {
      return column_of_tiles<rows - 1, vectors, live>(t, i0, j0, columns, height, bands);
    }
  }
  tile_columns<rows, vectors, live>(t, i0, j0, columns, bands);
}

// Rows are shared out evenly: 32 as 6 + 6 + 5 + 5 + 5 + 5, because a last tile of 2 would read all
// of B for a third of the arithmetic.
template <int rows, int vectors, bool live>
void all_tiles(const Block& t, int64_t m, int64_t n) {
  const int64_t bands = (m + rows - 1) / rows;
  for (int64_t j = 0; j < n; j += kLanes * vectors) {
    for (int64_t band = 0, i = 0; band < bands; ++band) {
      const int64_t height = (m - i + bands - band - 1) / (bands - band);
      if (!live && t.ahead != 0) {
        const float* later = t.a + i * t.a_row + t.ahead;
        fetch_rows(later, t.a_row, height, t.k, j, kLanes * vectors, n);
      }
      column_of_tiles<rows, vectors, live>(t, i, j, n - j, height, 1);
      i += height;
    }
  }
}

// Any other activation reads finished rows once more, while they are in a cache.
void activate_rows(const Block& t, const GemmEpilogue& e, int64_t begin, int64_t end, int64_t n) {
  with_activation(e.activation, [&](auto function) {
    const f32x16 alpha = splat(e.alpha);
    for (int64_t i = begin; i < end; ++i) {
      for_each_vector(n, [&](int64_t j, int64_t lanes) {
        float* c = t.c + i * t.c_row + j;
        const f32x16 bias = e.bias != nullptr ? load_upto(e.bias + j, lanes) : zero();
        store_upto(c, decltype(function)::forward(load_upto(c, lanes) + bias, alpha), lanes);
      });
    }
  });
}

bool is_done_in_tile(const GemmEpilogue* e) {
  return e == nullptr || e->activation == Activation::linear || e->activation == Activation::relu;
}

// to[i * to_row + c] = from[c * from_row + i] for i < rows and c < columns, zero for
// columns <= c < width; all up to 16.
void transpose_edge(float* to, int64_t to_row, const float* from, int64_t from_row, int64_t rows,
                    int64_t columns, int64_t width) {
  alignas(64) float block[kLanes * kLanes], turned[kLanes * kLanes];
  for (int64_t c = 0; c < kLanes; ++c) {
    store(block + c * kLanes, c < columns ? load_upto(from + c * from_row, rows) : zero());
  }
  transpose16(turned, kLanes, block, kLanes);
  for (int64_t i = 0; i < rows; ++i) store_upto(to + i * to_row, load(turned + i * kLanes), width);
}

// The same for a block of sixteen by sixteen, or for what is left of that.
LAMINA_INLINE void transpose_block(float* to, int64_t to_row, const float* from, int64_t from_row,
                                   int64_t rows, int64_t columns, int64_t width) {
  if (rows >= kLanes && columns >= kLanes) return transpose16(to, to_row, from, from_row);
  const auto upto = [](int64_t left) { return left < kLanes ? left : kLanes; };
  transpose_edge(to, to_row, from, from_row, upto(rows), upto(columns), upto(width));
}

}  // namespace

void gemm_block(float* c, int64_t c_row, const float* a, int64_t a_row, int64_t a_col,
                const float* b, int64_t b_row, int64_t m, int64_t n, int64_t k, float alpha,
                float beta, const GemmEpilogue* epilogue, const LiveTerms* live, int64_t ahead) {
  const bool in_tile = is_done_in_tile(epilogue);
  const Block t{
      c,    c_row, a, a_row, a_col, b, b_row, k, alpha, beta, in_tile ? epilogue : nullptr,
      live, ahead};
  if (live != nullptr) {
    all_tiles<kLiveRows, live_vectors, true>(t, m, n);
  } else if (m == 1) {
    // Nothing but the reading of B, and long runs are read faster: on AVX2 1 x 128 x 784 takes 0.65
    // of the time that the narrower tiles take.
    all_tiles<1, live_vectors, false>(t, m, n);
  } else {
    all_tiles<tile_rows, tile_vectors, false>(t, m, n);
  }
  if (!in_tile) activate_rows(t, *epilogue, 0, m, n);
}

// A few bands of rows meet all strips before the next bands do: A and C come from far away once,
// and B, which all bands share, from a cache in the order that the hardware foresees. A strip that
// fits into the first-level cache meets several bands there (strip_bands). (One core of
// Zen 4. AVX-512, 4096 x 4096 x 4096: 0.98 of oneDNN's speed with one band, 0.89 with all. AVX2,
// 2048 x 2048 x 2048: 75 GFLOP/s with 12 bands and strips of 16 columns, 59 with one and 64.)
void gemm_strips(float* c, int64_t c_row, const float* a, int64_t a_row, int64_t a_col,
                 const float* strips, int64_t m, int64_t n, int64_t k, float alpha, float beta,
                 const GemmEpilogue* epilogue) {
  const bool in_tile = is_done_in_tile(epilogue);
  const GemmEpilogue* of_tile = in_tile ? epilogue : nullptr;
  Block t{c, c_row, a, a_row, a_col, strips, kWidth, k, alpha, beta, of_tile, nullptr, 0, true};
  // Even bands: so many tall ones, and then those of a row less.
  const int64_t bands = (m + tile_rows - 1) / tile_rows, height = m / bands, tall = m % bands;
  const auto row = [=](int64_t band) {
    return band < bands ? band * height + (band < tall ? band : tall) : m;
  };
  // Rows without gaps, such as a copy's, are closer together in the second-level cache.
  const int64_t together = strip_bands > 1 && a_row == k ? 32 : strip_bands;
  for (int64_t band = 0, next; band < bands; band = next) {
    next = band + together < bands ? band + together : bands;
    for (int64_t j = 0; j < n; j += kWidth) {
      if (a_col == 1) {
        const int64_t rows = row(next + together) - row(next);
        fetch_rows(a + row(next) * a_row, a_row, rows, k, j, kWidth, n);
      }
      t.b = strips + j * k - j;
      const auto tiles = [&](int64_t from, int64_t to, int64_t rows) {
        if (from >= to) return;
        column_of_tiles<tile_rows, tile_vectors, false>(t, row(from), j, n - j, rows, to - from);
      };
      const int64_t middle = tall < band ? band : tall < next ? tall : next;
      tiles(band, middle, height + 1);
      tiles(middle, next, height);
    }
    if (!in_tile) activate_rows(t, *epilogue, row(band), row(next), n);
  }
}

void gemm_copy_strips(float* strips, const float* b, int64_t b_row, int64_t b_col, int64_t k,
                      int64_t n) {
  const auto copy = [&](int64_t p, int64_t j, int64_t rows) {
    gemm_pack(strips + j * k + p * kWidth, kWidth, b + p * b_row + j * b_col, b_row, b_col, rows,
              n - j < kWidth ? n - j : kWidth);
  };
  if (b_col != 1) {
    for (int64_t j = 0; j < n; j += kWidth) copy(0, j, k);
    return;
  }
  // A few whole rows at a time, as memory has them. Of eight a page apart old and new lines drive
  // each other out of the first cache (AVX2, 1024 x 1024: 0.66 of the time with four).
  constexpr int64_t few = kWidth == kLanes ? 4 : 8;
  for (int64_t p = 0; p < k; p += few) {
    const int64_t rows = k - p < few ? k - p : few;
    int64_t j = 0;
    for (; j + kWidth <= n && rows == few; j += kWidth) {
      LAMINA_UNROLL
      for (int64_t q = 0; q < few; ++q) {
        const float* from = b + (p + q) * b_row + j;
        float* to = strips + j * k + (p + q) * kWidth;
        LAMINA_UNROLL
        for (int64_t x = 0; x < kWidth; x += kLanes) store(to + x, load(from + x));
      }
    }
    for (; j < n; j += kWidth) copy(p, j, rows);
  }
}

void gemm_pack(float* packed, int64_t width, const float* b, int64_t b_row, int64_t b_col,
               int64_t k, int64_t n) {
  if (b_col == 1) {
    const int64_t whole = n / kLanes * kLanes;
    for (int64_t p = 0; p < k; ++p) {
      const float* from = b + p * b_row;
      float* to = packed + p * width;
      for (int64_t j = 0; j < whole; j += kLanes) {
        prefetch(from + 4 * b_row + j);
        store(to + j, load(from + j));
      }
      for (int64_t j = whole; j < width; j += kLanes) {
        const f32x16 rest = j < n ? load(from + j, n - j) : zero();
        store(to + j, rest, width - j < kLanes ? width - j : kLanes);
      }
    }
    return;
  }
  for (int64_t j = 0; j < width; j += kLanes) {
    for (int64_t p = 0; p < k; p += kLanes) {
      transpose_block(packed + p * width + j, width, b + p + j * b_col, b_col, k - p, n - j,
                      width - j);
    }
  }
}

void gemm_turn(float* c, int64_t c_row, const float* turned, int64_t turned_row, int64_t rows,
               int64_t columns) {
  for (int64_t j = 0; j < columns; j += kLanes) {
    for (int64_t i = 0; i < rows; i += kLanes) {
      const float* from = turned + j * turned_row + i;
      transpose_block(c + i * c_row + j, c_row, from, turned_row, rows - i, columns - j,
                      columns - j);
    }
  }
}

}  // namespace lamina::LAMINA_ISA
