// Matrix product, bias, and reductions along one axis of a matrix.
#include <algorithm>
#include <array>
#include <limits>

#include "bindings/arrays.h"
#include "bindings/kernels.h"
#include "cpu/dispatch.h"
#include "cpu/memory.h"
#include "cpu/precision.h"
#include "ops/column_sums.h"
#include "ops/gemm.h"
#include "ops/long_product.h"
#include "ops/split_product.h"

namespace lamina::bindings {
namespace {

// In the order of enum Activation.
constexpr std::array<const char*, kActivations> kActivationNames = {
    "linear", "relu", "leaky_relu", "elu", "sigmoid", "tanh", "gelu", "gelu_tanh", "softplus"};

Activation activation_named(const Call& call, py::handle value) {
  if (!py::isinstance<py::str>(value)) {
    throw call.type_error("activation must be a string, got " + describe(value));
  }
  const auto name = value.cast<std::string>();
  std::string known;
  for (size_t i = 0; i < kActivationNames.size(); ++i) {
    if (name == kActivationNames[i]) return static_cast<Activation>(i);
    known += (i == 0 ? "" : ", ") + std::string(kActivationNames[i]);
  }
  throw call.value_error("activation must be one of " + known + "; got '" + name + "'");
}

// All rounds in one region: at the end of each, every thread would be waited for.
void multiply_long(float* c, const float* a, const float* b, const ops::LongProduct& product) {
  const int workers = workers_for_tiles(product.sum_tiles(0), 2);
  const int64_t piece = scratch_piece(product.scratch());
  AlignedArray<float> partial(product.partial_floats()), scratch(piece * workers);
  with_team(workers, [&](Team& team, int count) {
    for (int64_t round = 0; round < product.rounds(); ++round) {
      team.run(product.sum_tiles(round), count, [&](int64_t tile, int worker) {
        product.sum(kernels(), partial.data(), a, b, round, tile, scratch.data() + piece * worker);
      });
      team.run(product.reduce_tiles(round), count, [&](int64_t tile, int) {
        product.reduce(kernels(), c, partial.data(), round, tile);
      });
    }
  });
}

py::array gemm(py::handle a_in, py::handle b_in, bool trans_a, bool trans_b, py::handle alpha,
               py::handle beta, py::handle bias_in, py::handle activation,
               py::handle activation_alpha, py::handle out) {
  Call call("gemm");
  const Floats a = call.floats_of_rank("a", a_in, 2, trans_a ? "(K, M)" : "(M, K)");
  const Floats b = call.floats_of_rank("b", b_in, 2, trans_b ? "(N, K)" : "(K, N)");
  ops::Gemm product{.m = a.shape[trans_a ? 1 : 0],
                    .n = b.shape[trans_b ? 0 : 1],
                    .k = a.shape[trans_a ? 0 : 1],
                    .trans_a = trans_a,
                    .trans_b = trans_b,
                    .alpha = call.number("alpha", alpha),
                    .beta = call.number("beta", beta),
                    .workers = num_threads(),
                    .most_work = std::numeric_limits<int64_t>::max()};
  if (b.shape[trans_b ? 1 : 0] != product.k) {
    throw call.value_error("a and b must agree in K: op(a) is " +
                           to_string({product.m, product.k}) + ", op(b) is " +
                           to_string({b.shape[trans_b ? 1 : 0], product.n}));
  }
  if (product.beta != 0.0f && out.is_none()) {
    throw call.value_error("beta is not 0, so out must be given: it holds C; got None");
  }
  checked_product({product.m, product.n, product.k});
  const Floats bias = call.optional_floats("bias", bias_in, {product.n});
  const GemmEpilogue epilogue{bias.data, activation_named(call, activation),
                              call.number("activation_alpha", activation_alpha)};
  const FloatsOut c = call.out("out", out, {product.m, product.n});
  const bool plain = bias.data == nullptr && epilogue.activation == Activation::linear;
  const ops::LongProduct along_k{product};
  const bool cut = plain && product.alpha == 1.0f && product.beta == 0.0f && along_k.rounds() > 0;
  without_gil([&] {
    const GemmEpilogue* after = plain ? nullptr : &epilogue;
    const ops::SplitProduct split{product, matmul_mode()};
    if (split.mode.splits() && ops::SplitProduct::pays(product.n, product.k)) {
      AlignedArray<float> split_b(split.split_floats());
      for_tiles(split.split_tiles(), 0, [&](int64_t tile, float*) {
        split.split(kernels(), split_b.data(), b.data, tile);
      });
      for_tiles(
          split.tiles(), split.scratch(),
          [&](int64_t tile, float* scratch) {
            split.run(kernels(), c.data, a.data, b.data, split_b.data(), after, tile, scratch);
          },
          split.least_tiles());
      return;
    }
    if (cut) return multiply_long(c.data, a.data, b.data, along_k);
    for_tiles(
        product.tiles(), product.scratch(),
        [&](int64_t tile, float* scratch) {
          product.run(kernels(), c.data, a.data, b.data, after, tile, scratch);
        },
        product.least_tiles());
  });
  return c.object;
}

py::array add_bias(py::handle x_in, py::handle bias_in, py::handle out) {
  Call call("add_bias");
  const Floats x = call.floats_from_rank("x", x_in, 1, "(..., cols)");
  const int64_t cols = x.cols();
  const Floats bias = call.floats("bias", bias_in, {cols});
  const FloatsOut y = call.out("out", out, x.shape);
  for_rows(x.rows(), cols, [&](int64_t i, int64_t n) {
    kernels().add_bias(y.data + i * cols, x.data + i * cols, bias.data, n, cols);
  });
  return y.object;
}

py::array column_sums(py::handle x_in, py::handle out) {
  Call call("column_sums");
  const Floats x = call.floats_of_rank("x", x_in, 2, "(rows, cols)");
  const FloatsOut y = call.out("out", out, {x.cols()});
  sum_columns(y.data, x.data, x.shape[0], x.cols());
  return y.object;
}

py::array row_sums(py::handle x_in, py::handle out) {
  Call call("row_sums");
  const Floats x = call.floats_of_rank("x", x_in, 2, "(rows, cols)");
  const int64_t cols = x.cols();
  const FloatsOut y = call.out("out", out, {x.shape[0]});
  if (cols == 0) std::fill_n(y.data, y.size(), 0.0f);  // the sum of nothing
  for_rows(x.shape[0], cols, [&](int64_t i, int64_t n) {
    kernels().row_sums(y.data + i, x.data + i * cols, n, cols);
  });
  return y.object;
}

py::array row_argmax(py::handle x_in, py::handle out) {
  Call call("row_argmax");
  const Floats x = call.floats_of_rank("x", x_in, 2, "(rows, cols)");
  const int64_t cols = x.cols();
  if (cols == 0 && x.shape[0] > 0) {
    throw call.value_error("x must have at least one column, got " + to_string(x.shape));
  }
  const Array<int32_t> y = call.out<int32_t>("out", out, {x.shape[0]});
  for_rows(x.shape[0], cols, [&](int64_t i, int64_t n) {
    kernels().row_argmax(y.data + i, x.data + i * cols, n, cols);
  });
  return y.object;
}

}  // namespace

void sum_columns(float* out, const float* x, int64_t rows, int64_t cols) {
  const ops::ColumnSums sums{cols};
  without_gil([&] {
    AlignedArray<float> partial(sums.partial_floats(rows));
    for_tiles(sums.sum_tiles(rows), 0,
              [&](int64_t tile, float*) { sums.sum(kernels(), partial.data(), x, rows, tile); });
    for_tiles(sums.reduce_tiles(), 0, [&](int64_t tile, float*) {
      sums.reduce(kernels(), out, partial.data(), rows, tile);
    });
  });
}

void bind_matrix_kernels(py::module_& m) {
  m.def("gemm", &gemm);
  m.def("add_bias", &add_bias);
  m.def("column_sums", &column_sums);
  m.def("row_sums", &row_sums);
  m.def("row_argmax", &row_argmax);
}

}  // namespace lamina::bindings
