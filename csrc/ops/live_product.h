// Products of a matrix X that may have many zeros, such as a batch of images or of one-hot rows:
// X B, and for its gradient X^T B. A scan marks the elements that are not zero, a bit each, by rows
// and by columns; where enough are zero, the product leaves those terms out. The bits of the result
// are those of ops::Gemm, but for the sign of a zero.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "ops/pieces.h"

namespace lamina::ops {

// The map of X (rows x cols), in memory of floats().
struct LiveMap {
  int64_t rows, cols;
  bool transposed;  // is X^T B wanted too?

  int64_t floats() const;
  int64_t tiles() const;  // of the scan
  void scan(const Kernels& kernels, float* map, const float* x, int64_t tile) const;
};

// C = activation(X B + bias) or, if trans, C = X^T B; B and C have n columns. In the order of a
// caller's steps: scan, check, run.
class LiveProduct {
 public:
  LiveProduct(LiveMap map, int64_t n, bool trans) : map_(map), n_(n), trans_(trans) {}

  const LiveMap& map() const { return map_; }
  // Is a scan worth its cost, if there are zeros?
  bool may_pay() const;

  // Marks the rows of B that are not finite.
  int64_t check_tiles() const { return checks().count(); }
  void check(const Kernels& kernels, float* map, const float* b, int64_t tile) const;

  // Each tile is a piece of the rows of C.
  int64_t tiles() const { return pieces().count(); }
  void run(const Kernels& kernels, float* c, const float* x, const float* b, const float* map,
           const GemmEpilogue& epilogue, int64_t tile) const;

 private:
  int64_t m() const { return trans_ ? map_.cols : map_.rows; }
  int64_t k() const { return trans_ ? map_.rows : map_.cols; }
  bool leaves_out(const float* map) const;  // enough terms, by what the scan counted
  Pieces checks() const;
  Pieces pieces() const;

  LiveMap map_;
  int64_t n_;
  bool trans_;
};

}  // namespace lamina::ops
