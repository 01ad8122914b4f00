// Two-dimensional convolution of images in NHWC, read in place: no columns are copied, and no zeros
// are stored around an image. The exception is the input's gradient where channels are few.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "ops/pieces.h"

namespace lamina::ops {

// x (images, height, width, channels), y (images, out_height, out_width, filters),
// kernel (kernel_h, kernel_w, channels, filters). Every phase is a number of tiles and what a tile
// does; the phases of one gradient stand in their order, and all of one is done before the next.
struct Conv2d {
  Window2d w;

  int64_t pixels() const { return w.out_height * w.out_width; }
  int64_t depth() const { return w.kernel_h * w.kernel_w * w.channels; }

  // y = activation(x * kernel + bias). An image's result does not depend on the other images.
  int64_t forward_tiles(int64_t images) const;
  void forward(const Kernels& kernels, float* y, const float* x, const float* kernel,
               const GemmEpilogue* epilogue, int64_t images, int64_t tile) const;

  // dx: the kernel is transposed once; then every input gathers from the outputs that it reached,
  // or, where channels are few, every output scatters to the inputs that it came from. The scratch
  // is floats a worker.
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
  int64_t most_kernel_pieces() const;
  int64_t backward_kernel_tiles(int64_t images) const;
  void backward_kernel(const Kernels& kernels, float* partial, const float* dy, const float* x,
                       int64_t images, int64_t tile) const;
  int64_t reduce_tiles() const;
  void reduce(const Kernels& kernels, float* dkernel, const float* partial, int64_t images,
              int64_t tile) const;

 private:
  int64_t image_floats() const { return w.height * w.width * w.channels; }
  Pieces kernel_pieces(int64_t images) const;
  bool scatters() const;
  Pieces channel_strips() const;
  int64_t scatter_chunk() const;
  void gather(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
              int64_t images, int64_t tile) const;
  void scatter(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
               float* scratch) const;
};

}  // namespace lamina::ops
