// Network: layers over flat parameters, and NumPy views of them.
#include "engine/network.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>

#include "bindings/bindings.h"
#include "bindings/views.h"

namespace py = pybind11;

namespace lamina::bindings {

using namespace engine;  // NOLINT

void bind_network(py::module_& m) {
  py::class_<Param>(m, "Param")
      .def_readonly("layer", &Param::layer)
      .def_readonly("name", &Param::name)
      .def_property_readonly("shape", [](const Param& p) { return py::tuple(py::cast(p.shape)); })
      .def_readonly("trainable", &Param::trainable);

  const auto views = [](py::object self, bool gradients) {
    auto& network = self.cast<Network&>();
    float* base = gradients ? network.gradients() : network.parameters();
    py::list list;
    for (const Param& p : network.params()) {
      list.append(view(base + p.offset, p.shape, self, !gradients));
    }
    return list;
  };
  py::class_<Network, std::shared_ptr<Network>>(m, "Network")
      .def(py::init([](Shape input, const std::vector<std::shared_ptr<Layer>>& layers) {
             return std::make_shared<Network>(std::move(input),
                                              std::vector<LayerPtr>(layers.begin(), layers.end()));
           }),
           py::arg("input_shape"), py::arg("layers"))
      .def_property_readonly("input_shape",
                             [](const Network& n) { return py::tuple(py::cast(n.input())); })
      .def_property_readonly("output_shape",
                             [](const Network& n) { return py::tuple(py::cast(n.output())); })
      .def_property_readonly("output_shapes",
                             [](const Network& n) {
                               py::list list;
                               for (const Shape& s : n.outputs())
                                 list.append(py::tuple(py::cast(s)));
                               return list;
                             })
      .def_property_readonly("size", &Network::size)
      .def_property_readonly("params", [](const Network& n) { return n.params(); })
      .def("changed", &Network::changed)
      .def_property_readonly("weights", [=](py::object self) { return views(self, false); })
      .def_property_readonly("gradients", [=](py::object self) { return views(self, true); })
      .def_property_readonly("flat",
                             [](py::object self) {
                               auto& n = self.cast<Network&>();
                               return view(n.parameters(), {n.size()}, self);
                             })
      .def(
          "set_trainable",
          [](Network& n, int layer, bool trainable) {
            if (layer < 0 || layer >= static_cast<int>(n.layers().size())) {
              throw py::index_error("no layer " + std::to_string(layer));
            }
            n.set_trainable(layer, trainable);
          },
          py::arg("layer"), py::arg("trainable"));
}

}  // namespace lamina::bindings
