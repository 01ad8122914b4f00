// _core.kernels: every kernel alone, on NumPy arrays. One function a family; lamina.kernels is the
// public face, with names, defaults and documentation, so arguments are positional here.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace lamina::bindings {

void bind_kernels(pybind11::module_& m);  // makes the submodule

void bind_activation_kernels(pybind11::module_& m);
void bind_image_kernels(pybind11::module_& m);
void bind_lookup_kernels(pybind11::module_& m);
void bind_loss_kernels(pybind11::module_& m);
void bind_matrix_kernels(pybind11::module_& m);
void bind_normalization_kernels(pybind11::module_& m);
void bind_optimizer_kernels(pybind11::module_& m);
void bind_random_kernels(pybind11::module_& m);

// out (cols) = the sums of x (rows, cols) over its rows; the caller holds the GIL.
void sum_columns(float* out, const float* x, int64_t rows, int64_t cols);

}  // namespace lamina::bindings
