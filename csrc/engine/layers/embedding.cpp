// Embedding: y[..., :] = table[x[...], :]. The engine's tensors are float32, so indices come as
// floats, are truncated as a cast would, and are exact below 2^24.
#include "ops/embedding.h"

#include <algorithm>
#include <cmath>

#include "engine/layers/layers.h"

namespace lamina::engine {
namespace {

constexpr int64_t kMostExact = 1 << 24;

class Embedding final : public Layer {
 public:
  Embedding(std::string name, int64_t input_dim, int64_t output_dim)
      : Layer("Embedding", std::move(name)), op_{input_dim, output_dim} {
    if (input_dim > kMostExact) {
      throw std::invalid_argument("Embedding '" + this->name() +
                                  "': input_dim must be at most 2^24, the integers that float32 "
                                  "holds, got " +
                                  std::to_string(input_dim));
    }
  }

  Shape output_shape(const Shape& input) const override {
    Shape output = input;
    output.push_back(op_.dim);
    return output;
  }

  std::vector<ParamSpec> params(const Shape&) const override {
    return {{"embeddings", {op_.vocabulary, op_.dim}}};
  }

  void forward(Program& program, Place& place) const override {
    const ops::Embedding op = op_;
    const int64_t size = place.input_size(), table = place.params[0];
    const int x = place.x, y = place.y = program.buffer(place.output_size());
    const int index = program.buffer(size);  // int32: a float's size each
    place.saved.push_back(index);
    add_elementwise(program, name() + " indices", {x, index}, size,
                    [=, name = name()](const Run& run, int64_t first, int64_t n) {
                      convert(name, op.vocabulary, run, indices(run, index), run.buffer(x), first,
                              n, size);
                    });
    program.add({.what = name() + " forward",
                 .uses = {index, y},
                 .tiles = [=](const Run& run) { return op.forward_tiles(run.rows * size); },
                 .body =
                     [=](const Run& run, int64_t tile, float*) {
                       op.forward(*run.kernels, run.buffer(y), run.parameters + table,
                                  indices(run, index), run.rows * size, tile);
                     }});
  }

  void backward(Program& program, Place& place) const override {
    const ops::Embedding op = op_;
    const int64_t size = place.input_size(), table = place.params[0];
    const int dy = place.dy, index = place.saved.back();
    if (!place.frozen) {
      program.add({.what = name() + " gradient",
                   .uses = {dy, index},
                   .tiles = [=](const Run&) { return op.backward_tiles(); },
                   .body =
                       [=](const Run& run, int64_t tile, float*) {
                         op.backward(*run.kernels, run.gradients + table, run.buffer(dy),
                                     indices(run, index), run.rows * size, tile);
                       }});
    }
    if (!place.needs_dx) return;
    // A step function has no slope: what lies before learns nothing.
    const int dx = place.dx = program.buffer(size);
    add_elementwise(program, name() + " input gradient", {dx}, size,
                    [=](const Run& run, int64_t first, int64_t n) {
                      std::fill_n(run.buffer(dx) + first, n, 0.0f);
                    });
  }

 private:
  static int32_t* indices(const Run& run, int buffer) {
    return reinterpret_cast<int32_t*>(run.buffer(buffer));
  }

  static void convert(const std::string& name, int64_t vocabulary, const Run& run, int32_t* index,
                      const float* x, int64_t first, int64_t n, int64_t per_row) {
    const float end = static_cast<float>(vocabulary);
    for (int64_t i = first; i < first + n; ++i) {
      const float value = std::trunc(x[i]);
      if (!(value >= 0.0f && value < end)) {
        throw std::invalid_argument("Embedding '" + name + "' expects indices in [0, " +
                                    std::to_string(vocabulary) + "), got " + std::to_string(x[i]) +
                                    " in row " + std::to_string(run.row_number(i / per_row)) +
                                    "; raise input_dim or check the data");
      }
      index[i] = static_cast<int32_t>(value);
    }
  }

  ops::Embedding op_;
};

}  // namespace

LayerPtr embedding(std::string name, int64_t input_dim, int64_t output_dim) {
  return std::make_shared<Embedding>(std::move(name), input_dim, output_dim);
}

}  // namespace lamina::engine
