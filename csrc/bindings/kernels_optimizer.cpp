// One step of an optimizer, in place.
#include <cmath>

#include "bindings/arrays.h"
#include "bindings/kernels.h"
#include "cpu/dispatch.h"

namespace lamina::bindings {
namespace {

constexpr double kBelowOne = 0.99999999999999989;  // the largest double below 1
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// A thousand times the root of a denormal, which square_root gets wrong.
constexpr double kLeastEpsilon = 1e-16;

py::array sgd_step(py::handle w_in, py::handle dw_in, py::handle rate_in, py::handle momentum_in,
                   bool nesterov, py::handle velocity_in) {
  Call call("sgd_step");
  const Floats dw = call.floats("dw", dw_in);
  const FloatsOut w = call.in_out("w", w_in);
  call.check_shape("dw", dw.shape, w.shape);
  const float rate = call.number("learning_rate", rate_in);
  const float momentum = call.number("momentum", momentum_in, 0.0, 1.0);
  if (momentum == 0.0f) {
    for_elements(w.size(), [&](int64_t i, int64_t n) {
      kernels().sgd_step(w.data + i, dw.data + i, n, rate);
    });
    return w.object;
  }
  if (velocity_in.is_none()) {
    throw call.value_error("momentum is not 0, so velocity must be given; got None");
  }
  const FloatsOut velocity = call.in_out("velocity", velocity_in, w.shape);
  for_elements(w.size(), [&](int64_t i, int64_t n) {
    kernels().sgd_momentum_step(w.data + i, velocity.data + i, dw.data + i, n, rate, momentum,
                                nesterov);
  });
  return w.object;
}

py::array adam_step(py::handle w_in, py::handle m_in, py::handle v_in, py::handle dw_in,
                    py::handle step_in, py::handle rate_in, py::handle beta_1, py::handle beta_2,
                    py::handle epsilon) {
  Call call("adam_step");
  const Floats dw = call.floats("dw", dw_in);
  const FloatsOut w = call.in_out("w", w_in);
  call.check_shape("dw", dw.shape, w.shape);
  const FloatsOut m = call.in_out("m", m_in, w.shape);
  const FloatsOut v = call.in_out("v", v_in, w.shape);
  const int64_t count = call.integer("step", step_in, 1);
  const auto t = static_cast<double>(count);
  const double rate = call.number("learning_rate", rate_in);
  // In double, as Python gave them: 1 - beta_2 of a float32 has lost four digits.
  const double b1 = call.real("beta_1", beta_1, 0.0, kBelowOne);
  const double b2 = call.real("beta_2", beta_2, 0.0, kBelowOne);
  const double corrected = rate * std::sqrt(1.0 - std::pow(b2, t)) / (1.0 - std::pow(b1, t));
  const AdamStep step{.rate = static_cast<float>(corrected),
                      .decay_1 = static_cast<float>(1.0 - b1),
                      .decay_2 = static_cast<float>(1.0 - b2),
                      .epsilon = call.number("epsilon", epsilon, kLeastEpsilon, kInfinity),
                      .clears = clears_moments(count)};
  for_elements(w.size(), [&](int64_t i, int64_t n) {
    kernels().adam_step(w.data + i, m.data + i, v.data + i, dw.data + i, n, step);
  });
  return w.object;
}

}  // namespace

void bind_optimizer_kernels(py::module_& m) {
  m.def("sgd_step", &sgd_step);
  m.def("adam_step", &adam_step);
}

}  // namespace lamina::bindings
