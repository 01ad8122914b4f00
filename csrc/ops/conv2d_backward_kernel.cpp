#include <algorithm>

#include "ops/conv2d.h"
#include "ops/strided_product.h"
#include "ops/taps.h"
#include "ops/window.h"

namespace lamina::ops {
namespace {

// The partial gradients of a kernel: enough pieces for many threads, 16 MB of them.
constexpr int64_t kPartialFloats = int64_t{1} << 22, kMostPieces = 16, kFewPieces = 4;
static_assert(kLeastGroups >= kMostPieces, "a larger batch must not make fewer pieces");

}  // namespace

int64_t Conv2dBackwardKernel::most_pieces() const {
  const int64_t fit = kPartialFloats / std::max<int64_t>(1, kernel_floats(w));
  return std::clamp(fit, kFewPieces, kMostPieces);
}

Units Conv2dBackwardKernel::units(int64_t images) const {
  if (const auto squares = in_squares()) return squares->units(images);
  return {images, w.out_height, w.out_width, kUnitPixels};
}

Pieces Conv2dBackwardKernel::pieces(int64_t images) const {
  return pieces_of(units(images).count(), 1, most_pieces());
}

int64_t Conv2dBackwardKernel::tiles(int64_t images) const {
  if (kernel_floats(w) == 0) return 0;
  const int64_t count = pieces(images).count();
  const auto squares = in_squares();
  if (!squares) return count;
  return count * squares->channel_strips().count() * squares->filter_strips().count();
}

int64_t Conv2dBackwardKernel::scratch() const {
  const auto squares = in_squares();
  return squares ? squares->backward_kernel_scratch() : 0;
}

int64_t Conv2dBackwardKernel::partial_floats(int64_t images) const {
  // Not the number of pieces: that of a smaller batch may be larger, as 17 units make 9 pieces.
  return std::min(units(images).count(), most_pieces()) * kernel_floats(w);
}

void Conv2dBackwardKernel::run(const Kernels& kernels, float* partial, const float* dy,
                               const float* x, int64_t images, int64_t tile, float* scratch) const {
  const Units all = units(images);
  const Pieces cut = pieces(images);
  const auto squares = in_squares();
  if (!squares) {
    float* mine = partial + tile * kernel_floats(w);
    std::fill_n(mine, kernel_floats(w), 0.0f);
    for (int64_t u = cut.begin(tile); u < cut.end(tile); ++u) {
      add_unit(kernels, mine, dy, x, unit_of(all, u), w.channels, w.filters);
    }
    return;
  }
  // A tile is a piece of the batch for a strip of channels and one of filters.
  const Pieces channels = squares->channel_strips(), filters = squares->filter_strips();
  const int64_t strips = channels.count() * filters.count();
  const int64_t piece = tile / strips, i = tile % strips / filters.count();
  const int64_t j = tile % filters.count(), begin = cut.begin(piece), end = cut.end(piece);
  float* mine = partial + piece * kernel_floats(w);
  if (squares->backward_kernel(kernels, mine, dy, x, all, begin, end, i, j, scratch)) return;
  mine += channels.begin(i) * w.filters + filters.begin(j);
  for (int64_t tap = 0; tap < taps(w); ++tap) {
    for (int64_t c = 0; c < channels.length(i); ++c) {
      std::fill_n(mine + (tap * w.channels + c) * w.filters, filters.length(j), 0.0f);
    }
  }
  for (int64_t u = begin; u < end; ++u) {
    add_unit(kernels, mine, dy + filters.begin(j), x + channels.begin(i),
             squares->outputs(unit_of(all, u)), channels.length(i), filters.length(j));
  }
}

void Conv2dBackwardKernel::add_unit(const Kernels& kernels, float* dkernel, const float* dy,
                                    const float* x, const Unit& unit, int64_t channels,
                                    int64_t filters) const {
  const TapAxis rows = rows_of(w), columns = columns_of(w);
  const int64_t c = w.channels, f = w.filters, x_row = w.width * c, y_row = w.out_width * f;
  const float* image = x + unit.image * in_floats(w);
  const float* gradient = dy + unit.image * out_floats(w);
  const Range next_x = after(unit, in_floats(w), w.stride_h * x_row);
  const Range next_dy = after(unit, out_floats(w), y_row);
  for_each_region(
      rows, unit.row, unit.row_end, columns, 0, w.out_width,
      [&](const Segment& i, const Segment& j) {
        if (i.taps == 0 || j.taps == 0) return;
        // The rows of the product are taps and channels: one run without dilation.
        const int64_t together = w.dilation_w == 1 && channels == c ? j.taps : 1;
        Contraction t{.rows = i.taps,
                      .cols = together * channels,
                      .c_row = w.kernel_w * c * f,
                      .c_col = f,
                      .a_row = w.dilation_h * x_row,
                      .a_col = 1,
                      .terms = {unit.image_end - unit.image, i.count, j.count},
                      .a_term = {in_floats(w), w.stride_h * x_row, w.stride_w * c},
                      .b_term = {out_floats(w), y_row, f}};
        if (i.taps == w.kernel_h && j.taps == w.kernel_w) {
          fetch(t, dy, next_dy);
          if (next_x.floats > next_dy.floats / 4) {  // both, or dy alone in two halves
            t.ahead[1] = x + next_x.begin;
            t.ahead_floats = std::max(next_x.floats, next_dy.floats);
          }
          t.ahead_floats *= unit.image_end - unit.image;
        }
        for (int64_t tap = j.tap; tap < j.tap + j.taps; tap += together) {
          multiply(kernels, dkernel + (i.tap * w.kernel_w + tap) * c * f,
                   image + rows.input(i.first, i.tap) * x_row + columns.input(j.first, tap) * c,
                   gradient + i.first * y_row + j.first * f, filters, t, true, nullptr);
        }
      });
}

int64_t Conv2dBackwardKernel::reduce_tiles() const {
  return element_tiles(kernel_floats(w)).count();
}

void Conv2dBackwardKernel::reduce(const Kernels& kernels, float* dkernel, const float* partial,
                                  int64_t images, int64_t tile) const {
  const Pieces elements = element_tiles(kernel_floats(w));
  add_partials(kernels, dkernel, partial, pieces(images).count(), elements.total,
               elements.begin(tile), elements.end(tile));
}

}  // namespace lamina::ops
