// Runner: a trainer, the arrays of its pass, and the functions of Python's that it calls.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bindings/bindings.h"
#include "bindings/dtypes.h"
#include "bindings/gil.h"
#include "bindings/objectives.h"
#include "bindings/views.h"
#include "engine/trainer.h"

namespace py = pybind11;

namespace lamina::bindings {
namespace {

using namespace engine;  // NOLINT

// Has it the shape (n, *row)?
bool has_rows(const py::array& array, const Shape& row) {
  return array.ndim() == static_cast<py::ssize_t>(row.size()) + 1 &&
         std::equal(row.begin(), row.end(), array.shape() + 1);
}

// An array of shape (n, *row) whose rows are contiguous.
RowSource source_of(const py::array& array, const Shape& row, const char* what) {
  if (!has_rows(array, row)) {
    throw py::value_error(std::string(what) + " must have shape " + with_batch(row) + ", got " +
                          shape_text(array));
  }
  if (!rows_are_dense(array)) {
    throw py::value_error(std::string(what) + " must have contiguous rows");
  }
  if (!(array.flags() & kAligned)) {
    throw py::value_error(std::string(what) + " must be aligned in memory: copy it");
  }
  const auto dtype = native_dtype(array);
  if (!dtype) {
    throw py::type_error(std::string(what) +
                         " must be a real array of native byte order, got dtype " +
                         py::str(array.dtype()).cast<std::string>());
  }
  return {array.data(), *dtype, array.strides(0)};
}

// y_true as the host sees it: class numbers, int32, where the loss is sparse.
py::array copy_of_targets(const float* y_true, Shape shape, bool sparse) {
  if (!sparse) return copy_for_user(y_true, shape);
  if (shape.size() > 1) shape.pop_back();
  return copy_for_user(reinterpret_cast<const int32_t*>(y_true), shape);
}

HostRows host_rows(py::function f, const char* what, bool like_output, Shape* output, bool sparse) {
  const auto shared = shared_function(std::move(f));
  const std::shared_ptr<Shape> shape(output, [](Shape*) {});
  return [=](float* out, const float* y_true, const float* y_pred, int64_t rows) {
    with_gil([&] {
      Shape all = {rows};
      all.insert(all.end(), shape->begin(), shape->end());
      const py::object result =
          call_python(*shared, copy_of_targets(y_true, all, sparse), copy_for_user(y_pred, all));
      copy_result(out, result, like_output ? all : Shape{rows}, what);
    });
  };
}

class Runner {
 public:
  Runner(std::shared_ptr<Network> network, const std::string& mode, int64_t batch_size,
         const PyLoss* loss, const std::vector<const PyMetric*>& metrics,
         std::shared_ptr<Optimizer> optimizer, uint64_t seed)
      : network_(network), output_(std::make_unique<Shape>(network->output())) {
    if (batch_size < 1) {
      throw py::value_error("batch_size must be at least 1, got " + std::to_string(batch_size));
    }
    const Mode which = mode == "train"      ? Mode::train
                       : mode == "test"     ? Mode::test
                       : mode == "predict"  ? Mode::predict
                       : mode == "rehearse" ? Mode::rehearse
                                            : throw py::value_error("unknown mode '" + mode + "'");
    const bool judges = which == Mode::train || which == Mode::test;
    if (judges && loss == nullptr) throw py::value_error("a loss is needed");
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
                                         std::move(list), optimizer, seed);
    if (which == Mode::train) optimizer_ = std::move(optimizer);
  }

  // Everything is checked in locals before the pass and the arrays that it points into are
  // replaced together.
  void start(const py::array& x, const py::object& y, const py::object& weights,
             const py::object& order, int64_t batch_size, int64_t first_row) {
    if (predicts()) throw py::value_error("this runner only predicts");
    if (optimizer_ && !optimizer_->fits(*network_)) {
      throw py::value_error("the optimizer was built for another network");
    }
    const Busy busy(busy_);
    Pass pass;
    pass.x = source_of(x, network_->input(), "x");
    pass.rows = pass.count = x.shape(0);
    pass.first_row = first_row;
    py::list held;
    held.append(x);
    held.append(add_targets(pass, y));
    if (!weights.is_none()) held.append(add_weights(pass, weights));
    if (!order.is_none()) held.append(add_order(pass, order));
    if (batch_size < 1 || batch_size > trainer_->capacity()) {
      throw py::value_error("batch_size must lie in [1, " + std::to_string(trainer_->capacity()) +
                            "], got " + std::to_string(batch_size));
    }
    pass.batch = batch_size;
    trainer_->start(pass);
    held_ = held;
  }

  // Lets go of the arrays of the pass.
  void release() {
    const Busy busy(busy_);
    trainer_->start({});
    held_ = py::none();
  }

  int64_t run(int64_t batches, double seconds) {
    if (predicts()) throw py::value_error("this runner only predicts");
    const Busy busy(busy_);
    return go(batches, seconds);
  }

  void predict(const py::array& x, py::array_t<float> out, int64_t first_row) {
    if (!predicts()) throw py::value_error("this runner does not predict");
    const Busy busy(busy_);
    const RowSource source = source_of(x, network_->input(), "x");
    Shape shape = {x.shape(0)};
    shape.insert(shape.end(), output_->begin(), output_->end());
    constexpr int wanted = static_cast<int>(py::array::c_style) | kAligned;
    if (!has_shape(out, shape) || (out.flags() & wanted) != wanted || !out.writeable()) {
      throw py::value_error("out must be a contiguous, aligned, writeable float32 array of shape " +
                            with_batch(*output_) + ", got " + shape_text(out));
    }
    go_predicting(source, x.shape(0), out.mutable_data(), first_row);
  }

  // The outputs for a plain array that needs no other look: of at most `most` rows and a batch, the
  // right shape, and readable in place. None for anything else, and it is the caller's to say what
  // is wrong with it or to make it fit. What Python's checks would cost is more than a row's work.
  py::object predict_few(const py::object& x, int64_t most) {
    const auto& api = py::detail::npy_api::get();
    if (reinterpret_cast<PyObject*>(Py_TYPE(x.ptr())) !=
            reinterpret_cast<PyObject*>(api.PyArray_Type_) ||
        !predicts() || !trainer_->up_to_date()) {
      return py::none();
    }
    const auto array = py::reinterpret_borrow<py::array>(x);
    if (!has_rows(array, network_->input()) || !rows_are_dense(array)) return py::none();
    const int64_t rows = array.shape(0);
    const auto dtype = native_dtype(array);
    const bool aligned = array.flags() & kAligned;
    if (rows < 1 || rows > std::min(most, trainer_->capacity()) || !dtype || !aligned)
      return py::none();
    const Busy busy(busy_);
    Shape shape = {rows};
    shape.insert(shape.end(), output_->begin(), output_->end());
    py::array_t<float> out(shape);
    go_predicting({array.data(), *dtype, array.strides(0)}, rows, out.mutable_data());
    return out;
  }

  Trainer& trainer() { return *trainer_; }

 private:
  // A runner works for one caller at a time: another thread, or a callback of the same pass, must
  // not move its buffers under it.
  class Busy {
   public:
    explicit Busy(std::atomic<bool>& flag) : flag_(flag) {
      if (flag_.exchange(true)) {
        throw std::runtime_error("this runner is at work; wait for it or make another");
      }
    }
    ~Busy() { flag_.store(false); }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    std::atomic<bool>& flag_;
  };

  // Each sets its part of the pass and returns the array that must stay alive with it.
  py::array add_targets(Pass& pass, const py::object& y) const {
    if (!py::isinstance<py::array>(y)) throw py::type_error("y must be an array");
    auto targets = py::reinterpret_borrow<py::array>(y);
    Shape row = *output_;
    if (trainer_->sparse_targets() && !row.empty()) row.pop_back();
    pass.y = source_of(targets, row, "y");
    if (trainer_->sparse_targets() && pass.y.dtype != DType::int32) {
      throw py::type_error("y must be int32 where the loss is sparse");
    }
    if (targets.shape(0) != pass.count) {
      throw py::value_error("x and y differ in length: " + std::to_string(pass.count) + " and " +
                            std::to_string(targets.shape(0)));
    }
    return targets;
  }

  py::array add_weights(Pass& pass, const py::object& weights) const {
    auto array = weights.cast<FloatArray>();
    const int64_t values = trainer_->values_of_row();
    if (!has_shape(array, {pass.count}) && !has_shape(array, {pass.count, values})) {
      const std::string rows = std::to_string(pass.count);
      throw py::value_error("sample_weight must have shape (" + rows + ",) or (" + rows + ", " +
                            std::to_string(values) + "), got " + shape_text(array));
    }
    pass.weights = array.data();
    pass.weights_of_row = array.ndim() == 1 ? 1 : values;
    return array;
  }

  static py::array add_order(Pass& pass, const py::object& order) {
    auto array =
        order.cast<py::array_t<int64_t, py::array::c_style | py::array::forcecast | kAligned>>();
    if (array.ndim() != 1) throw py::value_error("order must be a vector");
    for (int64_t i = 0; i < array.size(); ++i) {
      if (array.data()[i] < 0 || array.data()[i] >= pass.count) {
        throw py::index_error("order[" + std::to_string(i) + "] is outside the " +
                              std::to_string(pass.count) + " rows of x");
      }
    }
    pass.order = array.data();
    pass.count = array.size();
    return array;
  }

  bool predicts() const {
    return trainer_->mode() == Mode::predict || trainer_->mode() == Mode::rehearse;
  }

  void go_predicting(const RowSource& x, int64_t rows, float* out, int64_t first_row = 0) {
    Pass pass;
    pass.x = x;
    pass.rows = pass.count = rows;
    pass.first_row = first_row;
    pass.batch = trainer_->capacity();
    pass.out = out;
    trainer_->start(pass);
    go(rows, 1e9);
  }

  int64_t go(int64_t batches, double seconds) {
    const WithoutGil released;
    return trainer_->run(batches, seconds, [] {
      with_gil([] {
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      });
    });
  }

  std::shared_ptr<Network> network_;
  std::unique_ptr<Shape> output_;  // at a fixed address: host functions look at it
  std::unique_ptr<Trainer> trainer_;
  std::shared_ptr<Optimizer> optimizer_;
  py::object held_;  // the arrays of the pass
  std::atomic<bool> busy_{false};
};

}  // namespace

void bind_runner(py::module_& m) {
  using namespace py::literals;  // NOLINT
  py::class_<Runner>(m, "Runner")
      .def(py::init<std::shared_ptr<Network>, const std::string&, int64_t, const PyLoss*,
                    const std::vector<const PyMetric*>&, std::shared_ptr<Optimizer>, uint64_t>(),
           py::arg("network"), py::arg("mode"), py::arg("batch_size"), py::arg("loss") = nullptr,
           py::arg("metrics") = py::list(), py::arg("optimizer") = nullptr, py::arg("seed") = 0)
      .def_property_readonly("batch_size", [](Runner& r) { return r.trainer().capacity(); })
      .def_property_readonly("workers", [](Runner& r) { return r.trainer().workers(); })
      .def_property_readonly("busy_workers", [](Runner& r) { return r.trainer().busy_workers(); })
      .def_property_readonly("memory",
                             [](Runner& r) {
                               const Trainer::Memory memory = r.trainer().memory();
                               return py::dict("arena"_a = memory.arena, "batch"_a = memory.batch,
                                               "scratch"_a = memory.scratch,
                                               "index"_a = memory.index,
                                               "workers"_a = memory.workers);
                             })
      .def("start", &Runner::start, py::arg("x"), py::arg("y"), py::arg("sample_weight"),
           py::arg("order"), py::arg("batch_size"), py::arg("first_row") = 0)
      .def("run", &Runner::run, py::arg("batches"), py::arg("seconds"))
      .def("results", [](Runner& r) { return r.trainer().results(); })
      .def("last_results", [](Runner& r) { return r.trainer().last_results(); })
      .def("reset", [](Runner& r) { r.trainer().reset(); })
      .def("release", &Runner::release)
      .def("predict", &Runner::predict, py::arg("x"), py::arg("out").noconvert(),
           py::arg("first_row") = 0)
      .def_property_readonly("up_to_date", [](Runner& r) { return r.trainer().up_to_date(); })
      .def("predict_few", &Runner::predict_few, py::arg("x"), py::arg("most"));
}

}  // namespace lamina::bindings
