// The steps of Conv2D in bf16 parts, where the program multiplies so and the shapes are worth it.
#pragma once

#include <string>

#include "engine/program.h"
#include "ops/split_conv2d.h"

namespace lamina::engine {

struct SplitConv2d {
  ops::SplitConv2d conv;
  int64_t kernel, bias;  // offsets of the parameters; bias < 0 if there is none

  // Each adds its steps, or returns false where float32 does as well.
  bool add_forward(Program& program, const std::string& name, int x, int z, Activation activation,
                   float alpha) const;
  bool add_kernel_gradient(Program& program, const std::string& name, int x, int dz) const;
  bool add_input_gradient(Program& program, const std::string& name, int dz, int dx) const;
};

}  // namespace lamina::engine
