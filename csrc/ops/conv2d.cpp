#include "ops/conv2d.h"

#include <algorithm>

#include "ops/gemm.h"
#include "ops/pieces.h"

// Assumptions: every C[i, j] of gemm_block is one chain over p that does not depend on the other
// rows. So output pixels may be cut anywhere, across images too, and only the cuts of the summed
// dimension are part of the result.

namespace lamina::ops {
namespace {

// A chunk's columns should stay in the second-level cache (128 KB) and pay for one pass over the
// kernel (48 rows at least); more than 240 rows gain nothing and leave less to share out. All are
// multiples of 24, a whole number of every micro-kernel's rows.
constexpr int64_t kChunkFloats = 32768, kLeastPixels = 48, kMostPixels = 240;
static_assert(kMostPixels <= kGemmBlockK, "a chunk of pixels is one block of K for the kernel");

// The partial gradients of a kernel: enough pieces for many threads, 16 MB of them.
constexpr int64_t kPartialFloats = int64_t{1} << 22, kMostPieces = 32, kFewPieces = 4;

constexpr int64_t kTransposeRows = 16;

// C (m x n, dense) = A (m x k, dense) B (k x n, dense), K cut as everywhere.
void multiply(const Kernels& kernels, float* c, const float* a, const float* b, int64_t m,
              int64_t n, int64_t k, const GemmEpilogue* epilogue) {
  int64_t p = 0;
  do {  // once even if k is 0: C = activation(bias)
    const int64_t depth = std::min(kGemmBlockK, k - p);
    kernels.gemm_block(c, n, a + p, k, 1, b + p * n, n, m, n, depth, 1.0f, p == 0 ? 0.0f : 1.0f,
                       p + depth == k ? epilogue : nullptr);
    p += depth;
  } while (p < k);
}

int64_t most_pieces(int64_t kernel_floats) {
  const int64_t fit = kPartialFloats / std::max<int64_t>(1, kernel_floats);
  return std::clamp(fit, kFewPieces, kMostPieces);
}

Pieces kernel_pieces(int64_t chunks, int64_t kernel_floats) {
  return pieces_of(chunks, 1, most_pieces(kernel_floats));
}

}  // namespace

bool Conv2d::is_product() const {
  return w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 && w.stride_w == 1;
}

int64_t Conv2d::chunk() const {
  const int64_t fit = kChunkFloats / std::max<int64_t>(1, depth());
  return std::clamp(fit, kLeastPixels, kMostPixels) / 24 * 24;
}

// Rows begin .. end of the matrix of all images' columns.
const float* Conv2d::columns(const Kernels& kernels, const float* x, int64_t begin, int64_t end,
                             float* scratch) const {
  if (is_product()) return x + begin * w.channels;
  const int64_t image_floats = w.height * w.width * w.channels;
  float* to = scratch;
  while (begin < end) {
    const int64_t image = begin / pixels(), first = begin - image * pixels();
    const int64_t last = std::min(pixels(), first + end - begin);
    kernels.im2col(to, x + image * image_floats, w, first, last);
    to += (last - first) * depth();
    begin += last - first;
  }
  return scratch;
}

int64_t Conv2d::forward_tiles(int64_t images) const {
  return w.filters == 0 ? 0 : Pieces{images * pixels(), chunk()}.count();
}

int64_t Conv2d::forward_scratch() const { return is_product() ? 0 : chunk() * depth(); }

void Conv2d::forward(const Kernels& kernels, float* y, const float* x, const float* kernel,
                     const GemmEpilogue* epilogue, int64_t images, int64_t tile,
                     float* scratch) const {
  const Pieces chunks{images * pixels(), chunk()};
  const int64_t begin = chunks.begin(tile), end = chunks.end(tile);
  multiply(kernels, y + begin * w.filters, columns(kernels, x, begin, end, scratch), kernel,
           end - begin, w.filters, depth(), epilogue);
}

int64_t Conv2d::transpose_tiles() const { return Pieces{w.filters, kTransposeRows}.count(); }

// transposed (filters x depth)
void Conv2d::transpose(const Kernels& kernels, float* transposed, const float* kernel,
                       int64_t tile) const {
  const Pieces rows{w.filters, kTransposeRows};
  const int64_t begin = rows.begin(tile);
  kernels.gemm_pack(transposed + begin * depth(), depth(), kernel + begin, 1, w.filters,
                    rows.length(tile), depth());
}

int64_t Conv2d::backward_input_tiles(int64_t images) const {
  if (depth() == 0) return 0;
  return is_product() ? Pieces{images * pixels(), chunk()}.count() : images;
}

int64_t Conv2d::backward_input_scratch() const { return is_product() ? 0 : chunk() * depth(); }

void Conv2d::backward_input(const Kernels& kernels, float* dx, const float* dy,
                            const float* transposed, int64_t images, int64_t tile,
                            float* scratch) const {
  if (is_product()) {
    const Pieces chunks{images * pixels(), chunk()};
    const int64_t begin = chunks.begin(tile);
    multiply(kernels, dx + begin * w.channels, dy + begin * w.filters, transposed,
             chunks.length(tile), depth(), w.filters, nullptr);
    return;
  }
  const int64_t image_floats = w.height * w.width * w.channels;
  float* image = dx + tile * image_floats;
  const float* gradient = dy + tile * pixels() * w.filters;
  std::fill_n(image, image_floats, 0.0f);
  const Pieces chunks{pixels(), chunk()};
  for (int64_t i = 0; i < chunks.count(); ++i) {
    const int64_t begin = chunks.begin(i);
    multiply(kernels, scratch, gradient + begin * w.filters, transposed, chunks.length(i), depth(),
             w.filters, nullptr);
    kernels.col2im_add(image, scratch, w, begin, chunks.end(i));
  }
}

int64_t Conv2d::backward_kernel_tiles(int64_t images) const {
  const Pieces chunks{images * pixels(), chunk()};
  return kernel_pieces(chunks.count(), depth() * w.filters).count();
}

int64_t Conv2d::backward_kernel_scratch() const { return forward_scratch(); }

int64_t Conv2d::partial_floats(int64_t images) const {
  const Pieces chunks{images * pixels(), chunk()};
  const int64_t floats = depth() * w.filters;
  // Not the number of pieces: that of a smaller batch may be larger, as 33 chunks make 17 pieces.
  return std::min(chunks.count(), most_pieces(floats)) * floats;
}

void Conv2d::backward_kernel(const Kernels& kernels, float* partial, const float* dy,
                             const float* x, int64_t images, int64_t tile, float* scratch) const {
  const Pieces chunks{images * pixels(), chunk()};
  const Pieces pieces = kernel_pieces(chunks.count(), depth() * w.filters);
  float* mine = partial + tile * depth() * w.filters;
  for (int64_t i = pieces.begin(tile); i < pieces.end(tile); ++i) {
    const int64_t begin = chunks.begin(i), end = chunks.end(i);
    // The transpose of the columns, read by strides: depth x pixels times pixels x filters.
    kernels.gemm_block(mine, w.filters, columns(kernels, x, begin, end, scratch), 1, depth(),
                       dy + begin * w.filters, w.filters, depth(), w.filters, end - begin, 1.0f,
                       i == pieces.begin(tile) ? 0.0f : 1.0f, nullptr);
  }
}

int64_t Conv2d::reduce_tiles() const { return element_tiles(depth() * w.filters).count(); }

void Conv2d::reduce(const Kernels& kernels, float* dkernel, const float* partial, int64_t images,
                    int64_t tile) const {
  const Pieces elements = element_tiles(depth() * w.filters);
  add_partials(kernels, dkernel, partial, backward_kernel_tiles(images), elements.total,
               elements.begin(tile), elements.end(tile));
}

}  // namespace lamina::ops
