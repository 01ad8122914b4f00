// BatchNormalization along the last axis. In training it normalises with the statistics of the
// batch and moves its averages towards them; otherwise, and always where it is frozen, with the
// averages. A frozen layer's averages stay as they are.
#include <algorithm>

#include "engine/layers/layers.h"
#include "ops/batch_norm.h"

namespace lamina::engine {
namespace {

// The vectors of one channel each that a pass makes, in one buffer.
struct Vectors {
  int id;
  int64_t cols;

  float* at(const Run& run, int64_t i) const { return run.buffer(id) + i * cols; }
  float* mean(const Run& run) const { return at(run, 0); }
  float* rstd(const Run& run) const { return at(run, 1); }
  float* scale(const Run& run) const { return at(run, 2); }
  float* shift(const Run& run) const { return at(run, 3); }
  float* variance(const Run& run) const { return at(run, 4); }
  static constexpr int64_t kForward = 5;
  // of the gradient, in a buffer of its own
  float* a(const Run& run) const { return at(run, 0); }
  float* b(const Run& run) const { return at(run, 1); }
  float* c(const Run& run) const { return at(run, 2); }
  float* dgamma(const Run& run) const { return at(run, 3); }
  float* dbeta(const Run& run) const { return at(run, 4); }
  static constexpr int64_t kBackward = 5;
};

class BatchNormalization final : public Layer {
 public:
  BatchNormalization(std::string name, float momentum, float epsilon, bool center, bool scale)
      : Layer("BatchNormalization", std::move(name)),
        momentum_(momentum),
        epsilon_(epsilon),
        center_(center),
        scale_(scale) {}

  Shape output_shape(const Shape& input) const override {
    if (input.empty()) reject("(batch, ..., channels)", input);
    return input;
  }

  std::vector<ParamSpec> params(const Shape& input) const override {
    const Shape shape = {input.back()};
    std::vector<ParamSpec> specs;
    if (scale_) specs.push_back({"gamma", shape});
    if (center_) specs.push_back({"beta", shape});
    specs.push_back({"moving_mean", shape, false});
    specs.push_back({"moving_variance", shape, false});
    return specs;
  }

  void forward(Program& program, Place& place) const override {
    const ops::BatchNorm norm = operation(place);
    const Offsets at = offsets(place);
    const int64_t cols = norm.cols, per_row = rows_per_row(place);
    const int x = place.x, y = place.y = program.buffer(place.input_size());
    const Vectors v{program.buffer(0, Vectors::kForward * cols), cols};
    place.saved.push_back(v.id);
    const float momentum = momentum_;
    const bool uses_batch = program.as_in_training() && !place.frozen;
    if (uses_batch) add_statistics(program, place, v);

    program.add({.what = name() + " factors",
                 .uses = {v.id},
                 .tiles = [](const Run&) { return int64_t{1}; },
                 .body =
                     [=](const Run& run, int64_t, float*) {
                       if (!uses_batch) {
                         std::copy_n(run.parameters + at.moving_mean, cols, v.mean(run));
                         std::copy_n(run.parameters + at.moving_variance, cols, v.variance(run));
                       }
                       norm.scales(v.rstd(run), v.scale(run), at.gamma_in(run), v.variance(run));
                       if (at.beta < 0) {
                         std::fill_n(v.shift(run), cols, 0.0f);
                       } else {
                         std::copy_n(run.parameters + at.beta, cols, v.shift(run));
                       }
                     }});
    program.add({.what = name() + " forward",
                 .uses = {x, y, v.id},
                 .tiles = [=](const Run& run) { return norm.row_tiles(run.rows * per_row); },
                 .body =
                     [=](const Run& run, int64_t tile, float*) {
                       norm.apply(*run.kernels, run.buffer(y), run.buffer(x), v.mean(run),
                                  v.scale(run), v.shift(run), run.rows * per_row, tile);
                     }});
    if (!uses_batch) return;
    program.add_commit(
        {.what = name() + " moving statistics",
         .uses = {v.id},
         .tiles = [](const Run&) { return int64_t{1}; },
         .body =
             [=](const Run& run, int64_t, float*) {
               norm.update_moving(run.parameters + at.moving_mean, v.mean(run), momentum);
               norm.update_moving(run.parameters + at.moving_variance, v.variance(run), momentum);
             }});
  }

  void backward(Program& program, Place& place) const override {
    const ops::BatchNorm norm = operation(place);
    const Offsets at = offsets(place);
    const int64_t cols = norm.cols, per_row = rows_per_row(place);
    const int x = place.x, dy = place.dy;
    const Vectors v{place.saved.back(), cols};
    const Vectors d{program.buffer(0, Vectors::kBackward * cols), cols};
    const int partial = program.buffer(0, norm.partial_floats(program.capacity() * per_row));
    const bool frozen = place.frozen;
    program.add({.what = name() + " gradient sums",
                 .uses = {x, dy, v.id, partial},
                 .tiles = [=](const Run& run) { return norm.row_tiles(run.rows * per_row); },
                 .body =
                     [=](const Run& run, int64_t tile, float*) {
                       norm.sums(*run.kernels, run.buffer(partial), run.buffer(dy), run.buffer(x),
                                 v.mean(run), v.rstd(run), run.rows * per_row, tile);
                     }});
    program.add({.what = name() + " gradient factors",
                 .uses = {v.id, d.id, partial},
                 .tiles = [](const Run&) { return int64_t{1}; },
                 .body =
                     [=](const Run& run, int64_t, float*) {
                       const bool learns_gamma = !frozen && at.gamma >= 0;
                       const bool learns_beta = !frozen && at.beta >= 0;
                       norm.coefficients(
                           *run.kernels, learns_gamma ? run.gradients + at.gamma : d.dgamma(run),
                           learns_beta ? run.gradients + at.beta : d.dbeta(run), d.a(run), d.b(run),
                           d.c(run), run.buffer(partial), at.gamma_in(run), v.rstd(run),
                           run.rows * per_row, !frozen);
                     }});
    if (!place.needs_dx) return;
    place.dx = dy;
    program.add({.what = name() + " input gradient",
                 .uses = {x, dy, v.id, d.id},
                 .tiles = [=](const Run& run) { return norm.row_tiles(run.rows * per_row); },
                 .body =
                     [=](const Run& run, int64_t tile, float*) {
                       norm.input(*run.kernels, run.buffer(dy), run.buffer(dy), run.buffer(x),
                                  v.mean(run), d.a(run), d.b(run), d.c(run), run.rows * per_row,
                                  tile);
                     }});
  }

 private:
  // Of the parameters in the flat buffers; -1 where there is none.
  struct Offsets {
    int64_t gamma, beta, moving_mean, moving_variance;

    const float* gamma_in(const Run& run) const {
      return gamma < 0 ? nullptr : run.parameters + gamma;
    }
  };

  Offsets offsets(const Place& place) const {
    size_t next = 0;
    Offsets at{};
    at.gamma = scale_ ? place.params[next++] : -1;
    at.beta = center_ ? place.params[next++] : -1;
    at.moving_mean = place.params[next++];
    at.moving_variance = place.params[next];
    return at;
  }

  ops::BatchNorm operation(const Place& place) const { return {place.input.back(), epsilon_}; }

  static int64_t rows_per_row(const Place& place) {
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < place.input.size(); ++i) rows *= place.input[i];
    return rows;
  }

  // Mean and variance of the batch.
  void add_statistics(Program& program, const Place& place, const Vectors& v) const {
    const ops::BatchNorm norm = operation(place);
    const int64_t per_row = rows_per_row(place);
    const int x = place.x;
    const int partial = program.buffer(0, norm.partial_floats(program.capacity() * per_row));
    const auto row_tiles = [=](const Run& run) { return norm.row_tiles(run.rows * per_row); };
    const auto one_tile = [](const Run&) { return int64_t{1}; };
    program.add({.what = name() + " sums",
                 .uses = {x, partial},
                 .tiles = row_tiles,
                 .body = [=](const Run& run, int64_t tile, float*) {
                   norm.sum(*run.kernels, run.buffer(partial), run.buffer(x), run.rows * per_row,
                            tile);
                 }});
    program.add({.what = name() + " center",
                 .uses = {x, v.id, partial},
                 .tiles = one_tile,
                 .body = [=](const Run& run, int64_t, float*) {
                   norm.center(*run.kernels, v.mean(run), run.buffer(x), run.buffer(partial),
                               run.rows * per_row);
                 }});
    program.add({.what = name() + " deviations",
                 .uses = {x, v.id, partial},
                 .tiles = row_tiles,
                 .body = [=](const Run& run, int64_t tile, float*) {
                   norm.deviations(*run.kernels, run.buffer(partial), run.buffer(x), v.mean(run),
                                   run.rows * per_row, tile);
                 }});
    program.add({.what = name() + " statistics",
                 .uses = {v.id, partial},
                 .tiles = one_tile,
                 .body = [=](const Run& run, int64_t, float*) {
                   norm.statistics(*run.kernels, v.mean(run), v.variance(run), run.buffer(partial),
                                   run.rows * per_row);
                 }});
  }

  float momentum_, epsilon_;
  bool center_, scale_;
};

}  // namespace

LayerPtr batch_normalization(std::string name, float momentum, float epsilon, bool center,
                             bool scale) {
  return std::make_shared<BatchNormalization>(std::move(name), momentum, epsilon, center, scale);
}

}  // namespace lamina::engine
