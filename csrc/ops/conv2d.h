// Two-dimensional convolution of images in NHWC, read in place: no columns are copied, and no zeros
// are stored around an image. The exceptions are the input's gradient where channels are few, and
// 3 x 3 taps with stride 1, which are taken square by square where that pays (ops/winograd).
//
// x (images, height, width, channels), y (images, out_height, out_width, filters),
// kernel (kernel_h, kernel_w, channels, filters). A result is a list of phases, of which all of one
// is done before the next; a phase is a number of tiles and what a tile does. Scratch is floats a
// worker.
//
// Assumptions: an element of C is one chain over the terms of a block, whatever the other rows of
// the call are. So pixels may be cut anywhere, and only the cuts of the terms are part of a result:
// those follow from the taps that a pixel sees (forward and for the input) or from the units (for
// the kernel).
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/kernels.h"
#include "ops/image_units.h"
#include "ops/pieces.h"
#include "ops/winograd.h"

namespace lamina::ops {

// y = activation(x * kernel + bias). An image's result does not depend on the other images. The
// kernel is transformed first, which is nothing to do where squares are not taken.
struct Conv2dForward {
  Window2d w;

  int64_t transformed_floats() const;
  int64_t transform_tiles() const;
  void transform(const Kernels& kernels, float* transformed, const float* kernel,
                 int64_t tile) const;
  int64_t tiles(int64_t images) const;
  int64_t scratch() const;
  void run(const Kernels& kernels, float* y, const float* x, const float* kernel,
           const float* transformed, const GemmEpilogue* epilogue, int64_t images, int64_t tile,
           float* scratch) const;

 private:
  std::optional<Winograd> in_squares() const { return Winograd::of_most(w); }
  Units units(int64_t images) const;
  // The columns begin .. end of a unit's outputs.
  void multiply(const Kernels& kernels, float* y, const float* x, const float* kernel,
                const GemmEpilogue* epilogue, const Unit& unit, int64_t begin, int64_t end) const;
};

// dx: the kernel is transposed, and transformed for squares; then every input gathers from the
// outputs that it reached, or, where channels are few, every output scatters to the inputs that it
// came from.
struct Conv2dBackwardInput {
  Window2d w;

  int64_t transposed_floats() const;
  int64_t transpose_tiles() const;
  void transpose(const Kernels& kernels, float* transposed, const float* kernel,
                 int64_t tile) const;
  int64_t tiles(int64_t images) const;
  int64_t scratch() const;
  void run(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
           int64_t images, int64_t tile, float* scratch) const;

 private:
  std::optional<Winograd> in_squares() const;
  Units units(int64_t images) const;
  bool scatters() const;
  int64_t scatter_chunk() const;
  Pieces channel_strips() const;
  // The columns begin .. end of a unit's inputs.
  void gather(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
              const Unit& unit, int64_t begin, int64_t end) const;
  void scatter(const Kernels& kernels, float* dx, const float* dy, const float* transposed,
               float* scratch) const;
};

// dkernel: pieces of the batch sum on their own, then the pieces are added up in their order.
struct Conv2dBackwardKernel {
  Window2d w;

  int64_t partial_floats(int64_t images) const;  // grows with images
  int64_t most_pieces() const;
  int64_t tiles(int64_t images) const;
  int64_t scratch() const;
  void run(const Kernels& kernels, float* partial, const float* dy, const float* x, int64_t images,
           int64_t tile, float* scratch) const;
  int64_t reduce_tiles() const;
  void reduce(const Kernels& kernels, float* dkernel, const float* partial, int64_t images,
              int64_t tile) const;

 private:
  std::optional<Winograd> in_squares() const { return Winograd::of_all(w); }
  Units units(int64_t images) const;
  Pieces pieces(int64_t images) const;  // of the units
  // Adds a unit's part for some channels and filters, at which the pointers point.
  void add_unit(const Kernels& kernels, float* dkernel, const float* dy, const float* x,
                const Unit& unit, int64_t channels, int64_t filters) const;
};

}  // namespace lamina::ops
