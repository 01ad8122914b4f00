// The products of a Dense layer whose input is the data itself. Data is often mostly zeros, as four
// fifths of MNIST's pixels are; these steps find them and leave them out (ops/live_product.h).
#pragma once

#include <string>

#include "engine/layer.h"
#include "ops/live_product.h"

namespace lamina::engine {

struct LiveDense {
  int64_t rows_per_row, inputs, units;
  int64_t kernel, bias;  // offsets of the parameters; bias < 0 if there is none

  // Each adds its steps, or returns false where other products do as well. The gradient goes with
  // the forward product: it reads the same map of the input, place.live.
  bool add_forward(Program& program, Place& place, const std::string& name, int z,
                   Activation activation, float alpha) const;
  bool add_kernel_gradient(Program& program, const Place& place, const std::string& name) const;

 private:
  ops::LiveProduct product(const Run& run, bool training, bool gradient) const {
    return {
        {run.rows * rows_per_row, inputs, training, run.in_place && run.rows > 1}, units, gradient};
  }
};

}  // namespace lamina::engine
