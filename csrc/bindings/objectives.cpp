// Loss, Metric and Optimizer: what a network is trained for and how.
#include "bindings/objectives.h"

#include <pybind11/numpy.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/dtypes.h"
#include "bindings/views.h"
#include "engine/optimizer.h"

namespace py = pybind11;

namespace lamina::bindings {
namespace {

using namespace engine;  // NOLINT

MetricKind metric_kind(const std::string& name, Loss& loss) {
  if (name == "sparse_categorical_accuracy") return MetricKind::sparse_categorical_accuracy;
  if (name == "categorical_accuracy") return MetricKind::categorical_accuracy;
  if (name == "binary_accuracy") return MetricKind::binary_accuracy;
  if (name == "host") return MetricKind::host;
  loss.kind = Loss::parse(name);
  return MetricKind::loss;
}

// Copies class numbers, unless out is null; false if one is not in [0, classes).
template <class T>
bool copy_classes(int32_t* out, const void* in, int64_t n, int64_t classes) {
  const T* values = static_cast<const T*>(in);
  bool fit = true;
  for (int64_t i = 0; i < n; ++i) {
    // A negative number becomes a large one.
    fit &= static_cast<uint64_t>(values[i]) < static_cast<uint64_t>(classes);
    if (out != nullptr) out[i] = static_cast<int32_t>(values[i]);
  }
  return fit;
}

bool copy_classes(DType dtype, int32_t* out, const void* in, int64_t n, int64_t classes) {
  switch (dtype) {
    case DType::int8:
      return copy_classes<int8_t>(out, in, n, classes);
    case DType::uint8:
      return copy_classes<uint8_t>(out, in, n, classes);
    case DType::int32:
      return copy_classes<int32_t>(out, in, n, classes);
    case DType::int64:
      return copy_classes<int64_t>(out, in, n, classes);
    default:
      return false;
  }
}

// y as int32 (itself where it is), or None where that takes a closer look: at another type, another
// layout, or a number that is not in [0, classes). One call, for batches whose work is a few
// microseconds.
py::object class_numbers(const py::array& y, int64_t classes) {
  const auto dtype = native_dtype(y);
  const int wanted = static_cast<int>(py::array::c_style) | kAligned;
  if (!dtype || y.ndim() < 1 || (y.flags() & wanted) != wanted) return py::none();
  if (classes < 1 || classes > std::numeric_limits<int32_t>::max()) return py::none();
  if (*dtype == DType::int32) {
    const bool fit = copy_classes(*dtype, nullptr, y.data(), y.size(), classes);
    return fit ? py::object(y) : py::none();
  }
  py::array_t<int32_t> out(std::vector<py::ssize_t>(y.shape(), y.shape() + y.ndim()));
  if (!copy_classes(*dtype, out.mutable_data(), y.data(), y.size(), classes)) return py::none();
  return out;
}

}  // namespace

void bind_objectives(py::module_& m) {
  m.def("class_numbers", &class_numbers, py::arg("y"), py::arg("classes"));
  py::class_<PyLoss>(m, "Loss").def(
      py::init([](const std::string& kind, bool from_logits, float label_smoothing) {
        return PyLoss{Loss{Loss::parse(kind), from_logits, label_smoothing, nullptr, nullptr},
                      py::none(), py::none()};
      }),
      py::arg("kind"), py::arg("from_logits") = false, py::arg("label_smoothing") = 0.0f);
  m.def(
      "host_loss",
      [](py::function forward, py::function backward) {
        Loss loss;
        loss.kind = LossKind::host;
        return PyLoss{loss, forward, backward};
      },
      py::arg("forward"), py::arg("backward"));
  py::class_<PyMetric>(m, "Metric")
      .def(py::init([](const std::string& kind, bool weighted, float threshold, bool from_logits,
                       float label_smoothing, py::object forward) {
             PyMetric metric{{}, forward};
             metric.metric.kind = metric_kind(kind, metric.metric.loss);
             metric.metric.loss.from_logits = from_logits;
             metric.metric.loss.label_smoothing = label_smoothing;
             metric.metric.weighted = weighted;
             metric.metric.threshold = threshold;
             if (metric.metric.kind == MetricKind::host && forward.is_none()) {
               throw py::value_error("a host metric needs forward");
             }
             return metric;
           }),
           py::arg("kind"), py::arg("weighted") = false, py::arg("threshold") = 0.5f,
           py::arg("from_logits") = false, py::arg("label_smoothing") = 0.0f,
           py::arg("forward") = py::none());
  py::class_<Optimizer, std::shared_ptr<Optimizer>>(m, "Optimizer")
      .def(py::init([](const std::string& kind, float learning_rate, float momentum, bool nesterov,
                       double beta_1, double beta_2, float epsilon) {
             auto optimizer = std::make_shared<Optimizer>();
             if (kind != "sgd" && kind != "adam") {
               throw py::value_error("unknown optimizer '" + kind + "'; there are sgd, adam");
             }
             optimizer->kind = kind == "adam" ? Optimizer::Kind::adam : Optimizer::Kind::sgd;
             optimizer->learning_rate = learning_rate;
             optimizer->momentum = momentum;
             optimizer->nesterov = nesterov;
             optimizer->beta_1 = beta_1;
             optimizer->beta_2 = beta_2;
             optimizer->epsilon = epsilon;
             return optimizer;
           }),
           py::arg("kind"), py::arg("learning_rate"), py::arg("momentum") = 0.0f,
           py::arg("nesterov") = false, py::arg("beta_1") = 0.9, py::arg("beta_2") = 0.999,
           py::arg("epsilon") = 1e-7f)
      .def_readwrite("learning_rate", &Optimizer::learning_rate)
      .def_readwrite("iterations", &Optimizer::iterations)
      .def_property_readonly("slot_count", &Optimizer::slot_count)
      .def("build", &Optimizer::build, py::arg("network"))
      .def_property_readonly("slots", [](const Optimizer& optimizer) {
        const bool adam = optimizer.kind == Optimizer::Kind::adam;
        py::dict slots;
        for (size_t i = 0; i < optimizer.slots.size(); ++i) {
          // A later build() makes new slots; this view keeps the one it looks at.
          using Slot = std::shared_ptr<AlignedArray<float>>;
          const auto& slot = optimizer.slots[i];
          const py::capsule owner(new Slot(slot), [](void* p) { delete static_cast<Slot*>(p); });
          slots[adam ? (i == 0 ? "m" : "v") : "momentum"] =
              view(slot->data(), {slot->size()}, owner);
        }
        return slots;
      });
}

}  // namespace lamina::bindings
