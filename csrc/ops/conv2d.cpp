#include "ops/conv2d.h"

#include <algorithm>
#include <numeric>

#include "ops/strided_product.h"
#include "ops/taps.h"

// Assumptions: an element of C is one chain over the terms of a block, whatever the other rows of
// the call are. So pixels may be cut anywhere, and only the cuts of the terms are part of a result:
// those follow from the taps that a pixel sees (forward and for the input) or from the units (for
// the kernel).

namespace lamina::ops {
namespace {

// The partial gradients of a kernel: enough pieces for many threads, 16 MB of them.
constexpr int64_t kPartialFloats = int64_t{1} << 22, kMostPieces = 16, kFewPieces = 4;
static_assert(kLeastGroups >= kMostPieces, "a larger batch must not make fewer pieces");

// Below so many channels most lanes of the input's gradient would be empty, and it is put together
// from the columns of all taps at once.
constexpr int64_t kFewChannels = 8;

// Its chunks of columns stay in the second-level cache (128 KB).
constexpr int64_t kChunkFloats = 32768, kLeastPixels = 48, kMostPixels = 240;

constexpr int64_t kTransposeRows = 16;

// Of the inputs phase + stride * o the taps tap + step * t that reach them, and from which output:
// that is tap t of "output" o of `axis`, whose "inputs" are the outputs.
struct Adjoint {
  TapAxis axis;
  int64_t tap, step;
};

Adjoint adjoint(int64_t phase, int64_t stride, int64_t dilation, int64_t pad, int64_t kernel,
                int64_t outputs) {
  const int64_t common = std::gcd(stride, dilation), step = stride / common;
  int64_t tap = 0;  // the first k with (phase + pad - k * dilation) divisible by the stride
  while (tap < step && (phase + pad - tap * dilation) % stride != 0) ++tap;
  const int64_t taps = tap < step && tap < kernel ? (kernel - tap - 1) / step + 1 : 0;
  return {
      {(phase + pad - tap * dilation) / stride, 1, -dilation / common, taps, outputs}, tap, step};
}

// Applies body(rows, columns) to the output pixels of some rows, those together that see the same
// taps.
template <class Body>
void for_each_region(const TapAxis& rows, int64_t row, int64_t row_end, const TapAxis& columns,
                     int64_t column, int64_t column_end, Body&& body) {
  for_each_segment(rows, row, row_end, [&](const Segment& i) {
    for_each_segment(columns, column, column_end, [&](const Segment& j) { body(i, j); });
  });
}

// A tile of y (or of the input's gradient) in squares. Images of which something is not finite are
// computed again by direct(unit, begin, end), columns begin .. end of a unit's outputs, and so are
// the rows and columns that the squares leave.
template <class Direct>
void multiply_squares(const Winograd& squares, const Kernels& kernels, float* y, const float* x,
                      const float* transformed, const GemmEpilogue* epilogue, int64_t images,
                      int64_t tile, float* scratch, Direct&& direct) {
  const Unit unit = unit_of(squares.units(images), tile), outputs = squares.outputs(unit);
  const Winograd::Spoiled spoiled =
      squares.forward(kernels, y, x, transformed, epilogue, unit, scratch);
  for (int64_t i = unit.image; spoiled.any() && i < unit.image_end; ++i) {
    if (!spoiled[static_cast<size_t>(i - unit.image)]) continue;
    direct(Unit{i, i + 1, outputs.row, outputs.row_end}, 0, squares.columns());
  }
  const int64_t height = squares.w.out_height, width = squares.w.out_width;
  if (squares.columns() < width) direct(outputs, squares.columns(), width);
  if (unit.row_end == squares.down && squares.rows() < height) {
    direct(Unit{unit.image, unit.image_end, squares.rows(), height}, 0, width);
  }
}

}  // namespace

// The input's gradient is the convolution of dy with the taps turned round and transposed.
std::optional<Winograd> Conv2d::input_squares() const {
  return Winograd::of_most({.height = w.out_height,
                            .width = w.out_width,
                            .channels = w.filters,
                            .out_height = w.height,
                            .out_width = w.width,
                            .filters = w.channels,
                            .kernel_h = w.kernel_h,
                            .kernel_w = w.kernel_w,
                            .stride_h = w.stride_h,
                            .stride_w = w.stride_w,
                            .dilation_h = w.dilation_h,
                            .dilation_w = w.dilation_w,
                            .pad_top = w.kernel_h - 1 - w.pad_top,
                            .pad_left = w.kernel_w - 1 - w.pad_left});
}

int64_t Conv2d::transformed_floats() const {
  const auto squares = forward_squares();
  return squares ? squares->taps_floats() : 0;
}

// A tile is some channels of one strip of filters.
int64_t Conv2d::transform_tiles() const {
  const auto squares = forward_squares();
  if (!squares) return 0;
  return squares->filter_strips().count() * Pieces{w.channels, kTransposeRows}.count();
}

void Conv2d::transform(const Kernels& kernels, float* transformed, const float* kernel,
                       int64_t tile) const {
  const Winograd squares = *forward_squares();
  const Pieces pieces{w.channels, kTransposeRows};
  const int64_t strip = tile / pieces.count(), piece = tile % pieces.count();
  squares.transform_taps(kernels, transformed, strip, kernel + squares.filter_strips().begin(strip),
                         w.channels * w.filters, w.filters, pieces.begin(piece), pieces.end(piece));
}

int64_t Conv2d::forward_tiles(int64_t images) const {
  if (const auto squares = forward_squares()) return squares->units(images).count();
  return w.filters == 0 ? 0 : Units{images, w.out_height, w.out_width, kGroupPixels}.count();
}

int64_t Conv2d::forward_scratch() const {
  const auto squares = forward_squares();
  return squares ? squares->forward_scratch() : 0;
}

void Conv2d::forward(const Kernels& kernels, float* y, const float* x, const float* kernel,
                     const float* transformed, const GemmEpilogue* epilogue, int64_t images,
                     int64_t tile, float* scratch) const {
  const auto direct = [&](const Unit& unit, int64_t begin, int64_t end) {
    multiply_unit(kernels, y, x, kernel, epilogue, unit, begin, end);
  };
  if (const auto squares = forward_squares()) {
    multiply_squares(*squares, kernels, y, x, transformed, epilogue, images, tile, scratch, direct);
  } else {
    direct(unit_of({images, w.out_height, w.out_width, kGroupPixels}, tile), 0, w.out_width);
  }
}

void Conv2d::multiply_unit(const Kernels& kernels, float* y, const float* x, const float* kernel,
                           const GemmEpilogue* epilogue, const Unit& unit, int64_t begin,
                           int64_t end) const {
  const TapAxis rows = rows_of(w), columns = columns_of(w);
  const int64_t c = w.channels, f = w.filters, x_row = w.width * c, y_row = w.out_width * f;
  const Range next = after(unit, image_floats(), w.stride_h * x_row);
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
        multiply_images(kernels, y + unit.image * pixels() * f + i.first * y_row + j.first * f,
                        x + unit.image * image_floats() + from,
                        kernel + (i.tap * w.kernel_w + j.tap) * c * f, f, t,
                        unit.image_end - unit.image, pixels() * f, image_floats(), epilogue);
      });
}

// Strips of the transposed kernel lie together: rows as long as there are channels are often a
// power of two apart, and would share few sets of the first-level cache.
Pieces Conv2d::channel_strips() const {
  return {w.channels, scatters() ? std::max<int64_t>(1, w.channels) : kStripColumns};
}

int64_t Conv2d::transposed_floats() const {
  const auto squares = input_squares();
  return depth() * w.filters + (squares ? squares->taps_floats() : 0);
}

// A tile is some filters of one strip.
int64_t Conv2d::transpose_tiles() const {
  return channel_strips().count() * Pieces{w.filters, kTransposeRows}.count();
}

// transposed (filters, depth) if the gradient scatters; if it gathers (strips, kernel_h, kernel_w,
// filters, channels of the strip), and behind it the same transformed if it is taken in squares
void Conv2d::transpose(const Kernels& kernels, float* transposed, const float* kernel,
                       int64_t tile) const {
  const Pieces pieces{w.filters, kTransposeRows}, strips = channel_strips();
  const int64_t piece = tile % pieces.count(), strip = tile / pieces.count(), f = w.filters;
  const int64_t width = scatters() ? depth() : strips.length(strip);
  float* to = transposed + strips.begin(strip) * taps() * f;
  for (int64_t tap = 0; tap < (scatters() ? 1 : taps()); ++tap) {
    kernels.gemm_pack(to + (tap * f + pieces.begin(piece)) * width, width,
                      kernel + (tap * w.channels + strips.begin(strip)) * f + pieces.begin(piece),
                      1, f, pieces.length(piece), width);
  }
  if (const auto squares = input_squares()) {
    const int64_t last = taps() - 1;
    squares->transform_taps(kernels, transposed + depth() * f, strip, to + last * f * width,
                            -f * width, width, pieces.begin(piece), pieces.end(piece));
  }
}

bool Conv2d::scatters() const { return w.channels < kFewChannels && taps() > 1; }

int64_t Conv2d::scatter_chunk() const {
  const int64_t fit = kChunkFloats / std::max<int64_t>(1, depth());
  return std::clamp(fit, kLeastPixels, kMostPixels) / 24 * 24;
}

int64_t Conv2d::backward_input_tiles(int64_t images) const {
  if (w.channels == 0) return 0;
  if (const auto squares = input_squares()) return squares->units(images).count();
  return scatters() ? images : Units{images, w.height, w.width, kGroupPixels}.count();
}

int64_t Conv2d::backward_input_scratch() const {
  if (const auto squares = input_squares()) return squares->forward_scratch();
  return scatters() ? scatter_chunk() * depth() : 0;
}

void Conv2d::backward_input(const Kernels& kernels, float* dx, const float* dy,
                            const float* transposed, int64_t images, int64_t tile,
                            float* scratch) const {
  if (scatters()) {
    return scatter(kernels, dx + tile * image_floats(), dy + tile * pixels() * w.filters,
                   transposed, scratch);
  }
  const auto direct = [&](const Unit& unit, int64_t begin, int64_t end) {
    gather(kernels, dx, dy, transposed, unit, begin, end);
  };
  if (const auto squares = input_squares()) {
    multiply_squares(*squares, kernels, dx, dy, transposed + depth() * w.filters, nullptr, images,
                     tile, scratch, direct);
  } else {
    direct(unit_of({images, w.height, w.width, kGroupPixels}, tile), 0, w.width);
  }
}

// The inputs that lie a stride apart see the same taps, as the outputs do forward.
void Conv2d::gather(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
                    const Unit& unit, int64_t begin, int64_t end) const {
  const int64_t c = w.channels, f = w.filters, x_row = w.width * c, y_row = w.out_width * f;
  const Range next = after(unit, pixels() * f, y_row / w.stride_h);
  const Pieces strips = channel_strips();
  // How many inputs of one phase there are below this one.
  const auto below = [](int64_t inputs, int64_t phase, int64_t stride) {
    return inputs <= phase ? 0 : (inputs - phase - 1) / stride + 1;
  };
  for (int64_t phase_h = 0; phase_h < w.stride_h; ++phase_h) {
    const Adjoint h =
        adjoint(phase_h, w.stride_h, w.dilation_h, w.pad_top, w.kernel_h, w.out_height);
    for (int64_t phase_w = 0; phase_w < w.stride_w; ++phase_w) {
      const Adjoint v =
          adjoint(phase_w, w.stride_w, w.dilation_w, w.pad_left, w.kernel_w, w.out_width);
      for_each_region(
          h.axis, below(unit.row, phase_h, w.stride_h), below(unit.row_end, phase_h, w.stride_h),
          v.axis, below(begin, phase_w, w.stride_w), below(end, phase_w, w.stride_w),
          [&](const Segment& i, const Segment& j) {
            Contraction t{.rows = i.count,
                          .cols = j.count,
                          .c_row = w.stride_h * x_row,
                          .c_col = w.stride_w * c,
                          .a_row = y_row,
                          .a_col = f,
                          .terms = {i.taps, j.taps, f},
                          .a_term = {h.axis.dilation * y_row, v.axis.dilation * f, 1},
                          .b_term = {}};
            const int64_t to =
                (phase_h + i.first * w.stride_h) * x_row + (phase_w + j.first * w.stride_w) * c;
            const int64_t from =
                h.axis.input(i.first, i.tap) * y_row + v.axis.input(j.first, j.tap) * f;
            const int64_t tap = (h.tap + i.tap * h.step) * w.kernel_w + v.tap + j.tap * v.step;
            const bool any = i.taps > 0 && j.taps > 0;
            if (i.taps == h.axis.taps && j.taps == v.axis.taps) fetch(t, dy, next);
            for (int64_t s = 0; s < strips.count(); ++s) {
              const int64_t width = strips.length(s);
              t.b_term[0] = h.step * w.kernel_w * f * width;
              t.b_term[1] = v.step * f * width;
              t.b_term[2] = width;
              const float* strip = transposed + strips.begin(s) * w.kernel_h * w.kernel_w * f;
              multiply_images(kernels, dx + unit.image * image_floats() + to + strips.begin(s),
                              any ? dy + unit.image * pixels() * f + from : dy,
                              any ? strip + tap * f * width : strip, width, t,
                              unit.image_end - unit.image, image_floats(), pixels() * f, nullptr);
              t.ahead_floats = 0;
            }
          });
    }
  }
}

// One image: the columns of its gradient are a plain product.
void Conv2d::scatter(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
                     float* scratch) const {
  std::fill_n(dx, image_floats(), 0.0f);
  const Pieces chunks{pixels(), scatter_chunk()}, blocks{w.filters, kContractionTerms};
  for (int64_t i = 0; i < chunks.count(); ++i) {
    for (int64_t p = 0; p < blocks.count(); ++p) {
      kernels.gemm_block(scratch, depth(), dy + chunks.begin(i) * w.filters + blocks.begin(p),
                         w.filters, 1, transposed + blocks.begin(p) * depth(), depth(),
                         chunks.length(i), depth(), blocks.length(p), 1.0f, p == 0 ? 0.0f : 1.0f,
                         nullptr, nullptr);
    }
    if (blocks.count() > 0) {
      kernels.col2im_add(dx, scratch, w, chunks.begin(i), chunks.end(i));
    }
  }
}

int64_t Conv2d::most_kernel_pieces() const {
  const int64_t fit = kPartialFloats / std::max<int64_t>(1, depth() * w.filters);
  return std::clamp(fit, kFewPieces, kMostPieces);
}

Units Conv2d::kernel_units(int64_t images) const {
  if (const auto squares = kernel_squares()) return squares->units(images);
  return {images, w.out_height, w.out_width, kUnitPixels};
}

Pieces Conv2d::kernel_pieces(int64_t images) const {
  return pieces_of(kernel_units(images).count(), 1, most_kernel_pieces());
}

int64_t Conv2d::backward_kernel_tiles(int64_t images) const {
  const int64_t pieces = kernel_pieces(images).count();
  const auto squares = kernel_squares();
  if (!squares) return pieces;
  return pieces * squares->channel_strips().count() * squares->filter_strips().count();
}

int64_t Conv2d::backward_kernel_scratch() const {
  const auto squares = kernel_squares();
  return squares ? squares->backward_kernel_scratch() : 0;
}

int64_t Conv2d::partial_floats(int64_t images) const {
  // Not the number of pieces: that of a smaller batch may be larger, as 17 units make 9 pieces.
  return std::min(kernel_units(images).count(), most_kernel_pieces()) * depth() * w.filters;
}

void Conv2d::backward_kernel(const Kernels& kernels, float* partial, const float* dy,
                             const float* x, int64_t images, int64_t tile, float* scratch) const {
  const Units units = kernel_units(images);
  const Pieces pieces = kernel_pieces(images);
  const auto squares = kernel_squares();
  if (!squares) {
    float* mine = partial + tile * depth() * w.filters;
    std::fill_n(mine, depth() * w.filters, 0.0f);
    for (int64_t u = pieces.begin(tile); u < pieces.end(tile); ++u) {
      add_kernel_unit(kernels, mine, dy, x, unit_of(units, u), w.channels, w.filters);
    }
    return;
  }
  // A tile is a piece of the batch for a strip of channels and one of filters.
  const Pieces channels = squares->channel_strips(), filters = squares->filter_strips();
  const int64_t strips = channels.count() * filters.count();
  const int64_t piece = tile / strips, i = tile % strips / filters.count();
  const int64_t j = tile % filters.count(), begin = pieces.begin(piece), end = pieces.end(piece);
  float* mine = partial + piece * depth() * w.filters;
  if (squares->backward_kernel(kernels, mine, dy, x, units, begin, end, i, j, scratch)) return;
  mine += channels.begin(i) * w.filters + filters.begin(j);
  for (int64_t row = 0; row < depth(); row += w.channels) {
    for (int64_t c = 0; c < channels.length(i); ++c) {
      std::fill_n(mine + (row + c) * w.filters, filters.length(j), 0.0f);
    }
  }
  for (int64_t u = begin; u < end; ++u) {
    add_kernel_unit(kernels, mine, dy + filters.begin(j), x + channels.begin(i),
                    squares->outputs(unit_of(units, u)), channels.length(i), filters.length(j));
  }
}

void Conv2d::add_kernel_unit(const Kernels& kernels, float* dkernel, const float* dy,
                             const float* x, const Unit& unit, int64_t channels,
                             int64_t filters) const {
  const TapAxis rows = rows_of(w), columns = columns_of(w);
  const int64_t c = w.channels, f = w.filters, x_row = w.width * c, y_row = w.out_width * f;
  const float* image = x + unit.image * image_floats();
  const float* gradient = dy + unit.image * pixels() * f;
  const Range next_x = after(unit, image_floats(), w.stride_h * x_row);
  const Range next_dy = after(unit, pixels() * f, y_row);
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
                      .a_term = {image_floats(), w.stride_h * x_row, w.stride_w * c},
                      .b_term = {pixels() * f, y_row, f}};
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

int64_t Conv2d::reduce_tiles() const { return element_tiles(depth() * w.filters).count(); }

void Conv2d::reduce(const Kernels& kernels, float* dkernel, const float* partial, int64_t images,
                    int64_t tile) const {
  const Pieces elements = element_tiles(depth() * w.filters);
  add_partials(kernels, dkernel, partial, kernel_pieces(images).count(), elements.total,
               elements.begin(tile), elements.end(tile));
}

}  // namespace lamina::ops
