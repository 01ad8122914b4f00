#include <algorithm>
#include <numeric>

#include "ops/conv2d.h"
#include "ops/strided_product.h"
#include "ops/taps.h"
#include "ops/window.h"

namespace lamina::ops {
namespace {

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

}  // namespace

// The input's gradient is the convolution of dy with the taps turned round and transposed.
std::optional<Winograd> Conv2dBackwardInput::in_squares() const {
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

// Strips of the transposed kernel lie together: rows as long as there are channels are often a
// power of two apart, and would share few sets of the first-level cache.
Pieces Conv2dBackwardInput::channel_strips() const {
  return {w.channels, scatters() ? std::max<int64_t>(1, w.channels) : kStripColumns};
}

int64_t Conv2dBackwardInput::transposed_floats() const {
  const auto squares = in_squares();
  return kernel_floats(w) + (squares ? squares->taps_floats() : 0);
}

// A tile is some filters of one strip.
int64_t Conv2dBackwardInput::transpose_tiles() const {
  return channel_strips().count() * Pieces{w.filters, kTransposeRows}.count();
}

// transposed (filters, depth) if the gradient scatters; if it gathers (strips, kernel_h, kernel_w,
// filters, channels of the strip), and behind it the same transformed if it is taken in squares
void Conv2dBackwardInput::transpose(const Kernels& kernels, float* transposed, const float* kernel,
                                    int64_t tile) const {
  const Pieces pieces{w.filters, kTransposeRows}, strips = channel_strips();
  const int64_t piece = tile % pieces.count(), strip = tile / pieces.count(), f = w.filters;
  const int64_t width = scatters() ? depth(w) : strips.length(strip);
  float* to = transposed + strips.begin(strip) * taps(w) * f;
  for (int64_t tap = 0; tap < (scatters() ? 1 : taps(w)); ++tap) {
    kernels.gemm_pack(to + (tap * f + pieces.begin(piece)) * width, width,
                      kernel + (tap * w.channels + strips.begin(strip)) * f + pieces.begin(piece),
                      1, f, pieces.length(piece), width);
  }
  if (const auto squares = in_squares()) {
    const int64_t last = taps(w) - 1;
    squares->transform_taps(kernels, transposed + kernel_floats(w), strip, to + last * f * width,
                            -f * width, width, pieces.begin(piece), pieces.end(piece));
  }
}

bool Conv2dBackwardInput::scatters() const { return w.channels < kFewChannels && taps(w) > 1; }

int64_t Conv2dBackwardInput::scatter_chunk() const {
  const int64_t fit = kChunkFloats / std::max<int64_t>(1, depth(w));
  return std::clamp(fit, kLeastPixels, kMostPixels) / 24 * 24;
}

Units Conv2dBackwardInput::units(int64_t images) const {
  if (const auto squares = in_squares()) return squares->units(images);
  return {images, w.height, w.width, kGroupPixels};
}

int64_t Conv2dBackwardInput::tiles(int64_t images) const {
  if (w.channels == 0) return 0;
  return scatters() ? images : units(images).count();
}

int64_t Conv2dBackwardInput::scratch() const {
  if (const auto squares = in_squares()) return squares->forward_scratch();
  return scatters() ? scatter_chunk() * depth(w) : 0;
}

void Conv2dBackwardInput::run(const Kernels& kernels, float* dx, const float* dy,
                              const float* transposed, int64_t images, int64_t tile,
                              float* scratch) const {
  if (scatters()) {
    return scatter(kernels, dx + tile * in_floats(w), dy + tile * out_floats(w), transposed,
                   scratch);
  }
  const auto direct = [&](const Unit& unit, int64_t begin, int64_t end) {
    gather(kernels, dx, dy, transposed, unit, begin, end);
  };
  if (const auto squares = in_squares()) {
    squares->forward(kernels, dx, dy, transposed + kernel_floats(w), nullptr, images, tile, scratch,
                     direct);
  } else {
    direct(unit_of(units(images), tile), 0, w.width);
  }
}

// The inputs that lie a stride apart see the same taps, as the outputs do forward.
void Conv2dBackwardInput::gather(const Kernels& kernels, float* dx, const float* dy,
                                 const float* transposed, const Unit& unit, int64_t begin,
                                 int64_t end) const {
  const int64_t c = w.channels, f = w.filters, x_row = w.width * c, y_row = w.out_width * f;
  const Range next = after(unit, out_floats(w), y_row / w.stride_h);
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
              multiply_images(kernels, dx + unit.image * in_floats(w) + to + strips.begin(s),
                              any ? dy + unit.image * out_floats(w) + from : dy,
                              any ? strip + tap * f * width : strip, width, t,
                              unit.image_end - unit.image, in_floats(w), out_floats(w), nullptr);
              t.ahead_floats = 0;
            }
          });
    }
  }
}

// One image: the columns of its gradient are a plain product.
void Conv2dBackwardInput::scatter(const Kernels& kernels, float* dx, const float* dy,
                                  const float* transposed, float* scratch) const {
  std::fill_n(dx, in_floats(w), 0.0f);
  const Pieces chunks{out_pixels(w), scatter_chunk()}, blocks{w.filters, kContractionTerms};
  for (int64_t i = 0; i < chunks.count(); ++i) {
    for (int64_t p = 0; p < blocks.count(); ++p) {
      kernels.gemm_block(scratch, depth(w), dy + chunks.begin(i) * w.filters + blocks.begin(p),
                         w.filters, 1, transposed + blocks.begin(p) * depth(w), depth(w),
                         chunks.length(i), depth(w), blocks.length(p), 1.0f, p == 0 ? 0.0f : 1.0f,
                         nullptr, nullptr, 0);
    }
    if (blocks.count() > 0) {
      kernels.col2im_add(dx, scratch, w, chunks.begin(i), chunks.end(i));
    }
  }
}

}  // namespace lamina::ops
