#include "ops/embedding.h"

#include "ops/pieces.h"

namespace lamina::ops {
namespace {

// Each range costs one more pass over the index.
Pieces ranges(int64_t vocabulary) { return pieces_of(vocabulary, 64, 16); }

}  // namespace

int64_t Embedding::forward_tiles(int64_t rows) const { return row_tiles(rows, dim).count(); }

void Embedding::forward(const Kernels& kernels, float* y, const float* table, const int32_t* index,
                        int64_t rows, int64_t tile) const {
  const Pieces tiles = row_tiles(rows, dim);
  const int64_t begin = tiles.begin(tile);
  kernels.embedding_forward(y + begin * dim, table, index + begin, tiles.length(tile), vocabulary,
                            dim);
}

int64_t Embedding::backward_tiles() const { return ranges(vocabulary).count(); }

void Embedding::backward(const Kernels& kernels, float* dtable, const float* dy,
                         const int32_t* index, int64_t rows, int64_t tile) const {
  const Pieces tiles = ranges(vocabulary);
  kernels.embedding_backward(dtable, dy, index, rows, dim, tiles.begin(tile), tiles.end(tile));
}

}  // namespace lamina::ops
