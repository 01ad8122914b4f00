// Losses and metrics: what is computed of a batch's predictions and targets, one value a row.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/layer.h"

namespace lamina::engine {

// One value a row of predictions, computed by the host: y_true and y_pred hold `rows` batch rows.
using HostRows =
    std::function<void(float* values, const float* y_true, const float* y_pred, int64_t rows)>;

enum class LossKind {
  sparse_categorical_crossentropy,
  categorical_crossentropy,
  binary_crossentropy,
  mean_squared_error,
  mean_absolute_error,
  host
};

struct Loss {
  LossKind kind = LossKind::mean_squared_error;
  bool from_logits = false;
  float label_smoothing = 0.0f;
  HostRows host_forward, host_backward;

  static LossKind parse(const std::string& name);
  bool sparse() const { return kind == LossKind::sparse_categorical_crossentropy; }
  // May this loss take over the last activation? Softmax and cross-entropy, or sigmoid and binary
  // cross-entropy, are one kernel on logits: exact where Keras clips probabilities to 1e-7.
  bool fuses(const ActivationSpec* last) const;

  // values[i] = weights[i] * loss of row i; d (null if not wanted, in place over y allowed) the
  // gradient of scale * sum of values. y_true is int32 where the loss is sparse.
  void rows(const Kernels& kernels, float* values, float* d, const float* y, const void* y_true,
            const float* weights, int64_t rows, int64_t cols, float scale, bool logits) const;
};

enum class MetricKind {
  sparse_categorical_accuracy,
  categorical_accuracy,
  binary_accuracy,
  loss,
  host
};

struct Metric {
  MetricKind kind = MetricKind::loss;
  Loss loss;  // of kind loss
  bool weighted = false;
  float threshold = 0.5f;
  HostRows host_forward;

  // Does it need the output itself, not logits that have the same largest element?
  bool needs_output() const {
    return kind != MetricKind::sparse_categorical_accuracy &&
           kind != MetricKind::categorical_accuracy;
  }
  // scratch holds 2 * rows floats and, for a loss with label smoothing, rows * cols more.
  void rows(const Kernels& kernels, float* values, const float* y, const void* y_true, int64_t rows,
            int64_t cols, float* scratch) const;
};

// targets * (1 - smoothing) + smoothing / classes (2 classes for binary).
void smooth_labels(const Kernels& kernels, float* out, const float* targets, const Loss& loss,
                   int64_t rows, int64_t cols);

}  // namespace lamina::engine
