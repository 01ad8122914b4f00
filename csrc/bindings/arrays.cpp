#include "bindings/arrays.h"

#include <optional>

#include "bindings/dtypes.h"
#include "cpu/memory.h"

namespace lamina::bindings {
namespace {

// numpy's letter for what a dtype is: b(oolean), i, u, f, c(omplex), O(bject), ...
char kind_of(const py::array& array) { return array.dtype().kind(); }

std::string position(const Shape& shape, int64_t flat) {
  std::string text;
  for (size_t axis = shape.size(); axis-- > 0;) {
    text = std::to_string(flat % shape[axis]) + (text.empty() ? "" : ", ") + text;
    flat /= shape[axis];
  }
  return text;
}

// numpy.errstate(all="ignore") for one scope: what does not fit becomes infinite or 0, whatever the
// caller has set with numpy.seterr.
class QuietNumpy {
 public:
  QuietNumpy() : scope_(py::module_::import("numpy").attr("errstate")(py::arg("all") = "ignore")) {
    scope_.attr("__enter__")();
  }
  ~QuietNumpy() {
    try {
      scope_.attr("__exit__")(py::none(), py::none(), py::none());
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable("numpy.errstate");
    }
  }
  QuietNumpy(const QuietNumpy&) = delete;
  QuietNumpy& operator=(const QuietNumpy&) = delete;

 private:
  py::object scope_;
};

template <class T>
Array<const T> converted(const py::array& array) {
  using Dense = py::array_t<T, py::array::c_style | py::array::forcecast | kAligned>;
  const Dense dense = hang_if_python_ends([&] { return Dense(array); });
  const T* data = dense.data();
  return {dense, data, shape_of(dense)};
}

}  // namespace

int64_t size_of(const Shape& shape) {
  int64_t size = 1;
  for (const int64_t n : shape) size = checked_product({size, n});
  return size;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += std::to_string(shape[i]);
    if (i + 1 < shape.size()) text += ", ";
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

Shape shape_of(const py::array& array) {
  return Shape(array.shape(), array.shape() + array.ndim());
}

py::array as_array(py::handle value) {
  if (py::isinstance<py::array>(value)) return py::reinterpret_borrow<py::array>(value);
  return call_python(py::module_::import("numpy").attr("asarray"), value);
}

std::string describe(py::handle value) {
  if (py::isinstance<py::array>(value)) {
    return "an array of " + std::string(py::str(value.attr("dtype")));
  }
  const std::string type = py::str(py::type::handle_of(value).attr("__name__"));
  std::string text = py::repr(value);
  if (text.size() > 80) return "a " + type;
  return text;
}

py::value_error Call::value_error(const std::string& text) const {
  return py::value_error(function_ + ": " + text);
}

py::type_error Call::type_error(const std::string& text) const {
  return py::type_error(function_ + ": " + text);
}

void Call::check_shape(const char* argument, const Shape& got, const Shape& expected) const {
  if (got != expected) {
    throw value_error(std::string(argument) + " must have shape " + to_string(expected) + ", got " +
                      to_string(got));
  }
}

void Call::remember(std::string_view argument, const void* data, int64_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  memory_.push_back({argument, begin, begin + static_cast<uintptr_t>(bytes)});
}

Floats Call::floats(const char* argument, py::handle value) {
  const py::array array = as_array(value);
  const char kind = kind_of(array);
  if (kind != 'f' && kind != 'i' && kind != 'u' && kind != 'b') {
    throw type_error(std::string(argument) + " must hold real numbers, got " + describe(array));
  }
  std::optional<QuietNumpy> quiet;
  if (kind == 'f' && array.itemsize() != sizeof(float)) quiet.emplace();
  Floats result = converted<float>(array);
  quiet.reset();
  remember(argument, result.data, result.size() * static_cast<int64_t>(sizeof(float)));
  return result;
}

Floats Call::floats(const char* argument, py::handle value, const Shape& shape) {
  const py::array array = as_array(value);
  check_shape(argument, shape_of(array), shape);  // before it is converted
  return floats(argument, array);
}

Floats Call::floats_of_rank(const char* argument, py::handle value, int64_t rank,
                            const char* axes) {
  Floats result = floats(argument, value);
  if (result.rank() != rank) {
    throw value_error(std::string(argument) + " must have shape " + axes + ", got " +
                      to_string(result.shape));
  }
  return result;
}

Floats Call::floats_from_rank(const char* argument, py::handle value, int64_t rank,
                              const char* axes) {
  Floats result = floats(argument, value);
  if (result.rank() < rank) {
    throw value_error(std::string(argument) + " must have shape " + axes + ", got " +
                      to_string(result.shape));
  }
  return result;
}

Floats Call::optional_floats(const char* argument, py::handle value, const Shape& shape) {
  if (value.is_none()) return {};
  return floats(argument, value, shape);
}

template <class T>
Array<const T> Call::integers(const char* argument, py::handle value, int64_t low, int64_t high,
                              const Shape* shape) {
  const py::array given = as_array(value);
  if (shape != nullptr) check_shape(argument, shape_of(given), *shape);
  // A copy, because kernels use these as indices without the GIL, while others may write to what
  // has been checked.
  const py::array array = call_python(py::module_::import("numpy").attr("array"), given);
  const char kind = kind_of(array);
  const bool empty_list = array.size() == 0 && !py::isinstance<py::array>(value);
  if (kind != 'i' && kind != 'u' && !empty_list) {
    throw type_error(std::string(argument) + " must hold integers, got " + describe(array));
  }
  // First, as this fails at once where there is no memory for 2^50 times the same number.
  Array<const T> result = converted<T>(array);
  if (array.size() > 0) {
    const py::int_ least(low), most(high);
    const py::object smallest = py::int_(call_python(array.attr("min")));
    const py::object largest = py::int_(call_python(array.attr("max")));
    if (smallest < least || largest > most) {
      const bool below = smallest < least;
      const py::object where = array.attr(below ? "argmin" : "argmax")();
      throw value_error(std::string(argument) + "[" +
                        position(shape_of(array), where.cast<int64_t>()) + "] is " +
                        std::string(py::str(below ? smallest : largest)) + ", but must be in [" +
                        std::to_string(low) + ", " + std::to_string(high) + "]");
    }
  }
  remember(argument, result.data, result.size() * static_cast<int64_t>(sizeof(T)));
  return result;
}
template Array<const int32_t> Call::integers(const char*, py::handle, int64_t, int64_t,
                                             const Shape*);
template Array<const uint32_t> Call::integers(const char*, py::handle, int64_t, int64_t,
                                              const Shape*);
template Array<const int64_t> Call::integers(const char*, py::handle, int64_t, int64_t,
                                             const Shape*);

py::array Call::checked_output(const char* argument, py::handle value,
                               const py::dtype& dtype) const {
  const std::string name = argument;
  if (!py::isinstance<py::array>(value)) {
    throw type_error(name + " must be a NumPy array, got " + describe(value));
  }
  const auto array = py::reinterpret_borrow<py::array>(value);
  if (!array.dtype().equal(dtype)) {
    throw type_error(name + " must have dtype " + std::string(py::str(py::handle(dtype))) +
                     ", got " + std::string(py::str(array.dtype())));
  }
  if (!(array.flags() & py::array::c_style)) {
    throw value_error(name + " must be C-contiguous, got strides " +
                      to_string(Shape(array.strides(), array.strides() + array.ndim())));
  }
  if (!(array.flags() & kAligned)) {
    throw value_error(name + " must lie at a multiple of " + std::to_string(dtype.alignment()) +
                      " bytes in memory, got a misaligned array; copy it: numpy.array(" + name +
                      ")");
  }
  if (!array.writeable()) throw value_error(name + " must be writeable, got a read-only array");
  return array;
}

void Call::check_overlap(const char* argument, const void* data, int64_t bytes,
                         std::initializer_list<std::string_view> in_place) const {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t end = begin + static_cast<uintptr_t>(bytes);
  for (const Memory& m : memory_) {
    if (begin >= m.end || m.begin >= end) continue;
    bool allowed = false;
    for (const std::string_view name : in_place) allowed |= name == m.argument;
    if (allowed && begin == m.begin && end == m.end) continue;
    throw value_error(std::string(argument) + " shares memory with " + std::string(m.argument) +
                      (allowed ? "; it may be the same array, but not overlap it"
                               : ", which is not allowed; pass another array"));
  }
}

template <class T>
Array<T> Call::out(const char* argument, py::handle out, const Shape& shape,
                   std::initializer_list<std::string_view> in_place) {
  const int64_t bytes = checked_product({size_of(shape), static_cast<int64_t>(sizeof(T))});
  if (out.is_none()) {
    py::array_t<T> fresh(shape);
    T* data = fresh.mutable_data();
    return {fresh, data, shape};
  }
  const py::array array = checked_output(argument, out, py::dtype::of<T>());
  check_shape(argument, shape_of(array), shape);
  T* data = static_cast<T*>(py::array(array).mutable_data());
  check_overlap(argument, data, bytes, in_place);
  remember(argument, data, bytes);
  return {array, data, shape};
}
template Array<float> Call::out(const char*, py::handle, const Shape&,
                                std::initializer_list<std::string_view>);
template Array<int32_t> Call::out(const char*, py::handle, const Shape&,
                                  std::initializer_list<std::string_view>);
template Array<uint32_t> Call::out(const char*, py::handle, const Shape&,
                                   std::initializer_list<std::string_view>);

FloatsOut Call::in_out(const char* argument, py::handle value) {
  const py::array array = checked_output(argument, value, py::dtype::of<float>());
  return out<float>(argument, array, shape_of(array));
}

FloatsOut Call::in_out(const char* argument, py::handle value, const Shape& shape) {
  checked_output(argument, value, py::dtype::of<float>());
  return out<float>(argument, value, shape);
}

std::vector<py::object> Call::outs(py::handle out, size_t count) const {
  if (out.is_none()) return std::vector<py::object>(count, py::none());
  if (!py::isinstance<py::tuple>(out)) {
    throw type_error("out must be a tuple of " + std::to_string(count) + " arrays, got " +
                     describe(out));
  }
  const auto tuple = py::reinterpret_borrow<py::tuple>(out);
  if (tuple.size() != count) {
    throw value_error("out must be a tuple of " + std::to_string(count) + " arrays, got " +
                      std::to_string(tuple.size()));
  }
  std::vector<py::object> arrays;
  for (const py::handle array : tuple) arrays.push_back(py::reinterpret_borrow<py::object>(array));
  return arrays;
}

}  // namespace lamina::bindings
