// Losses with their gradients. The gradient may overwrite the first input.
#include <algorithm>

#include "bindings/arrays.h"
#include "bindings/kernels.h"
#include "cpu/dispatch.h"

namespace lamina::bindings {
namespace {

template <class Target>
using LossKernel = void (*)(float*, float*, const float*, const Target*, const float*, int64_t,
                            int64_t, float);

constexpr int64_t kMostLabels = std::numeric_limits<int32_t>::max();

// `stride` is the number of targets a row has.
template <class Target>
py::tuple run(Call& call, LossKernel<Target> kernel, const char* first, const Floats& input,
              const Target* targets, int64_t stride, py::handle weight_in, py::handle scale_in,
              py::handle out) {
  const int64_t rows = input.shape[0], cols = input.shape[1];
  const Floats weights = call.optional_floats("sample_weight", weight_in, {rows});
  const float scale = call.number("scale", scale_in);
  const std::vector<py::object> outs = call.outs(out, 2);
  const FloatsOut loss = call.out("out[0]", outs[0], {rows});
  const FloatsOut d = call.out("out[1]", outs[1], input.shape, {first});
  if (cols == 0) std::fill_n(loss.data, rows, 0.0f);  // the sum of nothing
  for_rows(rows, cols, [&](int64_t i, int64_t n) {
    kernel(loss.data + i, d.data + i * cols, input.data + i * cols, targets + i * stride,
           weights.data == nullptr ? nullptr : weights.data + i, n, cols, scale);
  });
  return py::make_tuple(loss.object, d.object);
}

void bind_sparse(py::module_& m, const char* name, const char* first,
                 LossKernel<int32_t> Kernels::* kernel) {
  m.def(name, [=](py::handle input_in, py::handle labels_in, py::handle weight, py::handle scale,
                  py::handle out) {
    Call call(name);
    const Floats input = call.floats_of_rank(first, input_in, 2, "(rows, cols)");
    const Shape rows{input.shape[0]};
    const int64_t most = std::min(input.shape[1] - 1, kMostLabels);
    const auto labels = call.integers<int32_t>("labels", labels_in, 0, most, &rows);
    return run<int32_t>(call, kernels().*kernel, first, input, labels.data, 1, weight, scale, out);
  });
}

void bind_dense(py::module_& m, const char* name, const char* first,
                LossKernel<float> Kernels::* kernel) {
  m.def(name, [=](py::handle input_in, py::handle targets_in, py::handle weight, py::handle scale,
                  py::handle out) {
    Call call(name);
    const Floats input = call.floats_of_rank(first, input_in, 2, "(rows, cols)");
    const Floats targets = call.floats("targets", targets_in, input.shape);
    return run<float>(call, kernels().*kernel, first, input, targets.data, input.shape[1], weight,
                      scale, out);
  });
}

}  // namespace

void bind_loss_kernels(py::module_& m) {
  bind_sparse(m, "softmax_cross_entropy_sparse", "logits", &Kernels::softmax_cross_entropy_sparse);
  bind_dense(m, "softmax_cross_entropy_onehot", "logits", &Kernels::softmax_cross_entropy_onehot);
  bind_dense(m, "sigmoid_cross_entropy", "logits", &Kernels::sigmoid_cross_entropy);
  bind_dense(m, "mean_squared_error", "predictions", &Kernels::mean_squared_error);
  bind_dense(m, "mean_absolute_error", "predictions", &Kernels::mean_absolute_error);
  bind_sparse(m, "cross_entropy_sparse", "probabilities", &Kernels::cross_entropy_sparse);
  bind_dense(m, "cross_entropy_onehot", "probabilities", &Kernels::cross_entropy_onehot);
  bind_dense(m, "binary_cross_entropy", "probabilities", &Kernels::binary_cross_entropy);
}

}  // namespace lamina::bindings
