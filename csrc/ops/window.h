// The geometry of a two-dimensional window: output sizes and padding as TensorFlow has them.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/kernels.h"

namespace lamina::ops {

// What follows from a window; floats are of one image.
inline int64_t taps(const Window2d& w) { return w.kernel_h * w.kernel_w; }
inline int64_t out_pixels(const Window2d& w) { return w.out_height * w.out_width; }
inline int64_t in_floats(const Window2d& w) { return w.height * w.width * w.channels; }
inline int64_t out_floats(const Window2d& w) { return out_pixels(w) * w.filters; }
inline int64_t depth(const Window2d& w) { return taps(w) * w.channels; }  // terms of an output
inline int64_t kernel_floats(const Window2d& w) { return depth(w) * w.filters; }

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
