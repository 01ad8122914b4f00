// The steps that a trainer adds around the network's: the batch is gathered before them, outputs
// are handed over or judged after them.
#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "cpu/float_state.h"
#include "engine/trainer.h"
#include "ops/pieces.h"

namespace lamina::engine {
namespace {

// The i-th weight is weights[i * stride]; values may be null and are then all ones.
double total(const float* values, const float* weights, int64_t n, int64_t stride = 1) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    const double value = values == nullptr ? 1.0 : values[i];
    sum += weights == nullptr ? value : value * weights[i * stride];
  }
  return sum;
}

}  // namespace

void Trainer::add_gather() {
  const int64_t size = element_count(network_->input());
  // Where workers share out the columns of x, each gathers those that it will need.
  const ops::GemmBlocks columns{size};
  const auto by_columns = [this](const Run& run) { return run.has_few_workers(column_workers_); };
  const auto pieces = [=](const Run& run) {
    return by_columns(run) ? ops::Pieces{run.rows, kLiveBits}
                           : ops::row_tiles(run.rows, size, ops::kStepTile);
  };
  program_.add(
      {.what = "gather",
       .uses = {x_},
       .tiles =
           [=](const Run& run) {
             if (run.in_place) return int64_t{0};
             return pieces(run).count() * (by_columns(run) ? columns.count() : 1);
           },
       .body =
           [=, this](const Run& run, int64_t tile, float*) {
             const ops::Pieces rows = pieces(run);
             const int64_t block = tile / rows.count(), row = rows.begin(tile % rows.count());
             const int64_t column = by_columns(run) ? columns.begin(block) : 0;
             run.kernels->gather_rows(run.buffer(x_) + row * size + column, size, pass_.x,
                                      run.index + row, rows.length(tile % rows.count()), column,
                                      by_columns(run) ? columns.length(block) : size, 1.0f);
           }});
}

void Trainer::add_gather_targets() {
  const int64_t target = sparse_targets() ? inner_ : inner_ * cols_;
  y_true_ = program_.buffer(target);
  weights_ = program_.buffer(inner_);
  program_.add_rows(
      {.what = "gather targets",
       .uses = {y_true_, weights_},
       .per_row = 1,
       .cols = target + inner_,
       .body =
           [=, this](const Run& run, int64_t first, int64_t rows, float*) {
             const RowSource& source = pass_.y;
             const int64_t* index = run.index + first;
             float* y = run.buffer(y_true_) + first * target;
             if (sparse_targets()) {
               const auto bytes = static_cast<size_t>(target) * sizeof(int32_t);
               const char* data = static_cast<const char*>(source.data);
               for (int64_t i = 0; i < rows; ++i) {
                 std::memcpy(y + i * target, data + index[i] * source.row_bytes, bytes);
               }
               check_labels(run, reinterpret_cast<const int32_t*>(y), first, rows);
             } else {
               run.kernels->gather_rows(y, target, source, index, rows, 0, target, 1.0f);
             }
             float* w = run.buffer(weights_) + first * inner_;
             if (pass_.weights == nullptr) {
               std::fill_n(w, rows * inner_, 1.0f);
               return;
             }
             for (int64_t i = 0; i < rows; ++i) {
               const float* row = pass_.weights + index[i] * pass_.weights_of_row;
               if (pass_.weights_of_row == 1) {
                 std::fill_n(w + i * inner_, inner_, *row);
               } else {
                 std::copy_n(row, inner_, w + i * inner_);
               }
             }
           },
       .cost = 16});
}

// The labels of rows of the batch, from `first` on. They were right when the pass began, or it had
// not begun, but y is the caller's, who may have written to it since. Those of a row are a few, and
// in the cache.
void Trainer::check_labels(const Run& run, const int32_t* labels, int64_t first,
                           int64_t rows) const {
  const auto classes = static_cast<uint64_t>(cols_);
  bool known = true;  // a negative number becomes a large one
  for (int64_t i = 0; i < rows * inner_; ++i) known &= static_cast<uint64_t>(labels[i]) < classes;
  if (known) return;
  int64_t i = 0;
  while (static_cast<uint64_t>(labels[i]) < classes) ++i;
  const std::string last = std::to_string(cols_ - 1), outputs = std::to_string(cols_);
  throw std::invalid_argument(
      "y must hold class numbers from 0 to " + last + ", the model has " + outputs +
      " outputs; got " + std::to_string(labels[i]) + " in row " +
      std::to_string(run.row_number(first + i / inner_)) +
      ", which was written there after the call had checked y. To leave a row out, give it a "
      "sample_weight of 0");
}

void Trainer::add_output() {
  add_elementwise(program_, "output", {output_}, inner_ * cols_,
                  [this](const Run& run, int64_t first, int64_t n) {
                    std::copy_n(run.buffer(output_) + first, n,
                                pass_.out + position_ * inner_ * cols_ + first);
                  });
}

// Values of the loss and of every metric, a row each, and the loss's gradient. Rows are cut into
// tiles; what the host computes takes a step of its own.
void Trainer::add_loss(const std::vector<Place>& places) {
  const bool train = program_.training();
  const int y = output_;
  values_ = program_.buffer(inner_ * static_cast<int64_t>(means_.size()));
  dy_ = train ? program_.buffer(inner_ * cols_) : kNoBuffer;
  const bool smooth = loss_->label_smoothing != 0.0f && !loss_->sparse();
  const int smoothed = smooth ? program_.buffer(inner_ * cols_) : kNoBuffer;
  const bool want_output = fused_ && std::any_of(metrics_.begin(), metrics_.end(),
                                                 [](const Metric& m) { return m.needs_output(); });
  const int activated = want_output ? program_.buffer(inner_ * cols_) : y;
  const ActivationSpec* last =
      fused_ ? network_->layers()[places.size() - 1]->last_activation() : nullptr;

  program_.add_rows(
      {.what = "loss",
       .uses = {y, y_true_, weights_, values_, dy_, smoothed, activated},
       .per_row = inner_,
       .cols = cols_,
       .body =
           [=, this](const Run& run, int64_t first, int64_t rows, float* scratch) {
             const Kernels& k = *run.kernels;
             const int64_t all = run.rows * inner_;
             const int64_t place = first * cols_;
             const float* logits = run.buffer(y) + place;
             float* out = run.buffer(activated) + place;
             if (activated != y) {
               if (last->kind == ActivationSpec::Kind::softmax) {
                 k.softmax_forward(out, logits, rows, cols_);
               } else {
                 k.activation_forward[static_cast<int>(last->function)](out, logits, rows * cols_,
                                                                        0.0f);
               }
             }
             const float* truth = run.buffer(y_true_) + (sparse_targets() ? first : place);
             float* values = run.buffer(values_);
             for (size_t i = 0; i < metrics_.size(); ++i) {
               const float* seen = metrics_[i].needs_output() ? out : logits;
               float* mine = values + static_cast<int64_t>(i + 1) * all + first;
               metrics_[i].rows(k, mine, seen, truth, rows, cols_, scratch);
             }
             if (loss_->kind == LossKind::host) return;
             if (smooth) {
               float* soft = run.buffer(smoothed) + place;
               smooth_labels(k, soft, truth, *loss_, rows, cols_);
               truth = soft;
             }
             loss_->rows(k, values + first, dy_ == kNoBuffer ? nullptr : run.buffer(dy_) + place,
                         logits, truth, run.buffer(weights_) + first, rows, cols_,
                         1.0f / static_cast<float>(all), fused_ || loss_->from_logits);
           },
       .cost = 4,  // of exponentials
       .row_scratch = 2 + cols_});
  add_host_rows(activated);
  add_totals();
}

void Trainer::add_host_rows(int y) {
  const bool host_loss = loss_->kind == LossKind::host;
  const bool host_metric = std::any_of(metrics_.begin(), metrics_.end(),
                                       [](const Metric& m) { return m.kind == MetricKind::host; });
  if (!host_loss && !host_metric) return;
  program_.add({.what = "host loss and metrics",
                .uses = {y, y_true_, weights_, values_, dy_},
                .tiles = [](const Run&) -> int64_t { return 1; },
                .body =
                    [=, this](const Run& run, int64_t, float*) {
                      const FloatScope caller(run.caller);
                      const int64_t all = run.rows * inner_, size = inner_ * cols_;
                      float* values = run.buffer(values_);
                      const float* truth = run.buffer(y_true_);
                      for (size_t i = 0; i < metrics_.size(); ++i) {
                        if (metrics_[i].kind != MetricKind::host) continue;
                        metrics_[i].host_forward(values + static_cast<int64_t>(i + 1) * all, truth,
                                                 run.buffer(y), run.rows);
                      }
                      if (!host_loss) return;
                      const float* w = run.buffer(weights_);
                      loss_->host_forward(values, truth, run.buffer(y), run.rows);
                      for (int64_t i = 0; i < run.rows; ++i) values[i] *= w[i * inner_];
                      if (dy_ == kNoBuffer) return;
                      float* d = run.buffer(dy_);
                      loss_->host_backward(d, truth, run.buffer(y), run.rows);
                      for (int64_t i = 0; i < run.rows; ++i) {
                        const float scale = w[i * inner_] / static_cast<float>(run.rows);
                        run.kernels->scale_offset(d + i * size, d + i * size, size, scale, 0.0f);
                      }
                    }});
}

// Sums in double, in the order of the rows, by one worker. The host's values are one a batch row,
// the others inner_ a batch row.
void Trainer::add_totals() {
  program_.add_commit(
      {.what = "totals",
       .uses = {values_, weights_},
       .tiles = [](const Run&) -> int64_t { return 1; },
       .body =
           [=, this](const Run& run, int64_t, float*) {
             const int64_t all = run.rows * inner_;
             const auto rows = static_cast<double>(run.rows);
             const float* values = run.buffer(values_);
             const float* w = run.buffer(weights_);
             const int64_t n = loss_->kind == LossKind::host ? run.rows : all;
             const double mean = total(values, nullptr, n) / static_cast<double>(n);
             means_[0].add(mean * rows, rows);
             for (size_t i = 0; i < metrics_.size(); ++i) {
               const Metric& m = metrics_[i];
               const float* mine = values + static_cast<int64_t>(i + 1) * all;
               const bool host = m.kind == MetricKind::host;
               const int64_t count = host ? run.rows : all, stride = host ? inner_ : 1;
               if (m.weighted) {
                 means_[i + 1].add(total(mine, w, count, stride), total(nullptr, w, count, stride));
               } else {
                 means_[i + 1].add(total(mine, nullptr, count), static_cast<double>(count));
               }
             }
           }});
}

}  // namespace lamina::engine
