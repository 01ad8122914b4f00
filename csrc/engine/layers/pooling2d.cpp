// MaxPooling2D, AveragePooling2D and GlobalAveragePooling2D of images in NHWC. Padding never wins
// a maximum and is no part of a mean.
#include "engine/layers/layers.h"
#include "ops/pool2d.h"
#include "ops/window.h"

namespace lamina::engine {
namespace {

class Pooling2D : public Layer {
 public:
  Pooling2D(std::string type, std::string name, Pair pool_size, Pair strides, bool same)
      : Layer(std::move(type), std::move(name)),
        pool_size_{pool_size[0], pool_size[1]},
        strides_{strides[0], strides[1]},
        padding_(same ? ops::Padding::same : ops::Padding::valid) {}

  Shape output_shape(const Shape& input) const override {
    const Window2d w = pooling(input).w;
    return {w.out_height, w.out_width, w.filters};
  }

 protected:
  void check_rank(const Shape& input) const {
    if (input.size() != 3) reject("(batch, height, width, channels)", input);
  }

  virtual ops::Pool2d pooling(const Shape& input) const {
    check_rank(input);
    return {ops::make_pool_window(type() + " '" + name() + "'", {input[0], input[1]}, input[2],
                                  pool_size_, strides_, padding_)};
  }

 private:
  ops::Pair pool_size_, strides_;
  ops::Padding padding_;
};

class MaxPooling2D final : public Pooling2D {
 public:
  using Pooling2D::Pooling2D;

  void forward(Program& program, Place& place) const override {
    const ops::Pool2d pool = pooling(place.input);
    const int x = place.x, y = place.y = program.buffer(place.output_size());
    // The winners, as int32: a float's size each.
    const int argmax = program.training() ? program.buffer(place.output_size()) : kNoBuffer;
    if (argmax != kNoBuffer) place.saved.push_back(argmax);
    program.add({.what = name() + " forward",
                 .uses = {x, y, argmax},
                 .tiles = [=](const Run& run) { return pool.tiles(run.rows); },
                 .body =
                     [=](const Run& run, int64_t tile, float*) {
                       int32_t* winners = argmax == kNoBuffer
                                              ? nullptr
                                              : reinterpret_cast<int32_t*>(run.buffer(argmax));
                       pool.max_forward(*run.kernels, run.buffer(y), winners, run.buffer(x),
                                        run.rows, tile);
                     }});
  }

  void backward(Program& program, Place& place) const override {
    if (!place.needs_dx) return;
    const ops::Pool2d pool = pooling(place.input);
    const int dy = place.dy, dx = place.dx = program.buffer(place.input_size());
    const int argmax = place.saved.back();
    // A winner is y itself, so ReLU's gradient at the winners can be taken here, of an array that
    // is smaller by the size of a window; all other inputs get nothing either way.
    if (place.before != nullptr && place.before->is(Activation::relu)) {
      const int y = place.y;
      add_elementwise(program, name() + " and activation gradient", {dy, y}, place.output_size(),
                      [=](const Run& run, int64_t first, int64_t n) {
                        float* d = run.buffer(dy) + first;
                        run.kernels->activation_backward[static_cast<int>(Activation::relu)](
                            d, d, run.buffer(y) + first, n, 0.0f);
                      });
      place.took_before = true;
    }
    program.add({.what = name() + " gradient",
                 .uses = {dy, dx, argmax},
                 .tiles = [=](const Run& run) { return pool.tiles(run.rows); },
                 .body =
                     [=](const Run& run, int64_t tile, float*) {
                       pool.max_backward(*run.kernels, run.buffer(dx), run.buffer(dy),
                                         reinterpret_cast<const int32_t*>(run.buffer(argmax)),
                                         run.rows, tile);
                     }});
  }
};

class AveragePooling2D : public Pooling2D {
 public:
  using Pooling2D::Pooling2D;

  void forward(Program& program, Place& place) const override {
    const ops::Pool2d pool = pooling(place.input);
    const int x = place.x, y = place.y = program.buffer(place.output_size());
    program.add({.what = name() + " forward",
                 .uses = {x, y},
                 .tiles = [=](const Run& run) { return pool.tiles(run.rows); },
                 .body =
                     [=](const Run& run, int64_t tile, float*) {
                       pool.average_forward(*run.kernels, run.buffer(y), run.buffer(x), run.rows,
                                            tile);
                     }});
  }

  void backward(Program& program, Place& place) const override {
    if (!place.needs_dx) return;
    const ops::Pool2d pool = pooling(place.input);
    const int dy = place.dy, dx = place.dx = program.buffer(place.input_size());
    program.add({.what = name() + " gradient",
                 .uses = {dy, dx},
                 .tiles = [=](const Run& run) { return pool.tiles(run.rows); },
                 .body =
                     [=](const Run& run, int64_t tile, float*) {
                       pool.average_backward(*run.kernels, run.buffer(dx), run.buffer(dy), run.rows,
                                             tile);
                     }});
  }
};

// One window as large as the image.
class GlobalAveragePooling2D final : public AveragePooling2D {
 public:
  GlobalAveragePooling2D(std::string name, bool keepdims)
      : AveragePooling2D("GlobalAveragePooling2D", std::move(name), {1, 1}, {1, 1}, false),
        keepdims_(keepdims) {}

  Shape output_shape(const Shape& input) const override {
    check_rank(input);
    return keepdims_ ? Shape{1, 1, input[2]} : Shape{input[2]};
  }

 protected:
  ops::Pool2d pooling(const Shape& input) const override {
    return {ops::make_pool_window(type() + " '" + name() + "'", {input[0], input[1]}, input[2],
                                  {input[0], input[1]}, {1, 1}, ops::Padding::valid)};
  }

 private:
  bool keepdims_;
};

}  // namespace

LayerPtr max_pooling2d(std::string name, Pair pool_size, Pair strides, bool same) {
  return std::make_shared<MaxPooling2D>("MaxPooling2D", std::move(name), pool_size, strides, same);
}

LayerPtr average_pooling2d(std::string name, Pair pool_size, Pair strides, bool same) {
  return std::make_shared<AveragePooling2D>("AveragePooling2D", std::move(name), pool_size, strides,
                                            same);
}

LayerPtr global_average_pooling2d(std::string name, bool keepdims) {
  return std::make_shared<GlobalAveragePooling2D>(std::move(name), keepdims);
}

}  // namespace lamina::engine
