// Network, Loss, Metric, Optimizer and Runner: the engine as Python drives it.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>

#include "bindings/bindings.h"
#include "bindings/views.h"
#include "engine/trainer.h"

namespace py = pybind11;

namespace lamina::bindings {
namespace {

using namespace engine;  // NOLINT

DType dtype_of(const py::array& array, const char* what) {
  const auto dtype = array.dtype();
  const char kind = dtype.kind();
  const auto size = dtype.itemsize();
  if (dtype.byteorder() != '>') {
    if (kind == 'f' && size == 4) return DType::float32;
    if (kind == 'f' && size == 8) return DType::float64;
    if (kind == 'f' && size == 2) return DType::float16;
    if (kind == 'b') return DType::boolean;
    if (kind == 'u' && size == 1) return DType::uint8;
    if (kind == 'u' && size == 2) return DType::uint16;
    if (kind == 'u' && size == 4) return DType::uint32;
    if (kind == 'u' && size == 8) return DType::uint64;
    if (kind == 'i' && size == 1) return DType::int8;
    if (kind == 'i' && size == 2) return DType::int16;
    if (kind == 'i' && size == 4) return DType::int32;
    if (kind == 'i' && size == 8) return DType::int64;
  }
  throw py::type_error(std::string(what) +
                       " must be a real array of native byte order, got dtype " +
                       py::str(dtype).cast<std::string>());
}

// An array of shape (n, *row) whose rows are contiguous.
Source source_of(const py::array& array, const Shape& row, const char* what) {
  bool fits = array.ndim() == static_cast<py::ssize_t>(row.size()) + 1;
  py::ssize_t stride = array.itemsize();
  for (size_t i = row.size(); fits && i-- > 0;) {
    const auto axis = static_cast<py::ssize_t>(i) + 1;
    fits = array.shape(axis) == row[i];
    if (fits && row[i] != 1 && array.size() > 0 && array.strides(axis) != stride) {
      throw py::value_error(std::string(what) + " must have contiguous rows");
    }
    stride *= row[i];
  }
  if (!fits) {
    throw py::value_error(std::string(what) + " must have shape " + with_batch(row) + ", got " +
                          shape_text(array));
  }
  return {array.data(), dtype_of(array, what), array.strides(0)};
}

// y_true as the host sees it: class numbers, int32, where the loss is sparse.
py::array view_of_targets(const float* y_true, Shape shape, bool sparse) {
  if (!sparse) return borrowed_view(y_true, shape);
  if (shape.size() > 1) shape.pop_back();
  py::array_t<int32_t> labels(shape, reinterpret_cast<const int32_t*>(y_true), py::none());
  labels.attr("setflags")(py::arg("write") = false);
  return labels;
}

HostRows host_rows(py::function f, const char* what, bool like_output, Shape* output, bool sparse) {
  auto shared = std::shared_ptr<py::function>(new py::function(std::move(f)), [](py::function* p) {
    const py::gil_scoped_acquire gil;
    delete p;
  });
  const std::shared_ptr<Shape> shape(output, [](Shape*) {});
  return [=](float* out, const float* y_true, const float* y_pred, int64_t rows) {
    const py::gil_scoped_acquire gil;
    Shape all = {rows};
    all.insert(all.end(), shape->begin(), shape->end());
    copy_result(out, (*shared)(view_of_targets(y_true, all, sparse), borrowed_view(y_pred, all)),
                like_output ? all : Shape{rows}, what);
  };
}

// The functions of a host loss or metric, as Python gave them; bound to an output shape when a
// runner is made.
struct PyLoss {
  Loss loss;
  py::object forward, backward;
};
struct PyMetric {
  Metric metric;
  py::object forward;
};

class Runner {
 public:
  Runner(std::shared_ptr<Network> network, const std::string& mode, int64_t batch_size,
         const PyLoss* loss, const std::vector<const PyMetric*>& metrics,
         std::shared_ptr<Optimizer> optimizer, uint64_t seed)
      : network_(network), output_(std::make_unique<Shape>(network->output())) {
    if (batch_size < 1) {
      throw py::value_error("batch_size must be at least 1, got " + std::to_string(batch_size));
    }
    const Mode which = mode == "train"     ? Mode::train
                       : mode == "test"    ? Mode::test
                       : mode == "predict" ? Mode::predict
                                           : throw py::value_error("unknown mode '" + mode + "'");
    if (which != Mode::predict && loss == nullptr) throw py::value_error("a loss is needed");
    if (which == Mode::train && optimizer && !optimizer->fits(*network)) {
      throw py::value_error("the optimizer was built for another network");
    }
    std::optional<Loss> bound;
    if (loss != nullptr) {
      bound = loss->loss;
      if (bound->kind == LossKind::host) {
        bound->host_forward =
            host_rows(loss->forward, "the loss's forward()", false, output_.get(), false);
        bound->host_backward =
            host_rows(loss->backward, "the loss's backward()", true, output_.get(), false);
      }
    }
    const bool sparse = bound && bound->sparse();
    std::vector<Metric> list;
    for (const PyMetric* metric : metrics) {
      list.push_back(metric->metric);
      if (metric->metric.kind == MetricKind::host) {
        list.back().host_forward =
            host_rows(metric->forward, "a metric", false, output_.get(), sparse);
      }
    }
    trainer_ = std::make_unique<Trainer>(std::move(network), which, batch_size, std::move(bound),
                                         std::move(list), std::move(optimizer), seed);
  }

  void start(const py::array& x, const py::object& y, const py::object& weights,
             const py::object& order, int64_t batch_size) {
    Pass pass;
    pass.x = source_of(x, network_->input(), "x");
    const int64_t n = x.shape(0);
    pass.count = n;
    if (trainer_->mode() != Mode::predict) {
      const auto targets = y.cast<py::array>();
      Shape row = *output_;
      if (trainer_->sparse_targets() && !row.empty()) row.pop_back();
      pass.y = source_of(targets, row, "y");
      if (trainer_->sparse_targets() && pass.y.dtype != DType::int32) {
        throw py::type_error("y must be int32 where the loss is sparse");
      }
      if (targets.shape(0) != n) {
        throw py::value_error("x and y differ in length: " + std::to_string(n) + " and " +
                              std::to_string(targets.shape(0)));
      }
    }
    if (!weights.is_none()) {
      const auto array = weights.cast<py::array_t<float>>();
      if (array.ndim() != 1 || array.shape(0) != n || array.strides(0) != sizeof(float)) {
        throw py::value_error("sample_weight must be a contiguous array of shape (" +
                              std::to_string(n) + ",), got " + shape_text(array));
      }
      pass.weights = array.data();
    }
    if (!order.is_none()) {
      const auto array = order.cast<py::array_t<int64_t>>();
      if (array.ndim() != 1 || (array.size() > 1 && array.strides(0) != sizeof(int64_t))) {
        throw py::value_error("order must be a contiguous vector");
      }
      for (int64_t i = 0; i < array.size(); ++i) {
        if (array.data()[i] < 0 || array.data()[i] >= n) {
          throw py::index_error("order[" + std::to_string(i) + "] is outside the " +
                                std::to_string(n) + " rows of x");
        }
      }
      pass.order = array.data();
      pass.count = array.size();
      held_ = py::make_tuple(x, y, weights, array);
    } else {
      held_ = py::make_tuple(x, y, weights);
    }
    if (batch_size < 1 || batch_size > trainer_->capacity()) {
      throw py::value_error("batch_size must lie in [1, " + std::to_string(trainer_->capacity()) +
                            "], got " + std::to_string(batch_size));
    }
    pass.batch = batch_size;
    trainer_->start(pass);
  }

  int64_t run(int64_t batches, double seconds) {
    if (trainer_->mode() == Mode::predict) throw py::value_error("this runner only predicts");
    return go(batches, seconds);
  }

  void predict(const py::array& x, py::array_t<float> out, bool training) {
    if (trainer_->mode() != Mode::predict) throw py::value_error("this runner does not predict");
    Pass pass;
    pass.x = source_of(x, network_->input(), "x");
    pass.count = x.shape(0);
    pass.batch = trainer_->capacity();
    pass.training = training;
    Shape shape = {pass.count};
    shape.insert(shape.end(), output_->begin(), output_->end());
    const bool contiguous = out.flags() & py::array::c_style;
    if (!has_shape(out, shape) || !contiguous || !out.writeable()) {
      throw py::value_error("out must be a contiguous, writeable float32 array of shape " +
                            with_batch(*output_) + ", got " + shape_text(out));
    }
    pass.out = out.mutable_data();
    trainer_->start(pass);
    go(pass.count, 1e9);
  }

  Trainer& trainer() { return *trainer_; }

 private:
  int64_t go(int64_t batches, double seconds) {
    const py::gil_scoped_release nogil;
    return trainer_->run(batches, seconds, [] {
      const py::gil_scoped_acquire gil;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    });
  }

  std::shared_ptr<Network> network_;
  std::unique_ptr<Shape> output_;  // at a fixed address: host functions look at it
  std::unique_ptr<Trainer> trainer_;
  py::object held_;  // the arrays of the pass
};

MetricKind metric_kind(const std::string& name, Loss& loss) {
  if (name == "sparse_categorical_accuracy") return MetricKind::sparse_categorical_accuracy;
  if (name == "categorical_accuracy") return MetricKind::categorical_accuracy;
  if (name == "binary_accuracy") return MetricKind::binary_accuracy;
  if (name == "host") return MetricKind::host;
  loss.kind = Loss::parse(name);
  return MetricKind::loss;
}

void bind_network(py::module_& m) {
  py::class_<Param>(m, "Param")
      .def_readonly("layer", &Param::layer)
      .def_readonly("name", &Param::name)
      .def_property_readonly("shape", [](const Param& p) { return py::tuple(py::cast(p.shape)); })
      .def_readonly("trainable", &Param::trainable);

  const auto views = [](py::object self, bool gradients) {
    auto& network = self.cast<Network&>();
    float* base = gradients ? network.gradients() : network.parameters();
    py::list list;
    for (const Param& p : network.params()) {
      list.append(view(base + p.offset, p.shape, self, !gradients));
    }
    return list;
  };
  py::class_<Network, std::shared_ptr<Network>>(m, "Network")
      .def(py::init([](Shape input, const std::vector<std::shared_ptr<Layer>>& layers) {
             return std::make_shared<Network>(std::move(input),
                                              std::vector<LayerPtr>(layers.begin(), layers.end()));
           }),
           py::arg("input_shape"), py::arg("layers"))
      .def_property_readonly("input_shape",
                             [](const Network& n) { return py::tuple(py::cast(n.input())); })
      .def_property_readonly("output_shape",
                             [](const Network& n) { return py::tuple(py::cast(n.output())); })
      .def_property_readonly("output_shapes",
                             [](const Network& n) {
                               py::list list;
                               for (const Shape& s : n.outputs())
                                 list.append(py::tuple(py::cast(s)));
                               return list;
                             })
      .def_property_readonly("params", [](const Network& n) { return n.params(); })
      .def_property_readonly("weights", [=](py::object self) { return views(self, false); })
      .def_property_readonly("gradients", [=](py::object self) { return views(self, true); })
      .def_property_readonly("flat",
                             [](py::object self) {
                               auto& n = self.cast<Network&>();
                               return view(n.parameters(), {n.size()}, self);
                             })
      .def(
          "set_trainable",
          [](Network& n, int layer, bool trainable) {
            if (layer < 0 || layer >= static_cast<int>(n.layers().size())) {
              throw py::index_error("no layer " + std::to_string(layer));
            }
            n.set_trainable(layer, trainable);
          },
          py::arg("layer"), py::arg("trainable"));
}

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
      .def("build", &Optimizer::build, py::arg("network"))
      .def_property_readonly("slots", [](py::object self) {
        auto& optimizer = self.cast<Optimizer&>();
        const bool adam = optimizer.kind == Optimizer::Kind::adam;
        py::dict slots;
        for (size_t i = 0; i < optimizer.slots.size(); ++i) {
          auto& slot = optimizer.slots[i];
          slots[adam ? (i == 0 ? "m" : "v") : "momentum"] = view(slot.data(), {slot.size()}, self);
        }
        return slots;
      });
}

}  // namespace

void bind_engine(py::module_& m) {
  bind_network(m);
  bind_objectives(m);
  py::class_<Runner>(m, "Runner")
      .def(py::init<std::shared_ptr<Network>, const std::string&, int64_t, const PyLoss*,
                    const std::vector<const PyMetric*>&, std::shared_ptr<Optimizer>, uint64_t>(),
           py::arg("network"), py::arg("mode"), py::arg("batch_size"), py::arg("loss") = nullptr,
           py::arg("metrics") = py::list(), py::arg("optimizer") = nullptr, py::arg("seed") = 0)
      .def_property_readonly("batch_size", [](Runner& r) { return r.trainer().capacity(); })
      .def_property_readonly("workers", [](Runner& r) { return r.trainer().workers(); })
      .def_property_readonly("arena_bytes", [](Runner& r) { return r.trainer().arena_bytes(); })
      .def("start", &Runner::start, py::arg("x"), py::arg("y"), py::arg("sample_weight"),
           py::arg("order"), py::arg("batch_size"))
      .def("run", &Runner::run, py::arg("batches"), py::arg("seconds"))
      .def("results", [](Runner& r) { return r.trainer().results(); })
      .def("last_results", [](Runner& r) { return r.trainer().last_results(); })
      .def("reset", [](Runner& r) { r.trainer().reset(); })
      .def("predict", &Runner::predict, py::arg("x"), py::arg("out").noconvert(),
           py::arg("training") = false);
}

}  // namespace lamina::bindings
