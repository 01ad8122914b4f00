// The loops of probe.cpp for one vector width. No include guard: probe.cpp includes this file once
// for each width, with
//   BYTES          the width of a vector
//   TARGET         the attribute that lets the compiler use such vectors in one function
//   STREAM(p, v)   stores the vector v to p past the caches; left out where nothing does that
// inside a namespace of that width. Sizes are in floats, and multiples of 16 vectors.

using Vector __attribute__((vector_size(BYTES), may_alias)) = float;
constexpr int64_t kLanes = BYTES / sizeof(float);

TARGET inline float sum(Vector v) {
  float total = 0;
  for (int64_t i = 0; i < kLanes; ++i) total += v[i];
  return total;
}

// Twelve chains of fused multiply-adds: a processor that starts two a cycle and finishes each after
// four or five is kept busy by ten, and with both factors they fit the 16 registers of AVX2.
TARGET float fma(int64_t rounds, float factor, float term) {
  Vector a = {}, b = {}, c[12] = {};
  a += factor;
  b += term;
  // Each chain starts somewhere else: equal ones would be computed once.
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) c[i] += static_cast<float>(i);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) c[i] = c[i] * a + b;
  }
  Vector total = {};
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) total += c[i];
  return sum(total);
}

// Reads x once: eight sums at a time, enough to hide the latency of an addition.
TARGET float read(const float* x, int64_t n) {
  Vector s[8] = {};
  for (int64_t i = 0; i < n; i += 8 * kLanes) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) s[j] += *reinterpret_cast<const Vector*>(x + i + j * kLanes);
  }
  Vector total = {};
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) total += s[j];
  return sum(total);
}

// a = b + factor c, McCalpin's STREAM triad.
TARGET void triad(float* a, const float* b, const float* c, float factor, int64_t n) {
  for (int64_t i = 0; i < n; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const int64_t at = i + j * kLanes;
      *reinterpret_cast<Vector*>(a + at) = *reinterpret_cast<const Vector*>(b + at) +
                                           factor * *reinterpret_cast<const Vector*>(c + at);
    }
  }
}

// w = w + factor g, and so m and v: three arrays are read and written and a fourth is read, as by
// an optimizer's step.
TARGET void update(float* w, float* m, float* v, const float* g, float factor, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const Vector step = factor * *reinterpret_cast<const Vector*>(g + i);
    *reinterpret_cast<Vector*>(w + i) += step;
    *reinterpret_cast<Vector*>(m + i) += step;
    *reinterpret_cast<Vector*>(v + i) += step;
  }
}

#ifdef STREAM
// The triad with stores past the caches.
TARGET void stream_triad(float* a, const float* b, const float* c, float factor, int64_t n) {
  for (int64_t i = 0; i < n; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const int64_t at = i + j * kLanes;
      STREAM(a + at, (*reinterpret_cast<const Vector*>(b + at) +
                      factor * *reinterpret_cast<const Vector*>(c + at)));
    }
  }
  __builtin_ia32_sfence();
}
#endif

constexpr Loops kLoops = {
    BYTES,        fma, read, triad, update,
#ifdef STREAM
    stream_triad,
#else
    nullptr,
#endif
};
