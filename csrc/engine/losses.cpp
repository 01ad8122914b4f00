#include "engine/losses.h"

#include <algorithm>
#include <stdexcept>

namespace lamina::engine {

LossKind Loss::parse(const std::string& name) {
  static constexpr const char* names[] = {"sparse_categorical_crossentropy",
                                          "categorical_crossentropy", "binary_crossentropy",
                                          "mean_squared_error", "mean_absolute_error"};
  std::string known;
  for (int i = 0; i < 5; ++i) {
    if (name == names[i]) return static_cast<LossKind>(i);
    known += std::string(i == 0 ? "" : ", ") + names[i];
  }
  throw std::invalid_argument("unknown loss '" + name + "'; there are " + known);
}

bool Loss::fuses(const ActivationSpec* last) const {
  if (last == nullptr || from_logits) return false;
  switch (kind) {
    case LossKind::sparse_categorical_crossentropy:
    case LossKind::categorical_crossentropy:
      return last->kind == ActivationSpec::Kind::softmax;
    case LossKind::binary_crossentropy:
      return last->is(Activation::sigmoid);
    default:
      return false;
  }
}

void Loss::rows(const Kernels& kernels, float* values, float* d, const float* y, const void* y_true,
                const float* weights, int64_t rows, int64_t cols, float scale, bool logits) const {
  const auto* labels = static_cast<const int32_t*>(y_true);
  const auto* targets = static_cast<const float*>(y_true);
  switch (kind) {
    case LossKind::sparse_categorical_crossentropy:
      (logits ? kernels.softmax_cross_entropy_sparse : kernels.cross_entropy_sparse)(
          values, d, y, labels, weights, rows, cols, scale);
      return;
    case LossKind::categorical_crossentropy:
      (logits ? kernels.softmax_cross_entropy_onehot : kernels.cross_entropy_onehot)(
          values, d, y, targets, weights, rows, cols, scale);
      return;
    case LossKind::binary_crossentropy:
      (logits ? kernels.sigmoid_cross_entropy : kernels.binary_cross_entropy)(
          values, d, y, targets, weights, rows, cols, scale);
      return;
    case LossKind::mean_squared_error:
      kernels.mean_squared_error(values, d, y, targets, weights, rows, cols, scale);
      return;
    case LossKind::mean_absolute_error:
      kernels.mean_absolute_error(values, d, y, targets, weights, rows, cols, scale);
      return;
    case LossKind::host:
      return;  // the trainer calls host_forward and host_backward itself
  }
}

void smooth_labels(const Kernels& kernels, float* out, const float* targets, const Loss& loss,
                   int64_t rows, int64_t cols) {
  const float classes =
      loss.kind == LossKind::binary_crossentropy ? 2.0f : static_cast<float>(cols);
  kernels.scale_offset(out, targets, rows * cols, 1.0f - loss.label_smoothing,
                       loss.label_smoothing / classes);
}

void Metric::rows(const Kernels& kernels, float* values, const float* y, const void* y_true,
                  int64_t rows, int64_t cols, float* scratch) const {
  const auto* labels = static_cast<const int32_t*>(y_true);
  const auto* targets = static_cast<const float*>(y_true);
  auto* predicted = reinterpret_cast<int32_t*>(scratch);
  auto* wanted = predicted + rows;
  switch (kind) {
    case MetricKind::sparse_categorical_accuracy:
      kernels.row_argmax(predicted, y, rows, cols);
      for (int64_t i = 0; i < rows; ++i) values[i] = predicted[i] == labels[i] ? 1.0f : 0.0f;
      return;
    case MetricKind::categorical_accuracy:
      kernels.row_argmax(predicted, y, rows, cols);
      kernels.row_argmax(wanted, targets, rows, cols);
      for (int64_t i = 0; i < rows; ++i) values[i] = predicted[i] == wanted[i] ? 1.0f : 0.0f;
      return;
    case MetricKind::binary_accuracy:
      for (int64_t i = 0; i < rows; ++i) {
        int64_t right = 0;
        for (int64_t j = 0; j < cols; ++j) {
          const float bit = y[i * cols + j] > threshold ? 1.0f : 0.0f;
          right += bit == targets[i * cols + j];
        }
        values[i] = cols == 0 ? 0.0f : static_cast<float>(right) / static_cast<float>(cols);
      }
      return;
    case MetricKind::loss: {
      const void* truth = y_true;
      if (loss.label_smoothing != 0.0f && !loss.sparse()) {
        float* smoothed = scratch + 2 * rows;
        smooth_labels(kernels, smoothed, targets, loss, rows, cols);
        truth = smoothed;
      }
      loss.rows(kernels, values, nullptr, y, truth, nullptr, rows, cols, 1.0f, loss.from_logits);
      return;
    }
    case MetricKind::host:
      return;  // called by the trainer itself
  }
}

}  // namespace lamina::engine
