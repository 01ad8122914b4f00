// The columns of images: a matrix with a row for every output pixel and a column for every tap and
// channel that it reads, zeros outside the image. It is never there: every pixel is split into
// parts once, into lines of words (Kernels::split_lines), and a tile of a product puts its part of
// the columns together from them.
#pragma once

#include <cstdint>

#include "ops/split_product.h"
#include "ops/taps.h"

namespace lamina::ops {

// How pixels of `channels` values become lines. A pixel's low halves are values step * b .. + 15 of
// line b; its high halves lie `high` values after the low ones, for the first high_pixels pixels.
struct SplitLines {
  int64_t pixels, channels, step, high, high_pixels;
  int parts;

  int64_t blocks() const { return (channels + step - 1) / step; }
  int64_t pixel_floats() const { return blocks() * parts * kUnitSide; }
  int64_t floats() const { return pixels * pixel_floats(); }
  int64_t tiles() const;
  void split(const Kernels& kernels, float* lines, const float* x, int64_t tile) const;
};

// Images of (h.inputs, v.inputs, channels) that follow each other. Rows of the columns are counted
// through all images, (image, height, width).
struct Columns {
  const float* x;
  int64_t images, channels;
  TapAxis h, v;
  int64_t height, width;  // pixels of an image that are rows

  int64_t rows() const { return images * height * width; }
  int64_t first_half() const { return (images + 1) / 2 * height * width; }  // of the rows
  int64_t image_floats() const { return h.inputs * v.inputs * channels; }
};

// op(A) = columns, op(B) (taps x channels) x n, dense. The terms of a tap are its channels, filled
// up with zeros to whole blocks of kUnitTerms. In float32 taps outside the image are left out, and
// the sums are those of Conv2dForward where it does not take squares, bit by bit.
class ColumnRows final : public SplitPanel {
 public:
  ColumnRows(const Columns& columns, const float* lines, const float* b, int64_t n)
      : columns_(columns), lines_(lines), b_(b), n_(n) {}

  // The lines of all pixels: a block of terms of one pixel each.
  static SplitLines lines(int64_t pixels, int64_t channels, int parts) {
    return {pixels, channels, kUnitTerms, kUnitSide, pixels, parts};
  }
  void split(const Kernels& kernels, float* tiles, int64_t block, int64_t first, int64_t count,
             int64_t term, int64_t terms, int parts) const override;
  void multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows, int64_t column,
                int64_t columns, int64_t begin, int64_t end, float* scratch) const override;

 private:
  Columns columns_;
  const float *lines_, *b_;
  int64_t n_;
};

// op(B) = columns, op(A) (m x pixels) is stored (pixels, m): the terms are the pixels. A block of
// them is 16 pixels of the first half of the images and the same of the second half, so that any
// tap finds the two in one line. Columns of a tap are its channels, filled up to a multiple of 16.
// In float32 too, what a tap reads outside the image is left out; the pixels of one row of an image
// are a chain.
class ColumnTerms final : public SplitPanel {
 public:
  ColumnTerms(const Columns& columns, const float* lines, const float* a, int64_t m)
      : columns_(columns), lines_(lines), a_(a), m_(m) {}

  // The lines of the pixels of the first half: 16 channels of two pixels each.
  static SplitLines lines(int64_t images, int64_t pixels, int64_t channels, int parts) {
    const int64_t half = (images + 1) / 2 * pixels;
    return {half, channels, kUnitSide, half * channels, images * pixels - half, parts};
  }
  void split(const Kernels& kernels, float* tiles, int64_t block, int64_t first, int64_t count,
             int64_t term, int64_t terms, int parts) const override;
  void multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows, int64_t column,
                int64_t columns, int64_t begin, int64_t end, float* scratch) const override;

 private:
  Columns columns_;
  const float *lines_, *a_;
  int64_t m_;
};

}  // namespace lamina::ops
