#include "ops/window.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "cpu/memory.h"

namespace lamina::ops {
namespace {

std::string text(Pair pair) {
  return "(" + std::to_string(pair.h) + ", " + std::to_string(pair.w) + ")";
}

void check_positive(const std::string& who, const char* what, Pair pair) {
  if (pair.h < 1 || pair.w < 1) {
    throw std::invalid_argument(who + ": " + what + " must be two positive integers, got " +
                                text(pair));
  }
}

struct Axis {
  int64_t out, pad_before;
};

Axis axis(int64_t size, int64_t reach, int64_t stride, Padding padding) {
  if (padding == Padding::valid) return {(size - reach) / stride + 1, 0};
  if (size == 0) return {0, 0};
  const int64_t out = (size - 1) / stride + 1;
  return {out, std::max<int64_t>(0, (out - 1) * stride + reach - size) / 2};
}

// Rows from the first tap to the last; sizes are kept within 32 bits, so nothing overflows.
int64_t reach_of(int64_t kernel, int64_t dilation) { return (kernel - 1) * dilation + 1; }

}  // namespace

Padding parse_padding(const std::string& who, const std::string& padding) {
  if (padding == "valid") return Padding::valid;
  if (padding == "same") return Padding::same;
  throw std::invalid_argument(who + ": padding must be 'valid' or 'same', got '" + padding + "'");
}

Window2d make_window(const std::string& who, Pair image, int64_t channels, int64_t filters,
                     Pair kernel, Pair strides, Pair dilation, Padding padding) {
  check_positive(who, "the window", kernel);
  check_positive(who, "strides", strides);
  check_positive(who, "dilation", dilation);
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  for (const Pair pair : {image, kernel, strides, dilation}) {
    if (pair.h > most || pair.w > most) {
      throw std::length_error(who + ": sizes above 2^31 - 1 are not supported, got " + text(pair));
    }
  }
  const Pair reach{reach_of(kernel.h, dilation.h), reach_of(kernel.w, dilation.w)};
  if (padding == Padding::valid && (image.h < reach.h || image.w < reach.w)) {
    throw std::invalid_argument(who + ": a window of " + text(reach) +
                                " does not fit into images of " + text(image) +
                                "; use padding='same' or a smaller window");
  }
  const Axis rows = axis(image.h, reach.h, strides.h, padding);
  const Axis columns = axis(image.w, reach.w, strides.w, padding);
  // max pooling numbers the pixels of an image by int32.
  if (checked_product({image.h, image.w}) > most) {
    throw std::length_error(who + ": images of more than 2^31 - 1 pixels are not supported, got " +
                            text(image));
  }
  checked_product({image.h, image.w, channels, static_cast<int64_t>(sizeof(float))});
  checked_product({rows.out, columns.out, filters, static_cast<int64_t>(sizeof(float))});
  checked_product({kernel.h, kernel.w, channels, std::max<int64_t>(1, filters),
                   static_cast<int64_t>(sizeof(float))});
  return {.height = image.h,
          .width = image.w,
          .channels = channels,
          .out_height = rows.out,
          .out_width = columns.out,
          .filters = filters,
          .kernel_h = kernel.h,
          .kernel_w = kernel.w,
          .stride_h = strides.h,
          .stride_w = strides.w,
          .dilation_h = dilation.h,
          .dilation_w = dilation.w,
          .pad_top = rows.pad_before,
          .pad_left = columns.pad_before};
}

Window2d make_pool_window(const std::string& who, Pair image, int64_t channels, Pair pool,
                          Pair strides, Padding padding) {
  return make_window(who, image, channels, channels, pool, strides, {1, 1}, padding);
}

}  // namespace lamina::ops
