// Which instruction set runs.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace lamina {

// Chosen once, at the first call: the one that LAMINA_ISA names, else the best that this processor
// and its operating system support. Throws std::invalid_argument for a name that this build does
// not hold or this machine cannot run.
const Kernels& kernels();

std::vector<std::string> built_isas();     // best first
std::vector<std::string> runnable_isas();  // those of them that this machine can run

}  // namespace lamina
