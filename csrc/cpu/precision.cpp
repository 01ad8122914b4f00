// A matrix unit takes three to be used: the processor has it (cpuid), the operating system saves
// its registers (xgetbv), and it lets this process use them (a system call of Linux's, once).
#include "cpu/precision.h"

#include <array>
#include <cstdlib>
#include <mutex>
#include <stdexcept>

#include "cpu/dispatch.h"

#if defined(LAMINA_HAVE_amx) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#endif

namespace lamina {
namespace {

struct Level {
  const char* name;
  int parts;
};
constexpr std::array<Level, 4> kLevels = {{{"highest", 0}, {"high", 3}, {"medium", 2}, {"low", 1}}};

// Why there is no AMX for this process; empty if there is.
std::string why_no_amx() {
#if defined(LAMINA_HAVE_amx) && defined(__linux__)
  uint32_t a, b, c, d;
  constexpr uint32_t bf16 = 1u << 22, tile = 1u << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & bf16) == 0 || (d & tile) == 0) {
    return "this processor has no AMX for bf16";
  }
  if (std::string(kernels().isa) != "avx512") return "AMX goes with the kernels of avx512 only";
  uint32_t low, high;  // dispatch has seen that there is an xgetbv
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr uint32_t config = 1u << 17, data = 1u << 18;
  if ((low & config) == 0 || (low & data) == 0) {
    return "the operating system does not save the registers of AMX";
  }
  constexpr long request_permission = 0x1023, tile_data = 18;
  if (syscall(SYS_arch_prctl, request_permission, tile_data) != 0) {
    return "the operating system does not let this process use AMX";
  }
  return "";
#else
  return "this build has no matrix unit";
#endif
}

const MatrixUnit* amx_unit() {
#if defined(LAMINA_HAVE_amx)
  return &amx::matrix_unit;
#else
  return nullptr;
#endif
}

struct State {
  std::mutex mutex;
  size_t level = 0;
  MatmulMode mode;
  std::string unit = "not looked for: the precision is highest";
};

State& state() {
  static State only;
  return only;
}

}  // namespace

MatmulMode matmul_mode() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return s.mode;
}

std::string matmul_precision() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return kLevels[s.level].name;
}

std::string matrix_unit_state() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return s.unit;
}

void set_matmul_precision(const std::string& level) {
  size_t i = 0;
  while (i < kLevels.size() && level != kLevels[i].name) ++i;
  if (i == kLevels.size()) {
    throw std::invalid_argument("precision must be one of highest, high, medium, low; got '" +
                                level + "'");
  }
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (i == 0) {
    s.level = 0;
    s.mode = {};
    return;
  }
  const char* variable = std::getenv("LAMINA_MATRIX_UNIT");
  const std::string wanted = variable == nullptr ? "" : variable;
  const MatrixUnit* unit = nullptr;
  std::string text;
  if (wanted == "emulated") {
    unit = kernels().matrix_unit;
    text = "emulated";
  } else if (wanted == "none") {
    text = "none: LAMINA_MATRIX_UNIT=none";
  } else if (wanted.empty() || wanted == "amx") {
    static const std::string missing = why_no_amx();
    if (missing.empty()) {
      unit = amx_unit();
    } else if (!wanted.empty()) {
      throw std::invalid_argument("LAMINA_MATRIX_UNIT=amx: " + missing);
    }
    text = missing.empty() ? "amx" : "none: " + missing;
  } else {
    throw std::invalid_argument("LAMINA_MATRIX_UNIT must be amx, emulated or none; got '" + wanted +
                                "'");
  }
  s.level = i;
  s.mode = unit == nullptr ? MatmulMode{} : MatmulMode{unit, kLevels[i].parts};
  s.unit = text;
}

}  // namespace lamina
