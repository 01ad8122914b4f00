#include "ops/conv2d.h"
#include "ops/strided_product.h"
#include "ops/taps.h"
#include "ops/window.h"

namespace lamina::ops {
namespace {

constexpr int64_t kTransformRows = 16;

}  // namespace

int64_t Conv2dForward::transformed_floats() const {
  const auto squares = in_squares();
  return squares ? squares->taps_floats() : 0;
}

// A tile is some channels of one strip of filters.
int64_t Conv2dForward::transform_tiles() const {
  const auto squares = in_squares();
  if (!squares) return 0;
  return squares->filter_strips().count() * Pieces{w.channels, kTransformRows}.count();
}

void Conv2dForward::transform(const Kernels& kernels, float* transformed, const float* kernel,
                              int64_t tile) const {
  const Winograd squares = *in_squares();
  const Pieces pieces{w.channels, kTransformRows};
  const int64_t strip = tile / pieces.count(), piece = tile % pieces.count();
  squares.transform_taps(kernels, transformed, strip, kernel + squares.filter_strips().begin(strip),
                         w.channels * w.filters, w.filters, pieces.begin(piece), pieces.end(piece));
}

Units Conv2dForward::units(int64_t images) const {
  if (const auto squares = in_squares()) return squares->units(images);
  return {images, w.out_height, w.out_width, kGroupPixels};
}

int64_t Conv2dForward::tiles(int64_t images) const {
  return w.filters == 0 ? 0 : units(images).count();
}

int64_t Conv2dForward::scratch() const {
  const auto squares = in_squares();
  return squares ? squares->forward_scratch() : 0;
}

void Conv2dForward::run(const Kernels& kernels, float* y, const float* x, const float* kernel,
                        const float* transformed, const GemmEpilogue* epilogue, int64_t images,
                        int64_t tile, float* scratch) const {
  const auto direct = [&](const Unit& unit, int64_t begin, int64_t end) {
    multiply(kernels, y, x, kernel, epilogue, unit, begin, end);
  };
  if (const auto squares = in_squares()) {
    squares->forward(kernels, y, x, transformed, epilogue, images, tile, scratch, direct);
  } else {
    direct(unit_of(units(images), tile), 0, w.out_width);
  }
}

void Conv2dForward::multiply(const Kernels& kernels, float* y, const float* x, const float* kernel,
                             const GemmEpilogue* epilogue, const Unit& unit, int64_t begin,
                             int64_t end) const {
  const TapAxis rows = rows_of(w), columns = columns_of(w);
  const int64_t c = w.channels, f = w.filters, x_row = w.width * c, y_row = w.out_width * f;
  const Range next = after(unit, in_floats(w), w.stride_h * x_row);
  for_each_region(
      rows, unit.row, unit.row_end, columns, begin, end, [&](const Segment& i, const Segment& j) {
        Contraction t{.rows = i.count,
                      .cols = j.count,
                      .c_row = y_row,
                      .c_col = f,
                      .a_row = w.stride_h * x_row,
                      .a_col = w.stride_w * c,
                      .terms = {i.taps, j.taps, c},
                      .a_term = {w.dilation_h * x_row, w.dilation_w * c, 1},
                      .b_term = {w.kernel_w * c * f, c * f, f}};
        if (i.taps == w.kernel_h && j.taps == w.kernel_w) fetch(t, x, next);
        const int64_t from = rows.input(i.first, i.tap) * x_row + columns.input(j.first, j.tap) * c;
        multiply_images(kernels, y + unit.image * out_floats(w) + i.first * y_row + j.first * f,
                        x + unit.image * in_floats(w) + from,
                        kernel + (i.tap * w.kernel_w + j.tap) * c * f, f, t,
                        unit.image_end - unit.image, out_floats(w), in_floats(w), epilogue);
      });
}

}  // namespace lamina::ops
