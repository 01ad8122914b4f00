// How products multiply: float32 FMA, or bf16 parts on a matrix unit.
#pragma once

#include <string>

#include "kernels/kernels.h"

namespace lamina {

// What a product does: float32 FMA without a unit, else this many bf16 parts on it.
struct MatmulMode {
  const MatrixUnit* unit = nullptr;
  int parts = 0;

  bool splits() const { return unit != nullptr; }
  bool operator==(const MatmulMode&) const = default;
};

// The mode of products that begin now. Float32 at "highest", and where there is no unit.
MatmulMode matmul_mode();

// "highest", "high" (three parts), "medium" (two) or "low" (one): of the whole process, "highest"
// until set. The unit is looked for when another level is set, and not before, because asking the
// operating system for AMX makes the frames of this process's signals 8 KB larger.
// LAMINA_MATRIX_UNIT may name it: amx, emulated (the same bits by FMA, slowly) or none; without the
// variable it is amx or none, whichever is here. Throws std::invalid_argument for another level,
// another name, and amx where there is none; then nothing has changed.
void set_matmul_precision(const std::string& level);
std::string matmul_precision();

// For people: "amx", "none: <why>", or that it was not looked for.
std::string matrix_unit_state();

}  // namespace lamina
