// What the engine can read of an array of NumPy's where it lies: its data type and its rows.
#pragma once

#include <pybind11/numpy.h>

#include <optional>

#include "kernels/kernels.h"

namespace lamina::bindings {

inline std::optional<DType> dtype_of(const pybind11::array& array) {
  const char kind = array.dtype().kind();
  const int64_t bytes = array.itemsize();
  switch (kind) {
    case 'b':
      return DType::boolean;
    case 'f':
      if (bytes == 2) return DType::float16;
      if (bytes == 4) return DType::float32;
      if (bytes == 8) return DType::float64;
      return std::nullopt;
    case 'u':
    case 'i': {
      const bool plain = kind == 'u';
      if (bytes == 1) return plain ? DType::uint8 : DType::int8;
      if (bytes == 2) return plain ? DType::uint16 : DType::int16;
      if (bytes == 4) return plain ? DType::uint32 : DType::int32;
      return plain ? DType::uint64 : DType::int64;
    }
    default:
      return std::nullopt;
  }
}

// Of native byte order, or none.
inline std::optional<DType> native_dtype(const pybind11::array& array) {
  return array.dtype().byteorder() == '>' ? std::nullopt : dtype_of(array);
}

// NumPy's flag of an array whose numbers all lie at multiples of their size: that of a field of a
// packed record, or of a buffer from its second byte on, do not, and C++ may not touch those.
constexpr int kAligned = pybind11::detail::npy_api::NPY_ARRAY_ALIGNED_;

// Every axis but the first lies dense in memory.
inline bool rows_are_dense(const pybind11::array& array) {
  pybind11::ssize_t expected = array.itemsize();
  for (pybind11::ssize_t axis = array.ndim() - 1; axis > 0; --axis) {
    if (array.shape(axis) != 1 && array.strides(axis) != expected) return array.size() == 0;
    expected *= array.shape(axis);
  }
  return true;
}

}  // namespace lamina::bindings
