// A convolution of 3 x 3 taps in fewer products: Winograd's F(2 x 2, 3 x 3). Outputs are taken in
// squares of 2 x 2, each of which needs 16 products a channel instead of 36. The formula is in
// kernels/winograd.cpp; here squares and taps are transformed in pieces that stay in the cache, and
// the sixteen planes of a piece are multiplied.
//
// Transformed numbers are sums and differences of what was given, so the error is bounded by sums
// of absolute values over whole squares and all taps. An infinity or a NaN spreads to results that
// it has no part in, and sums may overflow that a plain convolution has no need of; then something
// is not finite, and is computed again without this, by the caller.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <optional>

#include "kernels/kernels.h"
#include "ops/image_units.h"
#include "ops/pieces.h"
#include "ops/window.h"

namespace lamina::ops {

struct Winograd {
  Window2d w;
  int64_t down, across;  // squares that an image's outputs are taken in

  // For all outputs; squares may reach beyond an odd last row or column. Nothing where squares do
  // not pay: for other taps than 3 x 3, for few channels, or where too few products are saved. That
  // is a rule of shapes, because it decides about bits: neither images nor workers count.
  static std::optional<Winograd> of_all(const Window2d& w);
  // The same without an odd last row or column that has few taps inside the image: those are the
  // caller's.
  static std::optional<Winograd> of_most(const Window2d& w);

  // The transformed taps: strips of filters, each (16, channels, filters of the strip). The taps of
  // a strip are taps[t * tap + channel * row + filter]; channels begin .. end of them.
  int64_t taps_floats() const { return kPlanes * w.channels * w.filters; }
  Pieces filter_strips() const { return {w.filters, kStripColumns}; }
  void transform_taps(const Kernels& kernels, float* transformed, int64_t strip, const float* taps,
                      int64_t tap, int64_t row, int64_t begin, int64_t end) const;

  // The squares of a batch, cut into units of work.
  Units units(int64_t images) const { return {images, down, across, kMostSquares, kBandSquares}; }
  // The outputs of a unit.
  Unit outputs(const Unit& unit) const {
    return {unit.image, unit.image_end, 2 * unit.row, std::min(2 * unit.row_end, rows())};
  }

  // A unit of y. What squares leave, and images of it that do not come out finite, are computed by
  // direct(unit, begin, end): columns begin .. end of a unit's outputs.
  int64_t forward_scratch() const;
  template <class Direct>
  void forward(const Kernels& kernels, float* y, const float* x, const float* transformed,
               const GemmEpilogue* epilogue, int64_t images, int64_t tile, float* scratch,
               Direct&& direct) const {
    const Unit unit = unit_of(units(images), tile), inner = outputs(unit);
    const Spoiled spoiled = multiply(kernels, y, x, transformed, epilogue, unit, scratch);
    for (int64_t i = unit.image; spoiled.any() && i < unit.image_end; ++i) {
      if (!spoiled[static_cast<size_t>(i - unit.image)]) continue;
      direct(Unit{i, i + 1, inner.row, inner.row_end}, 0, columns());
    }
    if (columns() < w.out_width) direct(inner, columns(), w.out_width);
    if (unit.row_end == down && rows() < w.out_height) {
      direct(Unit{unit.image, unit.image_end, rows(), w.out_height}, 0, w.out_width);
    }
  }

  // dkernel over the units begin .. end, for one strip of channels and one of filters. False: not
  // all is finite.
  Pieces channel_strips() const { return {w.channels, kStripColumns}; }
  int64_t backward_kernel_scratch() const;
  bool backward_kernel(const Kernels& kernels, float* dkernel, const float* dy, const float* x,
                       const Units& units, int64_t begin, int64_t end, int64_t channel_strip,
                       int64_t filter_strip, float* scratch) const;

 private:
  static constexpr int64_t kPlanes = 16, kMostSquares = 256, kBandSquares = 64;
  // Bit i: not all of image i of a unit is finite.
  using Spoiled = std::bitset<kMostSquares>;
  static Winograd whole(const Window2d& w) {
    return {w, ceil_div(w.out_height, 2), ceil_div(w.out_width, 2)};
  }
  bool pays() const;
  // Squares side by side, the first in that row and column of squares: what they read, and write.
  Squares inputs(int64_t row, int64_t column, int64_t count) const {
    return {w.height, w.width, w.channels, 2 * row - w.pad_top, 2 * column - w.pad_left, count};
  }
  Squares outputs(int64_t row, int64_t column, int64_t count) const {
    return {w.out_height, w.out_width, w.filters, 2 * row, 2 * column, count};
  }
  int64_t rows() const { return std::min(2 * down, w.out_height); }  // of outputs
  int64_t columns() const { return std::min(2 * across, w.out_width); }
  int64_t most_squares() const;  // of one piece, forward
  Spoiled multiply(const Kernels& kernels, float* y, const float* x, const float* transformed,
                   const GemmEpilogue* epilogue, const Unit& unit, float* scratch) const;
};

}  // namespace lamina::ops
