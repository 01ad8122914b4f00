// The columns of images: a matrix with a row for every output pixel and a column for every tap and
// channel that it reads, zeros outside the image. It is never whole: a product in bf16 parts, whose
// A it is, copies some rows and terms at a time.
#pragma once

#include <cstdint>

#include "ops/split_product.h"
#include "ops/taps.h"

namespace lamina::ops {

// Of images (h.inputs, v.inputs, channels) that follow each other. Rows are counted through all
// images, (image, height, width); terms are (tap of h, tap of v, channel).
struct Columns {
  const float* images;
  TapAxis h, v;
  int64_t height, width;  // pixels of an image that are rows
  int64_t channels;

  int64_t terms() const { return h.taps * v.taps * channels; }
  int64_t image_floats() const { return h.inputs * v.inputs * channels; }
  // to[i * to_row + p] = row `row + i`, term `term + p`
  void copy(float* to, int64_t to_row, int64_t row, int64_t rows, int64_t term,
            int64_t terms) const;
};

// op(A) = columns, op(B) (terms x n, dense). In float32 taps outside the image are left out, and
// the sums are those of Conv2d, bit by bit.
class ColumnRows final : public SplitRows {
 public:
  ColumnRows(const Columns& columns, const float* b, int64_t n) : columns_(columns), b_(b), n_(n) {}

  static constexpr int64_t kScratch = kUnitSide * kSplitBlockK;
  void split(const Kernels& kernels, float* tiles, int64_t block, int64_t row, int64_t rows,
             int64_t term, int64_t terms, int parts, float* scratch) const override;
  void multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows, int64_t column,
                int64_t columns, int64_t begin, int64_t end, float* scratch) const override;

 private:
  Columns columns_;
  const float* b_;
  int64_t n_;
};

// op(A) = columns transposed: the terms of the product are the pixels. op(B) (pixels x n, dense).
// In float32 too, what a tap reads outside the image is left out; the rows of an image are chains,
// added in order.
class ColumnTerms final : public SplitRows {
 public:
  ColumnTerms(const Columns& columns, const float* b, int64_t n)
      : columns_(columns), b_(b), n_(n) {}

  static constexpr int64_t kScratch = kUnitTerms * kSplitTileRows;
  void split(const Kernels& kernels, float* tiles, int64_t block, int64_t row, int64_t rows,
             int64_t term, int64_t terms, int parts, float* scratch) const override;
  void multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows, int64_t column,
                int64_t columns, int64_t begin, int64_t end, float* scratch) const override;

 private:
  Columns columns_;
  const float* b_;
  int64_t n_;
};

}  // namespace lamina::ops
