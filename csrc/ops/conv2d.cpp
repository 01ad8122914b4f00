#include "ops/conv2d.h"

#include <algorithm>
#include <numeric>

#include "ops/image_units.h"
#include "ops/pieces.h"
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

// Channels of one strip of the transposed kernel: the widest tile's, on every instruction set.
constexpr int64_t kStrip = 64;

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

}  // namespace

int64_t Conv2d::forward_tiles(int64_t images) const {
  return w.filters == 0 ? 0 : Units{images, w.out_height, w.out_width, kGroupPixels}.count();
}

void Conv2d::forward(const Kernels& kernels, float* y, const float* x, const float* kernel,
                     const GemmEpilogue* epilogue, int64_t images, int64_t tile) const {
  const Unit unit = unit_of({images, w.out_height, w.out_width, kGroupPixels}, tile);
  const TapAxis rows = rows_of(w), columns = columns_of(w);
  const int64_t c = w.channels, f = w.filters, x_row = w.width * c, y_row = w.out_width * f;
  const Range next = after(unit, image_floats(), w.stride_h * x_row);
  for_each_region(
      rows, unit.row, unit.row_end, columns, 0, w.out_width,
      [&](const Segment& i, const Segment& j) {
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
  return {w.channels, scatters() ? std::max<int64_t>(1, w.channels) : kStrip};
}

// A tile is some filters of one tap and one strip; all taps are one where the gradient scatters.
int64_t Conv2d::transpose_tiles() const {
  const int64_t pieces = Pieces{w.filters, kTransposeRows}.count();
  return scatters() ? pieces : channel_strips().count() * w.kernel_h * w.kernel_w * pieces;
}

// transposed (filters, depth) if the gradient scatters; if it gathers (strips, kernel_h, kernel_w,
// filters, channels of the strip)
void Conv2d::transpose(const Kernels& kernels, float* transposed, const float* kernel,
                       int64_t tile) const {
  const Pieces pieces{w.filters, kTransposeRows}, strips = channel_strips();
  const int64_t taps = scatters() ? 1 : w.kernel_h * w.kernel_w;
  const int64_t piece = tile % pieces.count(), tap = tile / pieces.count() % taps;
  const int64_t strip = tile / pieces.count() / taps;
  const int64_t width = scatters() ? depth() : strips.length(strip), f = w.filters;
  float* to = transposed + strips.begin(strip) * taps * f;
  kernels.gemm_pack(to + (tap * f + pieces.begin(piece)) * width, width,
                    kernel + (tap * w.channels + strips.begin(strip)) * f + pieces.begin(piece), 1,
                    f, pieces.length(piece), width);
}

bool Conv2d::scatters() const { return w.channels < kFewChannels && w.kernel_h * w.kernel_w > 1; }

int64_t Conv2d::scatter_chunk() const {
  const int64_t fit = kChunkFloats / std::max<int64_t>(1, depth());
  return std::clamp(fit, kLeastPixels, kMostPixels) / 24 * 24;
}

int64_t Conv2d::backward_input_tiles(int64_t images) const {
  if (w.channels == 0) return 0;
  return scatters() ? images : Units{images, w.height, w.width, kGroupPixels}.count();
}

int64_t Conv2d::backward_input_scratch() const {
  return scatters() ? scatter_chunk() * depth() : 0;
}

void Conv2d::backward_input(const Kernels& kernels, float* dx, const float* dy,
                            const float* transposed, int64_t images, int64_t tile,
                            float* scratch) const {
  if (scatters()) {
    scatter(kernels, dx + tile * image_floats(), dy + tile * pixels() * w.filters, transposed,
            scratch);
  } else {
    gather(kernels, dx, dy, transposed, images, tile);
  }
}

// The inputs that lie a stride apart see the same taps, as the outputs do forward.
void Conv2d::gather(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
                    int64_t images, int64_t tile) const {
  const Unit unit = unit_of({images, w.height, w.width, kGroupPixels}, tile);
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
          v.axis, 0, below(w.width, phase_w, w.stride_w), [&](const Segment& i, const Segment& j) {
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

Pieces Conv2d::kernel_pieces(int64_t images) const {
  return pieces_of(Units{images, w.out_height, w.out_width, kUnitPixels}.count(), 1,
                   most_kernel_pieces());
}

int64_t Conv2d::backward_kernel_tiles(int64_t images) const {
  return kernel_pieces(images).count();
}

int64_t Conv2d::partial_floats(int64_t images) const {
  const int64_t floats = depth() * w.filters;
  // Not the number of pieces: that of a smaller batch may be larger, as 17 units make 9 pieces.
  return std::min(Units{images, w.out_height, w.out_width, kUnitPixels}.count(),
                  most_kernel_pieces()) *
         floats;
}

void Conv2d::backward_kernel(const Kernels& kernels, float* partial, const float* dy,
                             const float* x, int64_t images, int64_t tile) const {
  const Units units{images, w.out_height, w.out_width, kUnitPixels};
  const Pieces pieces = kernel_pieces(images);
  const TapAxis rows = rows_of(w), columns = columns_of(w);
  const int64_t c = w.channels, f = w.filters, x_row = w.width * c, y_row = w.out_width * f;
  float* mine = partial + tile * depth() * f;
  std::fill_n(mine, depth() * f, 0.0f);
  for (int64_t u = pieces.begin(tile); u < pieces.end(tile); ++u) {
    const Unit unit = unit_of(units, u);
    const float* image = x + unit.image * image_floats();
    const float* gradient = dy + unit.image * pixels() * f;
    const Range next_x = after(unit, image_floats(), w.stride_h * x_row);
    const Range next_dy = after(unit, pixels() * f, y_row);
    for_each_region(
        rows, unit.row, unit.row_end, columns, 0, w.out_width,
        [&](const Segment& i, const Segment& j) {
          if (i.taps == 0 || j.taps == 0) return;
          // The rows of the product are taps and channels: one run without dilation.
          const int64_t together = w.dilation_w == 1 ? j.taps : 1;
          Contraction t{.rows = i.taps,
                        .cols = together * c,
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
            multiply(kernels, mine + (i.tap * w.kernel_w + tap) * c * f,
                     image + rows.input(i.first, i.tap) * x_row + columns.input(j.first, tap) * c,
                     gradient + i.first * y_row + j.first * f, f, t, true, nullptr);
          }
        });
  }
}

int64_t Conv2d::reduce_tiles() const { return element_tiles(depth() * w.filters).count(); }

void Conv2d::reduce(const Kernels& kernels, float* dkernel, const float* partial, int64_t images,
                    int64_t tile) const {
  const Pieces elements = element_tiles(depth() * w.filters);
  add_partials(kernels, dkernel, partial, backward_kernel_tiles(images), elements.total,
               elements.begin(tile), elements.end(tile));
}

}  // namespace lamina::ops
