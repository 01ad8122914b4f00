// Products of a matrix X that may have many zeros, such as a batch of images or of one-hot rows:
// X B, and for its gradient X^T B. A scan marks the elements that are not zero, a bit each, by rows
// and by columns; where enough are zero, the product leaves those terms out. The bits of the result
// are those of ops::Gemm, but for the sign of a zero.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "ops/gemm.h"
#include "ops/pieces.h"

namespace lamina::ops {

// The map of X (rows x cols), in memory of floats().
struct LiveMap {
  int64_t rows, cols;
  bool transposed;          // is X^T B wanted too?
  bool by_columns = false;  // workers share out the columns of X, not its rows

  int64_t floats() const;
  int64_t counts() const;
  int64_t tiles() const;  // of the scan
  void scan(const Kernels& kernels, float* map, const float* x, int64_t tile) const;
  void add_up(float* map) const;  // after the scan
};

// C = activation(X B + bias) or, if trans, C = X^T B; B and C have n columns. In the order of a
// caller's steps: scan, add_up, check, run, finish.
class LiveProduct {
 public:
  // X B of a map by columns is taken along K: tiles are blocks of K, each summed on its own. For
  // workers that go on to change B, a piece of its rows each: the rows stay in the cache of whoever
  // changed them.
  LiveProduct(LiveMap map, int64_t n, bool trans) : map_(map), n_(n), trans_(trans) {}

  const LiveMap& map() const { return map_; }
  // Is a scan worth its cost, if there are zeros?
  bool may_pay() const;
  // How many workers may share K out, so that the sums of its blocks cost less than B moved from
  // cache to cache: one a block, where C is small. 0: none.
  int along_k_workers() const;
  int64_t partial_floats() const;  // of run; grows with the rows

  // Marks the rows of B that are not finite; along_k no tiles, run does it.
  int64_t check_tiles() const { return along_k() ? 0 : checks().count(); }
  void check(const Kernels& kernels, float* map, const float* b, int64_t tile) const;

  int64_t tiles() const { return along_k() ? blocks().count() : row_pieces().count(); }
  void run(const Kernels& kernels, float* c, float* partial, const float* x, const float* b,
           float* map, const GemmEpilogue& epilogue, int64_t tile) const;

  // Adds the blocks up in order, along_k; nothing otherwise.
  int64_t finish_tiles() const { return along_k() ? finished_rows().count() : 0; }
  void finish(const Kernels& kernels, float* c, const float* partial, const GemmEpilogue& epilogue,
              int64_t tile) const;

 private:
  int64_t m() const { return trans_ ? map_.cols : map_.rows; }
  int64_t k() const { return trans_ ? map_.rows : map_.cols; }
  bool along_k() const { return map_.by_columns && !trans_; }
  GemmBlocks blocks() const { return {k()}; }
  bool leaves_out(const float* map) const;  // enough terms, by what the scan found
  Pieces checks() const;
  void check_words(const Kernels& kernels, float* map, const float* b, int64_t begin,
                   int64_t end) const;
  Pieces row_pieces() const;
  Pieces finished_rows() const;
  void add_block(const Kernels& kernels, float* sums, const float* x, const float* b,
                 const float* map, int64_t block, int64_t row, int64_t rows, float beta,
                 const GemmEpilogue* epilogue) const;

  LiveMap map_;
  int64_t n_;
  bool trans_;
};

}  // namespace lamina::ops
