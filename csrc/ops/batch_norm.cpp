#include "ops/batch_norm.h"

#include <cmath>

#include "cpu/memory.h"
#include "ops/pieces.h"

namespace lamina::ops {
int64_t BatchNorm::row_tiles(int64_t rows) const {
  return cols == 0 ? 0 : summed_rows(rows).count();
}

int64_t BatchNorm::partial_floats(int64_t rows) const {
  return checked_product({2, summed_rows(rows).count(), cols});
}

void BatchNorm::sum(const Kernels& kernels, float* partial, const float* x, int64_t rows,
                    int64_t tile) const {
  const Pieces pieces = summed_rows(rows);
  kernels.column_sums(partial + tile * cols, x + pieces.begin(tile) * cols, cols,
                      pieces.length(tile), cols);
}

// Sums are rounded, and may overflow: a column of 1e8 would be some 8 off its mean, and come out as
// ones. Where the first row has that mean to within rounding, its value is taken: then a constant
// column has no deviation at all, and in any other the value is as near as the mean is known.
void BatchNorm::center(const Kernels& kernels, float* center, const float* x, const float* partial,
                       int64_t rows) const {
  add_partials(kernels, center, partial, row_tiles(rows), cols, 0, cols);
  for (int64_t j = 0; j < cols; ++j) {
    const float mean = center[j] / static_cast<float>(rows);
    const bool near =
        rows > 0 && std::isfinite(x[j]) && !(std::abs(x[j] - mean) > 0x1p-16f * std::abs(mean));
    center[j] = near ? x[j] : mean;
  }
}

void BatchNorm::deviations(const Kernels& kernels, float* partial, const float* x,
                           const float* center, int64_t rows, int64_t tile) const {
  const Pieces pieces = summed_rows(rows);
  float* squares = partial + pieces.count() * cols;
  kernels.column_deviations(partial + tile * cols, squares + tile * cols,
                            x + pieces.begin(tile) * cols, center, pieces.length(tile), cols);
}

// With the mean of d = x - center: mean = center + E[d], variance = E[d^2] - E[d]^2, where E[d] is
// at most what rounding made of the mean (Chan, Golub and LeVeque, "Algorithms for computing the
// sample variance", 1983, the corrected two-pass algorithm).
void BatchNorm::statistics(const Kernels& kernels, float* center, float* variance, float* partial,
                           int64_t rows) const {
  const int64_t count = row_tiles(rows);
  add_partials(kernels, variance, partial + count * cols, count, cols, 0, cols);
  if (count > 1) kernels.column_sums(partial, partial, cols, count, cols);
  const auto n = static_cast<float>(rows);
  for (int64_t j = 0; j < cols; ++j) {
    const float d = rows == 0 ? 0.0f : partial[j] / n, square = variance[j] / n;
    if (std::isfinite(center[j])) center[j] += d;
    // Infinite squares leave nothing to correct; d makes them NaN where it is infinite too.
    const float corrected = std::isinf(square) ? square + 0.0f * d : square - d * d;
    variance[j] = corrected < 0.0f ? 0.0f : corrected;
  }
}

void BatchNorm::scales(float* rstd, float* scale, const float* gamma, const float* variance) const {
  for (int64_t j = 0; j < cols; ++j) {
    rstd[j] = 1.0f / std::sqrt(variance[j] + epsilon);
    scale[j] = gamma == nullptr ? rstd[j] : gamma[j] * rstd[j];
  }
}

void BatchNorm::update_moving(float* moving, const float* batch, double momentum) const {
  const float keep = static_cast<float>(momentum), take = static_cast<float>(1.0 - momentum);
  for (int64_t j = 0; j < cols; ++j) moving[j] = moving[j] * keep + batch[j] * take;
}

void BatchNorm::apply(const Kernels& kernels, float* y, const float* x, const float* mean,
                      const float* scale, const float* beta, int64_t rows, int64_t tile) const {
  const Pieces pieces = summed_rows(rows);
  const int64_t at = pieces.begin(tile) * cols;
  kernels.normalize(y + at, x + at, mean, scale, beta, pieces.length(tile), cols);
}

// The partial sums along x stand before the plain ones.
void BatchNorm::sums(const Kernels& kernels, float* partial, const float* dy, const float* x,
                     const float* mean, const float* rstd, int64_t rows, int64_t tile) const {
  const Pieces pieces = summed_rows(rows);
  const int64_t at = pieces.begin(tile) * cols;
  float* plain = partial + pieces.count() * cols;
  kernels.normalize_sums(partial + tile * cols, plain + tile * cols, dy + at, x + at, mean, rstd,
                         pieces.length(tile), cols);
}

// dx = gamma * rstd * (dy - dbeta / rows - (x - mean) * rstd * dgamma / rows)
void BatchNorm::coefficients(const Kernels& kernels, float* dgamma, float* dbeta, float* a,
                             float* b, float* c, const float* partial, const float* gamma,
                             const float* rstd, int64_t rows, bool batch_statistics) const {
  const int64_t count = row_tiles(rows);
  add_partials(kernels, dgamma, partial, count, cols, 0, cols);
  add_partials(kernels, dbeta, partial + count * cols, count, cols, 0, cols);
  const float share = batch_statistics ? -1.0f / static_cast<float>(rows) : 0.0f;
  for (int64_t j = 0; j < cols; ++j) {
    a[j] = gamma == nullptr ? rstd[j] : gamma[j] * rstd[j];
    b[j] = batch_statistics ? a[j] * rstd[j] * dgamma[j] * share : 0.0f;
    c[j] = batch_statistics ? a[j] * dbeta[j] * share : 0.0f;
  }
}

void BatchNorm::input(const Kernels& kernels, float* dx, const float* dy, const float* x,
                      const float* mean, const float* a, const float* b, const float* c,
                      int64_t rows, int64_t tile) const {
  const Pieces pieces = summed_rows(rows);
  const int64_t at = pieces.begin(tile) * cols;
  kernels.normalize_backward(dx + at, dy + at, x + at, mean, a, b, c, pieces.length(tile), cols);
}

}  // namespace lamina::ops
