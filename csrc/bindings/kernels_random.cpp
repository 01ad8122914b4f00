// Random numbers from a counter, and dropout.
#include "bindings/arrays.h"
#include "bindings/kernels.h"
#include "cpu/dispatch.h"

namespace lamina::bindings {
namespace {

constexpr int64_t kMostUint32 = std::numeric_limits<uint32_t>::max();

RandomStream stream_of(const Call& call, py::handle seed, py::handle layer, py::handle step) {
  return {call.seed("seed", seed),
          static_cast<uint32_t>(call.integer("layer", layer, 0, kMostUint32)),
          static_cast<uint32_t>(call.integer("step", step, 0, kMostUint32))};
}

py::array philox4x32(py::handle counters_in, py::handle keys_in) {
  Call call("philox4x32");
  const auto counters = call.integers<uint32_t>("counters", counters_in, 0, kMostUint32);
  if (counters.rank() != 2 || counters.shape[1] != 4) {
    throw call.value_error("counters must have shape (n, 4), got " + to_string(counters.shape));
  }
  const Shape pairs{counters.shape[0], 2};
  const auto keys = call.integers<uint32_t>("keys", keys_in, 0, kMostUint32, &pairs);
  const auto words = call.out<uint32_t>("out", py::none(), counters.shape);
  for_rows(counters.shape[0], 4, [&](int64_t i, int64_t n) {
    kernels().philox4x32(words.data + 4 * i, counters.data + 4 * i, keys.data + 2 * i, n);
  });
  return words.object;
}

py::array random_bits(py::handle n_in, py::handle seed, py::handle layer, py::handle step,
                      py::handle first_in) {
  Call call("random_bits");
  const int64_t count = call.integer("n", n_in);
  const RandomStream stream = stream_of(call, seed, layer, step);
  const int64_t first =
      call.integer("first", first_in, 0, std::numeric_limits<int64_t>::max() - count);
  if (first % 64 != 0) {
    throw call.value_error("first must be a multiple of 64, got " + std::to_string(first));
  }
  const auto words = call.out<uint32_t>("out", py::none(), {count});
  for_elements(count, [&](int64_t i, int64_t n) {
    kernels().random_bits(words.data + i, stream, first + i, n);
  });
  return words.object;
}

py::array dropout(const char* name, const char* argument, py::handle x_in, py::handle rate_in,
                  py::handle seed, py::handle layer, py::handle step, py::handle out) {
  Call call(name);
  const Floats x = call.floats(argument, x_in);
  const float rate = call.number("rate", rate_in, 0.0, 1.0);
  if (rate >= 1.0f) throw call.value_error("rate must be below 1, got " + describe(rate_in));
  const RandomStream stream = stream_of(call, seed, layer, step);
  const FloatsOut y = call.out("out", out, x.shape, {argument});
  for_elements(x.size(), [&](int64_t i, int64_t n) {
    kernels().dropout(y.data + i, x.data + i, stream, i, n, rate);
  });
  return y.object;
}

}  // namespace

void bind_random_kernels(py::module_& m) {
  m.def("philox4x32", &philox4x32);
  m.def("random_bits", &random_bits);
  m.def("dropout_forward", [](py::handle x, py::handle rate, py::handle seed, py::handle layer,
                              py::handle step, py::handle out) {
    return dropout("dropout_forward", "x", x, rate, seed, layer, step, out);
  });
  m.def("dropout_backward", [](py::handle dy, py::handle rate, py::handle seed, py::handle layer,
                               py::handle step, py::handle out) {
    return dropout("dropout_backward", "dy", dy, rate, seed, layer, step, out);
  });
}

}  // namespace lamina::bindings
