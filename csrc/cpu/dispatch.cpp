// Detection asks the processor (cpuid) what it has and the operating system (xgetbv) which
// registers it saves: an instruction whose registers are not saved must not be used.
#include "cpu/dispatch.h"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace lamina {
namespace {

#if defined(__x86_64__)
struct X86 {
  bool avx2 = false, avx512 = false;

  X86() {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    const bool fma = c & (1u << 12), osxsave = c & (1u << 27), avx = c & (1u << 28);
    if (!osxsave || !avx) return;
    uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    const bool saves_ymm = (low & 0x06) == 0x06;  // XMM and YMM
    const bool saves_zmm = (low & 0xe6) == 0xe6;  // and the mask registers and ZMM
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    const uint32_t f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    avx2 = saves_ymm && fma && (b & (1u << 5));
    avx512 = avx2 && saves_zmm && (b & f) && (b & dq) && (b & bw) && (b & vl);
  }
};
[[maybe_unused]] bool runs_avx2() { return X86().avx2; }
[[maybe_unused]] bool runs_avx512() { return X86().avx512; }
#endif
[[maybe_unused]] bool runs_always() { return true; }

struct Isa {
  const Kernels* kernels;
  bool (*runs)();
};

const Isa kBuilt[] = {
#ifdef LAMINA_HAVE_avx512
    {&avx512::kernels, runs_avx512},
#endif
#ifdef LAMINA_HAVE_avx2
    {&avx2::kernels, runs_avx2},
#endif
#ifdef LAMINA_HAVE_neon
    {&neon::kernels, runs_always},  // AArch64 always has it
#endif
    {&portable::kernels, runs_always},
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

const Kernels& choose() {
  const char* wanted = std::getenv("LAMINA_ISA");
  const bool forced = wanted != nullptr && *wanted != '\0';
  for (const Isa& isa : kBuilt) {
    if (forced && std::string(wanted) != isa.kernels->isa) continue;
    if (isa.runs()) return *isa.kernels;
    if (forced) {
      throw std::invalid_argument("LAMINA_ISA=" + std::string(wanted) +
                                  ": this machine cannot run it; it can run " +
                                  joined(runnable_isas()));
    }
  }
  throw std::invalid_argument("LAMINA_ISA=" + std::string(wanted) +
                              ": no such instruction set in this build; it has " +
                              joined(built_isas()));
}

}  // namespace

std::vector<std::string> built_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : kBuilt) names.emplace_back(isa.kernels->isa);
  return names;
}

std::vector<std::string> runnable_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : kBuilt) {
    if (isa.runs()) names.emplace_back(isa.kernels->isa);
  }
  return names;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace lamina
