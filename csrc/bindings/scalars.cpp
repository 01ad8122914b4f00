// The arguments of a call that are no arrays: numbers, sizes, and a padding's name.
#include <cmath>

#include "bindings/arrays.h"

namespace lamina::bindings {
namespace {

// True for what Python takes as an integer, but not for bool, which is one by accident, nor for
// arrays that might have been one.
bool is_integer(py::handle value) {
  if (py::isinstance<py::bool_>(value)) return false;
  const bool many =
      py::isinstance<py::array>(value) && py::reinterpret_borrow<py::array>(value).ndim() > 0;
  return !many && PyIndex_Check(value.ptr());
}

}  // namespace

double Call::real(const char* argument, py::handle value) const {
  const bool text = py::isinstance<py::str>(value) || py::isinstance<py::bytes>(value);
  const double number = text ? -1.0 : PyFloat_AsDouble(value.ptr());
  if (text || (number == -1.0 && PyErr_Occurred())) {
    const bool large = !text && PyErr_ExceptionMatches(PyExc_OverflowError);
    PyErr_Clear();
    if (large)
      throw value_error(
          std::string(argument) +
          " must be at most 3.4028235e+38 in size, the largest float32, got a larger one");
    throw type_error(std::string(argument) + " must be a number, got " + describe(value));
  }
  return number;
}

float Call::number(const char* argument, py::handle value) const {
  return narrowed(argument, value, real(argument, value));
}

float Call::narrowed(const char* argument, py::handle value, double number) const {
  const auto result = static_cast<float>(number);
  if (std::isinf(result) && std::isfinite(number)) {
    throw value_error(std::string(argument) +
                      " must be at most 3.4028235e+38 in size, the largest float32, got " +
                      describe(value));
  }
  return result;
}

double Call::real(const char* argument, py::handle value, double low, double high) const {
  const double result = real(argument, value);
  if (!(result >= low && result <= high)) {
    const std::string above = py::str(py::float_(low)), below = py::str(py::float_(high));
    throw value_error(
        std::string(argument) + " must be a number " +
        (std::isinf(high) ? "of at least " + above : "between " + above + " and " + below) +
        ", got " + describe(value));
  }
  return result;
}

float Call::number(const char* argument, py::handle value, double low, double high) const {
  return narrowed(argument, value, real(argument, value, low, high));
}

int64_t Call::integer(const char* argument, py::handle value, int64_t low, int64_t high) const {
  if (!is_integer(value)) {
    throw type_error(std::string(argument) + " must be an integer, got " + describe(value));
  }
  int overflow = 0;
  const py::int_ number(py::reinterpret_borrow<py::object>(value));
  const int64_t result = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (overflow != 0 || result < low || result > high) {
    const bool unbounded = high == std::numeric_limits<int64_t>::max();
    throw value_error(std::string(argument) + " must be an integer " +
                      (unbounded
                           ? "of at least " + std::to_string(low)
                           : "in [" + std::to_string(low) + ", " + std::to_string(high) + "]") +
                      ", got " + describe(value));
  }
  return result;
}

uint64_t Call::seed(const char* argument, py::handle value) const {
  if (!is_integer(value)) {
    throw type_error(std::string(argument) + " must be an integer, got " + describe(value));
  }
  const py::int_ number(py::reinterpret_borrow<py::object>(value));
  const uint64_t result = PyLong_AsUnsignedLongLong(number.ptr());
  if (PyErr_Occurred()) {
    PyErr_Clear();
    throw value_error(std::string(argument) + " must be an integer in [0, 2^64), got " +
                      describe(value));
  }
  return result;
}

ops::Pair Call::pair(const char* argument, py::handle value) const {
  if (is_integer(value)) {
    const int64_t n = integer(argument, value, 1);
    return {n, n};
  }
  const Shape sizes = shape(argument, value, 2);
  for (const int64_t n : sizes) {
    if (n < 1) {
      throw value_error(std::string(argument) + " must be positive, got " + describe(value));
    }
  }
  return {sizes[0], sizes[1]};
}

Shape Call::shape(const char* argument, py::handle value, size_t rank) const {
  if (!py::isinstance<py::tuple>(value) && !py::isinstance<py::list>(value)) {
    throw type_error(std::string(argument) + " must be a tuple of " + std::to_string(rank) +
                     " integers, got " + describe(value));
  }
  const auto sequence = py::reinterpret_borrow<py::sequence>(value);
  if (sequence.size() != rank) {
    throw value_error(std::string(argument) + " must be a tuple of " + std::to_string(rank) +
                      " integers, got " + describe(value));
  }
  Shape result;
  for (const py::handle size : sequence) result.push_back(integer(argument, size));
  return result;
}

ops::Padding Call::padding(py::handle value) const {
  if (!py::isinstance<py::str>(value)) {
    throw type_error("padding must be 'valid' or 'same', got " + describe(value));
  }
  return ops::parse_padding(function_, value.cast<std::string>());
}

}  // namespace lamina::bindings
