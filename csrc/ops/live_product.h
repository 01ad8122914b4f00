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
  bool transposed;   // is X^T B wanted too?
  bool from_memory;  // X comes from there: it is asked for ahead

  int64_t floats() const;

  // The scan: tiles of up to 32 rows, of all columns or of one block of them.
  int64_t row_tiles() const;
  void scan_rows(const Kernels& kernels, float* map, const float* x, int64_t tile) const;
  int64_t block_tiles() const { return row_tiles() * GemmBlocks{cols}.count(); }
  void scan_block(const Kernels& kernels, float* map, const float* x, int64_t tile,
                  int64_t fetched = 0) const;
};

// C = activation(X B + bias) or, if trans, C = X^T B; B and C have n columns. After the scan and
// the check: run; or, for X B, along K: sum, which needs the scan of the same tile only, and
// finish.
class LiveProduct {
 public:
  LiveProduct(LiveMap map, int64_t n, bool trans) : map_(map), n_(n), trans_(trans) {}

  const LiveMap& map() const { return map_; }
  // Is a scan worth its cost, if there are zeros?
  bool may_pay() const;

  // Rows of B that are not finite are marked in check_words() words, each of kLiveBits rows: by
  // whoever knows whether one of them is not, or by a check of some words.
  int64_t check_words() const;
  void mark(uint32_t* always, int64_t word, bool finite) const;
  void check(const Kernels& kernels, uint32_t* always, const float* b, int64_t first,
             int64_t end) const;

  int64_t tiles() const { return row_pieces().count(); }
  void run(const Kernels& kernels, float* c, const float* x, const float* b, const float* map,
           const uint32_t* always, const GemmEpilogue& epilogue, int64_t tile) const;

  // Along K every block is summed on its own: for workers that go on to change B, a piece of its
  // rows each, which stay in the cache of whoever changed them. So many workers may do that, one a
  // block, where the sums cost less than B moved from cache to cache. 0: none.
  int along_k_workers() const;
  int64_t partial_floats() const;  // grows with the rows
  // A tile is one of LiveMap::scan_block.
  void sum(const Kernels& kernels, float* c, float* partial, const float* x, const float* b,
           const float* map, const uint32_t* always, int64_t tile) const;
  // Adds the blocks of some rows up, in order.
  void finish(const Kernels& kernels, float* c, float* partial, const GemmEpilogue& epilogue,
              int64_t first, int64_t rows) const;

 private:
  int64_t m() const { return trans_ ? map_.cols : map_.rows; }
  int64_t k() const { return trans_ ? map_.rows : map_.cols; }
  GemmBlocks blocks() const { return {k()}; }
  // Does it pay to leave terms out of a block of K for these rows of C, by what the scan found?
  bool leaves_out(const float* map, int64_t block, int64_t row, int64_t rows) const;
  Pieces row_pieces() const;
  void run_groups(const Kernels& kernels, float* c, const float* x, const float* b,
                  const float* map, const uint32_t* always, const GemmEpilogue& epilogue,
                  int64_t row, int64_t rows) const;
  void finish_rows(const Kernels& kernels, float* c, const GemmEpilogue& epilogue,
                   int64_t rows) const;
  void add_block(const Kernels& kernels, float* sums, const float* x, const float* b,
                 const float* map, const uint32_t* always, int64_t block, int64_t row, int64_t rows,
                 float beta, const GemmEpilogue* epilogue) const;

  LiveMap map_;
  int64_t n_;
  bool trans_;
};

}  // namespace lamina::ops
