// Conv2D: y = activation(x * kernel + bias) over images in NHWC; the kernel is (kernel_h, kernel_w,
// channels, filters). It is a correlation: the kernel is not flipped.
#include "ops/conv2d.h"

#include "engine/layers/layers.h"
#include "engine/layers/split_conv2d.h"
#include "ops/window.h"

namespace lamina::engine {
namespace {

class Conv2D final : public Layer {
 public:
  Conv2D(std::string name, int64_t filters, Pair kernel_size, Pair strides, bool same,
         Pair dilation, ActivationSpec activation, bool use_bias)
      : Layer("Conv2D", std::move(name)),
        filters_(filters),
        kernel_size_{kernel_size[0], kernel_size[1]},
        strides_{strides[0], strides[1]},
        dilation_{dilation[0], dilation[1]},
        padding_(same ? ops::Padding::same : ops::Padding::valid),
        activation_(activation),
        use_bias_(use_bias) {}

  Shape output_shape(const Shape& input) const override {
    const Window2d w = window(input);
    return {w.out_height, w.out_width, w.filters};
  }

  std::vector<ParamSpec> params(const Shape& input) const override {
    const Window2d w = window(input);
    std::vector<ParamSpec> specs = {{"kernel", {w.kernel_h, w.kernel_w, w.channels, w.filters}}};
    if (use_bias_) specs.push_back({"bias", {filters_}});
    return specs;
  }

  const ActivationSpec* last_activation() const override { return &activation_; }

  void forward(Program& program, Place& place) const override {
    place.only_reads = true;
    const ops::Conv2dForward conv{window(place.input)};
    const int x = place.x, z = program.buffer(place.output_size());
    const int64_t kernel = place.params[0], bias = use_bias_ ? place.params[1] : -1;
    // The product's epilogue takes the activation along, unless its gradient asks for z.
    const bool fused = !place.skip_activation && activation_.fits_epilogue();
    const Activation function = fused ? activation_.function : Activation::linear;
    const float alpha = activation_.alpha;
    if (!in_parts(program, place).add_forward(program, name(), x, z, function, alpha)) {
      const int transformed = program.buffer(0, conv.transformed_floats());
      if (conv.transform_tiles() > 0) {
        program.add_of_update({.what = name() + " kernel transformed",
                               .uses = {transformed},
                               .tiles = [=](const Run&) { return conv.transform_tiles(); },
                               .body =
                                   [=](const Run& run, int64_t tile, float*) {
                                     conv.transform(*run.kernels, run.buffer(transformed),
                                                    run.parameters + kernel, tile);
                                   }});
      }
      program.add({.what = name() + " forward",
                   .uses = {x, z, transformed},
                   .tiles = [=](const Run& run) { return conv.tiles(run.rows); },
                   .body =
                       [=](const Run& run, int64_t tile, float* scratch) {
                         const GemmEpilogue epilogue{bias < 0 ? nullptr : run.parameters + bias,
                                                     function, alpha};
                         conv.run(*run.kernels, run.buffer(z), run.buffer(x),
                                  run.parameters + kernel, run.buffer(transformed), &epilogue,
                                  run.rows, tile, scratch);
                       },
                   .scratch = conv.scratch()});
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
    if (!place.frozen) {
      add_kernel_gradient(program, place);
      if (use_bias_) {
        add_bias_gradient(program, name() + " bias gradient", place.dy,
                          ops::out_pixels(window(place.input)), filters_, place.params[1]);
      }
    }
    if (place.needs_dx) add_input_gradient(program, place);
  }

 private:
  Window2d window(const Shape& input) const {
    if (input.size() != 3) reject("(batch, height, width, channels)", input);
    return ops::make_window("Conv2D '" + name() + "'", {input[0], input[1]}, input[2], filters_,
                            kernel_size_, strides_, dilation_, padding_);
  }

  SplitConv2d in_parts(const Program& program, const Place& place) const {
    return {
        {window(place.input), program.matmul()}, place.params[0], use_bias_ ? place.params[1] : -1};
  }

  void add_kernel_gradient(Program& program, const Place& place) const {
    const ops::Conv2dBackwardKernel conv{window(place.input)};
    const int x = place.x, dz = place.dy;
    if (in_parts(program, place).add_kernel_gradient(program, name(), x, dz)) return;
    const int partial = program.buffer(0, conv.partial_floats(program.capacity()));
    const int64_t kernel = place.params[0];
    program.add({.what = name() + " kernel gradient",
                 .uses = {x, dz, partial},
                 .tiles = [=](const Run& run) { return conv.tiles(run.rows); },
                 .body =
                     [=](const Run& run, int64_t tile, float* scratch) {
                       conv.run(*run.kernels, run.buffer(partial), run.buffer(dz), run.buffer(x),
                                run.rows, tile, scratch);
                     },
                 .scratch = conv.scratch()});
    program.add({.what = name() + " kernel gradient total",
                 .uses = {partial},
                 .tiles = [=](const Run&) { return conv.reduce_tiles(); },
                 .body =
                     [=](const Run& run, int64_t tile, float*) {
                       conv.reduce(*run.kernels, run.gradients + kernel, run.buffer(partial),
                                   run.rows, tile);
                     }});
  }

  void add_input_gradient(Program& program, Place& place) const {
    const ops::Conv2dBackwardInput conv{window(place.input)};
    const int dz = place.dy, dx = place.dx = program.buffer(place.input_size());
    if (in_parts(program, place).add_input_gradient(program, name(), dz, dx)) return;
    const int transposed = program.buffer(0, conv.transposed_floats());
    const int64_t kernel = place.params[0];
    program.add({.what = name() + " kernel transposed",
                 .uses = {transposed},
                 .tiles = [=](const Run&) { return conv.transpose_tiles(); },
                 .body =
                     [=](const Run& run, int64_t tile, float*) {
                       conv.transpose(*run.kernels, run.buffer(transposed), run.parameters + kernel,
                                      tile);
                     }});
    program.add({.what = name() + " input gradient",
                 .uses = {dz, dx, transposed},
                 .tiles = [=](const Run& run) { return conv.tiles(run.rows); },
                 .body =
                     [=](const Run& run, int64_t tile, float* scratch) {
                       conv.run(*run.kernels, run.buffer(dx), run.buffer(dz),
                                run.buffer(transposed), run.rows, tile, scratch);
                     },
                 .scratch = conv.scratch()});
  }

  int64_t filters_;
  ops::Pair kernel_size_, strides_, dilation_;
  ops::Padding padding_;
  ActivationSpec activation_;
  bool use_bias_;
};

}  // namespace

LayerPtr conv2d(std::string name, int64_t filters, Pair kernel_size, Pair strides, bool same,
                Pair dilation, ActivationSpec activation, bool use_bias) {
  return std::make_shared<Conv2D>(std::move(name), filters, kernel_size, strides, same, dilation,
                                  activation, use_bias);
}

}  // namespace lamina::engine
