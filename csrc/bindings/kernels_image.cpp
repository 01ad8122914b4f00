// Convolution and pooling of images.
#include "bindings/arrays.h"
#include "bindings/kernels.h"
#include "cpu/dispatch.h"
#include "cpu/memory.h"
#include "cpu/precision.h"
#include "ops/conv2d.h"
#include "ops/pool2d.h"
#include "ops/split_conv2d.h"

namespace lamina::bindings {
namespace {

constexpr const char* kImages = "(batch, height, width, channels)";
constexpr const char* kOutputs = "(batch, out_height, out_width, filters)";
constexpr const char* kKernel = "(kernel_h, kernel_w, channels, filters)";

Shape output_shape(int64_t images, const Window2d& w) {
  return {images, w.out_height, w.out_width, w.filters};
}

Window2d convolution(const Call& call, const Shape& input, ops::Pair kernel_size, int64_t filters,
                     py::handle strides, py::handle padding, py::handle dilation) {
  return ops::make_window(call.name(), {input[1], input[2]}, input[3], filters, kernel_size,
                          call.pair("strides", strides), call.pair("dilation", dilation),
                          call.padding(padding));
}

void check_channels(const Call& call, const Floats& kernel, int64_t channels) {
  if (kernel.shape[2] != channels) {
    throw call.value_error("kernel must have shape " + std::string(kKernel) + " with channels = " +
                           std::to_string(channels) + ", got " + to_string(kernel.shape));
  }
}

// y or dx, in bf16 parts.
void convolve_in_parts(float* y, const float* x, const float* kernel, const GemmEpilogue* epilogue,
                       const ops::SplitPass& pass) {
  const ops::SplitProduct product = pass.product();
  const ops::SplitLines of_x = pass.lines();
  AlignedArray<float> lines(of_x.floats()), parts(product.split_floats());
  for_tiles(pass.kernel_tiles(), 0, [&](int64_t tile, float*) {
    pass.split_kernel(kernels(), parts.data(), kernel, tile);
  });
  for_tiles(of_x.tiles(), 0,
            [&](int64_t tile, float*) { of_x.split(kernels(), lines.data(), x, tile); });
  for_tiles(
      product.tiles(), product.scratch(),
      [&](int64_t tile, float* scratch) {
        pass.run(kernels(), y, x, kernel, lines.data(), parts.data(), epilogue, tile, scratch);
      },
      product.least_tiles());
}

void kernel_gradient_in_parts(float* dkernel, const float* dy, const float* x,
                              const ops::SplitConv2d& conv, int64_t images) {
  const ops::SplitLines of_x = conv.backward_kernel_lines(images);
  const ops::SplitProduct product = conv.backward_kernel(images);
  AlignedArray<float> lines(of_x.floats()), parts(product.split_floats()),
      partial(conv.partial_floats(images));
  for_tiles(of_x.tiles(), 0,
            [&](int64_t tile, float*) { of_x.split(kernels(), lines.data(), x, tile); });
  for_tiles(conv.split_dy_tiles(images), 0, [&](int64_t tile, float*) {
    conv.split_dy(kernels(), parts.data(), dy, images, tile);
  });
  for_tiles(conv.backward_kernel_tiles(images), product.scratch(),
            [&](int64_t tile, float* scratch) {
              conv.backward_kernel(kernels(), partial.data(), dy, x, lines.data(), parts.data(),
                                   images, tile, scratch);
            });
  for_tiles(conv.reduce_tiles(), 0, [&](int64_t tile, float*) {
    conv.reduce(kernels(), dkernel, partial.data(), images, tile);
  });
}

py::array conv2d_forward(py::handle x_in, py::handle kernel_in, py::handle bias_in,
                         py::handle strides, py::handle padding, py::handle dilation,
                         py::handle out) {
  Call call("conv2d_forward");
  const Floats x = call.floats_of_rank("x", x_in, 4, kImages);
  const Floats kernel = call.floats_of_rank("kernel", kernel_in, 4, kKernel);
  check_channels(call, kernel, x.shape[3]);
  const int64_t images = x.shape[0], filters = kernel.shape[3];
  const Floats bias = call.optional_floats("bias", bias_in, {filters});
  const Window2d w = convolution(call, x.shape, {kernel.shape[0], kernel.shape[1]}, filters,
                                 strides, padding, dilation);
  const FloatsOut y = call.out("out", out, output_shape(images, w));
  const GemmEpilogue epilogue{bias.data, Activation::linear, 0.0f};
  without_gil([&] {
    const GemmEpilogue* after = bias.data == nullptr ? nullptr : &epilogue;
    const ops::SplitConv2d split{w, matmul_mode()};
    if (split.mode.splits() && split.forward_pays()) {
      return convolve_in_parts(y.data, x.data, kernel.data, after, split.forward(images));
    }
    const ops::Conv2dForward conv{w};
    AlignedArray<float> transformed(conv.transformed_floats());
    for_tiles(conv.transform_tiles(), 0, [&](int64_t tile, float*) {
      conv.transform(kernels(), transformed.data(), kernel.data, tile);
    });
    for_tiles(conv.tiles(images), conv.scratch(), [&](int64_t tile, float* scratch) {
      conv.run(kernels(), y.data, x.data, kernel.data, transformed.data(), after, images, tile,
               scratch);
    });
  });
  return y.object;
}

py::array conv2d_backward_input(py::handle dy_in, py::handle kernel_in, py::handle input_in,
                                py::handle strides, py::handle padding, py::handle dilation,
                                py::handle out) {
  Call call("conv2d_backward_input");
  const Floats dy = call.floats_of_rank("dy", dy_in, 4, kOutputs);
  const Floats kernel = call.floats_of_rank("kernel", kernel_in, 4, kKernel);
  const Shape input = call.shape("input_shape", input_in, 4);
  check_channels(call, kernel, input[3]);
  const int64_t images = input[0];
  const Window2d w = convolution(call, input, {kernel.shape[0], kernel.shape[1]}, kernel.shape[3],
                                 strides, padding, dilation);
  call.check_shape("dy", dy.shape, output_shape(images, w));
  const FloatsOut dx = call.out("out", out, input);
  without_gil([&] {
    const ops::SplitConv2d split{w, matmul_mode()};
    if (split.mode.splits() && split.backward_input_pays()) {
      AlignedArray<float> transposed(split.transposed_floats());
      for_tiles(split.transpose_tiles(), 0, [&](int64_t tile, float*) {
        split.transpose(kernels(), transposed.data(), kernel.data, tile);
      });
      return convolve_in_parts(dx.data, dy.data, transposed.data(), nullptr,
                               split.backward_input(images));
    }
    const ops::Conv2dBackwardInput conv{w};
    AlignedArray<float> transposed(conv.transposed_floats());
    for_tiles(conv.transpose_tiles(), 0, [&](int64_t tile, float*) {
      conv.transpose(kernels(), transposed.data(), kernel.data, tile);
    });
    for_tiles(conv.tiles(images), conv.scratch(), [&](int64_t tile, float* scratch) {
      conv.run(kernels(), dx.data, dy.data, transposed.data(), images, tile, scratch);
    });
  });
  return dx.object;
}

py::array conv2d_backward_kernel(py::handle dy_in, py::handle x_in, py::handle kernel_size,
                                 py::handle strides, py::handle padding, py::handle dilation,
                                 py::handle out) {
  Call call("conv2d_backward_kernel");
  const Floats dy = call.floats_of_rank("dy", dy_in, 4, kOutputs);
  const Floats x = call.floats_of_rank("x", x_in, 4, kImages);
  const int64_t images = x.shape[0];
  const Window2d w = convolution(call, x.shape, call.pair("kernel_size", kernel_size), dy.shape[3],
                                 strides, padding, dilation);
  call.check_shape("dy", dy.shape, output_shape(images, w));
  const FloatsOut dkernel = call.out("out", out, {w.kernel_h, w.kernel_w, w.channels, w.filters});
  without_gil([&] {
    const ops::SplitConv2d split{w, matmul_mode()};
    if (split.mode.splits() && split.backward_kernel_pays()) {
      return kernel_gradient_in_parts(dkernel.data, dy.data, x.data, split, images);
    }
    const ops::Conv2dBackwardKernel conv{w};
    AlignedArray<float> partial(conv.partial_floats(images));
    for_tiles(conv.tiles(images), conv.scratch(), [&](int64_t tile, float* scratch) {
      conv.run(kernels(), partial.data(), dy.data, x.data, images, tile, scratch);
    });
    for_tiles(conv.reduce_tiles(), 0, [&](int64_t tile, float*) {
      conv.reduce(kernels(), dkernel.data, partial.data(), images, tile);
    });
  });
  return dkernel.object;
}

py::array conv2d_backward_bias(py::handle dy_in, py::handle out) {
  Call call("conv2d_backward_bias");
  const Floats dy = call.floats_of_rank("dy", dy_in, 4, kOutputs);
  const FloatsOut dbias = call.out("out", out, {dy.cols()});
  sum_columns(dbias.data, dy.data, dy.rows(), dy.cols());
  return dbias.object;
}

ops::Pool2d pooling(const Call& call, const Shape& input, py::handle pool_in, py::handle strides_in,
                    py::handle padding) {
  const ops::Pair pool = call.pair("pool_size", pool_in);
  const ops::Pair strides = strides_in.is_none() ? pool : call.pair("strides", strides_in);
  return {ops::make_pool_window(call.name(), {input[1], input[2]}, input[3], pool, strides,
                                call.padding(padding))};
}

template <class Body>
void for_images(const ops::Pool2d& pool, int64_t images, Body&& body) {
  without_gil([&] { for_tiles(pool.tiles(images), 0, [&](int64_t tile, float*) { body(tile); }); });
}

py::tuple max_pool2d_forward(py::handle x_in, py::handle pool_size, py::handle strides,
                             py::handle padding, py::handle out) {
  Call call("max_pool2d_forward");
  const Floats x = call.floats_of_rank("x", x_in, 4, kImages);
  const int64_t images = x.shape[0];
  const ops::Pool2d pool = pooling(call, x.shape, pool_size, strides, padding);
  const std::vector<py::object> outs = call.outs(out, 2);
  const FloatsOut y = call.out("out[0]", outs[0], output_shape(images, pool.w));
  const auto argmax = call.out<int32_t>("out[1]", outs[1], y.shape);
  for_images(pool, images, [&](int64_t tile) {
    pool.max_forward(kernels(), y.data, argmax.data, x.data, images, tile);
  });
  return py::make_tuple(y.object, argmax.object);
}

py::array max_pool2d_backward(py::handle dy_in, py::handle argmax_in, py::handle input_in,
                              py::handle pool_size, py::handle strides, py::handle padding,
                              py::handle out) {
  Call call("max_pool2d_backward");
  const Floats dy = call.floats_of_rank("dy", dy_in, 4, kImages);
  const Shape input = call.shape("input_shape", input_in, 4);
  const int64_t images = input[0];
  const ops::Pool2d pool = pooling(call, input, pool_size, strides, padding);
  call.check_shape("dy", dy.shape, output_shape(images, pool.w));
  const int64_t most = pool.w.height * pool.w.width - 1;
  const auto argmax = call.integers<int32_t>("argmax", argmax_in, 0, most, &dy.shape);
  const FloatsOut dx = call.out("out", out, input);
  for_images(pool, images, [&](int64_t tile) {
    pool.max_backward(kernels(), dx.data, dy.data, argmax.data, images, tile);
  });
  return dx.object;
}

py::array average_pool2d_forward(py::handle x_in, py::handle pool_size, py::handle strides,
                                 py::handle padding, py::handle out) {
  Call call("average_pool2d_forward");
  const Floats x = call.floats_of_rank("x", x_in, 4, kImages);
  const int64_t images = x.shape[0];
  const ops::Pool2d pool = pooling(call, x.shape, pool_size, strides, padding);
  const FloatsOut y = call.out("out", out, output_shape(images, pool.w));
  for_images(pool, images,
             [&](int64_t tile) { pool.average_forward(kernels(), y.data, x.data, images, tile); });
  return y.object;
}

py::array average_pool2d_backward(py::handle dy_in, py::handle input_in, py::handle pool_size,
                                  py::handle strides, py::handle padding, py::handle out) {
  Call call("average_pool2d_backward");
  const Floats dy = call.floats_of_rank("dy", dy_in, 4, kImages);
  const Shape input = call.shape("input_shape", input_in, 4);
  const int64_t images = input[0];
  const ops::Pool2d pool = pooling(call, input, pool_size, strides, padding);
  call.check_shape("dy", dy.shape, output_shape(images, pool.w));
  const FloatsOut dx = call.out("out", out, input);
  for_images(pool, images, [&](int64_t tile) {
    pool.average_backward(kernels(), dx.data, dy.data, images, tile);
  });
  return dx.object;
}

}  // namespace

void bind_image_kernels(py::module_& m) {
  m.def("conv2d_forward", &conv2d_forward);
  m.def("conv2d_backward_input", &conv2d_backward_input);
  m.def("conv2d_backward_kernel", &conv2d_backward_kernel);
  m.def("conv2d_backward_bias", &conv2d_backward_bias);
  m.def("max_pool2d_forward", &max_pool2d_forward);
  m.def("max_pool2d_backward", &max_pool2d_backward);
  m.def("average_pool2d_forward", &average_pool2d_forward);
  m.def("average_pool2d_backward", &average_pool2d_backward);
}

}  // namespace lamina::bindings
