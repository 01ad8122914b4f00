// The extension module: a list of what it binds.
#include "bindings/bindings.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The C++ core of lamina: kernels and the training engine.";
  lamina::bindings::bind_config(m);
  lamina::bindings::bind_kernels(m);
  lamina::bindings::bind_layers(m);
  lamina::bindings::bind_network(m);
  lamina::bindings::bind_objectives(m);
  lamina::bindings::bind_runner(m);
}
