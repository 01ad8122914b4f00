// Batch normalisation over every axis but the last.
#include "bindings/arrays.h"
#include "bindings/kernels.h"
#include "cpu/dispatch.h"
#include "cpu/memory.h"
#include "ops/batch_norm.h"

namespace lamina::bindings {
namespace {

constexpr const char* kAxes = "(..., channels) with at least two axes";

// Runs body(tile) over the rows.
template <class Body>
void for_tiles_of(const ops::BatchNorm& norm, int64_t rows, Body&& body) {
  for_tiles(norm.row_tiles(rows), 0, [&](int64_t tile, float*) { body(tile); });
}

float epsilon_of(const Call& call, py::handle epsilon) {
  return call.number("epsilon", epsilon, 0.0, std::numeric_limits<double>::infinity());
}

py::tuple batch_norm_forward(py::handle x_in, py::handle gamma_in, py::handle beta_in,
                             py::handle epsilon, py::handle out) {
  Call call("batch_norm_forward");
  const Floats x = call.floats_from_rank("x", x_in, 2, kAxes);
  const int64_t rows = x.rows(), cols = x.cols();
  const Floats gamma = call.floats("gamma", gamma_in, {cols});
  const Floats beta = call.floats("beta", beta_in, {cols});
  const ops::BatchNorm norm{cols, epsilon_of(call, epsilon)};
  const std::vector<py::object> outs = call.outs(out, 3);
  const FloatsOut y = call.out("out[0]", outs[0], x.shape, {"x"});
  const FloatsOut mean = call.out("out[1]", outs[1], {cols});
  const FloatsOut variance = call.out("out[2]", outs[2], {cols});
  without_gil([&] {
    AlignedArray<float> rstd(cols), scale(cols), partial(norm.partial_floats(rows));
    for_tiles_of(norm, rows,
                 [&](int64_t tile) { norm.sum(kernels(), partial.data(), x.data, rows, tile); });
    norm.center(kernels(), mean.data, x.data, partial.data(), rows);
    for_tiles_of(norm, rows, [&](int64_t tile) {
      norm.deviations(kernels(), partial.data(), x.data, mean.data, rows, tile);
    });
    norm.statistics(kernels(), mean.data, variance.data, partial.data(), rows);
    norm.scales(rstd.data(), scale.data(), gamma.data, variance.data);
    for_tiles_of(norm, rows, [&](int64_t tile) {
      norm.apply(kernels(), y.data, x.data, mean.data, scale.data(), beta.data, rows, tile);
    });
  });
  return py::make_tuple(y.object, mean.object, variance.object);
}

py::array batch_norm_inference(py::handle x_in, py::handle gamma_in, py::handle beta_in,
                               py::handle mean_in, py::handle variance_in, py::handle epsilon,
                               py::handle out) {
  Call call("batch_norm_inference");
  const Floats x = call.floats_from_rank("x", x_in, 2, kAxes);
  const int64_t rows = x.rows(), cols = x.cols();
  const Floats gamma = call.floats("gamma", gamma_in, {cols});
  const Floats beta = call.floats("beta", beta_in, {cols});
  const Floats mean = call.floats("mean", mean_in, {cols});
  const Floats variance = call.floats("variance", variance_in, {cols});
  const ops::BatchNorm norm{cols, epsilon_of(call, epsilon)};
  const FloatsOut y = call.out("out", out, x.shape, {"x"});
  without_gil([&] {
    AlignedArray<float> rstd(cols), scale(cols);
    norm.scales(rstd.data(), scale.data(), gamma.data, variance.data);
    for_tiles_of(norm, rows, [&](int64_t tile) {
      norm.apply(kernels(), y.data, x.data, mean.data, scale.data(), beta.data, rows, tile);
    });
  });
  return y.object;
}

py::tuple batch_norm_backward(py::handle dy_in, py::handle x_in, py::handle gamma_in,
                              py::handle mean_in, py::handle variance_in, py::handle epsilon,
                              py::handle out) {
  Call call("batch_norm_backward");
  const Floats dy = call.floats_from_rank("dy", dy_in, 2, kAxes);
  const Floats x = call.floats("x", x_in, dy.shape);
  const int64_t rows = x.rows(), cols = x.cols();
  const Floats gamma = call.floats("gamma", gamma_in, {cols});
  const Floats mean = call.floats("mean", mean_in, {cols});
  const Floats variance = call.floats("variance", variance_in, {cols});
  const ops::BatchNorm norm{cols, epsilon_of(call, epsilon)};
  const std::vector<py::object> outs = call.outs(out, 3);
  const FloatsOut dx = call.out("out[0]", outs[0], dy.shape, {"dy"});
  const FloatsOut dgamma = call.out("out[1]", outs[1], {cols});
  const FloatsOut dbeta = call.out("out[2]", outs[2], {cols});
  without_gil([&] {
    AlignedArray<float> rstd(cols), a(cols), b(cols), c(cols), partial(norm.partial_floats(rows));
    norm.scales(rstd.data(), a.data(), gamma.data, variance.data);
    for_tiles_of(norm, rows, [&](int64_t tile) {
      norm.sums(kernels(), partial.data(), dy.data, x.data, mean.data, rstd.data(), rows, tile);
    });
    norm.coefficients(kernels(), dgamma.data, dbeta.data, a.data(), b.data(), c.data(),
                      partial.data(), gamma.data, rstd.data(), rows, true);
    for_tiles_of(norm, rows, [&](int64_t tile) {
      norm.input(kernels(), dx.data, dy.data, x.data, mean.data, a.data(), b.data(), c.data(), rows,
                 tile);
    });
  });
  return py::make_tuple(dx.object, dgamma.object, dbeta.object);
}

}  // namespace

void bind_normalization_kernels(py::module_& m) {
  m.def("batch_norm_forward", &batch_norm_forward);
  m.def("batch_norm_inference", &batch_norm_inference);
  m.def("batch_norm_backward", &batch_norm_backward);
}

}  // namespace lamina::bindings
