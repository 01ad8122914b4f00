// Loss, Metric and Optimizer: what a network is trained for and how.
#include "bindings/objectives.h"

#include <pybind11/numpy.h>

#include <memory>
#include <string>

#include "bindings/bindings.h"
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

}  // namespace

void bind_objectives(py::module_& m) {
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
