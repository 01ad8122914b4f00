// The transforms of Winograd's F(2 x 2, 3 x 3): a square of 2 x 2 outputs of a 3 x 3 convolution
// out of 16 products for each channel instead of 36. With . the product element by element,
//   y  = A' [(G g G') . (B' d B)] A      d the 4 x 4 inputs that the square reads, g the 3 x 3 taps
//   dg = G' [(B' d B) . (A dy A')] G     the same sum of products, read the other way
// S. Winograd, "Arithmetic Complexity of Computations" (SIAM, 1980); A. Lavin and S. Gray, "Fast
// algorithms for convolutional neural networks" (CVPR 2016, arXiv:1509.09308), whose matrices these
// are. Entry (i, j) of what a transform gives goes to plane 4 i + j, a matrix with a row for each
// square (or channel) and a column for each channel (or filter): so the sums over channels, or over
// squares, are sixteen matrix products, which ops/winograd has done by the GEMM.
#include "kernels/activate.h"
#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// The matrices, one axis at a time.
struct Input {  // B'
  static constexpr int in = 4, out = 4;
  static LAMINA_INLINE void apply(f32x16 (&y)[out], const f32x16 (&d)[in]) {
    y[0] = d[0] - d[2];
    y[1] = d[1] + d[2];
    y[2] = d[2] - d[1];
    y[3] = d[1] - d[3];
  }
};
struct Taps {  // G
  static constexpr int in = 3, out = 4;
  static LAMINA_INLINE void apply(f32x16 (&y)[out], const f32x16 (&g)[in]) {
    const f32x16 half = splat(0.5f), outer = half * (g[0] + g[2]), inner = half * g[1];
    y[0] = g[0];
    y[1] = outer + inner;
    y[2] = outer - inner;
    y[3] = g[2];
  }
};
struct Output {  // A'
  static constexpr int in = 4, out = 2;
  static LAMINA_INLINE void apply(f32x16 (&y)[out], const f32x16 (&m)[in]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  }
};
struct OutputGradient {  // A
  static constexpr int in = 2, out = 4;
  static LAMINA_INLINE void apply(f32x16 (&y)[out], const f32x16 (&dy)[in]) {
    y[0] = dy[0];
    y[1] = dy[0] + dy[1];
    y[2] = dy[0] - dy[1];
    y[3] = zero() - dy[1];
  }
};
struct TapsGradient {  // G'
  static constexpr int in = 4, out = 3;
  static LAMINA_INLINE void apply(f32x16 (&y)[out], const f32x16 (&m)[in]) {
    const f32x16 half = splat(0.5f), sum = half * (m[1] + m[2]);
    y[0] = m[0] + sum;
    y[1] = half * (m[1] - m[2]);
    y[2] = sum + m[3];
  }
};

constexpr int kSide = 4;  // of what is multiplied element by element

// out = M in M', M the matrix of an axis.
template <class Axis>
LAMINA_INLINE void transform(f32x16 (&out)[Axis::out][Axis::out],
                             const f32x16 (&in)[Axis::in][Axis::in]) {
  f32x16 half[Axis::out][Axis::in];
  LAMINA_UNROLL
  for (int j = 0; j < Axis::in; ++j) {
    f32x16 from[Axis::in], to[Axis::out];
    LAMINA_UNROLL
    for (int i = 0; i < Axis::in; ++i) from[i] = in[i][j];
    Axis::apply(to, from);
    LAMINA_UNROLL
    for (int i = 0; i < Axis::out; ++i) half[i][j] = to[i];
  }
  LAMINA_UNROLL
  for (int i = 0; i < Axis::out; ++i) Axis::apply(out[i], half[i]);
}

LAMINA_INLINE void store_planes(float* planes, int64_t plane, const f32x16 (&v)[kSide][kSide],
                                int64_t lanes) {
  LAMINA_UNROLL
  for (int p = 0; p < kSide * kSide; ++p) {
    store_upto(planes + p * plane, v[p / kSide][p % kSide], lanes);
  }
}

LAMINA_INLINE void load_planes(f32x16 (&v)[kSide][kSide], const float* planes, int64_t plane,
                               int64_t lanes) {
  LAMINA_UNROLL
  for (int p = 0; p < kSide * kSide; ++p) {
    v[p / kSide][p % kSide] = load_upto(planes + p * plane, lanes);
  }
}

// Square `square` of a row of them, size x size pixels.
template <int size>
struct Corner {
  int64_t top, left;
  bool inside;  // the whole square

  LAMINA_INLINE Corner(const Squares& s, int64_t square) : top(s.top), left(s.left + 2 * square) {
    inside = top >= 0 && top + size <= s.height && left >= 0 && left + size <= s.width;
  }
};

LAMINA_INLINE bool holds(const Squares& s, int64_t row, int64_t column) {
  return row >= 0 && row < s.height && column >= 0 && column < s.width;
}

template <class Axis, bool inside>
void spread_square(float* planes, int64_t plane, const float* x, int64_t n, const Squares& s,
                   const Corner<Axis::in>& at) {
  constexpr int size = Axis::in;
  const int64_t first = (at.top * s.width + at.left) * s.pixel;
  for_each_vector(n, [&](int64_t c, int64_t lanes) LAMINA_LAMBDA {
    f32x16 square[size][size], spread[kSide][kSide];
    LAMINA_UNROLL
    for (int i = 0; i < size; ++i) {
      LAMINA_UNROLL
      for (int j = 0; j < size; ++j) {
        const bool there = inside || holds(s, at.top + i, at.left + j);
        square[i][j] =
            there ? load_upto(x + first + (i * s.width + j) * s.pixel + c, lanes) : zero();
      }
    }
    transform<Axis>(spread, square);
    store_planes(planes + c, plane, spread, lanes);
  });
}

// Row t of every plane is made of square t.
template <class Axis>
LAMINA_INLINE void spread_squares(float* planes, int64_t plane, int64_t row, const float* x,
                                  int64_t n, const Squares& s) {
  for (int64_t t = 0; t < s.count; ++t, planes += row) {
    const Corner<Axis::in> at(s, t);
    if (at.inside) {
      spread_square<Axis, true>(planes, plane, x, n, s, at);
    } else {
      spread_square<Axis, false>(planes, plane, x, n, s, at);
    }
  }
}

// The functions that are not worth a copy of the transform for each.
void activate_squares(float* y, int64_t n, const Squares& s, const GemmEpilogue& e) {
  with_activation(e.activation, [&](auto function) {
    const f32x16 alpha = splat(e.alpha);
    for (int64_t i = s.top; i < s.top + 2; ++i) {
      for (int64_t j = s.left; j < s.left + 2 * s.count; ++j) {
        if (!holds(s, i, j)) continue;
        float* pixel = y + (i * s.width + j) * s.pixel;
        for_each_vector(n, [&](int64_t c, int64_t lanes) {
          store_upto(pixel + c, decltype(function)::forward(load_upto(pixel + c, lanes), alpha),
                     lanes);
        });
      }
    }
  });
}

}  // namespace

void winograd_input(float* planes, int64_t plane, int64_t row, const float* x, int64_t n,
                    const Squares& s) {
  spread_squares<Input>(planes, plane, row, x, n, s);
}

void winograd_output_gradient(float* planes, int64_t plane, int64_t row, const float* dy, int64_t n,
                              const Squares& s) {
  spread_squares<OutputGradient>(planes, plane, row, dy, n, s);
}

void winograd_taps(float* planes, int64_t plane, int64_t row, const float* taps, int64_t tap,
                   int64_t taps_row, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, planes += row, taps += taps_row) {
    for_each_vector(n, [&](int64_t c, int64_t lanes) LAMINA_LAMBDA {
      f32x16 g[3][3], spread[kSide][kSide];
      LAMINA_UNROLL
      for (int t = 0; t < 9; ++t) g[t / 3][t % 3] = load_upto(taps + t * tap + c, lanes);
      transform<Taps>(spread, g);
      store_planes(planes + c, plane, spread, lanes);
    });
  }
}

bool winograd_taps_gradient(float* dtaps, int64_t tap, int64_t taps_row, const float* planes,
                            int64_t plane, int64_t row, int64_t rows, int64_t n) {
  Finite finite;
  for (int64_t r = 0; r < rows; ++r, planes += row, dtaps += taps_row) {
    for_each_vector(n, [&](int64_t c, int64_t lanes) LAMINA_LAMBDA {
      f32x16 m[kSide][kSide], g[3][3];
      load_planes(m, planes + c, plane, lanes);
      transform<TapsGradient>(g, m);
      LAMINA_UNROLL
      for (int t = 0; t < 9; ++t) {
        finite.see(g[t / 3][t % 3]);
        store_upto(dtaps + t * tap + c, g[t / 3][t % 3], lanes);
      }
    });
  }
  return finite.all();
}

bool winograd_output(float* y, const float* planes, int64_t plane, int64_t row, int64_t n,
                     const Squares& s, const GemmEpilogue& epilogue) {
  const float* bias = epilogue.bias;
  const Activation activation = epilogue.activation;
  Finite finite;
  for (int64_t t = 0; t < s.count; ++t, planes += row) {
    const Corner<2> at(s, t);
    const int64_t first = (at.top * s.width + at.left) * s.pixel;
    for_each_vector(n, [&](int64_t c, int64_t lanes) LAMINA_LAMBDA {
      f32x16 m[kSide][kSide], square[2][2];
      load_planes(m, planes + c, plane, lanes);
      transform<Output>(square, m);
      const f32x16 shift = bias == nullptr ? zero() : load_upto(bias + c, lanes);
      LAMINA_UNROLL
      for (int q = 0; q < 4; ++q) {
        const int i = q / 2, j = q % 2;
        if (!at.inside && !holds(s, at.top + i, at.left + j)) continue;
        finite.see(square[i][j]);
        f32x16 value = square[i][j] + shift;
        if (activation == Activation::relu) value = Relu::forward(value, zero());
        store_upto(y + first + (i * s.width + j) * s.pixel + c, value, lanes);
      }
    });
  }
  if (activation != Activation::linear && activation != Activation::relu) {
    activate_squares(y, n, s, epilogue);
  }
  return finite.all();
}

}  // namespace lamina::LAMINA_ISA
