// Pooling of one image, sixteen channels at a time. Every window must hold at least one pixel of
// the image, as 'valid' and 'same' padding see to.
#include "kernels/declarations.h"
#include "kernels/simd.h"
#include "kernels/tree.h"

namespace lamina::LAMINA_ISA {
namespace {

// The part of one window that lies inside the image: rows [top, bottom), columns [left, right).
struct Box {
  int64_t top, bottom, left, right;
};

// Applies body(o, box) to every output pixel o.
template <class Body>
LAMINA_INLINE void for_each_window(const Window2d& w, Body&& body) {
  for (int64_t oi = 0; oi < w.out_height; ++oi) {
    const int64_t i = oi * w.stride_h - w.pad_top;
    const int64_t bottom = i + w.kernel_h < w.height ? i + w.kernel_h : w.height;
    for (int64_t oj = 0; oj < w.out_width; ++oj) {
      const int64_t j = oj * w.stride_w - w.pad_left;
      const int64_t right = j + w.kernel_w < w.width ? j + w.kernel_w : w.width;
      body(oi * w.out_width + oj, Box{i < 0 ? 0 : i, bottom, j < 0 ? 0 : j, right});
    }
  }
}

// Applies body(pixel) to the pixels of a box in row-major order; pixel is i * width + j.
template <class Body>
LAMINA_INLINE void for_each_pixel(const Window2d& w, const Box& box, Body&& body) {
  for (int64_t i = box.top; i < box.bottom; ++i) {
    for (int64_t j = box.left; j < box.right; ++j) body(i * w.width + j);
  }
}

LAMINA_INLINE void fill_zeros(float* from, int64_t n) {
  for_each_vector(n, [&](int64_t i, int64_t lanes) { store_upto(from + i, zero(), lanes); });
}

// The image's gradient: every pixel gets the sum of its shares, in the order of the windows.
// share(o, box, c, n) is a function of the pixel. Windows side by side have a pixel once: it is
// written once, and only what lies beyond the last of them is filled with zeros.
template <class Share>
LAMINA_INLINE void sum_windows(float* dimage, const Window2d& w, Share&& share) {
  const bool once = w.stride_h == w.kernel_h && w.stride_w == w.kernel_w;
  const int64_t row = w.width * w.channels;
  const int64_t bottom = once ? w.out_height * w.stride_h - w.pad_top : 0;
  const int64_t right = once ? w.out_width * w.stride_w - w.pad_left : 0;
  for (int64_t i = 0; i < bottom && i < w.height && right < w.width; ++i) {
    fill_zeros(dimage + i * row + right * w.channels, (w.width - right) * w.channels);
  }
  if (bottom < w.height) fill_zeros(dimage + bottom * row, (w.height - bottom) * row);
  for_each_window(w, [&](int64_t o, const Box& box) {
    for_each_vector(w.channels, [&](int64_t c, int64_t n) {
      const auto of_pixel = share(o, box, c, n);
      for_each_pixel(w, box, [&](int64_t pixel) {
        float* to = dimage + pixel * w.channels + c;
        const f32x16 mine = of_pixel(pixel);
        store_upto(to, once ? mine : load_upto(to, n) + mine, n);
      });
    });
  });
}

LAMINA_INLINE f32x16 pixels_of(const Box& box) {
  return splat(static_cast<float>((box.bottom - box.top) * (box.right - box.left)));
}

}  // namespace

// y, argmax (out_height, out_width, channels), image (height, width, channels)
void max_pool_forward(float* y, int32_t* argmax, const float* image, const Window2d& w) {
  // There is little to compute: without fetching the next row of windows, or the next image's first
  // one, the kernel waits for memory half of its time.
  const int64_t ahead = w.stride_h * w.width * w.channels;
  for_each_window(w, [&](int64_t o, const Box& box) {
    for_each_vector(w.channels, [&](int64_t c, int64_t n) {
      const int64_t first = box.top * w.width + box.left;
      f32x16 best = load_upto(image + first * w.channels + c, n);
      i32x16 where = splat(static_cast<int32_t>(first));
      for_each_pixel(w, box, [&](int64_t pixel) {
        const float* from = image + pixel * w.channels + c;
        __builtin_prefetch(from + ahead);
        const f32x16 x = load_upto(from, n);
        // Not "greater": a NaN must replace a number, and nothing may replace a NaN.
        const mask16 better = !((x <= best) | is_nan(best));
        best = select(better, x, best);
        where = select(better, splat(static_cast<int32_t>(pixel)), where);
      });
      store_upto(y + o * w.channels + c, best, n);
      if (argmax != nullptr) store(argmax + o * w.channels + c, where, n);
    });
  });
}

// A channel's gradient goes to the pixel that argmax names. Asking each pixel of the window whether
// it is meant keeps the channels in one vector, and never writes outside the window.
void max_pool_backward(float* dimage, const float* dy, const int32_t* argmax, const Window2d& w) {
  sum_windows(dimage, w, [&](int64_t o, const Box&, int64_t c, int64_t n) {
    const f32x16 d = load_upto(dy + o * w.channels + c, n);
    const i32x16 where = load(argmax + o * w.channels + c, n);
    return [=](int64_t pixel) {
      return select(equal(where, splat(static_cast<int32_t>(pixel))), d, zero());
    };
  });
}

// y (out_height, out_width, channels), image (height, width, channels)
void average_pool_forward(float* y, const float* image, const Window2d& w) {
  for_each_window(w, [&](int64_t o, const Box& box) {
    const f32x16 count = pixels_of(box);
    for_each_vector(w.channels, [&](int64_t c, int64_t n) {
      TreeSum total;  // a window may be the whole of an image
      for_each_pixel(
          w, box, [&](int64_t pixel) { total.add(load_upto(image + pixel * w.channels + c, n)); });
      store_upto(y + o * w.channels + c, total.total() / count, n);
    });
  });
}

void average_pool_backward(float* dimage, const float* dy, const Window2d& w) {
  sum_windows(dimage, w, [&](int64_t o, const Box& box, int64_t c, int64_t n) {
    const f32x16 d = load_upto(dy + o * w.channels + c, n) / pixels_of(box);
    return [=](int64_t) { return d; };
  });
}

}  // namespace lamina::LAMINA_ISA
