// Two-dimensional convolution of images in NHWC, as products of im2col's matrix: pixels x depth
// times kernel (depth x filters), where depth = kernel_h * kernel_w * channels.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lamina::ops {

// x (images, height, width, channels), y (images, out_height, out_width, filters),
// kernel (kernel_h, kernel_w, channels, filters). Every phase is a number of tiles, the floats of
// scratch a worker needs, and what a tile does; the phases of one gradient stand in their order and
// all of one must be done before the next begins.
struct Conv2d {
  Window2d w;

  int64_t pixels() const { return w.out_height * w.out_width; }
  int64_t depth() const { return w.kernel_h * w.kernel_w * w.channels; }

  // y = activation(x * kernel + bias). An image's result does not depend on the other images.
  int64_t forward_tiles(int64_t images) const;
  int64_t forward_scratch() const;
  void forward(const Kernels& kernels, float* y, const float* x, const float* kernel,
               const GemmEpilogue* epilogue, int64_t images, int64_t tile, float* scratch) const;

  // dx: the kernel is transposed once, then every image's gradient is put together by itself.
  int64_t transposed_floats() const { return depth() * w.filters; }
  int64_t transpose_tiles() const;
  void transpose(const Kernels& kernels, float* transposed, const float* kernel,
                 int64_t tile) const;
  int64_t backward_input_tiles(int64_t images) const;
  int64_t backward_input_scratch() const;
  void backward_input(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
                      int64_t images, int64_t tile, float* scratch) const;

  // dkernel: pieces of the batch sum on their own, then the pieces are added up in their order.
  int64_t partial_floats(int64_t images) const;  // grows with images
  int64_t backward_kernel_tiles(int64_t images) const;
  int64_t backward_kernel_scratch() const;
  void backward_kernel(const Kernels& kernels, float* partial, const float* dy, const float* x,
                       int64_t images, int64_t tile, float* scratch) const;
  int64_t reduce_tiles() const;
  void reduce(const Kernels& kernels, float* dkernel, const float* partial, int64_t images,
              int64_t tile) const;

 private:
  bool is_product() const;  // im2col would copy the image as it is
  int64_t chunk() const;
  const float* columns(const Kernels& kernels, const float* x, int64_t begin, int64_t end,
                       float* scratch) const;
};

}  // namespace lamina::ops
