#include "bindings/kernels.h"

namespace lamina::bindings {

void bind_kernels(pybind11::module_& m) {
  pybind11::module_ kernels = m.def_submodule("kernels", "Every kernel alone; see lamina.kernels.");
  bind_activation_kernels(kernels);
  bind_image_kernels(kernels);
  bind_lookup_kernels(kernels);
  bind_loss_kernels(kernels);
  bind_matrix_kernels(kernels);
  bind_normalization_kernels(kernels);
  bind_optimizer_kernels(kernels);
  bind_random_kernels(kernels);
}

}  // namespace lamina::bindings
