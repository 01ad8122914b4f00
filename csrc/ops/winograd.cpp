#include "ops/winograd.h"

#include <algorithm>

#include "ops/gemm.h"
#include "ops/taps.h"

namespace lamina::ops {
namespace {

// A plane begins a cache line after a multiple of its rows: sixteen a power of two apart would
// share one set of the first-level cache.
constexpr int64_t kApart = 16;

// Transforming takes a dozen channels' worth of products.
constexpr int64_t kLeastChannels = 16;
// Of the products for one channel and filter, saved in one image: transforming nine taps takes
// about so many, and several times as many where the transformed taps go to memory (16 MB).
constexpr int64_t kLeastSaved = 128, kLeastSavedFar = 512, kFarFloats = int64_t{1} << 22;

// Pieces of the forward pass: transformed inputs and products of 512 KB as a rule, 3 MB at most.
constexpr int64_t kForwardFloats = 131072, kLeastSquares = 24, kForwardSquares = 60;
constexpr int64_t kMostChannels = 2048;
// Terms of one block of the kernel's gradient.
constexpr int64_t kGradientSquares = 48;

int64_t taps_inside(const TapAxis& axis, int64_t begin, int64_t end) {
  int64_t taps = 0;
  for_each_segment(axis, begin, end, [&](const Segment& s) { taps += s.count * s.taps; });
  return taps;
}

// Whether to look at the taps at all.
bool may_pay(const Window2d& w) {
  return w.kernel_h == 3 && w.kernel_w == 3 && w.stride_h == 1 && w.stride_w == 1 &&
         w.dilation_h == 1 && w.dilation_w == 1 && w.channels >= kLeastChannels &&
         w.channels <= kMostChannels && w.filters >= kLeastChannels;
}

// Squares of a unit are counted by image, row and column. Applies body(first, image, row, column,
// count) to the parts of begin .. end that lie side by side.
template <class Body>
void for_each_run(const Unit& unit, int64_t across, int64_t begin, int64_t end, Body&& body) {
  const int64_t per_image = (unit.row_end - unit.row) * across;
  for (int64_t q = begin; q < end;) {
    const int64_t row = q % per_image / across, column = q % across;
    const int64_t count = std::min(across - column, end - q);
    body(q, unit.image + q / per_image, unit.row + row, column, count);
    q += count;
  }
}

int64_t squares_of(const Unit& unit, int64_t across) {
  return (unit.image_end - unit.image) * (unit.row_end - unit.row) * across;
}

}  // namespace

std::optional<Winograd> Winograd::of_all(const Window2d& w) {
  if (!may_pay(w) || !whole(w).pays()) return std::nullopt;
  return whole(w);
}

std::optional<Winograd> Winograd::of_most(const Window2d& w) {
  if (!may_pay(w)) return std::nullopt;
  const TapAxis rows = rows_of(w), columns = columns_of(w);
  const int64_t height = w.out_height, width = w.out_width;
  const auto leaves = [](const TapAxis& axis, int64_t outputs, int64_t other, int64_t squares) {
    const int64_t direct = taps_inside(axis, outputs - 1, outputs) * other;
    return outputs % 2 == 1 && 4 * direct <= 3 * kPlanes * squares;
  };
  Winograd squares = whole(w);
  if (leaves(rows, height, taps_inside(columns, 0, width), squares.across)) --squares.down;
  if (leaves(columns, width, taps_inside(rows, 0, height), squares.down)) --squares.across;
  if (!squares.pays()) return std::nullopt;
  return squares;
}

// Fewer products by a good part, and by so many that one image alone pays for transforming taps.
bool Winograd::pays() const {
  const TapAxis of_rows = rows_of(w), of_columns = columns_of(w);
  const int64_t direct =
      taps_inside(of_rows, 0, w.out_height) * taps_inside(of_columns, 0, w.out_width);
  const int64_t left =
      direct - taps_inside(of_rows, 0, rows()) * taps_inside(of_columns, 0, columns());
  const int64_t products = kPlanes * down * across + left;
  const int64_t least = taps_floats() < kFarFloats ? kLeastSaved : kLeastSavedFar;
  return direct - products >= least && 4 * direct >= 5 * products;
}

void Winograd::transform_taps(const Kernels& kernels, float* transformed, int64_t strip,
                              const float* taps, int64_t tap, int64_t row, int64_t begin,
                              int64_t end) const {
  const int64_t width = filter_strips().length(strip);
  float* to = transformed + kPlanes * w.channels * filter_strips().begin(strip) + begin * width;
  kernels.winograd_taps(to, w.channels * width, width, taps + begin * row, tap, row, end - begin,
                        width);
}

int64_t Winograd::most_squares() const {
  return std::clamp(kForwardFloats / (kPlanes * (w.channels + kStripColumns)), kLeastSquares,
                    kForwardSquares);
}

int64_t Winograd::forward_scratch() const {
  const int64_t width = w.channels + std::min(w.filters, kStripColumns);
  return kPlanes * (most_squares() * width + 2 * kApart);
}

Winograd::Spoiled Winograd::multiply(const Kernels& kernels, float* y, const float* x,
                                     const float* transformed, const GemmEpilogue* epilogue,
                                     const Unit& unit, float* scratch) const {
  Spoiled spoiled;
  const int64_t c = w.channels, squares = squares_of(unit, across);
  const Pieces strips = filter_strips();
  const GemmBlocks blocks{c};
  const int64_t most = most_squares(), in_plane = most * c + kApart;
  float* in = scratch;
  float* out = in + kPlanes * in_plane;
  const int64_t step = ceil_div(squares, ceil_div(squares, most));
  for (int64_t begin = 0; begin < squares; begin += step) {
    const int64_t end = std::min(begin + step, squares);
    const auto for_runs = [&](auto&& body) { for_each_run(unit, across, begin, end, body); };
    for_runs([&](int64_t q, int64_t image, int64_t row, int64_t column, int64_t count) {
      kernels.winograd_input(in + (q - begin) * c, in_plane, c, x + image * in_floats(w), c,
                             inputs(row, column, count));
    });
    for (int64_t s = 0; s < strips.count(); ++s) {
      const int64_t first = strips.begin(s), width = strips.length(s);
      const int64_t out_plane = most * width + kApart;
      const float* b = transformed + kPlanes * c * first;
      for (int64_t p = 0; p < kPlanes; ++p, b += c * width) {
        for (int64_t k = 0; k < blocks.count(); ++k) {
          kernels.gemm_block(out + p * out_plane, width, in + p * in_plane + blocks.begin(k), c, 1,
                             b + blocks.begin(k) * width, width, end - begin, width,
                             blocks.length(k), 1.0f, k == 0 ? 0.0f : 1.0f, nullptr, nullptr, 0);
        }
      }
      GemmEpilogue shifted =
          epilogue == nullptr ? GemmEpilogue{nullptr, Activation::linear, 0.0f} : *epilogue;
      if (shifted.bias != nullptr) shifted.bias += first;
      for_runs([&](int64_t q, int64_t image, int64_t row, int64_t column, int64_t count) {
        const bool finite =
            kernels.winograd_output(y + image * out_floats(w) + first, out + (q - begin) * width,
                                    out_plane, width, width, outputs(row, column, count), shifted);
        if (!finite) spoiled.set(static_cast<size_t>(image - unit.image));
      });
    }
  }
  return spoiled;
}

int64_t Winograd::backward_kernel_scratch() const {
  const int64_t c = std::min(w.channels, kStripColumns), f = std::min(w.filters, kStripColumns);
  return kPlanes * (kGradientSquares * (c + f) + c * f + 3 * kApart);
}

bool Winograd::backward_kernel(const Kernels& kernels, float* dkernel, const float* dy,
                               const float* x, const Units& units, int64_t begin, int64_t end,
                               int64_t channel_strip, int64_t filter_strip, float* scratch) const {
  const Pieces channels = channel_strips(), filters = filter_strips();
  const int64_t first_c = channels.begin(channel_strip), c = channels.length(channel_strip);
  const int64_t first_f = filters.begin(filter_strip), f = filters.length(filter_strip);
  const int64_t in_plane = kGradientSquares * c + kApart, out_plane = kGradientSquares * f + kApart;
  const int64_t sum_plane = c * f + kApart;
  float* in = scratch;
  float* out = in + kPlanes * in_plane;
  float* sums = out + kPlanes * out_plane;
  float beta = 0.0f;
  for (int64_t u = begin; u < end; ++u) {
    const Unit unit = unit_of(units, u);
    const int64_t squares = squares_of(unit, across);
    const int64_t step = ceil_div(squares, ceil_div(squares, kGradientSquares));
    for (int64_t q0 = 0; q0 < squares; q0 += step, beta = 1.0f) {
      const int64_t q1 = std::min(q0 + step, squares);
      for_each_run(unit, across, q0, q1,
                   [&](int64_t q, int64_t image, int64_t row, int64_t column, int64_t count) {
                     kernels.winograd_input(in + (q - q0) * c, in_plane, c,
                                            x + image * in_floats(w) + first_c, c,
                                            inputs(row, column, count));
                     kernels.winograd_output_gradient(out + (q - q0) * f, out_plane, f,
                                                      dy + image * out_floats(w) + first_f, f,
                                                      outputs(row, column, count));
                   });
      for (int64_t p = 0; p < kPlanes; ++p) {
        kernels.gemm_block(sums + p * sum_plane, f, in + p * in_plane, 1, c, out + p * out_plane, f,
                           c, f, q1 - q0, 1.0f, beta, nullptr, nullptr, 0);
      }
    }
  }
  return kernels.winograd_taps_gradient(dkernel + first_c * w.filters + first_f,
                                        w.channels * w.filters, w.filters, sums, sum_plane, f, c,
                                        f);
}

}  // namespace lamina::ops
