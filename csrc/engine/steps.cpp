// The steps that several layers add alike.
#include <algorithm>
#include <array>

#include "engine/layer.h"
#include "ops/column_sums.h"
#include "ops/long_product.h"
#include "ops/pieces.h"

namespace lamina::engine {
namespace {

constexpr std::array<const char*, kActivations> kNames = {
    "linear", "relu", "leaky_relu", "elu", "sigmoid", "tanh", "gelu", "gelu_tanh", "softplus"};

}  // namespace

ActivationSpec ActivationSpec::parse(const std::string& name, float alpha) {
  if (name == "softmax") return {Kind::softmax, Activation::linear, alpha};
  if (name == "log_softmax") return {Kind::log_softmax, Activation::linear, alpha};
  std::string known;
  for (int i = 0; i < kActivations; ++i) {
    if (name == kNames[i]) return {Kind::elementwise, static_cast<Activation>(i), alpha};
    known += std::string(kNames[i]) + ", ";
  }
  throw std::invalid_argument("unknown activation '" + name + "'; there are " + known +
                              "softmax, log_softmax");
}

void add_elementwise(Program& program, std::string what, std::vector<int> uses, int64_t row_size,
                     std::function<void(const Run&, int64_t, int64_t)> body, int64_t cost,
                     int64_t align) {
  program.add_rows({.what = std::move(what),
                    .uses = std::move(uses),
                    .per_row = row_size,
                    .cols = 1,
                    .body = [body = std::move(body)](const Run& run, int64_t first, int64_t n,
                                                     float*) { body(run, first, n); },
                    .cost = cost,
                    .align = align});
}

void add_rowwise(Program& program, std::string what, std::vector<int> uses, int64_t per_row,
                 int64_t cols, std::function<void(const Run&, int64_t, int64_t)> body) {
  program.add_rows({.what = std::move(what),
                    .uses = std::move(uses),
                    .per_row = per_row,
                    .cols = cols,
                    .body = [body = std::move(body)](const Run& run, int64_t first, int64_t rows,
                                                     float*) { body(run, first, rows); }});
}

int add_activation_forward(Program& program, Place& place, const ActivationSpec& spec, int z) {
  using Kind = ActivationSpec::Kind;
  if (spec.is(Activation::linear)) return z;
  const int64_t size = place.output_size();
  if (spec.kind == Kind::elementwise) {
    const int f = static_cast<int>(spec.function);
    const float alpha = spec.alpha;
    const int y = program.training() && spec.keeps_input() ? program.buffer(size) : z;
    add_elementwise(program, "activation", {z, y}, size,
                    [=](const Run& run, int64_t first, int64_t n) {
                      run.kernels->activation_forward[f](run.buffer(y) + first,
                                                         run.buffer(z) + first, n, alpha);
                    });
    place.saved.push_back(spec.keeps_input() ? z : y);
    return y;
  }
  const int64_t cols = place.output.back();
  const bool logarithm = spec.kind == Kind::log_softmax;
  add_rowwise(program, "softmax", {z}, cols == 0 ? 0 : size / cols, cols,
              [=](const Run& run, int64_t first, int64_t rows) {
                float* y = run.buffer(z) + first * cols;
                const auto kernel =
                    logarithm ? run.kernels->log_softmax_forward : run.kernels->softmax_forward;
                kernel(y, y, rows, cols);
              });
  place.saved.push_back(z);
  return z;
}

void add_activation_backward(Program& program, Place& place, const ActivationSpec& spec) {
  using Kind = ActivationSpec::Kind;
  if (spec.is(Activation::linear)) return;
  const int64_t size = place.output_size();
  const int dy = place.dy, saved = place.saved.back();
  if (spec.kind == Kind::elementwise) {
    const int f = static_cast<int>(spec.function);
    const float alpha = spec.alpha;
    add_elementwise(program, "activation gradient", {dy, saved}, size,
                    [=](const Run& run, int64_t first, int64_t n) {
                      float* d = run.buffer(dy) + first;
                      run.kernels->activation_backward[f](d, d, run.buffer(saved) + first, n,
                                                          alpha);
                    });
    return;
  }
  const int64_t cols = place.output.back();
  const bool logarithm = spec.kind == Kind::log_softmax;
  add_rowwise(program, "softmax gradient", {dy, saved}, cols == 0 ? 0 : size / cols, cols,
              [=](const Run& run, int64_t first, int64_t rows) {
                float* d = run.buffer(dy) + first * cols;
                const auto kernel =
                    logarithm ? run.kernels->log_softmax_backward : run.kernels->softmax_backward;
                kernel(d, d, run.buffer(saved) + first * cols, rows, cols);
              });
}

void add_bias_gradient(Program& program, std::string what, int dy, int64_t per_row, int64_t cols,
                       int64_t offset) {
  const ops::ColumnSums op{cols};
  const int partial = program.buffer(0, op.partial_floats(program.capacity() * per_row));
  Step sums{.what = what,
            .uses = {dy, partial},
            .tiles = [=](const Run& run) { return op.sum_tiles(run.rows * per_row); },
            .body =
                [=](const Run& run, int64_t tile, float*) {
                  op.sum(*run.kernels, run.buffer(partial), run.buffer(dy), run.rows * per_row,
                         tile);
                }};
  Step total{.what = what + ", total",
             .uses = {partial},
             .tiles = [=](const Run&) { return op.reduce_tiles(); },
             .body =
                 [=](const Run& run, int64_t tile, float*) {
                   op.reduce(*run.kernels, run.gradients + offset, run.buffer(partial),
                             run.rows * per_row, tile);
                 }};
  program.add_gradient({std::move(sums), std::move(total)});
}

void add_long_product(Program& program, const std::string& what, int a, int b, int64_t offset,
                      const ops::Gemm& most, std::function<ops::Gemm(const Run&)> product) {
  const ops::LongProduct largest{most};
  if (largest.rounds() == 0) return;
  const int partial = program.buffer(0, largest.partial_floats());
  const auto op = [product = std::move(product)](const Run& run) {
    return ops::LongProduct{product(run)};
  };
  std::vector<Step> phases;
  for (int64_t round = 0; round < largest.rounds(); ++round) {
    phases.push_back({.what = what + ", along K",
                      .uses = {a, b, partial},
                      .tiles = [=](const Run& run) { return op(run).sum_tiles(round); },
                      .body =
                          [=](const Run& run, int64_t tile, float* scratch) {
                            op(run).sum(*run.kernels, run.buffer(partial), run.buffer(a),
                                        run.buffer(b), round, tile, scratch);
                          },
                      .scratch = largest.scratch()});
    phases.push_back({.what = what + ", total",
                      .uses = {partial},
                      .tiles = [=](const Run& run) { return op(run).reduce_tiles(round); },
                      .body =
                          [=](const Run& run, int64_t tile, float*) {
                            op(run).reduce(*run.kernels, run.gradients + offset,
                                           run.buffer(partial), round, tile);
                          }});
  }
  program.add_gradient(std::move(phases));
}

}  // namespace lamina::engine
