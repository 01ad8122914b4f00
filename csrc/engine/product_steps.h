// Products of layers: a step each, of float32 or of bf16 parts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/program.h"
#include "ops/gemm.h"

namespace lamina::engine {

struct ProductOperands {
  float* c;
  const float *a, *b;
  GemmEpilogue epilogue{nullptr, Activation::linear, 0.0f};

  const GemmEpilogue* epilogue_or_null() const {
    return epilogue.bias == nullptr && epilogue.activation == Activation::linear ? nullptr
                                                                                 : &epilogue;
  }
};

struct Product {
  std::string what;
  std::vector<int> uses;
  std::function<ops::Gemm(const Run&)> shape;
  std::function<ProductOperands(const Run&)> operands;
};

// Does the program multiply products of these columns and terms in parts?
bool multiplies_in_parts(const Program& program, const ops::Gemm& product);

// Products of the rows of the batch, per_row rows of A and C for each, and of a parameter B. Where
// the program multiplies in parts and the shapes are worth it, B is split once an update; a batch
// too small for that stays in float32.
void add_row_product(Program& program, const Product& product, int64_t per_row);

// The phases of a product that sums over the batch. `elsewhere` names batches that other steps
// multiply, if this one is of float32.
std::vector<Step> gradient_product(Program& program, const Product& product,
                                   std::function<bool(const Run&)> elsewhere);

}  // namespace lamina::engine
