// Tiles on AMX. The interface is described in ../tiles.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace lamina::LAMINA_ISA {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfig kTileConfig{};

constexpr const char* kTilesName = "amx";

// The intrinsics want the number of a register written out.
struct Tiles {
  Tiles() { _tile_loadconfig(&kTileConfig); }
  // Live tiles would be saved at every switch to another thread: 8 KB.
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int t>
  LAMINA_INLINE void zero() {
    static_assert(t >= 0 && t < 4);
    if constexpr (t == 0) _tile_zero(0);
    if constexpr (t == 1) _tile_zero(1);
    if constexpr (t == 2) _tile_zero(2);
    if constexpr (t == 3) _tile_zero(3);
  }
  template <int t>
  LAMINA_INLINE void load(const float* p) {
    static_assert(t >= 4 && t < 8);
    if constexpr (t == 4) _tile_loadd(4, p, 64);
    if constexpr (t == 5) _tile_loadd(5, p, 64);
    if constexpr (t == 6) _tile_loadd(6, p, 64);
    if constexpr (t == 7) _tile_loadd(7, p, 64);
  }
  template <int t>
  LAMINA_INLINE void store(float* p) {
    static_assert(t >= 0 && t < 4);
    if constexpr (t == 0) _tile_stored(0, p, 64);
    if constexpr (t == 1) _tile_stored(1, p, 64);
    if constexpr (t == 2) _tile_stored(2, p, 64);
    if constexpr (t == 3) _tile_stored(3, p, 64);
  }
  template <int c, int a, int b>
  LAMINA_INLINE void dot() {
    static_assert((a == 4 || a == 5) && (b == 6 || b == 7) && c == 2 * (a - 4) + b - 6);
    if constexpr (c == 0) _tile_dpbf16ps(0, 4, 6);
    if constexpr (c == 1) _tile_dpbf16ps(1, 4, 7);
    if constexpr (c == 2) _tile_dpbf16ps(2, 5, 6);
    if constexpr (c == 3) _tile_dpbf16ps(3, 5, 7);
  }
};

}  // namespace
}  // namespace lamina::LAMINA_ISA
