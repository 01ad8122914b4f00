// Conv2D in bf16 parts, where the program multiplies so and the shapes are worth it.
#pragma once

#include <string>

#include "engine/program.h"
#include "ops/split_conv2d.h"

namespace lamina::engine {

struct SplitConv2d {
  ops::SplitConv2d conv;
  int64_t kernel, bias;  // where they are among the parameters; bias -1 if there is none
  std::string name;

  // Each adds its steps, or nothing and returns false.
  bool add_forward(Program& program, int x, int z, Activation activation, float alpha) const;
  bool add_kernel_gradient(Program& program, int x, int dz) const;
  bool add_input_gradient(Program& program, int dz, int dx) const;
};

}  // namespace lamina::engine
