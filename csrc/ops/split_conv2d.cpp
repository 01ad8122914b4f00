#include "ops/split_conv2d.h"

#include <algorithm>

#include "cpu/float_state.h"
#include "ops/pieces.h"
#include "ops/window.h"

namespace lamina::ops {
namespace {

constexpr int64_t kSplitTransposeRows = 16;

// What one tile of splitting takes of a kernel, and of dy; some microseconds.
constexpr int64_t kSplitLineColumns = 64, kSplitBlocks = 8;

// Filters of one tile of the sum of the pieces: as many as a block has rows.
constexpr int64_t kReduceRows = 16;

}  // namespace

SplitProduct SplitPass::product() const {
  return {{.m = columns.rows(),
           .n = filters,
           .k = columns.h.taps * columns.v.taps * round_up(columns.channels, kUnitTerms)},
          mode};
}

SplitLines SplitPass::lines() const {
  return ColumnRows::lines(columns.images * columns.h.inputs * columns.v.inputs, columns.channels,
                           mode.parts);
}

// A tile is one tap and some filters.
int64_t SplitPass::kernel_tiles() const {
  return columns.h.taps * columns.v.taps * Pieces{filters, kSplitLineColumns}.count();
}

void SplitPass::split_kernel(const Kernels& kernels, float* parts, const float* kernel,
                             int64_t tile) const {
  const FlushDenormals flush;
  const Pieces strips{filters, kSplitLineColumns};
  const int64_t tap = tile / strips.count(), j = tile % strips.count();
  const int64_t block = product().split_block(), c = columns.channels;
  kernels.split_right(parts + strips.begin(j) / kUnitSide * block +
                          tap * ceil_div(c, kUnitTerms) * mode.parts * kUnitTile,
                      block, kernel + tap * c * filters + strips.begin(j), filters, 1, c,
                      strips.length(j), mode.parts);
}

void SplitPass::run(const Kernels& kernels, float* y, const float* x, const float* kernel,
                    const float* lines, const float* parts, const GemmEpilogue* epilogue,
                    int64_t tile, float* scratch) const {
  const SplitProduct p = product();
  Columns of_x = columns;
  of_x.x = x;
  p.run(kernels, y, ColumnRows{of_x, lines, kernel, filters}, parts, 0, p.gemm.k, epilogue, tile,
        scratch);
}

// Of three parts, splitting an element takes 0.3 ns, once for all taps that use it, which are so
// many fewer as strides are wide, and gathering 0.17 to 0.3 ns each time (measured); of one part,
// half as long. A product of parts takes 0.9 ps on AMX, of which high has six, medium three and low
// one; one of float32 takes 9.5 ps. A quarter of a tap's terms may be zeros.
bool SplitConv2d::pays(int64_t columns, int64_t channels) const {
  const int64_t taps = ops::taps(w);
  const int64_t strides = w.stride_h * w.stride_w;
  const int64_t least = taps < 4 * strides ? 128 : mode.parts == 3 ? 64 : 32;
  return taps >= strides && columns >= least && channels > 0 &&
         4 * channels >= 3 * round_up(channels, kUnitTerms);
}

Columns SplitConv2d::columns(int64_t images) const {
  return {nullptr, images, w.channels, rows_of(w), columns_of(w), w.out_height, w.out_width};
}

SplitPass SplitConv2d::forward(int64_t images) const { return {columns(images), w.filters, mode}; }

SplitPass SplitConv2d::backward_input(int64_t images) const {
  return {{nullptr,
           images,
           w.filters,
           {w.pad_top, 1, -w.dilation_h, w.kernel_h, w.out_height},
           {w.pad_left, 1, -w.dilation_w, w.kernel_w, w.out_width},
           w.height,
           w.width},
          w.channels,
          mode};
}

// A tile is some filters of one tap.
int64_t SplitConv2d::transpose_tiles() const {
  return taps(w) * Pieces{w.filters, kSplitTransposeRows}.count();
}

void SplitConv2d::transpose(const Kernels& kernels, float* transposed, const float* kernel,
                            int64_t tile) const {
  const Pieces pieces{w.filters, kSplitTransposeRows};
  const int64_t c = w.channels, f = w.filters;
  const int64_t tap = tile / pieces.count(), piece = tile % pieces.count();
  kernels.gemm_pack(transposed + (tap * f + pieces.begin(piece)) * c, c,
                    kernel + tap * c * f + pieces.begin(piece), 1, f, pieces.length(piece), c);
}

int64_t SplitConv2d::partial_columns() const { return taps(w) * round_up(w.channels, kUnitSide); }

// A block of terms is 16 pixels of the first half of the images, and the same of the second half.
SplitProduct SplitConv2d::backward_kernel(int64_t images) const {
  return {{.m = w.filters, .n = partial_columns(), .k = pieces(images).total},
          mode,
          true,
          pieces(images).count()};
}

SplitLines SplitConv2d::backward_kernel_lines(int64_t images) const {
  return ColumnTerms::lines(images, w.height * w.width, w.channels, mode.parts);
}

// As many as in float32, in whole blocks of kSplitBlockK.
Pieces SplitConv2d::pieces(int64_t images) const {
  const int64_t units = ceil_div(columns(images).first_half(), kUnitSide);
  const Pieces blocks{units * kUnitTerms, kSplitBlockK};
  return {blocks.total,
          blocks.size * pieces_of(blocks.count(), 1, Conv2dBackwardKernel{w}.most_pieces()).size};
}

int64_t SplitConv2d::split_dy_tiles(int64_t images) const {
  return Pieces{w.filters, kSplitLineColumns}.count() *
         Pieces{pieces(images).total / kUnitTerms, kSplitBlocks}.count();
}

void SplitConv2d::split_dy(const Kernels& kernels, float* parts, const float* dy, int64_t images,
                           int64_t tile) const {
  const FlushDenormals flush;
  const Pieces strips{w.filters, kSplitLineColumns};
  const Pieces units{pieces(images).total / kUnitTerms, kSplitBlocks};
  const int64_t strip = tile % strips.count(), some = tile / strips.count();
  const int64_t f = w.filters, width = strips.length(strip);
  const int64_t half = columns(images).first_half(), rows = columns(images).rows();
  const int64_t block = backward_kernel(images).split_block();
  alignas(64) float pixels[kUnitTerms * kSplitLineColumns];
  for (int64_t u = units.begin(some); u < units.end(some); ++u) {
    for (int64_t t = 0; t < kUnitTerms; ++t) {
      const int64_t low = u * kUnitSide + t % kUnitSide, row = t < kUnitSide ? low : low + half;
      float* to = pixels + t * kSplitLineColumns;
      if (low < half && row < rows) {
        std::copy_n(dy + row * f + strips.begin(strip), width, to);
      } else {
        std::fill_n(to, width, 0.0f);
      }
    }
    kernels.split_left(parts + strips.begin(strip) / kUnitSide * block + u * mode.parts * kUnitTile,
                       block, pixels, 1, kSplitLineColumns, width, kUnitTerms, mode.parts);
  }
}

int64_t SplitConv2d::partial_floats(int64_t images) const {
  // Not the number of pieces: that of a smaller batch may be larger.
  const Pieces blocks{pieces(images).total, kSplitBlockK};
  return std::min(blocks.count(), Conv2dBackwardKernel{w}.most_pieces()) * w.filters *
         partial_columns();
}

int64_t SplitConv2d::backward_kernel_tiles(int64_t images) const {
  return pieces(images).count() * backward_kernel(images).tiles();
}

// partial (pieces, filters, taps x channels filled up)
void SplitConv2d::backward_kernel(const Kernels& kernels, float* partial, const float* dy,
                                  const float* x, const float* lines, const float* parts,
                                  int64_t images, int64_t tile, float* scratch) const {
  const SplitProduct product = backward_kernel(images);
  const Pieces of_terms = pieces(images);
  const int64_t piece = tile / product.tiles();
  Columns of_x = columns(images);
  of_x.x = x;
  product.run(kernels, partial + piece * w.filters * partial_columns(),
              ColumnTerms{of_x, lines, dy, w.filters}, parts, of_terms.begin(piece),
              of_terms.end(piece), nullptr, tile % product.tiles(), scratch);
}

int64_t SplitConv2d::reduce_tiles() const { return Pieces{w.filters, kReduceRows}.count(); }

// Some filters: their sum in the first piece, then transposed.
void SplitConv2d::reduce(const Kernels& kernels, float* dkernel, float* partial, int64_t images,
                         int64_t tile) const {
  const Pieces rows{w.filters, kReduceRows};
  const int64_t columns = partial_columns(), c = w.channels, f = w.filters;
  const int64_t begin = rows.begin(tile), length = rows.length(tile);
  const int64_t count = pieces(images).count(), taps = ops::taps(w);
  float* total = partial + begin * columns;
  for (int64_t s = 1; s < count; ++s) {
    kernels.accumulate(total, partial + (s * f + begin) * columns, length * columns);
  }
  for (int64_t tap = 0; tap < taps; ++tap) {
    const float* from = total + tap * (columns / taps);
    for (int64_t i = 0; i < c; ++i) {
      float* to = dkernel + (tap * c + i) * f + begin;
      for (int64_t j = 0; j < length; ++j) to[j] = count == 0 ? 0.0f : from[j * columns + i];
    }
  }
}

}  // namespace lamina::ops
