// Losses and metrics as Python made them.
#pragma once

#include <pybind11/pybind11.h>

#include "engine/losses.h"

namespace lamina::bindings {

// The functions of a host loss or metric, as Python gave them; bound to an output shape when a
// runner is made.
struct PyLoss {
  engine::Loss loss;
  pybind11::object forward, backward;
};
struct PyMetric {
  engine::Metric metric;
  pybind11::object forward;
};

}  // namespace lamina::bindings
