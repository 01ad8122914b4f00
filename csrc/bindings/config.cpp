// What was built, what was picked, and how many threads there are.
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "cpu/cores.h"
#include "cpu/dispatch.h"
#include "cpu/parallel.h"
#include "cpu/precision.h"

#ifndef LAMINA_VERSION
#define LAMINA_VERSION "unknown"
#endif

namespace py = pybind11;

namespace lamina::bindings {
namespace {

// The level of checked library calls; it leaves no trace in the symbols where none was needed.
#ifdef _FORTIFY_SOURCE
constexpr int kFortify = _FORTIFY_SOURCE;
#else
constexpr int kFortify = 0;
#endif

}  // namespace

// For threadpoolctl, which finds libraries in the process and calls them without Python. Exported
// by cmake/exports.map.
extern "C" __attribute__((visibility("default"))) int lamina_get_num_threads() {
  return num_threads();
}
extern "C" __attribute__((visibility("default"))) void lamina_set_num_threads(int n) {
  set_num_threads(std::clamp(n, 1, 1024));
}

void bind_config(py::module_& m) {
  m.attr("__version__") = LAMINA_VERSION;
  // A wrong LAMINA_ISA or LAMINA_NUM_THREADS fails here, at import.
  m.attr("isa") = kernels().isa;
  num_threads();
  m.def("get_num_threads", &num_threads);
  m.def(
      "set_num_threads",
      [](py::handle n, bool oversubscribe) {
        set_num_threads(
            Call("set_num_threads").integer("n", n, std::numeric_limits<int64_t>::min()),
            oversubscribe);
      },
      py::arg("n"), py::arg("oversubscribe") = false);
  m.def("quota_cores", &quota_cores, py::arg("root"));  // for tests
  // For tests; times in seconds.
  py::class_<Pace>(m, "Pace")
      .def(py::init<>())
      .def("workers", &Pace::workers, py::arg("most"))
      .def(
          "took",
          [](Pace& pace, double begin, double end) {
            const auto at = [](double seconds) {
              return Pace::Clock::time_point(std::chrono::duration_cast<Pace::Clock::duration>(
                  std::chrono::duration<double>(seconds)));
            };
            pace.took(at(begin), at(end));
          },
          py::arg("begin"), py::arg("end"));
  m.def("get_float32_matmul_precision", &matmul_precision);
  m.def("set_float32_matmul_precision", &set_matmul_precision, py::arg("precision"));
  m.def("show_config", [] {
    py::dict config;
    config["version"] = LAMINA_VERSION;
    config["isa"] = kernels().isa;
    config["built"] = built_isas();
    config["runnable"] = runnable_isas();
    config["float32_matmul_precision"] = matmul_precision();
    config["matrix_unit"] = matrix_unit_state();
    config["openmp"] = has_openmp();
    config["threads"] = num_threads();
    config["compiler"] = __VERSION__;
    config["fortify"] = kFortify;
    return config;
  });
}

}  // namespace lamina::bindings
