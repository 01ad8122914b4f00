// Pooling of images in NHWC: the maximum or the mean of each window and channel.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lamina::ops {

// x (images, height, width, channels); y, argmax (images, out_height, out_width, channels). A tile
// is an image, or several small ones; no phase needs scratch.
struct Pool2d {
  Window2d w;

  int64_t tiles(int64_t images) const;
  // argmax is optional.
  void max_forward(const Kernels& kernels, float* y, int32_t* argmax, const float* x,
                   int64_t images, int64_t tile) const;
  void max_backward(const Kernels& kernels, float* dx, const float* dy, const int32_t* argmax,
                    int64_t images, int64_t tile) const;
  void average_forward(const Kernels& kernels, float* y, const float* x, int64_t images,
                       int64_t tile) const;
  void average_backward(const Kernels& kernels, float* dx, const float* dy, int64_t images,
                        int64_t tile) const;
};

}  // namespace lamina::ops
