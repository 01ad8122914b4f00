// Products of layers in bf16 parts.
#pragma once

#include <functional>

#include "engine/program.h"
#include "ops/gemm.h"

namespace lamina::engine {

struct ProductOperands {
  float* c;
  const float *a, *b;
  GemmEpilogue epilogue{nullptr, Activation::linear, 0.0f};
};

// Will multiply_last_in_parts change a step whose largest product is `most`?
bool multiplies_in_parts(const Program& program, const ops::Gemm& most);

// The step that was added last computes product(run) of operands(run). Where the program multiplies
// in parts and the shapes are worth it, this makes it do so, and adds a step before it that splits
// B: of every batch, or with b_is_weights of every update. For a batch too small the step remains
// what it was. At "highest" this adds nothing.
void multiply_last_in_parts(Program& program, bool b_is_weights,
                            std::function<ops::Gemm(const Run&)> product,
                            std::function<ProductOperands(const Run&)> operands);

}  // namespace lamina::engine
