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

// A row that is no multiple of 16 ends in a vector that overlaps the one before; only a row
// shorter than a vector needs a copy.
template <class T>
LAMINA_INLINE void convert_row(float* y, const T* row, int64_t cols, f32x16 scale) {
  if (cols < kLanes) {
    T padded[kLanes] = {};
    for (int64_t j = 0; j < cols; ++j) std::memcpy(padded + j, row + j, sizeof(T));
    store(y, load_converted(padded) * scale, cols);
    return;
  }
  int64_t j = 0;
  for (; j + kLanes <= cols; j += kLanes) store(y + j, load_converted(row + j) * scale);
  if (j < cols) store(y + cols - kLanes, load_converted(row + cols - kLanes) * scale);
}

// Columns first .. first + cols of the rows of an index.
struct Picked {
  const RowSource& source;
  const int64_t* index;
  int64_t rows, first, cols;

  template <class T>
  const char* row(int64_t i) const {
    return static_cast<const char*>(source.data) + index[i] * source.row_bytes +
           first * static_cast<int64_t>(sizeof(T));
  }
};

template <class T>
void gather_vectors(float* y, int64_t y_row, const Picked& from, float scale) {
  const f32x16 s = splat(scale);
  const int64_t rows = from.rows, cols = from.cols;
  const auto row = [&](int64_t i) { return reinterpret_cast<const T*>(from.row<T>(i)); };
  // Only where a row is long enough for that to pay.
  const bool past = std::is_same_v<T, float> && rows * cols >= kStreamedRun && cols >= 4 * kLanes;
  for (int64_t i = 0; i < rows; ++i, y += y_row) {
    if (i + 1 < rows) fetch_row(row(i + 1), cols * static_cast<int64_t>(sizeof(T)));
    if constexpr (std::is_same_v<T, float>) {
      if (past) {
        map_vectors(y, cols, true,
                    [x = row(i), s](int64_t j, int64_t n) { return load_upto(x + j, n) * s; });
        continue;
      }
    }
    convert_row(y, row(i), cols, s);
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
void gather_elements(float* y, int64_t y_row, const Picked& from, float scale) {
  for (int64_t i = 0; i < from.rows; ++i, y += y_row) {
    const char* row = from.row<T>(i);
    for (int64_t j = 0; j < from.cols; ++j) {
      T element;
      std::memcpy(&element, row + j * static_cast<int64_t>(sizeof(T)), sizeof(T));
      y[j] = static_cast<float>(element) * scale;
    }
  }
}

}  // namespace

void gather_rows(float* y, int64_t y_row, const RowSource& source, const int64_t* index,
                 int64_t rows, int64_t first, int64_t cols, float scale) {
  const auto run = [&](auto gather) {
    gather(y, y_row, Picked{source, index, rows, first, cols}, scale);
  };
  switch (source.dtype) {
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
  const auto known_at = [=](int64_t i) { return index[i] >= 0 && index[i] < vocabulary; };
  constexpr int64_t ahead = 4;  // rows are short
  for (int64_t i = 0; i < rows; ++i, y += dim) {
    const bool known = known_at(i);
    if (i + ahead < rows && known_at(i + ahead)) {
      fetch_row(table + index[i + ahead] * dim, dim * static_cast<int64_t>(sizeof(float)));
    }
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
