#include "engine/network.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "cpu/parallel.h"

namespace lamina::engine {
namespace {

int64_t element_count_of(const Layer& layer, const ParamSpec& spec) {
  try {
    return element_count(spec.shape);
  } catch (const std::length_error&) {
    throw std::length_error(layer.type() + " '" + layer.name() + "': weight '" + spec.name +
                            "' would have more than 2^63 - 1 elements");
  }
}

}  // namespace

Network::Network(Shape input, std::vector<LayerPtr> layers)
    : input_(std::move(input)), layers_(std::move(layers)), trainable_(layers_.size(), true) {
  element_count(input_);
  constexpr int64_t align = kCacheLine / static_cast<int64_t>(sizeof(float));
  int64_t size = 0;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Shape& shape = output();
    Shape next = layers_[i]->output_shape(shape);
    for (ParamSpec& spec : layers_[i]->params(shape)) {
      const int64_t count = element_count_of(*layers_[i], spec);
      params_.push_back({static_cast<int>(i), std::move(spec.name), std::move(spec.shape),
                         spec.trainable, size, count});
      size += (count + align - 1) / align * align;
    }
    outputs_.push_back(std::move(next));
  }
  parameters_ = zeros(size);
}

float* Network::gradients() {
  if (gradients_.size() == 0) gradients_ = zeros(size());
  return gradients_.data();
}

std::vector<Span> Network::trained_spans() const {
  std::vector<Span> spans;
  for (size_t i = 0; i < params_.size(); ++i) {
    if (!trains(params_[i])) continue;
    // The padding after a parameter goes along: its gradient is zero, so it stays zero.
    const int64_t end = i + 1 < params_.size() ? params_[i + 1].offset : size();
    if (!spans.empty() && spans.back().end == params_[i].offset) {
      spans.back().end = end;
    } else {
      spans.push_back({params_[i].offset, end});
    }
  }
  return spans;
}

std::vector<Place> Network::add_forward(Program& program, int x, bool skip_last_activation) const {
  std::vector<Place> places(layers_.size());
  bool learns_before = false;  // does anything up to here need a gradient?
  bool data = true;            // has everything up to here kept the zeros of the data?
  for (size_t i = 0; i < layers_.size(); ++i) {
    Place& place = places[i];
    place.input = i == 0 ? input_ : outputs_[i - 1];
    place.output = outputs_[i];
    place.index = static_cast<uint32_t>(i);
    place.frozen = !trainable_[i];
    place.needs_dx = learns_before;
    place.x_is_data = data;
    data = data && layers_[i]->keeps_zeros();
    place.skip_activation = skip_last_activation && i + 1 == layers_.size();
    place.x = i == 0 ? x : places[i - 1].y;
    place.x_is_input = place.x == x;
    for (const Param& p : params_) {
      if (p.layer != static_cast<int>(i)) continue;
      place.params.push_back(p.offset);
      learns_before = learns_before || trains(p);
    }
    layers_[i]->forward(program, place);
  }
  return places;
}

void Network::add_backward(Program& program, std::vector<Place>& places, int dy) const {
  for (size_t i = places.size(); i-- > 0;) {
    Place& place = places[i];
    const bool own = std::any_of(params_.begin(), params_.end(), [&](const Param& p) {
      return p.layer == static_cast<int>(i) && trains(p);
    });
    if (!own && !place.needs_dx) return;  // nothing from here to the input learns
    place.dy = dy;
    place.before = i == 0 ? nullptr : layers_[i - 1]->last_activation();
    layers_[i]->backward(program, place);
    if (place.took_before) places[i - 1].skip_activation = true;
    dy = place.dx;
  }
}

}  // namespace lamina::engine
