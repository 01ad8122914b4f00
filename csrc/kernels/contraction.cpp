// The product that a convolution and both of its gradients are made of. It reads the image in
// place: where a plain product has one stride from row to row and one from term to term, this has
// the strides of a grid of pixels and of the taps below one. What a row, a term and a column are,
// and how a sum is cut into blocks, is decided in ops/conv2d.
//
// Assumptions: B and C have unit column stride; A may have any strides, because its elements are
// broadcast one at a time.
#include "kernels/activate.h"
#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// The accumulators of the GEMM's tile in another shape where there are fewer columns: 6 x 4, 8 x 3
// or 8 x 2 on AVX-512. The pointers to more rows than eight do not fit into the general registers,
// which costs a tenth.
template <int vectors>
constexpr int rows_for() {
  constexpr int rows = tile_rows * tile_vectors / vectors;
  return rows < 8 ? rows : 8;
}

// Where a term is found: floats from a row's first term in A, and from the first one in B.
struct Term {
  int64_t a, b;
};

struct Block {
  const Contraction& t;
  const float* a;
  float* c;
  const float* b;
  const Term* terms;
  int64_t count;  // of terms
  const float* ahead[2];
  int64_t ahead_step;  // floats that the fetching moves on with a term
  bool add;
  const GemmEpilogue* epilogue;  // null, linear without bias, or bias with linear or relu
};

// A row of A and of C and its column in the grid; what is fetched meanwhile.
struct Place {
  const float* a;
  float* c;
  int64_t j;
  const float* ahead[2];
};

LAMINA_INLINE void step(Place& at, const Contraction& t) {
  const bool wrap = ++at.j == t.cols;
  at.a += wrap ? t.a_row - (t.cols - 1) * t.a_col : t.a_col;
  at.c += wrap ? t.c_row - (t.cols - 1) * t.c_col : t.c_col;
  at.j = wrap ? 0 : at.j;
}

// C (live x columns) of one tile, the rows from `at` on, which moves past them. The accumulators of
// the rows past the live ones repeat the last row's, or are of no row where a run goes beyond them,
// and are dropped. (To store the former too took nine taps of one channel 1.25 of the time.)
// `partial` is the number of lanes of the last vector, used only where `masked`. Rows of A that lie
// side by side, `run` of them, share a pointer.
template <int rows, int vectors, bool masked, int run = 1>
void tile(const Block& k, Place& at, int64_t live, int64_t column, int64_t partial) {
  static_assert(rows % run == 0);
  const float* a[rows / run];
  float* c[rows];
  LAMINA_UNROLL
  for (int r = 0; r < rows; ++r) {
    if (r % run == 0) a[r / run] = at.a;
    c[r] = at.c + column;
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) __builtin_prefetch(c[r] + kLanes * j, 1, 3);
    if (r + 1 < live) step(at, k.t);
  }
  step(at, k.t);

  f32x16 acc[rows][vectors];
  LAMINA_UNROLL
  for (int r = 0; r < rows; ++r) {
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) acc[r][j] = zero();
  }
  const float* const first = k.b + column;
  const float* ahead[2] = {at.ahead[0], at.ahead[1]};
  for (const Term *term = k.terms, *end = term + k.count; term != end; ++term) {
    const float* b = first + term->b;
    const int64_t p = term->a;
    __builtin_prefetch(ahead[0], 0, 2);
    __builtin_prefetch(ahead[1], 0, 2);
    ahead[0] += k.ahead_step;
    ahead[1] += k.ahead_step;
    f32x16 bv[vectors];
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) {
      bv[j] = masked && j == vectors - 1 ? load(b + kLanes * j, partial) : load(b + kLanes * j);
    }
    LAMINA_UNROLL
    for (int r = 0; r < rows; ++r) {
      const f32x16 av = splat(a[r / run][p + r % run]);
      LAMINA_UNROLL
      for (int j = 0; j < vectors; ++j) acc[r][j] = fma(av, bv[j], acc[r][j]);
    }
  }

  at.ahead[0] = ahead[0];
  at.ahead[1] = ahead[1];

  // Each pass over the accumulators is skipped or taken whole: a test for each of them would cost
  // more than the pass.
  const bool all = live == rows;
  if (k.add) {
    LAMINA_UNROLL
    for (int r = 0; r < rows; ++r) {
      LAMINA_UNROLL
      for (int j = 0; j < vectors; ++j) {
        const float* old = c[r] + kLanes * j;
        acc[r][j] = acc[r][j] + (masked && j == vectors - 1 ? load(old, partial) : load(old));
      }
    }
  }
  if (k.epilogue != nullptr) {
    const float* bias = k.epilogue->bias;
    if (bias != nullptr) {
      LAMINA_UNROLL
      for (int j = 0; j < vectors; ++j) {
        const float* from = bias + column + kLanes * j;
        const f32x16 shift = masked && j == vectors - 1 ? load(from, partial) : load(from);
        LAMINA_UNROLL
        for (int r = 0; r < rows; ++r) acc[r][j] = acc[r][j] + shift;
      }
    }
    if (k.epilogue->activation == Activation::relu) {
      LAMINA_UNROLL
      for (int r = 0; r < rows; ++r) {
        LAMINA_UNROLL
        for (int j = 0; j < vectors; ++j) acc[r][j] = Relu::forward(acc[r][j], zero());
      }
    }
  }
  LAMINA_UNROLL
  for (int r = 0; r < rows; ++r) {
    if (!all && r >= live) break;
    LAMINA_UNROLL
    for (int j = 0; j < vectors; ++j) {
      if (masked && j == vectors - 1) {
        store(c[r] + kLanes * j, acc[r][j], partial);
      } else {
        store(c[r] + kLanes * j, acc[r][j]);
      }
    }
  }
}

// The rows that are left over take the smallest tile that holds them.
template <int rows, int vectors, bool masked>
void remainder(const Block& k, Place& at, int64_t live, int64_t column, int64_t partial) {
  constexpr int most = rows_for<vectors>();
  constexpr int fewer = rows == most ? most * 3 / 4 : rows > most / 2 ? most / 2 : rows / 2;
  if constexpr (fewer > 0) {
    if (live <= fewer) return remainder<fewer, vectors, masked>(k, at, live, column, partial);
  }
  tile<rows, vectors, masked>(k, at, live, column, partial);
}

// All rows of up to `vectors` vectors of columns.
template <int vectors, bool masked>
void strip(const Block& k, int64_t column, int64_t partial) {
  constexpr int rows = rows_for<vectors>();
  Place at{k.a, k.c, 0, {k.ahead[0], k.ahead[1]}};
  int64_t left = k.t.rows * k.t.cols;
  // The nine taps of a small kernel are better off in one tile, all the same; those of one channel
  // need three pointers only (0.86 of the time).
  constexpr bool one_more = (rows + 1) * vectors <= tile_rows * tile_vectors;
  for (; left >= rows && !(one_more && left == rows + 1); left -= rows) {
    tile<rows, vectors, masked>(k, at, rows, column, partial);
  }
  if constexpr (one_more) {
    if (left > rows) {
      if (k.t.cols == 3 && k.t.a_col == 1) {
        return tile<rows + 1, vectors, masked, 3>(k, at, left, column, partial);
      }
      return tile<rows + 1, vectors, masked>(k, at, left, column, partial);
    }
  }
  if (left > 0) remainder<rows, vectors, masked>(k, at, left, column, partial);
}

template <int vectors>
void strip_of(const Block& k, int64_t column, int64_t columns) {
  if constexpr (vectors > 1) {
    if (columns <= kLanes * (vectors - 1)) return strip_of<vectors - 1>(k, column, columns);
  }
  if (columns >= kLanes * vectors) {
    strip<vectors, false>(k, column, kLanes);
  } else {
    strip<vectors, true>(k, column, columns - kLanes * (vectors - 1));
  }
}

// Where a strip of B fits into the first-level cache it is copied for enough rows: every second
// vector of a row that begins anywhere crosses a cache line, and rows a power of two apart meet in
// few sets. (AVX2, 1 x 1 taps of 256 channels: 0.75 of the time.)
constexpr int64_t kCopiedTerms = 32, kCopiedRows = 32;

LAMINA_INLINE void copy_strip(float* strip, const Block& k, int64_t column, int64_t lanes) {
  for (int64_t i = 0; i < k.count; ++i) {
    store(strip + i * kLanes, load_upto(k.b + k.terms[i].b + column, lanes));
  }
}

void copied_strips(const Block& k, int64_t n) {
  alignas(64) float strip[kContractionTerms * kLanes];
  Term terms[kContractionTerms];
  for (int64_t i = 0; i < k.count; ++i) terms[i] = {k.terms[i].a, i * kLanes};
  Block copied = k;
  copied.terms = terms;
  for (int64_t j = 0; j < n; j += kLanes) {
    const int64_t lanes = n - j < kLanes ? n - j : kLanes;
    copy_strip(strip, k, j, lanes);
    copied.b = strip - j;
    strip_of<1>(copied, j, lanes);
  }
}

// The rows of A lie side by side, as the channels of a pixel do, and each term's a long way from
// the last one's, often a power of two: those of a tile are copied as well, for a few strips.
// (AVX2, the kernel's gradient of 1 x 1 taps of 256 channels: 0.7 of the time.)
void copied_rows(const Block& k, int64_t n) {
  constexpr int64_t strips = 4, width = strips * kLanes, apart = kLanes / 2;
  static_assert(tile_vectors > 1 || tile_rows <= apart);
  alignas(64) float copies[strips][kContractionTerms * kLanes];
  alignas(64) float rows[kContractionTerms * apart + apart];
  Term terms[kContractionTerms];
  for (int64_t i = 0; i < k.count; ++i) terms[i] = {i * apart, i * kLanes};
  Block copied = k;
  copied.terms = terms;
  Place at{rows, k.c, 0, {k.ahead[0], k.ahead[1]}};
  for (int64_t column = 0; column < n; column += width) {
    const int64_t end = n - column < width ? n : column + width;
    for (int64_t j = column; j < end; j += kLanes) {
      copy_strip(copies[(j - column) / kLanes], k, j, end - j < kLanes ? end - j : kLanes);
    }
    for (int64_t row = 0; row < k.t.cols; row += tile_rows) {
      const int64_t left = k.t.cols - row, lanes = left < kLanes ? left : kLanes;
      for (int64_t i = 0; i < k.count; ++i) {
        store(rows + i * apart, load_upto(k.a + k.terms[i].a + row, lanes));
      }
      const int64_t live = left < tile_rows ? left : tile_rows;
      for (int64_t j = column; j < end; j += kLanes) {
        at.a = rows;
        at.c = k.c + row * k.t.c_col;
        at.j = row;
        copied.b = copies[(j - column) / kLanes] - j;
        if (end - j >= kLanes) {
          tile<tile_rows, 1, false, tile_rows>(copied, at, live, j, kLanes);
        } else {
          tile<tile_rows, 1, true, tile_rows>(copied, at, live, j, end - j);
        }
      }
    }
  }
}

// Any other activation reads the finished block once more, while it is in the cache.
void activate_block(const Block& k, int64_t n, const GemmEpilogue& e) {
  with_activation(e.activation, [&](auto function) {
    const f32x16 alpha = splat(e.alpha);
    for (int64_t row = 0; row < k.t.rows * k.t.cols; ++row) {
      float* c = k.c + row / k.t.cols * k.t.c_row + row % k.t.cols * k.t.c_col;
      for_each_vector(n, [&](int64_t j, int64_t lanes) {
        const f32x16 bias = e.bias != nullptr ? load_upto(e.bias + j, lanes) : zero();
        store_upto(c + j, decltype(function)::forward(load_upto(c + j, lanes) + bias, alpha),
                   lanes);
      });
    }
  });
}

}  // namespace

void contract(float* c, const float* a, const float* b, int64_t n, const Contraction& t, bool add,
              const GemmEpilogue* epilogue) {
  // One list of terms instead of three loops around every tile: a first layer's inner loops have
  // but three steps.
  Term terms[kContractionTerms];
  int64_t count = 0;
  for (int64_t u = 0; u < t.terms[0]; ++u) {
    for (int64_t v = 0; v < t.terms[1]; ++v) {
      int64_t at_a = u * t.a_term[0] + v * t.a_term[1], at_b = u * t.b_term[0] + v * t.b_term[1];
      for (int64_t w = 0; w < t.terms[2]; ++w) {
        terms[count++] = {at_a, at_b};
        at_a += t.a_term[2];
        at_b += t.b_term[2];
      }
    }
  }
  const bool in_tile = epilogue == nullptr || epilogue->activation == Activation::linear ||
                       epilogue->activation == Activation::relu;
  // The pieces ahead are spread over the terms of all tiles. Where there are none a line that is at
  // hand anyway is fetched: an address without a page would cost a walk through the page tables.
  const int64_t vectors = n < kLanes * tile_vectors ? (n + kLanes - 1) / kLanes : tile_vectors;
  const int64_t steps = (t.rows * t.cols * vectors / (tile_rows * tile_vectors) + 1) * count;
  const bool fetches = t.ahead_floats > 0 && count > 0;
  const int64_t ahead_step = fetches ? (t.ahead_floats + steps - 1) / steps : 0;
  const Block k{t,
                a,
                c,
                b,
                terms,
                count,
                {fetches ? t.ahead[0] : a, fetches ? t.ahead[1] : a},
                ahead_step,
                add,
                in_tile ? epilogue : nullptr};
  constexpr int64_t width = kLanes * tile_vectors;
  if (width == kLanes && count >= kCopiedTerms && t.rows * t.cols >= kCopiedRows) {
    if (t.rows == 1 && t.a_col == 1 && n > kLanes) {
      copied_rows(k, n);
    } else {
      copied_strips(k, n);
    }
  } else {
    for (int64_t j = 0; j < n; j += width) strip_of<tile_vectors>(k, j, n - j);
  }
  if (!in_tile) activate_block(k, n, *epilogue);
}

}  // namespace lamina::LAMINA_ISA
