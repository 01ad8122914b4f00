// Which taps of a window lie inside the image. Outputs that see the same taps are
// handled together, so no zeros are stored around an image and none are multiplied.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernels.h"

namespace lamina::ops {

// Tap t of output o reads input base + o * stride + t * dilation, which counts only within
// [0, inputs). stride is positive; dilation may be negative.
struct TapAxis {
  int64_t base, stride, dilation, taps, inputs;

  int64_t input(int64_t output, int64_t tap) const {
    return base + output * stride + tap * dilation;
  }
  bool inside(int64_t output, int64_t tap) const {
    const int64_t i = input(output, tap);
    return i >= 0 && i < inputs;
  }
};

inline TapAxis rows_of(const Window2d& w) {
  return {-w.pad_top, w.stride_h, w.dilation_h, w.kernel_h, w.height};
}
inline TapAxis columns_of(const Window2d& w) {
  return {-w.pad_left, w.stride_w, w.dilation_w, w.kernel_w, w.width};
}

// The outputs first, first + 1 ... (count of them) see exactly the taps tap, tap + 1 ... (taps).
struct Segment {
  int64_t first, count, tap, taps;
};

// Cuts the outputs begin .. end into segments, in order: one where all taps lie inside, and single
// outputs at the borders.
template <class Body>
void for_each_segment(const TapAxis& axis, int64_t begin, int64_t end, Body&& body) {
  const int64_t reach = std::max<int64_t>(0, axis.taps - 1) * axis.dilation;
  const int64_t low = axis.base + std::min<int64_t>(0, reach);
  const int64_t high = axis.base + std::max<int64_t>(0, reach);
  const int64_t whole = low >= 0 ? 0 : (-low + axis.stride - 1) / axis.stride;
  const int64_t whole_end = high >= axis.inputs ? 0 : (axis.inputs - 1 - high) / axis.stride + 1;
  for (int64_t o = begin; o < end;) {
    Segment s{o, 1, 0, axis.taps};
    if (axis.taps == 0) {
      s.count = end - o;
    } else if (o >= whole && o < whole_end) {
      s.count = std::min(end, whole_end) - o;
    } else {
      while (s.tap < axis.taps && !axis.inside(o, s.tap)) ++s.tap;
      s.taps = 0;
      while (s.tap + s.taps < axis.taps && axis.inside(o, s.tap + s.taps)) ++s.taps;
    }
    body(s);
    o += s.count;
  }
}

// Applies body(rows, columns) to the output pixels of some rows, those together that see the same
// taps.
template <class Body>
void for_each_region(const TapAxis& rows, int64_t row, int64_t row_end, const TapAxis& columns,
                     int64_t column, int64_t column_end, Body&& body) {
  for_each_segment(rows, row, row_end, [&](const Segment& i) {
    for_each_segment(columns, column, column_end, [&](const Segment& j) { body(i, j); });
  });
}

}  // namespace lamina::ops
