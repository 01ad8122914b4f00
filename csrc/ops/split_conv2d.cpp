#include "ops/split_conv2d.h"

#include <algorithm>

#include "ops/pieces.h"

namespace lamina::ops {
namespace {

constexpr int64_t kTransposeRows = 16;

}  // namespace

Columns SplitConv2d::columns(const float* x) const {
  const Window2d& w = conv.w;
  return {x,
          {-w.pad_top, w.stride_h, w.dilation_h, w.kernel_h, w.height},
          {-w.pad_left, w.stride_w, w.dilation_w, w.kernel_w, w.width},
          w.out_height,
          w.out_width,
          w.channels};
}

SplitProduct SplitConv2d::forward(int64_t images) const {
  return {{.m = images * conv.pixels(), .n = conv.w.filters, .k = conv.depth()}, mode};
}

ColumnRows SplitConv2d::forward_columns(const float* x, const float* kernel) const {
  return {columns(x), kernel, conv.w.filters};
}

// A tile is some filters of one tap.
int64_t SplitConv2d::transpose_tiles() const {
  return conv.w.kernel_h * conv.w.kernel_w * Pieces{conv.w.filters, kTransposeRows}.count();
}

void SplitConv2d::transpose(const Kernels& kernels, float* transposed, const float* kernel,
                            int64_t tile) const {
  const Pieces pieces{conv.w.filters, kTransposeRows};
  const int64_t c = conv.w.channels, f = conv.w.filters;
  const int64_t tap = tile / pieces.count(), piece = tile % pieces.count();
  kernels.gemm_pack(transposed + (tap * f + pieces.begin(piece)) * c, c,
                    kernel + tap * c * f + pieces.begin(piece), 1, f, pieces.length(piece), c);
}

SplitProduct SplitConv2d::backward_input(int64_t images) const {
  const Window2d& w = conv.w;
  return {
      {.m = images * w.height * w.width, .n = w.channels, .k = w.kernel_h * w.kernel_w * w.filters},
      mode};
}

ColumnRows SplitConv2d::backward_input_columns(const float* dy, const float* transposed) const {
  const Window2d& w = conv.w;
  const Columns of_dy{dy,
                      {w.pad_top, 1, -w.dilation_h, w.kernel_h, w.out_height},
                      {w.pad_left, 1, -w.dilation_w, w.kernel_w, w.out_width},
                      w.height,
                      w.width,
                      w.filters};
  return {of_dy, transposed, w.channels};
}

SplitProduct SplitConv2d::backward_kernel(int64_t images) const {
  return {{.m = conv.depth(), .n = conv.w.filters, .k = images * conv.pixels()},
          mode,
          pieces(images).count()};
}

// As many as in float32, in whole blocks of terms.
Pieces SplitConv2d::pieces(int64_t images) const {
  const Pieces blocks{images * conv.pixels(), kSplitBlockK};
  return {blocks.total, blocks.size * pieces_of(blocks.count(), 1, conv.most_kernel_pieces()).size};
}

int64_t SplitConv2d::backward_kernel_tiles(int64_t images) const {
  return pieces(images).count() * backward_kernel(images).tiles();
}

int64_t SplitConv2d::backward_kernel_scratch(int64_t images) const {
  return backward_kernel(images).scratch() + ColumnTerms::kScratch;
}

int64_t SplitConv2d::partial_floats(int64_t images) const {
  // Not the number of pieces: that of a smaller batch may be larger.
  const Pieces blocks{images * conv.pixels(), kSplitBlockK};
  return std::min(blocks.count(), conv.most_kernel_pieces()) * conv.depth() * conv.w.filters;
}

void SplitConv2d::backward_kernel(const Kernels& kernels, float* partial, const float* dy,
                                  const float* x, const float* split_dy, int64_t images,
                                  int64_t tile, float* scratch) const {
  const SplitProduct product = backward_kernel(images);
  const Pieces of_pixels = pieces(images);
  const int64_t piece = tile / product.tiles();
  product.run(kernels, partial + piece * conv.depth() * conv.w.filters,
              ColumnTerms{columns(x), dy, conv.w.filters}, split_dy, of_pixels.begin(piece),
              of_pixels.end(piece), nullptr, tile % product.tiles(), scratch);
}

void SplitConv2d::reduce(const Kernels& kernels, float* dkernel, const float* partial,
                         int64_t images, int64_t tile) const {
  const Pieces elements = element_tiles(conv.depth() * conv.w.filters);
  add_partials(kernels, dkernel, partial, pieces(images).count(), elements.total,
               elements.begin(tile), elements.end(tile));
}

}  // namespace lamina::ops
