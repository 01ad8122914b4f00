// Tiles without a matrix unit. The interface is described in ../tiles.h; the order of every sum is
// that of TDPBF16PS in Intel's manual, volume 2.
#pragma once

#include <cstdint>
#include <cstring>

namespace lamina::LAMINA_ISA {
namespace {

constexpr const char* kTilesName = "emulated";

class Tiles {
 public:
  template <int t>
  void zero() {
    std::memset(words_[t], 0, sizeof words_[t]);
  }
  template <int t>
  void load(const float* p) {
    std::memcpy(words_[t], p, sizeof words_[t]);
  }
  template <int t>
  void store(float* p) {
    std::memcpy(p, words_[t], sizeof words_[t]);
  }
  template <int c, int a, int b>
  void dot() {
    add_dot(words_[c], words_[a], words_[b]);
  }

 private:
  static f32x16 low_half(i32x16 words) { return as_float(shift_left<16>(words)); }
  static f32x16 high_half(i32x16 words) { return as_float(words & splat(int32_t{-0x10000})); }

  static void add_dot(float* c, const float* a, const float* b) {
    for (int64_t i = 0; i < kUnitSide; ++i) {
      f32x16 low = lamina::LAMINA_ISA::zero(), high = lamina::LAMINA_ISA::zero();
      for (int64_t k = 0; k < kUnitSide; ++k) {
        int32_t word;
        std::memcpy(&word, a + i * kUnitSide + k, sizeof word);
        const i32x16 pair = splat(word), row = bits(lamina::LAMINA_ISA::load(b + k * kUnitSide));
        low = fma(low_half(pair), low_half(row), low);
        high = fma(high_half(pair), high_half(row), high);
      }
      float* to = c + i * kUnitSide;
      lamina::LAMINA_ISA::store(to, lamina::LAMINA_ISA::load(to) + (low + high));
    }
  }

  alignas(64) float words_[8][kUnitTile];
};

}  // namespace
}  // namespace lamina::LAMINA_ISA
