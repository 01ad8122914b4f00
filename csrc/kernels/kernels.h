// The contract between the kernels and everybody who calls them: one table of function pointers,
// filled once per instruction set.
//
// A kernel is serial and works on the range it is given: whoever calls it cuts the work and shares
// it out. It allocates nothing, checks nothing, and throws nothing.
//
// Conventions
//   - Outputs first, then inputs, sizes, scalars. A gradient's name begins with d.
//   - All arrays are float32 and dense in row-major order unless a stride says otherwise.
//   - Outputs are overwritten and may be uninitialised. An output may be the same array as an
//     input of the same shape where "in place" is said; any other overlap is forbidden.
//   - Any size may be 0. NaN goes where NumPy's formula would carry it.
//   - A call for kStreamedRun values or more is taken for a part of an array that no cache holds:
//     elementwise kernels and those along rows then write past the caches, which spares the read of
//     what is overwritten (a third of the time of y = f(x)). The bits are the same.
//   - `weights` may be null and then means all ones. d<name> may be null where "optional".
#pragma once

#include <cstdint>

namespace lamina {

constexpr int64_t kStreamedRun = int64_t{1} << 18;  // 1 MB

enum class Activation : int32_t {
  linear,
  relu,
  leaky_relu,
  elu,
  sigmoid,
  tanh,
  gelu,
  gelu_tanh,
  softplus
};
constexpr int kActivations = 9;

// What a batch of rows may be gathered from.
enum class DType : int32_t {
  float32,
  float64,
  float16,
  uint8,
  int8,
  uint16,
  int16,
  uint32,
  int32,
  uint64,
  int64,
  boolean
};

// Rows in somebody's memory: row i begins i * row_bytes bytes after data and is contiguous.
// row_bytes may be negative.
struct RowSource {
  const void* data = nullptr;
  DType dtype = DType::float32;
  int64_t row_bytes = 0;
};

// Images are NHWC. For a convolution the kernel is (kernel_h, kernel_w, channels, filters); for a
// pooling window dilation is 1 and filters equals channels. pad_top and pad_left are the zeros
// before the first row and column; those after the last follow from the other sizes.
struct Window2d {
  int64_t height, width, channels;
  int64_t out_height, out_width, filters;
  int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
};

// Where a dropout mask lives in the random stream: Philox4x32-10 with the key `seed` and the
// counter (block, block >> 32, step, layer). Element e of the tensor takes word (e % 64) / 16 of
// block (e / 64) * 16 + e % 16.
struct RandomStream {
  uint64_t seed;
  uint32_t layer, step;
};

// Of B in a product, copied for the sake of the caches: strips of so many columns, each dense.
constexpr int64_t kStripColumns = 64;

// Applied to C after the last block of K: C = activation(C + bias), bias has one value a column.
struct GemmEpilogue {
  const float* bias;  // optional
  Activation activation;
  float alpha;  // slope of leaky_relu, scale of elu
};

// Which terms of a product have to be computed, where many elements of A are zero: a bit each. Rows
// of C are taken kLiveRows at a time, and a term that none of those rows needs is left out. The
// result is the same: 0 * b is 0 wherever b is finite, and the bits of `always` are for where it
// is not.
constexpr int kLiveRows = 3;
constexpr int64_t kLiveBits = 32;
struct LiveTerms {
  const uint32_t* words;  // row i takes term p: bit p % 32 of words[i * row + p / 32 * word]
  int64_t row, word;
  const uint32_t* always;  // all rows take term p: bit p % 32 of always[p / 32]
};

constexpr int64_t kContractionTerms = 256;  // that one call may add up

// A product whose rows (i, j) lie on a grid and whose terms (u, v, w) are counted by three indices:
//   C[i, j, f] = c[i * c_row + j * c_col + f], B[u, v, w, f] = b[u, v, w times b_term + f]
//   A[i, j, u, v, w] = a[i * a_row + j * a_col + u, v, w times a_term]
struct Contraction {
  int64_t rows, cols;
  int64_t c_row, c_col, a_row, a_col;
  int64_t terms[3], a_term[3], b_term[3];
  // Two pieces of ahead_floats each that a later call reads: they are fetched into the cache while
  // this one multiplies. Any addresses do.
  const float* ahead[2] = {nullptr, nullptr};
  int64_t ahead_floats = 0;
};

// Squares side by side in an image of height x width pixels, `pixel` floats apart: the first begins
// at (top, left), each of the next two columns further right. What lies outside the image is read
// as zeros and never written.
struct Squares {
  int64_t height, width, pixel;
  int64_t top, left, count;
};

// A float32 is the sum of up to three bf16 parts, each the nearest to what the parts before it
// leave; three are exact. A matrix unit multiplies them in tiles of 1 KB: 16 rows of 16 words, and
// a word holds two bf16 values. In a tile of A, word i of a row is terms i (low half) and 16 + i;
// in one of B, row i has a word for each of 16 columns, of the same two terms.
constexpr int64_t kUnitSide = 16, kUnitTerms = 32, kUnitTile = 256;  // words, as many as floats

// sums (rows x columns blocks of 16 x 16, each contiguous, in rows of blocks) (+)= A B over `depth`
// blocks of kUnitTerms terms. A block of rows of A, or of columns of B, is `depth` times `parts`
// tiles; the next block begins a_block or b_block floats later. Per block of terms the products of
// parts (2,0) (1,0) (1,1) (0,1) (0,2) (0,0) are added to an element in this order, for two parts
// (1,0) (0,0) (0,1). Each is two chains of 16 FMAs from zero, one a half of the words, added up.
// With `add` what was in sums is added last. Denormals are zeros, whatever the caller's state.
struct SplitBlock {
  int64_t rows, columns, depth;
  int64_t a_block, b_block;
  int parts;
  bool add;
};
struct MatrixUnit {
  const char* name;
  void (*multiply)(float* sums, const float* a, const float* b, const SplitBlock& block);
};

struct AdamStep {
  float rate;  // learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t)
  // 1 - beta, rounded once from double: 1 - float(0.999) would be off by 1e-5 of itself.
  float decay_1, decay_2;
  float epsilon;
  bool clears;  // moments that are denormal
};
constexpr bool clears_moments(int64_t t) { return t % 16 == 0; }

struct Kernels {
  const char* isa;

  // --- gemm.cpp -----------------------------------------------------------------------------
  // One block of a product: C (m x n) = alpha * A (m x k) B (k x n) + beta * C.
  //   A[i, p] = a[i * a_row + p * a_col], B[p, j] = b[p * b_row + j], C[i, j] = c[i * c_row + j].
  // Every C[i, j] is one chain of FMAs over p from 0, started at zero. With beta = 0 C may be
  // uninitialised. epilogue and live are optional; without live all terms are computed. What lies
  // `ahead` floats after each element of A is asked for meanwhile, if that is not 0.
  void (*gemm_block)(float* c, int64_t c_row, const float* a, int64_t a_row, int64_t a_col,
                     const float* b, int64_t b_row, int64_t m, int64_t n, int64_t k, float alpha,
                     float beta, const GemmEpilogue* epilogue, const LiveTerms* live,
                     int64_t ahead);
  // The same with B[p, j] = strips[j / w * k * w + p * w + j % w], w being strip_columns, a divisor
  // of kStripColumns.
  int64_t strip_columns;
  void (*gemm_strips)(float* c, int64_t c_row, const float* a, int64_t a_row, int64_t a_col,
                      const float* strips, int64_t m, int64_t n, int64_t k, float alpha, float beta,
                      const GemmEpilogue* epilogue);
  // Copies B so; the last strip is filled up with zeros.
  void (*gemm_copy_strips)(float* strips, const float* b, int64_t b_row, int64_t b_col, int64_t k,
                           int64_t n);
  // packed[p * width + j] = b[p * b_row + j * b_col], zero for n <= j < width. One of b_row and
  // b_col is 1.
  void (*gemm_pack)(float* packed, int64_t width, const float* b, int64_t b_row, int64_t b_col,
                    int64_t k, int64_t n);

  // c[i * c_row + j] = turned[j * turned_row + i] for i < rows and j < columns.
  void (*gemm_turn)(float* c, int64_t c_row, const float* turned, int64_t turned_row, int64_t rows,
                    int64_t columns);

  // --- zeros.cpp ------------------------------------------------------------------------------
  // Marks what is not zero in up to kLiveBits rows of x, x_row floats apart: bit j % 32 of
  // by_row[i * words + j / 32], and bit i of by_column[j] (optional). terms[0] is how many columns
  // hold a mark, summed over every kLiveRows rows; terms[1] the reverse. If the first few rows have
  // no zero, all others are taken to have none, and are not read. `fetched` floats of each next row
  // are asked for.
  void (*nonzero_bits)(uint32_t* by_row, int64_t words, uint32_t* by_column, int32_t* terms,
                       const float* x, int64_t x_row, int64_t rows, int64_t cols, int64_t fetched);
  bool (*all_finite)(const float* x, int64_t n);

  // --- split.cpp: the parts of a matrix in tiles of a matrix unit -----------------------------
  // A (m x k), A[i, p] = a[i * a_row + p * a_col]: the tiles of rows 16 i .. 16 i + 15, by blocks
  // of terms and then by parts, begin at tiles + i * block. Rows and terms past the end are zeros.
  // The caller flushes denormals.
  void (*split_left)(float* tiles, int64_t block, const float* a, int64_t a_row, int64_t a_col,
                     int64_t m, int64_t k, int parts);
  // The same of B (k x n), B[p, j] = b[p * b_row + j * b_col], by blocks of 16 columns.
  void (*split_right)(float* tiles, int64_t block, const float* b, int64_t b_row, int64_t b_col,
                      int64_t k, int64_t n, int parts);
  // Lines of words, from which tiles are put together: a line is 16 words of each part. Row r has
  // `blocks` lines; word i of line b is low[r * row + b * step + i], with high likewise in the high
  // half. From low_n and high_n values of a row on they are zeros. The caller flushes denormals.
  void (*split_lines)(float* lines, const float* low, int64_t low_n, const float* high,
                      int64_t high_n, int64_t row, int64_t rows, int64_t step, int64_t blocks,
                      int parts);
  // Row i of the tiles of `blocks` blocks, the first at tiles and the next `block` floats on, is
  // the lines from lines + from[i] on, zeros where from[i] < 0; 16 rows.
  void (*gather_lines)(float* tiles, int64_t block, const float* lines, const int64_t* from,
                       int64_t blocks, int parts);
  // C (m x n) = activation(alpha * sums + beta * C + bias), sums in blocks of 16 x 16 as above,
  // with `columns` of them side by side. With beta = 0 C may be uninitialised. epilogue is
  // optional.
  void (*split_finish)(float* c, int64_t c_row, const float* sums, int64_t columns, int64_t m,
                       int64_t n, float alpha, float beta, const GemmEpilogue* epilogue);

  // --- matrix_unit.cpp: this instruction set's emulation of the unit -----------------------------
  const MatrixUnit* matrix_unit;

  // --- activation.cpp: n elements, in place ---------------------------------------------------
  // alpha: slope of leaky_relu, scale of elu; unused by the others.
  void (*activation_forward[kActivations])(float* y, const float* x, int64_t n, float alpha);
  // saved is the forward output y, but for gelu and gelu_tanh the forward input x.
  void (*activation_backward[kActivations])(float* dx, const float* dy, const float* saved,
                                            int64_t n, float alpha);

  // --- softmax.cpp: along rows, in place ------------------------------------------------------
  void (*softmax_forward)(float* y, const float* x, int64_t rows, int64_t cols);
  void (*softmax_backward)(float* dx, const float* dy, const float* y, int64_t rows, int64_t cols);
  void (*log_softmax_forward)(float* y, const float* x, int64_t rows, int64_t cols);
  void (*log_softmax_backward)(float* dx, const float* dy, const float* y, int64_t rows,
                               int64_t cols);

  // --- softmax_cross_entropy.cpp, loss.cpp ------------------------------------------------------
  // loss[i] (one value a row) is weights[i] times the row's loss; the gradient (optional, in place
  // over the first input) is that of scale * sum(loss), zero where it would be denormal: where the
  // inputs of a network were not scaled, as pixels to 255, one in twenty of a softmax's would.
  // weights has one value a row.
  void (*softmax_cross_entropy_sparse)(float* loss, float* dlogits, const float* logits,
                                       const int32_t* labels, const float* weights, int64_t rows,
                                       int64_t cols, float scale);
  void (*softmax_cross_entropy_onehot)(float* loss, float* dlogits, const float* logits,
                                       const float* targets, const float* weights, int64_t rows,
                                       int64_t cols, float scale);
  // Rows of the next ones are means over the row's elements.
  void (*sigmoid_cross_entropy)(float* loss, float* dlogits, const float* logits,
                                const float* targets, const float* weights, int64_t rows,
                                int64_t cols, float scale);
  void (*mean_squared_error)(float* loss, float* dpredictions, const float* predictions,
                             const float* targets, const float* weights, int64_t rows, int64_t cols,
                             float scale);
  void (*mean_absolute_error)(float* loss, float* dpredictions, const float* predictions,
                              const float* targets, const float* weights, int64_t rows,
                              int64_t cols, float scale);
  // From probabilities, as Keras has it: a row is divided by its sum (not for binary), then
  // clipped to [1e-7, 1 - 1e-7]; the gradient is zero where clipping is active.
  void (*cross_entropy_sparse)(float* loss, float* dprobabilities, const float* probabilities,
                               const int32_t* labels, const float* weights, int64_t rows,
                               int64_t cols, float scale);
  void (*cross_entropy_onehot)(float* loss, float* dprobabilities, const float* probabilities,
                               const float* targets, const float* weights, int64_t rows,
                               int64_t cols, float scale);
  void (*binary_cross_entropy)(float* loss, float* dprobabilities, const float* probabilities,
                               const float* targets, const float* weights, int64_t rows,
                               int64_t cols, float scale);

  // --- random.cpp -----------------------------------------------------------------------------
  // out[4i .. 4i+3] = Philox4x32-10 of counters[4i .. 4i+3] under keys[2i, 2i+1].
  void (*philox4x32)(uint32_t* out, const uint32_t* counters, const uint32_t* keys, int64_t n);
  // Elements first .. first + n of the stream; first is a multiple of 64.
  void (*random_bits)(uint32_t* out, RandomStream stream, int64_t first, int64_t n);
  // y = x / (1 - rate) where the element's word >= rate * 2^32, else 0. In place. The gradient is
  // the same function of dy. y and x point at element `first`, a multiple of 64.
  void (*dropout)(float* y, const float* x, RandomStream stream, int64_t first, int64_t n,
                  float rate);

  // --- convolution.cpp: one image -------------------------------------------------------------
  // image += columns (end - begin, kernel_h, kernel_w, channels): the gradient of what every tap of
  // the output pixels p = oi * out_width + oj from begin to end read, in the order of p, ki, kj.
  void (*col2im_add)(float* image, const float* columns, const Window2d& w, int64_t begin,
                     int64_t end);

  // --- contraction.cpp ------------------------------------------------------------------------
  // C = (add ? C : 0) + A B for the rows and terms of t and n columns. Every element is one chain
  // of FMAs over u, v, w from 0, started at zero. Without add C may be uninitialised. epilogue is
  // optional.
  void (*contract)(float* c, const float* a, const float* b, int64_t n, const Contraction& t,
                   bool add, const GemmEpilogue* epilogue);

  // --- winograd.cpp: 3 x 3 taps, stride 1 --------------------------------------------------------
  // The transforms around sixteen matrix products: plane p = 4 i + j of a matrix of planes is at
  // planes + p * plane, its rows are `row` floats apart and n long. A, B and G are in winograd.cpp.
  // Row t of the planes = B' d B of square t, 4 x 4 pixels of n channels of x.
  void (*winograd_input)(float* planes, int64_t plane, int64_t row, const float* x, int64_t n,
                         const Squares& s);
  // Row r of the planes = G g G' of taps[(3 i + j) * tap + r * taps_row + c], c < n.
  void (*winograd_taps)(float* planes, int64_t plane, int64_t row, const float* taps, int64_t tap,
                        int64_t taps_row, int64_t rows, int64_t n);
  // Square t of y, 2 x 2 pixels = activation(A' m A + bias), m from row t of the planes. True only
  // if all that was written is finite before bias and activation.
  bool (*winograd_output)(float* y, const float* planes, int64_t plane, int64_t row, int64_t n,
                          const Squares& s, const GemmEpilogue& epilogue);
  // Row t of the planes = A dy A' of square t, 2 x 2 pixels.
  void (*winograd_output_gradient)(float* planes, int64_t plane, int64_t row, const float* dy,
                                   int64_t n, const Squares& s);
  // dtaps = G' m G, laid out as taps are; true only if all are finite.
  bool (*winograd_taps_gradient)(float* dtaps, int64_t tap, int64_t taps_row, const float* planes,
                                 int64_t plane, int64_t row, int64_t rows, int64_t n);

  // --- pooling.cpp: one image -----------------------------------------------------------------
  // argmax (optional) gets i * width + j of the first largest input of each window and channel;
  // a NaN in the window wins, as in NumPy.
  void (*max_pool_forward)(float* y, int32_t* argmax, const float* image, const Window2d& w);
  void (*max_pool_backward)(float* dimage, const float* dy, const int32_t* argmax,
                            const Window2d& w);
  // The mean is over the inputs that lie inside the image.
  void (*average_pool_forward)(float* y, const float* image, const Window2d& w);
  void (*average_pool_backward)(float* dimage, const float* dy, const Window2d& w);

  // --- normalization.cpp: columns of x (rows x cols) --------------------------------------------
  // The sums over the rows of d = x - center, and of d^2.
  void (*column_deviations)(float* sums, float* squares, const float* x, const float* center,
                            int64_t rows, int64_t cols);
  // y = (x - mean) * scale + shift, each one value a column. In place.
  void (*normalize)(float* y, const float* x, const float* mean, const float* scale,
                    const float* shift, int64_t rows, int64_t cols);
  // dshift = sum of dy, dscale = sum of dy * (x - mean) * rstd over the rows.
  void (*normalize_sums)(float* dscale, float* dshift, const float* dy, const float* x,
                         const float* mean, const float* rstd, int64_t rows, int64_t cols);
  // dx = a * dy + b * (x - mean) + c, each of a, b, c, mean one value a column; in place over dy.
  void (*normalize_backward)(float* dx, const float* dy, const float* x, const float* mean,
                             const float* a, const float* b, const float* c, int64_t rows,
                             int64_t cols);

  // --- reduce.cpp -----------------------------------------------------------------------------
  // Sums are trees (tree.h). Rows of x are x_row floats apart; out may be the first of them.
  void (*column_sums)(float* out, const float* x, int64_t x_row, int64_t rows, int64_t cols);
  void (*row_sums)(float* out, const float* x, int64_t rows, int64_t cols);
  void (*row_argmax)(int32_t* out, const float* x, int64_t rows, int64_t cols);  // first; NaN wins
  void (*accumulate)(float* y, const float* x, int64_t n);                       // y += x
  void (*add_bias)(float* y, const float* x, const float* bias, int64_t rows, int64_t cols);
  void (*scale_offset)(float* y, const float* x, int64_t n, float scale, float offset);  // fma

  // --- gather.cpp -----------------------------------------------------------------------------
  // y[i * y_row + j] = scale * float32(element first + j of row index[i] of source), j < cols.
  // float64 and integers are rounded to float32 before they are scaled.
  void (*gather_rows)(float* y, int64_t y_row, const RowSource& source, const int64_t* index,
                      int64_t rows, int64_t first, int64_t cols, float scale);
  // y[i, :] = table[index[i], :]; a row of NaN where index[i] lies outside [0, vocabulary).
  void (*embedding_forward)(float* y, const float* table, const int32_t* index, int64_t rows,
                            int64_t vocabulary, int64_t dim);
  // dtable[index[i], :] += dy[i, :] in the order of i, for the rows of the table in [begin, end);
  // dtable points at row 0 and its rows begin .. end are zeroed first.
  void (*embedding_backward)(float* dtable, const float* dy, const int32_t* index, int64_t rows,
                             int64_t dim, int64_t begin, int64_t end);

  // --- optimizer.cpp: n parameters, one pass; true only if all are finite after it ---------------
  // w -= rate * dw
  bool (*sgd_step)(float* w, const float* dw, int64_t n, float rate);
  // m = momentum * m - rate * dw, zero where that is denormal;  w += m, or with nesterov
  // w += momentum * m - rate * dw
  bool (*sgd_momentum_step)(float* w, float* m, const float* dw, int64_t n, float rate,
                            float momentum, bool nesterov);
  // m += decay_1 (dw - m);  v += decay_2 (dw^2 - v);  w -= rate * m / (sqrt(v) + epsilon). If the
  // step clears, m and v become zero where they are denormal, before w is updated.
  bool (*adam_step)(float* w, float* m, float* v, const float* dw, int64_t n, const AdamStep& step);
};

// The tables of the instruction sets that this build holds: one definition in each table.cpp.
namespace amx {
extern const MatrixUnit matrix_unit;  // beside the kernels of avx512
}
namespace avx512 {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
namespace neon {
extern const Kernels kernels;
}
namespace portable {
extern const Kernels kernels;
}

}  // namespace lamina
