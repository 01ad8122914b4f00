// The layers that the engine has: one factory each. Names of arguments and their meaning are
// Keras's; sizes come checked.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/layer.h"

namespace lamina::engine {

using LayerPtr = std::shared_ptr<const Layer>;
using Pair = std::array<int64_t, 2>;  // height, width

LayerPtr dense(std::string name, int64_t units, ActivationSpec activation, bool use_bias);
LayerPtr activation(std::string name, ActivationSpec activation);
LayerPtr dropout(std::string name, float rate);
LayerPtr reshape(std::string name, Shape target);  // one entry may be -1
LayerPtr flatten(std::string name);
LayerPtr rescaling(std::string name, float scale, float offset);
LayerPtr conv2d(std::string name, int64_t filters, Pair kernel_size, Pair strides, bool same,
                Pair dilation, ActivationSpec activation, bool use_bias);
LayerPtr max_pooling2d(std::string name, Pair pool_size, Pair strides, bool same);
LayerPtr average_pooling2d(std::string name, Pair pool_size, Pair strides, bool same);
LayerPtr global_average_pooling2d(std::string name, bool keepdims);
LayerPtr batch_normalization(std::string name, float momentum, float epsilon, bool center,
                             bool scale);
LayerPtr embedding(std::string name, int64_t input_dim, int64_t output_dim);

// A layer whose arithmetic is somebody else's: the functions are called by one worker, with the
// rows of the batch, and may throw.
struct HostLayer {
  std::function<Shape(const Shape&)> output_shape;
  std::function<void(float* y, const float* x, const Place&, int64_t rows, const Run&)> forward;
  std::function<void(float* dx, const float* dy, const float* x, const Place&, int64_t rows,
                     const Run&)>
      backward;  // dx may be null; gradients of parameters go to run.gradients
  std::vector<ParamSpec> params;
};
LayerPtr host_layer(std::string name, HostLayer host);

}  // namespace lamina::engine
