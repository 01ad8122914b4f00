// Rows picked by index: batches out of the caller's array, converted to float32 on the way, and
// the rows of an embedding's table with their gradient. Nothing is read past the end of a row.
#include <cstring>
#include <type_traits>

#include "kernels/declarations.h"
#include "kernels/simd.h"

namespace lamina::LAMINA_ISA {
namespace {

// The types that a batch mostly comes in have a vector load, given a full vector of them at p.
LAMINA_INLINE f32x16 load_converted(const uint8_t* p) { return load_u8(p); }
LAMINA_INLINE f32x16 load_converted(const double* p) { return load_f64(p); }
LAMINA_INLINE f32x16 load_converted(const float* p) { return load(p); }

// Rows that are asked for ahead of the one being copied: they lie anywhere, so nobody else fetches
// them. A shuffled batch of 32 x 784 float32 out of memory takes half the time.
constexpr int64_t kRowsAhead = 2;
constexpr int64_t kLine = 64;

// A row that is no multiple of 16 ends in a vector that overlaps the one before; only a row
// shorter than a vector needs a copy.
template <class T>
LAMINA_INLINE void convert_row(float* y, const T* row, int64_t cols, f32x16 scale, const T* ahead) {
  if (cols < kLanes) {
    T padded[kLanes] = {};
    for (int64_t j = 0; j < cols; ++j) std::memcpy(padded + j, row + j, sizeof(T));
    store(y, load_converted(padded) * scale, cols);
    return;
  }
  constexpr int64_t step = kLine / static_cast<int64_t>(sizeof(T));
  int64_t j = 0;
  for (; j + kLanes <= cols; j += kLanes) {
    for (int64_t line = j; line < j + kLanes; line += step) {
      if (line % step == 0) prefetch(ahead + line);
    }
    store(y + j, load_converted(row + j) * scale);
  }
  if (j < cols) store(y + cols - kLanes, load_converted(row + cols - kLanes) * scale);
}

// One that is written past the caches, and long enough for that to pay.
LAMINA_INLINE void stream_row(float* y, const float* row, int64_t cols, f32x16 scale,
                              const float* ahead) {
  map_vectors(y, cols, true, [&](int64_t j, int64_t n) {
    prefetch(ahead + j);
    return load_upto(row + j, n) * scale;
  });
}

template <class T>
void gather_vectors(float* y, const char* source, const int64_t* index, int64_t rows, int64_t cols,
                    int64_t row_bytes, float scale) {
  const f32x16 s = splat(scale);
  const auto row = [=](int64_t i) { return reinterpret_cast<const T*>(source + i * row_bytes); };
  const bool past = std::is_same_v<T, float> && rows * cols >= kStreamedRun && cols >= 4 * kLanes;
  for (int64_t i = 0; i < rows; ++i, y += cols) {
    const T* ahead = row(index[i + kRowsAhead < rows ? i + kRowsAhead : i]);
    if constexpr (std::is_same_v<T, float>) {
      if (past) {
        stream_row(y, row(index[i]), cols, s, ahead);
        continue;
      }
    }
    convert_row(y, row(index[i]), cols, s, ahead);
  }
  if (past) finish_streams();
}

// float16 bits, exactly: a normal number's exponent is moved, a denormal is an integer times
// 2^-24. Nothing passes through a float32 denormal, which the engine's threads would flush.
struct Half {
  uint16_t word;
  LAMINA_INLINE operator float() const {
    const uint32_t sign = static_cast<uint32_t>(word & 0x8000) << 16;
    const uint32_t exponent = (word >> 10) & 0x1F, mantissa = word & 0x3FF;
    uint32_t magnitude;
    if (exponent == 0) {
      const float denormal = static_cast<float>(mantissa) * 0x1p-24f;
      std::memcpy(&magnitude, &denormal, sizeof magnitude);
    } else {
      magnitude = (exponent == 31 ? 255u : exponent + 112u) << 23 | mantissa << 13;
    }
    const uint32_t bits_of_float = sign | magnitude;
    float value;
    std::memcpy(&value, &bits_of_float, sizeof value);
    return value;
  }
};

struct Boolean {
  uint8_t byte;
  LAMINA_INLINE operator float() const { return byte != 0 ? 1.0f : 0.0f; }
};

// Every other type, one element at a time and at any alignment.
template <class T>
void gather_elements(float* y, const char* source, const int64_t* index, int64_t rows, int64_t cols,
                     int64_t row_bytes, float scale) {
  for (int64_t i = 0; i < rows; ++i, y += cols) {
    const char* row = source + index[i] * row_bytes;
    for (int64_t j = 0; j < cols; ++j) {
      T element;
      std::memcpy(&element, row + j * static_cast<int64_t>(sizeof(T)), sizeof(T));
      y[j] = static_cast<float>(element) * scale;
    }
  }
}

}  // namespace

void gather_rows(float* y, const void* source, DType dtype, const int64_t* index, int64_t rows,
                 int64_t cols, int64_t row_bytes, float scale) {
  const auto run = [&](auto gather) {
    gather(y, static_cast<const char*>(source), index, rows, cols, row_bytes, scale);
  };
  switch (dtype) {
    case DType::float32:
      return run(gather_vectors<float>);
    case DType::float64:
      return run(gather_vectors<double>);
    case DType::uint8:
      return run(gather_vectors<uint8_t>);
    case DType::float16:
      return run(gather_elements<Half>);
    case DType::int8:
      return run(gather_elements<int8_t>);
    case DType::uint16:
      return run(gather_elements<uint16_t>);
    case DType::int16:
      return run(gather_elements<int16_t>);
    case DType::uint32:
      return run(gather_elements<uint32_t>);
    case DType::int32:
      return run(gather_elements<int32_t>);
    case DType::uint64:
      return run(gather_elements<uint64_t>);
    case DType::int64:
      return run(gather_elements<int64_t>);
    case DType::boolean:
      return run(gather_elements<Boolean>);
  }
}

void embedding_forward(float* y, const float* table, const int32_t* index, int64_t rows,
                       int64_t vocabulary, int64_t dim) {
  for (int64_t i = 0; i < rows; ++i, y += dim) {
    const bool known = index[i] >= 0 && index[i] < vocabulary;
    const float* row = table + (known ? index[i] : 0) * dim;
    for_each_vector(dim, [&](int64_t j, int64_t n) {
      store_upto(y + j, known ? load_upto(row + j, n) : splat(__builtin_nanf("")), n);
    });
  }
}

void embedding_backward(float* dtable, const float* dy, const int32_t* index, int64_t rows,
                        int64_t dim, int64_t begin, int64_t end) {
  for_each_vector((end - begin) * dim,
                  [&](int64_t i, int64_t n) { store_upto(dtable + begin * dim + i, zero(), n); });
  for (int64_t i = 0; i < rows; ++i, dy += dim) {
    if (index[i] < begin || index[i] >= end) continue;
    float* row = dtable + index[i] * dim;
    for_each_vector(dim, [&](int64_t j, int64_t n) {
      store_upto(row + j, load_upto(row + j, n) + load_upto(dy + j, n), n);
    });
  }
}

}  // namespace lamina::LAMINA_ISA
