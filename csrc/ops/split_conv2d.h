// Convolution in bf16 parts on a matrix unit: a product with the columns of the images, which every
// tile puts together for itself, a block of terms at a time.
#pragma once

#include <cstdint>

#include "ops/columns.h"
#include "ops/conv2d.h"
#include "ops/split_product.h"

namespace lamina::ops {

// One direction of a convolution: y, or the input's gradient, which is the convolution of dy with
// the kernel of every tap transposed, (kernel_h, kernel_w, filters, channels), whose taps run
// backwards. Kernel and images are split by phases of their own. For bits, denormals and elements
// that do not come out finite see SplitProduct; in the latter, taps outside the image are left out.
struct SplitPass {
  Columns columns;  // x is null until run
  int64_t filters;  // of the output
  MatmulMode mode;

  SplitProduct product() const;
  SplitLines lines() const;  // of the images
  int64_t kernel_tiles() const;
  void split_kernel(const Kernels& kernels, float* parts, const float* kernel, int64_t tile) const;
  void run(const Kernels& kernels, float* y, const float* x, const float* kernel,
           const float* lines, const float* parts, const GemmEpilogue* epilogue, int64_t tile,
           float* scratch) const;
};

struct SplitConv2d {
  Window2d w;
  MatmulMode mode;

  // Do parts pay? Beside its products, an element of the columns takes a copy and a share of
  // splitting its pixel, which all taps use; and the zeros that fill up a tap's terms take as long
  // as values. Neither batch nor image counts. One rule for y and for the kernel's gradient.
  bool forward_pays() const { return pays(w.filters, w.channels); }
  bool backward_kernel_pays() const { return forward_pays(); }
  // With strides an input is reached by some taps only: that stays in float32.
  bool backward_input_pays() const {
    return w.stride_h == 1 && w.stride_w == 1 && pays(w.channels, w.filters);
  }

  SplitPass forward(int64_t images) const;
  SplitPass backward_input(int64_t images) const;
  int64_t transposed_floats() const { return kernel_floats(w); }
  int64_t transpose_tiles() const;
  void transpose(const Kernels& kernels, float* transposed, const float* kernel,
                 int64_t tile) const;

  // dkernel: dy transposed times the columns. Pieces of the pixels sum on their own and are added
  // up in their order. x is split into lines, dy into parts, both by phases of their own.
  SplitProduct backward_kernel(int64_t images) const;
  SplitLines backward_kernel_lines(int64_t images) const;
  int64_t split_dy_tiles(int64_t images) const;
  void split_dy(const Kernels& kernels, float* parts, const float* dy, int64_t images,
                int64_t tile) const;
  int64_t partial_floats(int64_t images) const;  // grows with images
  int64_t backward_kernel_tiles(int64_t images) const;
  void backward_kernel(const Kernels& kernels, float* partial, const float* dy, const float* x,
                       const float* lines, const float* parts, int64_t images, int64_t tile,
                       float* scratch) const;
  int64_t reduce_tiles() const;
  void reduce(const Kernels& kernels, float* dkernel, float* partial, int64_t images,
              int64_t tile) const;

 private:
  bool pays(int64_t columns, int64_t channels) const;
  Columns columns(int64_t images) const;
  Pieces pieces(int64_t images) const;  // of the terms
  int64_t partial_columns() const;      // channels of all taps, filled up
};

}  // namespace lamina::ops
