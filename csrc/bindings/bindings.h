// Each bind_* adds one part of the core to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace lamina::bindings {

void bind_config(pybind11::module_& m);
void bind_kernels(pybind11::module_& m);
void bind_layers(pybind11::module_& m);
void bind_network(pybind11::module_& m);
void bind_objectives(pybind11::module_& m);
void bind_runner(pybind11::module_& m);

}  // namespace lamina::bindings
