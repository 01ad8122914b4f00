#include "ops/pool2d.h"

#include "ops/pieces.h"
#include "ops/window.h"

namespace lamina::ops {

int64_t Pool2d::tiles(int64_t images) const { return row_tiles(images, in_floats(w)).count(); }

void Pool2d::max_forward(const Kernels& kernels, float* y, int32_t* argmax, const float* x,
                         int64_t images, int64_t tile) const {
  const Pieces tiles = row_tiles(images, in_floats(w));
  for (int64_t i = tiles.begin(tile); i < tiles.end(tile); ++i) {
    kernels.max_pool_forward(y + i * out_floats(w),
                             argmax == nullptr ? nullptr : argmax + i * out_floats(w),
                             x + i * in_floats(w), w);
  }
}

void Pool2d::max_backward(const Kernels& kernels, float* dx, const float* dy, const int32_t* argmax,
                          int64_t images, int64_t tile) const {
  const Pieces tiles = row_tiles(images, in_floats(w));
  for (int64_t i = tiles.begin(tile); i < tiles.end(tile); ++i) {
    kernels.max_pool_backward(dx + i * in_floats(w), dy + i * out_floats(w),
                              argmax + i * out_floats(w), w);
  }
}

void Pool2d::average_forward(const Kernels& kernels, float* y, const float* x, int64_t images,
                             int64_t tile) const {
  const Pieces tiles = row_tiles(images, in_floats(w));
  for (int64_t i = tiles.begin(tile); i < tiles.end(tile); ++i) {
    kernels.average_pool_forward(y + i * out_floats(w), x + i * in_floats(w), w);
  }
}

void Pool2d::average_backward(const Kernels& kernels, float* dx, const float* dy, int64_t images,
                              int64_t tile) const {
  const Pieces tiles = row_tiles(images, in_floats(w));
  for (int64_t i = tiles.begin(tile); i < tiles.end(tile); ++i) {
    kernels.average_pool_backward(dx + i * in_floats(w), dy + i * out_floats(w), w);
  }
}

}  // namespace lamina::ops
