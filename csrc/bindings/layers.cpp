// Factories of the engine's layers, and the host layer, whose arithmetic is Python's.
#include "engine/layers/layers.h"

#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <tuple>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "bindings/views.h"

namespace py = pybind11;

namespace lamina::bindings {
namespace {

using namespace engine;  // NOLINT

bool is_same(const std::string& padding) {
  if (padding == "same") return true;
  if (padding == "valid") return false;
  throw std::invalid_argument("padding must be 'same' or 'valid', got '" + padding + "'");
}

Shape batched(int64_t rows, const Shape& shape) {
  Shape all = {rows};
  all.insert(all.end(), shape.begin(), shape.end());
  return all;
}

using HostParam = std::tuple<std::string, Shape, bool>;  // name, shape, trainable

LayerPtr make_host_layer(std::string name, py::function output_shape, py::function forward,
                         py::function backward, std::vector<HostParam> parameters) {
  HostLayer host;
  for (auto& [param_name, shape, trainable] : parameters) {
    host.params.push_back({param_name, shape, trainable});
  }
  const auto specs = host.params;
  host.output_shape = [f = shared_function(std::move(output_shape))](const Shape& input) {
    return with_gil([&] { return call_python(*f, py::tuple(py::cast(input))).cast<Shape>(); });
  };
  host.forward = [=, f = shared_function(std::move(forward))](
                     float* y, const float* x, const Place& place, int64_t rows, const Run& run) {
    with_gil([&] {
      const py::object result =
          call_python(*f, copy_for_user(x, batched(rows, place.input)), run.training);
      copy_result(y, result, batched(rows, place.output), name + ": forward()");
    });
  };
  host.backward = [=, f = shared_function(std::move(backward))](float* dx, const float* dy,
                                                                const float* x, const Place& place,
                                                                int64_t rows, const Run& run) {
    with_gil([&] {
      const py::tuple result = call_python(*f, copy_for_user(dy, batched(rows, place.output)),
                                           copy_for_user(x, batched(rows, place.input)));
      if (result.size() != 2) {
        throw py::value_error(name + ": backward() must return (dx, [dw, ...])");
      }
      if (dx != nullptr) {
        copy_result(dx, result[0], batched(rows, place.input), name + ": dx of backward()");
      }
      const py::sequence dw = result[1];
      if (dw.size() != specs.size()) {
        throw py::value_error(name + ": backward() must return " + std::to_string(specs.size()) +
                              " gradients of parameters, got " + std::to_string(dw.size()));
      }
      for (size_t i = 0; i < specs.size(); ++i) {
        if (!specs[i].trainable) continue;
        copy_result(run.gradients + place.params[i], dw[i], specs[i].shape,
                    name + ": gradient of '" + specs[i].name + "'");
      }
    });
  };
  return host_layer(std::move(name), std::move(host));
}

}  // namespace

void bind_layers(py::module_& m) {
  py::class_<Layer, std::shared_ptr<Layer>>(m, "Layer")
      .def_property_readonly("name", &Layer::name)
      .def("output_shape",
           [](const Layer& layer, const Shape& input) {
             return py::tuple(py::cast(layer.output_shape(input)));
           })
      .def("weight_shapes", [](const Layer& layer, const Shape& input) {
        py::dict shapes;
        for (const ParamSpec& spec : layer.params(input)) {
          shapes[py::cast(spec.name)] = py::tuple(py::cast(spec.shape));
        }
        return shapes;
      });

  // pybind11 holds layers as non-const; nothing that changes one is bound.
  const auto keep = [](const LayerPtr& layer) { return std::const_pointer_cast<Layer>(layer); };
  using namespace py::literals;  // NOLINT
  m.def(
      "dense",
      [=](std::string name, int64_t units, const std::string& function, float alpha, bool bias) {
        return keep(dense(std::move(name), units, ActivationSpec::parse(function, alpha), bias));
      },
      "name"_a, "units"_a, "activation"_a, "alpha"_a, "use_bias"_a);
  m.def(
      "activation",
      [=](std::string name, const std::string& function, float alpha) {
        return keep(engine::activation(std::move(name), ActivationSpec::parse(function, alpha)));
      },
      "name"_a, "activation"_a, "alpha"_a);
  m.def(
      "dropout",
      [=](std::string name, float rate) { return keep(engine::dropout(std::move(name), rate)); },
      "name"_a, "rate"_a);
  m.def("flatten", [=](std::string name) { return keep(flatten(std::move(name))); }, "name"_a);
  m.def(
      "reshape",
      [=](std::string name, Shape shape) { return keep(reshape(std::move(name), shape)); },
      "name"_a, "shape"_a);
  m.def(
      "rescaling",
      [=](std::string name, float scale, float offset) {
        return keep(rescaling(std::move(name), scale, offset));
      },
      "name"_a, "scale"_a, "offset"_a);
  m.def(
      "conv2d",
      [=](std::string name, int64_t filters, Pair kernel_size, Pair strides,
          const std::string& padding, Pair dilation, const std::string& function, float alpha,
          bool bias) {
        return keep(conv2d(std::move(name), filters, kernel_size, strides, is_same(padding),
                           dilation, ActivationSpec::parse(function, alpha), bias));
      },
      "name"_a, "filters"_a, "kernel_size"_a, "strides"_a, "padding"_a, "dilation"_a,
      "activation"_a, "alpha"_a, "use_bias"_a);
  m.def(
      "max_pooling2d",
      [=](std::string name, Pair pool_size, Pair strides, const std::string& padding) {
        return keep(max_pooling2d(std::move(name), pool_size, strides, is_same(padding)));
      },
      "name"_a, "pool_size"_a, "strides"_a, "padding"_a);
  m.def(
      "average_pooling2d",
      [=](std::string name, Pair pool_size, Pair strides, const std::string& padding) {
        return keep(average_pooling2d(std::move(name), pool_size, strides, is_same(padding)));
      },
      "name"_a, "pool_size"_a, "strides"_a, "padding"_a);
  m.def(
      "global_average_pooling2d",
      [=](std::string name, bool keepdims) {
        return keep(global_average_pooling2d(std::move(name), keepdims));
      },
      "name"_a, "keepdims"_a);
  m.def(
      "batch_normalization",
      [=](std::string name, float momentum, float epsilon, bool center, bool scale) {
        return keep(batch_normalization(std::move(name), momentum, epsilon, center, scale));
      },
      "name"_a, "momentum"_a, "epsilon"_a, "center"_a, "scale"_a);
  m.def(
      "embedding",
      [=](std::string name, int64_t input_dim, int64_t output_dim) {
        return keep(embedding(std::move(name), input_dim, output_dim));
      },
      "name"_a, "input_dim"_a, "output_dim"_a);
  m.def(
      "host_layer",
      [=](std::string name, py::function output_shape, py::function forward, py::function backward,
          std::vector<HostParam> parameters) {
        return keep(make_host_layer(std::move(name), std::move(output_shape), std::move(forward),
                                    std::move(backward), std::move(parameters)));
      },
      "name"_a, "output_shape"_a, "forward"_a, "backward"_a, "parameters"_a);
}

}  // namespace lamina::bindings
