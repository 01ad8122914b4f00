// Cutting a range into fixed pieces: tiles of a loop, or partial sums that are added up afterwards.
// Where the cuts lie follows from the sizes alone, never from the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernels.h"

namespace lamina::ops {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t n, int64_t unit) { return ceil_div(n, unit) * unit; }

struct Pieces {
  int64_t total, size;

  int64_t count() const { return (total + size - 1) / size; }
  int64_t begin(int64_t piece) const { return piece * size; }
  int64_t end(int64_t piece) const { return std::min(begin(piece) + size, total); }
  int64_t length(int64_t piece) const { return end(piece) - begin(piece); }
};

// Pieces of at least `least`, and at most `most` of them.
inline Pieces pieces_of(int64_t total, int64_t least, int64_t most) {
  return {total, std::max({int64_t{1}, least, (total + most - 1) / most})};
}

// About ten microseconds of a cheap elementwise kernel; a multiple of the 64 elements that a block
// of random numbers spans.
constexpr int64_t kElementTile = 16384;
// Arrays from 16 MB on, which with their input fill a cache of 32 MB, are cut so that kernels write
// past it.
constexpr int64_t kStreamedArray = int64_t{1} << 22;

// A step of a program is shared by threads that are awake, so its tiles may be a few times shorter.
constexpr int64_t kStepTile = 4096;

inline Pieces element_tiles(int64_t n, int64_t tile = kElementTile) {
  return {n, n < kStreamedArray ? tile : kStreamedRun};
}
// Rows of nothing are no work, however many there are: 2^50 of them fit into an array.
inline Pieces row_tiles(int64_t rows, int64_t cols, int64_t tile = kElementTile) {
  if (cols == 0) return {0, 1};
  // Rounded up: fewer values than a streamed run would not be streamed.
  if (rows >= kStreamedArray / cols) return {rows, (kStreamedRun + cols - 1) / cols};
  return {rows, std::max<int64_t>(1, tile / cols)};
}

// Sums over rows are made of these, each a tree, and a tree of them.
inline Pieces summed_rows(int64_t rows) { return {rows, 256}; }

// out[begin .. end) = the sum over s of partial[s * n + begin .. end), or zeros.
inline void add_partials(const Kernels& kernels, float* out, const float* partial, int64_t count,
                         int64_t n, int64_t begin, int64_t end) {
  if (begin < end) kernels.column_sums(out + begin, partial + begin, n, count, end - begin);
}

}  // namespace lamina::ops
