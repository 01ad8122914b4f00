// Two-dimensional convolution of images in NHWC, read in place: no columns are copied, and no zeros
// are stored around an image. The exceptions are the input's gradient where channels are few, and
// 3 x 3 taps with stride 1, which are taken square by square where that pays (ops/winograd).
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/kernels.h"
#include "ops/image_units.h"
#include "ops/pieces.h"
#include "ops/winograd.h"

namespace lamina::ops {

// x (images, height, width, channels), y (images, out_height, out_width, filters),
// kernel (kernel_h, kernel_w, channels, filters). Every phase is a number of tiles and what a tile
// does; the phases of one result stand in their order, and all of one is done before the next.
// Scratch is floats a worker.
struct Conv2d {
  Window2d w;

  int64_t pixels() const { return w.out_height * w.out_width; }
  int64_t depth() const { return w.kernel_h * w.kernel_w * w.channels; }

  // y = activation(x * kernel + bias). An image's result does not depend on the other images. Where
  // it is not taken in squares there is nothing to transform.
  int64_t transformed_floats() const;
  int64_t transform_tiles() const;
  void transform(const Kernels& kernels, float* transformed, const float* kernel,
                 int64_t tile) const;
  int64_t forward_tiles(int64_t images) const;
  int64_t forward_scratch() const;
  void forward(const Kernels& kernels, float* y, const float* x, const float* kernel,
               const float* transformed, const GemmEpilogue* epilogue, int64_t images, int64_t tile,
               float* scratch) const;

  // dx: the kernel is transposed once, and transformed; then every input gathers from the outputs
  // that it reached, or, where channels are few, every output scatters to the inputs that it came
  // from.
  int64_t transposed_floats() const;
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
  int64_t backward_kernel_scratch() const;
  void backward_kernel(const Kernels& kernels, float* partial, const float* dy, const float* x,
                       int64_t images, int64_t tile, float* scratch) const;
  int64_t reduce_tiles() const;
  void reduce(const Kernels& kernels, float* dkernel, const float* partial, int64_t images,
              int64_t tile) const;

 private:
  int64_t image_floats() const { return w.height * w.width * w.channels; }
  int64_t taps() const { return w.kernel_h * w.kernel_w; }
  // What is taken in squares, of the three.
  std::optional<Winograd> forward_squares() const { return Winograd::of_most(w); }
  std::optional<Winograd> kernel_squares() const { return Winograd::of_all(w); }
  std::optional<Winograd> input_squares() const;
  Units kernel_units(int64_t images) const;
  Pieces kernel_pieces(int64_t images) const;
  bool scatters() const;
  Pieces channel_strips() const;
  int64_t scatter_chunk() const;
  // The columns begin .. end of a unit's outputs, and of its inputs.
  void multiply_unit(const Kernels& kernels, float* y, const float* x, const float* kernel,
                     const GemmEpilogue* epilogue, const Unit& unit, int64_t begin,
                     int64_t end) const;
  void gather(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
              const Unit& unit, int64_t begin, int64_t end) const;
  void scatter(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
               float* scratch) const;
  // Adds a unit's part for some channels and filters, at which the pointers point.
  void add_kernel_unit(const Kernels& kernels, float* dkernel, const float* dy, const float* x,
                       const Unit& unit, int64_t channels, int64_t filters) const;
};

}  // namespace lamina::ops
