// Layers chained over flat buffers: all parameters in one, all gradients in another.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "cpu/memory.h"
#include "engine/layers/layers.h"

namespace lamina::engine {

struct Param {
  int layer;
  std::string name;
  Shape shape;
  bool trainable;
  int64_t offset, size;  // floats in the flat buffers
};

struct Span {
  int64_t begin, end;  // floats
};

class Network {
 public:
  // Infers every shape; throws std::invalid_argument where a layer does not fit. All zeros.
  Network(Shape input, std::vector<LayerPtr> layers);

  const Shape& input() const { return input_; }
  const Shape& output() const { return outputs_.empty() ? input_ : outputs_.back(); }
  const std::vector<Shape>& outputs() const { return outputs_; }
  const std::vector<LayerPtr>& layers() const { return layers_; }
  const std::vector<Param>& params() const { return params_; }
  float* parameters() { return parameters_.data(); }
  // Another number after every change of a parameter; whoever changes one says so.
  uint64_t version() const { return version_; }
  void changed() { ++version_; }
  float* gradients();  // zeros, made at the first call: a network that only predicts has none
  int64_t size() const { return parameters_.size(); }  // floats, padding between parameters too

  void set_trainable(int layer, bool trainable) { trainable_.at(layer) = trainable; }
  bool trains(const Param& p) const { return p.trainable && trainable_[p.layer]; }
  // What an optimizer updates, adjacent parameters merged.
  std::vector<Span> trained_spans() const;

  // Adds the forward steps, from buffer x, and returns their places, the last one's y being the
  // output. With skip_last_activation the last layer leaves it to the loss.
  std::vector<Place> add_forward(Program& program, int x, bool skip_last_activation) const;
  // Adds the backward steps for dy, the gradient of the last place's y.
  void add_backward(Program& program, std::vector<Place>& places, int dy) const;

 private:
  Shape input_;
  std::vector<LayerPtr> layers_;
  std::vector<Shape> outputs_;
  std::vector<Param> params_;
  std::vector<bool> trainable_;
  AlignedArray<float> parameters_, gradients_;
  std::atomic<uint64_t> version_{1};
};

}  // namespace lamina::engine
