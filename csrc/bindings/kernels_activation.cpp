// Activation functions and softmax. Each may overwrite any of its inputs.
#include "bindings/arrays.h"
#include "bindings/kernels.h"
#include "cpu/dispatch.h"

namespace lamina::bindings {
namespace {

py::array forward(const char* name, Activation which, py::handle x_in, py::handle alpha_in,
                  py::handle out) {
  Call call(name);
  const Floats x = call.floats("x", x_in);
  const float alpha = call.number("alpha", alpha_in);
  const FloatsOut y = call.out("out", out, x.shape, {"x"});
  const auto kernel = kernels().activation_forward[static_cast<int>(which)];
  for_elements(x.size(), [&](int64_t i, int64_t n) { kernel(y.data + i, x.data + i, n, alpha); });
  return y.object;
}

// `argument` is what the forward pass left behind: x or y.
py::array backward(const char* name, const char* argument, Activation which, py::handle dy_in,
                   py::handle saved_in, py::handle alpha_in, py::handle out) {
  Call call(name);
  const Floats dy = call.floats("dy", dy_in);
  const Floats saved = call.floats(argument, saved_in, dy.shape);
  const float alpha = call.number("alpha", alpha_in);
  const FloatsOut dx = call.out("out", out, dy.shape, {"dy", argument});
  const auto kernel = kernels().activation_backward[static_cast<int>(which)];
  for_elements(dy.size(), [&](int64_t i, int64_t n) {
    kernel(dx.data + i, dy.data + i, saved.data + i, n, alpha);
  });
  return dx.object;
}

template <Activation which>
void bind_activation(py::module_& m, const char* forward_name, const char* backward_name,
                     const char* saved) {
  m.def(forward_name, [forward_name](py::handle x, py::handle alpha, py::handle out) {
    return forward(forward_name, which, x, alpha, out);
  });
  m.def(backward_name, [=](py::handle dy, py::handle saved_in, py::handle alpha, py::handle out) {
    return backward(backward_name, saved, which, dy, saved_in, alpha, out);
  });
}

using RowsForward = void (*)(float*, const float*, int64_t, int64_t);
using RowsBackward = void (*)(float*, const float*, const float*, int64_t, int64_t);

py::array rows_forward(const char* name, RowsForward Kernels::* kernel, py::handle x_in,
                       py::handle out) {
  Call call(name);
  const Floats x = call.floats_from_rank("x", x_in, 1, "(..., cols)");
  const FloatsOut y = call.out("out", out, x.shape, {"x"});
  const int64_t cols = x.cols();
  for_rows(x.rows(), cols, [&](int64_t i, int64_t n) {
    (kernels().*kernel)(y.data + i * cols, x.data + i * cols, n, cols);
  });
  return y.object;
}

py::array rows_backward(const char* name, RowsBackward Kernels::* kernel, py::handle dy_in,
                        py::handle y_in, py::handle out) {
  Call call(name);
  const Floats dy = call.floats_from_rank("dy", dy_in, 1, "(..., cols)");
  const Floats y = call.floats("y", y_in, dy.shape);
  const FloatsOut dx = call.out("out", out, dy.shape, {"dy", "y"});
  const int64_t cols = dy.cols();
  for_rows(dy.rows(), cols, [&](int64_t i, int64_t n) {
    (kernels().*kernel)(dx.data + i * cols, dy.data + i * cols, y.data + i * cols, n, cols);
  });
  return dx.object;
}

}  // namespace

void bind_activation_kernels(py::module_& m) {
  bind_activation<Activation::relu>(m, "relu_forward", "relu_backward", "y");
  bind_activation<Activation::leaky_relu>(m, "leaky_relu_forward", "leaky_relu_backward", "y");
  bind_activation<Activation::elu>(m, "elu_forward", "elu_backward", "y");
  bind_activation<Activation::sigmoid>(m, "sigmoid_forward", "sigmoid_backward", "y");
  bind_activation<Activation::tanh>(m, "tanh_forward", "tanh_backward", "y");
  bind_activation<Activation::softplus>(m, "softplus_forward", "softplus_backward", "y");
  bind_activation<Activation::gelu>(m, "gelu_forward", "gelu_backward", "x");
  bind_activation<Activation::gelu_tanh>(m, "gelu_tanh_forward", "gelu_tanh_backward", "x");

  m.def("softmax_forward", [](py::handle x, py::handle out) {
    return rows_forward("softmax_forward", &Kernels::softmax_forward, x, out);
  });
  m.def("softmax_backward", [](py::handle dy, py::handle y, py::handle out) {
    return rows_backward("softmax_backward", &Kernels::softmax_backward, dy, y, out);
  });
  m.def("log_softmax_forward", [](py::handle x, py::handle out) {
    return rows_forward("log_softmax_forward", &Kernels::log_softmax_forward, x, out);
  });
  m.def("log_softmax_backward", [](py::handle dy, py::handle y, py::handle out) {
    return rows_backward("log_softmax_backward", &Kernels::log_softmax_backward, dy, y, out);
  });
}

}  // namespace lamina::bindings
