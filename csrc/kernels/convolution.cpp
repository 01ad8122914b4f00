// One image's gradient out of the matrix that has a row per output pixel and a column per tap and
// channel: taps outside the image are dropped. Not a convolution: ops/conv2d multiplies.
#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

LAMINA_INLINE void add_run(float* to, const float* from, int64_t n) {
  for_each_vector(n, [&](int64_t i, int64_t lanes) {
    store_upto(to + i, load_upto(to + i, lanes) + load_upto(from + i, lanes), lanes);
  });
}

LAMINA_INLINE int64_t clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

// The taps kj in [first, last) of one kernel row that lie inside the image when tap 0 lies at
// column `left`.
struct Taps {
  int64_t first, last;
};

LAMINA_INLINE Taps taps_inside(const Window2d& w, int64_t left) {
  const int64_t d = w.dilation_w;
  const int64_t first = left < 0 ? (d - 1 - left) / d : 0;
  const int64_t last = left < w.width ? (w.width - 1 - left) / d + 1 : 0;
  const int64_t begin = clamp(first, 0, w.kernel_w);
  return {begin, clamp(last, begin, w.kernel_w)};
}

// One kernel row of one output pixel: without dilation its taps are a single run of the image.
LAMINA_INLINE void add_taps(float* row, const float* columns, const Window2d& w, int64_t left) {
  const int64_t c = w.channels;
  const Taps taps = taps_inside(w, left);
  if (w.dilation_w == 1) {
    add_run(row + (left + taps.first) * c, columns + taps.first * c, (taps.last - taps.first) * c);
  } else {
    for (int64_t kj = taps.first; kj < taps.last; ++kj) {
      add_run(row + (left + kj * w.dilation_w) * c, columns + kj * c, c);
    }
  }
}

// Applies body(oi, first, last) to the output pixels begin .. end, a row or a part of one a time.
template <class Body>
LAMINA_INLINE void for_each_output_row(const Window2d& w, int64_t begin, int64_t end, Body&& body) {
  while (begin < end) {
    const int64_t oi = begin / w.out_width;
    const int64_t stop = (oi + 1) * w.out_width < end ? (oi + 1) * w.out_width : end;
    body(oi, begin, stop);
    begin = stop;
  }
}

}  // namespace

// Pixels outermost: an input under several windows receives their values in the order of p.
void col2im_add(float* image, const float* columns, const Window2d& w, int64_t begin, int64_t end) {
  const int64_t run = w.kernel_w * w.channels;
  for_each_output_row(w, begin, end, [&](int64_t oi, int64_t first, int64_t last) {
    int64_t left = (first - oi * w.out_width) * w.stride_w - w.pad_left;
    for (int64_t p = first; p < last; ++p, left += w.stride_w) {
      for (int64_t ki = 0; ki < w.kernel_h; ++ki, columns += run) {
        const int64_t i = oi * w.stride_h - w.pad_top + ki * w.dilation_h;
        if (i >= 0 && i < w.height) add_taps(image + i * w.width * w.channels, columns, w, left);
      }
    }
  });
}

}  // namespace lamina::LAMINA_ISA
