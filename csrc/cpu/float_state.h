// The floating-point state of a thread, for the time of one scope: how results are rounded, what
// traps, and whether denormals count as zeros.
//
// Kernels run in the default state, whatever their caller's: rounded to nearest, no traps,
// denormals kept. Flushing would not give the same bits everywhere: x86 flushes what is tiny after
// rounding, AArch64 what is tiny before. Where denormals do arise in numbers, in moments that decay
// and in the gradients of losses, kernels make zeros of them instead (without_denormals of
// kernels/simd.h).
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace lamina {

// This thread's floating-point control register.
#if defined(__x86_64__)
using FloatState = uint32_t;
constexpr FloatState kDefaultState = 0x1f80u;  // of MXCSR: every exception masked, none raised
constexpr FloatState kFlushBits = 0x8040u;     // FTZ and DAZ
inline FloatState float_state() { return _mm_getcsr(); }
inline void set_float_state(FloatState state) { _mm_setcsr(state); }
#elif defined(__aarch64__)
using FloatState = uint64_t;
constexpr FloatState kDefaultState = 0;
constexpr FloatState kFlushBits = uint64_t{1} << 24;  // FZ of FPCR
inline FloatState float_state() {
  FloatState state;
  asm volatile("mrs %0, fpcr" : "=r"(state));
  return state;
}
inline void set_float_state(FloatState state) { asm volatile("msr fpcr, %0" : : "r"(state)); }
#else
using FloatState = uint32_t;
constexpr FloatState kDefaultState = 0;
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

// What every kernel runs in.
class DefaultFloatState : public FloatScope {
 public:
  DefaultFloatState() : FloatScope(kDefaultState) {}
};

// Denormal results and operands count as zeros: what a matrix unit does by itself.
class FlushDenormals : public FloatScope {
 public:
  FlushDenormals() : FloatScope(kDefaultState | kFlushBits) {}
};

}  // namespace lamina
