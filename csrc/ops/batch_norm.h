// Batch normalisation of the columns of x (rows x cols): y = gamma * (x - mean) / sqrt(variance +
// epsilon) + beta, with the mean and biased variance of the batch, or of the past.
// Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithms 1 and 2.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lamina::ops {

// Training runs sum, center, deviations, statistics, apply; its gradient sums, coefficients, input.
// Each begins when all of the one before is done. Phases over rows have row_tiles(rows) tiles,
// those over columns one; none needs scratch. `partial` holds partial_floats(rows) floats, all
// other vectors cols.
struct BatchNorm {
  int64_t cols;
  float epsilon;

  int64_t row_tiles(int64_t rows) const;
  int64_t partial_floats(int64_t rows) const;  // grows with rows

  void sum(const Kernels& kernels, float* partial, const float* x, int64_t rows,
           int64_t tile) const;
  // A number near the mean of each column; of one that is constant, its value.
  void center(const Kernels& kernels, float* center, const float* x, const float* partial,
              int64_t rows) const;
  // Sums of the distances from it: the difference of two large sums would lose the variance.
  void deviations(const Kernels& kernels, float* partial, const float* x, const float* center,
                  int64_t rows, int64_t tile) const;
  // Moves the center to the mean, and gives the variance about that. partial is written to.
  void statistics(const Kernels& kernels, float* center, float* variance, float* partial,
                  int64_t rows) const;

  // rstd = 1 / sqrt(variance + epsilon), scale = gamma * rstd. gamma is optional.
  void scales(float* rstd, float* scale, const float* gamma, const float* variance) const;
  // moving = moving * momentum + batch * (1 - momentum)
  void update_moving(float* moving, const float* batch, double momentum) const;
  // y = (x - mean) * scale + beta. In place; beta must be given (zeros where there is none).
  void apply(const Kernels& kernels, float* y, const float* x, const float* mean,
             const float* scale, const float* beta, int64_t rows, int64_t tile) const;

  void sums(const Kernels& kernels, float* partial, const float* dy, const float* x,
            const float* mean, const float* rstd, int64_t rows, int64_t tile) const;
  // dgamma, dbeta, and the factors of dx = a * dy + b * (x - mean) + c. Where the statistics are
  // of the past, they are constants: dx = a * dy.
  void coefficients(const Kernels& kernels, float* dgamma, float* dbeta, float* a, float* b,
                    float* c, const float* partial, const float* gamma, const float* rstd,
                    int64_t rows, bool batch_statistics) const;
  void input(const Kernels& kernels, float* dx, const float* dy, const float* x, const float* mean,
             const float* a, const float* b, const float* c, int64_t rows, int64_t tile) const;
};

}  // namespace lamina::ops
