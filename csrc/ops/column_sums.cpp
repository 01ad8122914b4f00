#include "ops/column_sums.h"

#include "cpu/memory.h"
#include "ops/pieces.h"

namespace lamina::ops {
int64_t ColumnSums::partial_floats(int64_t rows) const {
  return checked_product({summed_rows(rows).count(), cols});
}

int64_t ColumnSums::sum_tiles(int64_t rows) const {
  return cols == 0 ? 0 : summed_rows(rows).count();
}

void ColumnSums::sum(const Kernels& kernels, float* partial, const float* x, int64_t rows,
                     int64_t tile) const {
  const Pieces pieces = summed_rows(rows);
  kernels.column_sums(partial + tile * cols, x + pieces.begin(tile) * cols, cols,
                      pieces.length(tile), cols);
}

int64_t ColumnSums::reduce_tiles() const { return element_tiles(cols).count(); }

void ColumnSums::reduce(const Kernels& kernels, float* out, const float* partial, int64_t rows,
                        int64_t tile) const {
  const Pieces columns = element_tiles(cols);
  add_partials(kernels, out, partial, summed_rows(rows).count(), cols, columns.begin(tile),
               columns.end(tile));
}

}  // namespace lamina::ops
