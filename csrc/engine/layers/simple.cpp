// Layers without parameters that work element by element or only look at a shape.
#include <algorithm>
#include <cmath>

#include "engine/layers/layers.h"

namespace lamina::engine {
namespace {

class ActivationLayer final : public Layer {
 public:
  ActivationLayer(std::string name, ActivationSpec spec)
      : Layer("Activation", std::move(name)), spec_(spec) {}

  Shape output_shape(const Shape& input) const override {
    if (input.empty() && spec_.kind != ActivationSpec::Kind::elementwise) {
      reject("(batch, ..., classes)", input);
    }
    return input;
  }
  const ActivationSpec* last_activation() const override { return &spec_; }

  // Works on a copy where the layer before may need its own output for its gradient.
  void forward(Program& program, Place& place) const override {
    if (place.skip_activation || spec_.is(Activation::linear)) {
      place.y = place.x;
      place.only_reads = true;
      return;
    }
    const int64_t size = place.input_size();
    const int x = place.x, z = program.training() ? program.buffer(size) : x;
    if (spec_.kind == ActivationSpec::Kind::elementwise) {
      const int f = static_cast<int>(spec_.function);
      const float alpha = spec_.alpha;
      add_elementwise(program, name(), {x, z}, size, [=](const Run& run, int64_t first, int64_t n) {
        run.kernels->activation_forward[f](run.buffer(z) + first, run.buffer(x) + first, n, alpha);
      });
      place.saved.push_back(spec_.keeps_input() ? x : z);
      place.y = z;
      return;
    }
    if (z != x) {
      add_elementwise(program, name() + " copy", {x, z}, size,
                      [=](const Run& run, int64_t first, int64_t n) {
                        std::copy_n(run.buffer(x) + first, n, run.buffer(z) + first);
                      });
    }
    place.y = add_activation_forward(program, place, spec_, z);
  }

  void backward(Program& program, Place& place) const override {
    place.dx = place.dy;
    if (!place.skip_activation) add_activation_backward(program, place, spec_);
  }

 private:
  ActivationSpec spec_;
};

// Inverted dropout (Srivastava et al., 2014): in training y = x / (1 - rate) where the element's
// random number says keep, else 0. The gradient makes the same mask again.
class Dropout final : public Layer {
 public:
  Dropout(std::string name, float rate) : Layer("Dropout", std::move(name)), rate_(rate) {}

  Shape output_shape(const Shape& input) const override { return input; }
  bool keeps_zeros() const override { return true; }

  void forward(Program& program, Place& place) const override {
    if (rate_ == 0.0f || !program.as_in_training()) {
      place.y = place.x;
      place.only_reads = true;
      return;
    }
    place.y = program.buffer(place.input_size());
    add_mask(program, place, place.y, place.x);
  }

  void backward(Program& program, Place& place) const override {
    place.dx = place.dy;
    if (rate_ != 0.0f) add_mask(program, place, place.dy, place.dy);
  }

 private:
  void add_mask(Program& program, const Place& place, int y, int x) const {
    const float rate = rate_;
    const uint32_t layer = place.index;
    add_elementwise(
        program, name(), {x, y}, place.input_size(),
        [=](const Run& run, int64_t first, int64_t n) {
          const RandomStream stream{run.seed, layer, run.step};
          run.kernels->dropout(run.buffer(y) + first, run.buffer(x) + first, stream, first, n,
                               rate);
        },
        4, 64);  // random numbers take longer than other functions, and come in blocks
  }

  float rate_;
};

// Another view of the same numbers: no step at all.
class Reshape final : public Layer {
 public:
  Reshape(std::string type, std::string name, Shape target, bool flatten)
      : Layer(std::move(type), std::move(name)), target_(std::move(target)), flatten_(flatten) {}

  Shape output_shape(const Shape& input) const override {
    const int64_t count = element_count(input);
    if (flatten_) return {count};
    int64_t known = 1;
    for (const int64_t size : target_) {
      if (size >= 0) known = checked_product({known, size});
    }
    Shape output = target_;
    bool fits = known == count;
    for (int64_t& size : output) {
      if (size >= 0) continue;
      fits = known > 0 && count % known == 0;
      if (fits) size = count / known;
    }
    if (!fits) {
      reject("that hold the elements of " + with_batch(target_), input);
    }
    return output;
  }

  bool keeps_zeros() const override { return true; }

  void forward(Program&, Place& place) const override {
    place.y = place.x;
    place.only_reads = true;
  }
  void backward(Program&, Place& place) const override { place.dx = place.dy; }

 private:
  Shape target_;
  bool flatten_;
};

class Rescaling final : public Layer {
 public:
  Rescaling(std::string name, float scale, float offset)
      : Layer("Rescaling", std::move(name)), scale_(scale), offset_(offset) {}

  Shape output_shape(const Shape& input) const override { return input; }
  bool keeps_zeros() const override { return offset_ == 0.0f; }

  void forward(Program& program, Place& place) const override {
    place.y = program.training() ? program.buffer(place.input_size()) : place.x;
    add_affine(program, place, place.y, place.x, scale_, offset_);
  }
  void backward(Program& program, Place& place) const override {
    place.dx = place.dy;
    add_affine(program, place, place.dy, place.dy, scale_, 0.0f);
  }

 private:
  void add_affine(Program& program, const Place& place, int y, int x, float scale,
                  float offset) const {
    add_elementwise(
        program, name(), {x, y}, place.input_size(), [=](const Run& run, int64_t first, int64_t n) {
          run.kernels->scale_offset(run.buffer(y) + first, run.buffer(x) + first, n, scale, offset);
        });
  }

  float scale_, offset_;
};

class Host final : public Layer {
 public:
  Host(std::string name, HostLayer host)
      : Layer("Layer", std::move(name)), host_(std::move(host)) {}

  Shape output_shape(const Shape& input) const override { return host_.output_shape(input); }
  std::vector<ParamSpec> params(const Shape&) const override { return host_.params; }

  void forward(Program& program, Place& place) const override {
    const int x = place.x, y = place.y = program.buffer(place.output_size());
    program.add({.what = name(),
                 .uses = {x, y},
                 .tiles = [](const Run&) -> int64_t { return 1; },
                 .body =
                     [=, this](const Run& run, int64_t, float*) {
                       const FloatScope caller(run.caller);
                       host_.forward(run.buffer(y), run.buffer(x), place, run.rows, run);
                     }});
  }
  void backward(Program& program, Place& place) const override {
    const int x = place.x, dy = place.dy;
    const int dx = place.dx = place.needs_dx ? program.buffer(place.input_size()) : kNoBuffer;
    program.add({.what = name() + " gradient",
                 .uses = {x, dy, dx},
                 .tiles = [](const Run&) -> int64_t { return 1; },
                 .body =
                     [=, this](const Run& run, int64_t, float*) {
                       const FloatScope caller(run.caller);
                       host_.backward(dx == kNoBuffer ? nullptr : run.buffer(dx), run.buffer(dy),
                                      run.buffer(x), place, run.rows, run);
                     }});
  }

 private:
  HostLayer host_;
};

}  // namespace

LayerPtr activation(std::string name, ActivationSpec spec) {
  return std::make_shared<ActivationLayer>(std::move(name), spec);
}
LayerPtr dropout(std::string name, float rate) {
  return std::make_shared<Dropout>(std::move(name), rate);
}
LayerPtr reshape(std::string name, Shape target) {
  return std::make_shared<Reshape>("Reshape", std::move(name), std::move(target), false);
}
LayerPtr flatten(std::string name) {
  return std::make_shared<Reshape>("Flatten", std::move(name), Shape{}, true);
}
LayerPtr rescaling(std::string name, float scale, float offset) {
  return std::make_shared<Rescaling>(std::move(name), scale, offset);
}
LayerPtr host_layer(std::string name, HostLayer host) {
  return std::make_shared<Host>(std::move(name), std::move(host));
}

}  // namespace lamina::engine
