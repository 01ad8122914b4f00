// The extension module: a list of what it binds.
#include "bindings/bindings.h"

// Needs the GIL, which is the default of every version of pybind11, and the main interpreter, which
// lamina/_interpreter.py checks before this is loaded.
#if PYBIND11_VERSION_MAJOR >= 3
PYBIND11_MODULE(_core, m, pybind11::multiple_interpreters::not_supported()) {
#else
PYBIND11_MODULE(_core, m) {
#endif
  m.doc() = "The C++ core of lamina: kernels and the training engine.";
  lamina::bindings::bind_config(m);
  lamina::bindings::bind_kernels(m);
  lamina::bindings::bind_layers(m);
  lamina::bindings::bind_network(m);
  lamina::bindings::bind_objectives(m);
  lamina::bindings::bind_runner(m);
}
