// The geometry of a two-dimensional window: output sizes and padding as TensorFlow has them.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/kernels.h"

namespace lamina::ops {

enum class Padding { valid, same };

// Throws std::invalid_argument for anything but "valid" and "same"; `who` begins the message.
Padding parse_padding(const std::string& who, const std::string& padding);

struct Pair {
  int64_t h, w;
};

// valid: out = ceil((in - (kernel - 1) * dilation) / stride), no padding.
// same:  out = ceil(in / stride); the padding that this takes is halved, the odd row or column
//        going to the bottom or right.
// Throws std::invalid_argument where a kernel, stride or dilation is below 1, or where a window
// without padding does not fit; std::length_error where an image would have too many elements.
Window2d make_window(const std::string& who, Pair image, int64_t channels, int64_t filters,
                     Pair kernel, Pair strides, Pair dilation, Padding padding);

// The same for pooling: every channel by itself.
Window2d make_pool_window(const std::string& who, Pair image, int64_t channels, Pair pool,
                          Pair strides, Padding padding);

}  // namespace lamina::ops
