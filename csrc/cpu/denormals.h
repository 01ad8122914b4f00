// Flush-to-zero for the time of one scope. Adam's first moments of inputs that are always zero
// decay into denormals, which cost a hundred cycles each.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace lamina {

// This thread's floating-point control register.
#if defined(__x86_64__)
using FloatState = uint32_t;
constexpr FloatState kFlushBits = 0x8040u;  // FTZ and DAZ of MXCSR
inline FloatState float_state() { return _mm_getcsr(); }
inline void set_float_state(FloatState state) { _mm_setcsr(state); }
#elif defined(__aarch64__)
using FloatState = uint64_t;
constexpr FloatState kFlushBits = uint64_t{1} << 24;  // FZ of FPCR
inline FloatState float_state() {
  FloatState state;
  asm volatile("mrs %0, fpcr" : "=r"(state));
  return state;
}
inline void set_float_state(FloatState state) { asm volatile("msr fpcr, %0" : : "r"(state)); }
#else
using FloatState = uint32_t;
constexpr FloatState kFlushBits = 0;
inline FloatState float_state() { return 0; }
inline void set_float_state(FloatState) {}
#endif

// Sets a state for the time of a scope, and then restores what was there.
class FloatScope {
 public:
  explicit FloatScope(FloatState state) : saved_(float_state()) { set_float_state(state); }
  ~FloatScope() { set_float_state(saved_); }
  FloatScope(const FloatScope&) = delete;
  FloatScope& operator=(const FloatScope&) = delete;

 private:
  FloatState saved_;
};

// Results and operands that are denormal count as zero.
class FlushDenormals : public FloatScope {
 public:
  FlushDenormals() : FloatScope(float_state() | kFlushBits) {}
};

}  // namespace lamina
