// The arrays of one call from Python, checked: the array types are named here and nowhere else, and
// every error about an argument begins with the function's name and ends in what came.
//
// Inputs are converted to C-contiguous float32, in silence. Outputs are never converted: they must
// have the dtype and shape, be C-contiguous and writeable, and share no memory with an input,
// unless they are an input that the kernel may overwrite.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/gil.h"
#include "cpu/float_state.h"
#include "cpu/parallel.h"
#include "ops/pieces.h"
#include "ops/window.h"

namespace lamina::bindings {

namespace py = pybind11;

using Shape = std::vector<int64_t>;
std::string to_string(const Shape& shape);
int64_t size_of(const Shape& shape);

// A C-contiguous array that lives as long as this does. data is writeable for outputs only.
template <class T>
struct Array {
  py::array object;
  T* data = nullptr;
  Shape shape;

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  int64_t size() const { return size_of(shape); }
  // The array as a matrix with the last axis across.
  int64_t cols() const { return shape.back(); }
  int64_t rows() const { return size_of({shape.begin(), shape.end() - 1}); }
};
using Floats = Array<const float>;
using FloatsOut = Array<float>;

// One call of a kernel from Python, checked and computed in the default floating-point state.
class Call {
 public:
  explicit Call(const char* function) : function_(function) {}
  const std::string& name() const { return function_; }

  // Any real dtype, any shape; or exactly `shape`.
  Floats floats(const char* argument, py::handle value);
  Floats floats(const char* argument, py::handle value, const Shape& shape);
  // Of the given rank, or of at least that; `axes` says what they are, as "(rows, cols)".
  Floats floats_of_rank(const char* argument, py::handle value, int64_t rank, const char* axes);
  Floats floats_from_rank(const char* argument, py::handle value, int64_t rank, const char* axes);
  // As floats, but None gives an array whose data is null.
  Floats optional_floats(const char* argument, py::handle value, const Shape& shape);
  // Integers in [low, high] as T, of the given shape, which is checked first, or of any. The error
  // names a place that holds another.
  template <class T>
  Array<const T> integers(const char* argument, py::handle value, int64_t low, int64_t high,
                          const Shape* shape = nullptr);

  // `out` is None or the caller's array; inputs named in `in_place` may be the output.
  template <class T = float>
  Array<T> out(const char* argument, py::handle out, const Shape& shape,
               std::initializer_list<std::string_view> in_place = {});
  // An argument that is read and written.
  FloatsOut in_out(const char* argument, py::handle value);
  FloatsOut in_out(const char* argument, py::handle value, const Shape& shape);
  // The entries of out=(...), or as many None.
  std::vector<py::object> outs(py::handle out, size_t count) const;

  double real(const char* argument, py::handle value) const;
  double real(const char* argument, py::handle value, double low, double high) const;
  // Rounded to float32; ValueError for a finite number that is beyond its range.
  float number(const char* argument, py::handle value) const;
  float number(const char* argument, py::handle value, double low, double high) const;
  int64_t integer(const char* argument, py::handle value, int64_t low = 0,
                  int64_t high = std::numeric_limits<int64_t>::max()) const;
  uint64_t seed(const char* argument, py::handle value) const;
  ops::Pair pair(const char* argument, py::handle value) const;
  Shape shape(const char* argument, py::handle value, size_t rank) const;
  ops::Padding padding(py::handle value) const;

  // Memory that no output may touch.
  void remember(std::string_view argument, const void* data, int64_t bytes);
  void check_shape(const char* argument, const Shape& got, const Shape& expected) const;
  // "function: text", to be thrown.
  py::value_error value_error(const std::string& text) const;
  py::type_error type_error(const std::string& text) const;

 private:
  struct Memory {
    std::string_view argument;
    uintptr_t begin, end;
  };
  float narrowed(const char* argument, py::handle value, double number) const;
  py::array checked_output(const char* argument, py::handle value, const py::dtype& dtype) const;
  void check_overlap(const char* argument, const void* data, int64_t bytes,
                     std::initializer_list<std::string_view> in_place) const;

  DefaultFloatState state_;
  std::string function_;
  std::vector<Memory> memory_;
};

std::string describe(py::handle value);  // as an error message ends: a dtype, a type, a value
Shape shape_of(const py::array& array);
py::array as_array(py::handle value);  // numpy.asarray

// The compute of a call, without the GIL. A scope of its own, because a result that is returned
// within it would be counted without the GIL.
template <class Body>
void without_gil(Body&& body) {
  const WithoutGil released;
  body();
}

// Runs body(begin, length) over the pieces of [0, n), or of the rows of a matrix.
template <class Body>
void for_pieces(const ops::Pieces& pieces, Body&& body) {
  without_gil([&] {
    for_tiles(pieces.count(), 0,
              [&](int64_t piece, float*) { body(pieces.begin(piece), pieces.length(piece)); });
  });
}
template <class Body>
void for_elements(int64_t n, Body&& body) {
  for_pieces(ops::element_tiles(n), body);
}
template <class Body>
void for_rows(int64_t rows, int64_t cols, Body&& body) {
  for_pieces(ops::row_tiles(rows, cols), body);
}

}  // namespace lamina::bindings
