// Convolution in bf16 parts on a matrix unit: a product whose A is the columns of the images, which
// every tile copies and splits for itself, a block of terms at a time. What is multiplied with
// them, the kernel or the gradient of the outputs, is split by a phase of its own.
#pragma once

#include <cstdint>

#include "ops/columns.h"
#include "ops/conv2d.h"
#include "ops/split_product.h"

namespace lamina::ops {

// The three products are SplitProducts, with what that says of bits, denormals, and elements that
// do not come out finite; in the latter, taps outside the image are left out.
struct SplitConv2d {
  Conv2d conv;
  MatmulMode mode;

  // Does splitting pay? As in SplitProduct: the filters are the columns of the output and of the
  // kernel's gradient, the channels those of the input's. Columns are copied in runs of a pixel's
  // channels, and short ones take longer than their products. Neither batch nor image counts.
  bool forward_pays() const { return pays(conv.w.filters, conv.w.channels); }
  bool backward_kernel_pays() const { return forward_pays(); }
  // With strides an input is reached by some taps only, each of a phase of the stride.
  bool backward_input_pays() const {
    return conv.w.stride_h == 1 && conv.w.stride_w == 1 && pays(conv.w.channels, conv.w.filters);
  }

  // y: product.split of the kernel (depth x filters), then product.run of the columns.
  SplitProduct forward(int64_t images) const;
  ColumnRows forward_columns(const float* x, const float* kernel) const;

  // dx is the convolution of dy with the kernel of every tap transposed, (kernel_h, kernel_w,
  // filters, channels), whose taps run backwards.
  int64_t transposed_floats() const { return conv.depth() * conv.w.filters; }
  int64_t transpose_tiles() const;
  void transpose(const Kernels& kernels, float* transposed, const float* kernel,
                 int64_t tile) const;
  SplitProduct backward_input(int64_t images) const;
  ColumnRows backward_input_columns(const float* dy, const float* transposed) const;

  // Of either product: floats per worker.
  static int64_t scratch(const SplitProduct& product) {
    return product.scratch() + ColumnRows::kScratch;
  }

  // dkernel: the columns transposed, times dy. product.split of dy (pixels x filters), then pieces
  // of the pixels sum on their own, and are added up in their order.
  SplitProduct backward_kernel(int64_t images) const;
  int64_t backward_kernel_tiles(int64_t images) const;
  int64_t backward_kernel_scratch(int64_t images) const;
  int64_t partial_floats(int64_t images) const;  // grows with images
  void backward_kernel(const Kernels& kernels, float* partial, const float* dy, const float* x,
                       const float* split_dy, int64_t images, int64_t tile, float* scratch) const;
  int64_t reduce_tiles() const { return conv.reduce_tiles(); }
  void reduce(const Kernels& kernels, float* dkernel, const float* partial, int64_t images,
              int64_t tile) const;

 private:
  bool pays(int64_t columns, int64_t channels) const {
    return channels >= kUnitSide &&
           SplitProduct::pays(columns, conv.w.kernel_h * conv.w.kernel_w * channels);
  }
  Columns columns(const float* x) const;
  Pieces pieces(int64_t images) const;  // of the pixels
};

}  // namespace lamina::ops
