// NumPy arrays over the engine's memory, and the functions and arrays that Python hands over.
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "bindings/dtypes.h"
#include "bindings/gil.h"
#include "engine/shape.h"

namespace lamina::bindings {

using FloatArray =
    pybind11::array_t<float, pybind11::array::c_style | pybind11::array::forcecast | kAligned>;

// A function of Python's for the engine to hold: whoever lets go of it last takes the GIL to.
inline std::shared_ptr<pybind11::function> shared_function(pybind11::function f) {
  return {new pybind11::function(std::move(f)),
          [](pybind11::function* p) { with_gil([p] { delete p; }); }};
}

// A view that keeps `owner` alive.
inline pybind11::array_t<float> view(float* data, const engine::Shape& shape,
                                     const pybind11::object& owner, bool writeable = true) {
  pybind11::array_t<float> array(shape, data, owner);
  if (!writeable) array.attr("setflags")(pybind11::arg("write") = false);
  return array;
}

// A read-only copy of the engine's memory, for code of the user's, which may keep it for ever. Such
// code allocates and copies as much itself with every operation.
template <class T>
pybind11::array_t<T> copy_for_user(const T* data, const engine::Shape& shape) {
  pybind11::array_t<T> array(shape);
  std::copy_n(data, array.size(), array.mutable_data());  // NumPy would let go of the GIL
  namespace detail = pybind11::detail;
  detail::array_proxy(array.ptr())->flags &= ~detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return array;
}

inline std::string shape_text(const pybind11::array& array) {
  std::string text = "(";
  for (pybind11::ssize_t i = 0; i < array.ndim(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(array.shape(i));
  }
  return text + (array.ndim() == 1 ? ",)" : ")");
}

inline bool has_shape(const pybind11::array& array, const engine::Shape& shape) {
  return array.ndim() == static_cast<pybind11::ssize_t>(shape.size()) &&
         std::equal(shape.begin(), shape.end(), array.shape());
}

// Copies what a function of the user's returned; ValueError where its shape is another.
inline void copy_result(float* out, const pybind11::object& result, const engine::Shape& shape,
                        const std::string& what) {
  const auto array = hang_if_python_ends([&] { return pybind11::cast<FloatArray>(result); });
  if (!has_shape(array, shape)) {
    std::string want = "(";
    for (size_t i = 0; i < shape.size(); ++i) {
      want += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    }
    want += shape.size() == 1 ? ",)" : ")";
    throw pybind11::value_error(what + " must return an array of shape " + want + ", got " +
                                shape_text(array));
  }
  std::copy_n(array.data(), array.size(), out);
}

}  // namespace lamina::bindings
