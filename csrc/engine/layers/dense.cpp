// Dense: y = activation(x W + b) along the last axis; W is (inputs, units).
#include "engine/layers/layers.h"
#include "engine/layers/live_dense.h"
#include "engine/product_steps.h"
#include "ops/gemm.h"
#include "ops/long_product.h"

namespace lamina::engine {
namespace {

class Dense final : public Layer {
 public:
  Dense(std::string name, int64_t units, ActivationSpec activation, bool use_bias)
      : Layer("Dense", std::move(name)),
        units_(units),
        activation_(activation),
        use_bias_(use_bias) {}

  Shape output_shape(const Shape& input) const override {
    if (input.empty()) reject("(batch, features)", input);
    Shape output = input;
    output.back() = units_;
    return output;
  }

  std::vector<ParamSpec> params(const Shape& input) const override {
    std::vector<ParamSpec> specs = {{"kernel", {input.back(), units_}}};
    if (use_bias_) specs.push_back({"bias", {units_}});
    return specs;
  }

  const ActivationSpec* last_activation() const override { return &activation_; }

  void forward(Program& program, Place& place) const override {
    place.only_reads = true;
    const int64_t inputs = place.input.back(), units = units_;
    const int64_t per_row = rows_per_row(place);
    const int x = place.x, z = program.buffer(place.output_size());
    const int64_t kernel = place.params[0], bias = use_bias_ ? place.params[1] : -1;
    // The product's epilogue takes the activation along, unless its gradient asks for z.
    const bool fused = !place.skip_activation && activation_.fits_epilogue();
    const Activation function = fused ? activation_.function : Activation::linear;
    const float alpha = activation_.alpha;
    if (!live_dense(place).add_forward(program, place, name(), z, function, alpha)) {
      add_row_product(program,
                      {.what = name() + " forward",
                       .uses = {x, z},
                       .shape =
                           [=](const Run& run) {
                             return ops::Gemm{.m = run.rows * per_row, .n = units, .k = inputs};
                           },
                       .operands = [=](const Run& run) -> ProductOperands {
                         return {run.buffer(z),
                                 run.buffer(x),
                                 run.parameters + kernel,
                                 {bias < 0 ? nullptr : run.parameters + bias, function, alpha}};
                       }},
                      per_row);
    }
    place.y = z;
    if (fused) {
      place.saved.push_back(z);
    } else if (!place.skip_activation) {
      place.y = add_activation_forward(program, place, activation_, z);
    }
  }

  void backward(Program& program, Place& place) const override {
    if (!place.skip_activation) add_activation_backward(program, place, activation_);
    const int64_t inputs = place.input.back(), units = units_;
    const int64_t per_row = rows_per_row(place);
    const int dz = place.dy;
    const int64_t kernel = place.params[0];
    if (!place.frozen) {
      if (!live_dense(place).add_kernel_gradient(program, place, name())) {
        add_kernel_gradient(program, place);
      }
      if (use_bias_) {
        add_bias_gradient(program, name() + " bias gradient", dz, per_row, units, place.params[1]);
      }
    }
    if (!place.needs_dx) return;
    const int dx = place.dx = program.buffer(place.input_size());
    add_row_product(program,
                    {.what = name() + " input gradient",
                     .uses = {dz, dx},
                     .shape =
                         [=](const Run& run) {
                           return ops::Gemm{
                               .m = run.rows * per_row, .n = inputs, .k = units, .trans_b = true};
                         },
                     .operands = [=](const Run& run) -> ProductOperands {
                       return {run.buffer(dx), run.buffer(dz), run.parameters + kernel};
                     }},
                    per_row);
  }

 private:
  // A batch of sequences or images is a product with that many more rows.
  static int64_t rows_per_row(const Place& place) {
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < place.input.size(); ++i) rows *= place.input[i];
    return rows;
  }

  void add_kernel_gradient(Program& program, const Place& place) const {
    const int64_t inputs = place.input.back(), units = units_;
    const int64_t per_row = rows_per_row(place);
    const int x = place.x, dz = place.dy;
    const int64_t kernel = place.params[0];
    const ops::Gemm most{
        .m = inputs, .n = units, .k = program.capacity() * per_row, .trans_a = true};
    const auto product = [=](const Run& run) {
      ops::Gemm g = most;
      g.k = run.rows * per_row;
      return g;
    };
    program.add_gradient(gradient_product(
        program,
        {.what = name() + " kernel gradient",
         .uses = {x, dz},
         .shape = product,
         .operands = [=](const Run& run) -> ProductOperands {
           return {run.gradients + kernel, run.buffer(x), run.buffer(dz)};
         }},
        [=](const Run& run) { return ops::LongProduct{product(run)}.rounds() > 0; }));
    // Workers share out a long K, unless the product is made of bf16 parts.
    if (multiplies_in_parts(program, most)) return;
    add_long_product(program, name() + " kernel gradient", x, dz, kernel, most, product);
  }

  LiveDense live_dense(const Place& place) const {
    return {rows_per_row(place), place.input.back(), units_, place.params[0],
            use_bias_ ? place.params[1] : -1};
  }

  int64_t units_;
  ActivationSpec activation_;
  bool use_bias_;
};

}  // namespace

LayerPtr dense(std::string name, int64_t units, ActivationSpec activation, bool use_bias) {
  return std::make_shared<Dense>(std::move(name), units, activation, use_bias);
}

}  // namespace lamina::engine
