// Aligned memory, and products of sizes that do not overflow.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

namespace lamina {

constexpr int64_t kCacheLine = 64;

// The product of sizes. Throws std::length_error where it is no int64_t.
inline int64_t checked_product(std::initializer_list<int64_t> sizes) {
  int64_t product = 1;
  for (const int64_t size : sizes) {
    if (size < 0 || __builtin_mul_overflow(product, size, &product)) {
      throw std::length_error("a product of sizes is larger than 2^63 - 1");
    }
  }
  return product;
}

// n values of T, uninitialised, on a cache line. Throws std::bad_alloc (Python's MemoryError).
template <class T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(int64_t n) : size_(n) {
    if (n < 0 || n > std::numeric_limits<int64_t>::max() / 2 / static_cast<int64_t>(sizeof(T))) {
      throw std::bad_alloc();
    }
    if (n == 0) return;
    const int64_t bytes = (n * static_cast<int64_t>(sizeof(T)) + kCacheLine - 1) / kCacheLine;
    data_ = static_cast<T*>(std::aligned_alloc(static_cast<size_t>(kCacheLine),
                                               static_cast<size_t>(bytes * kCacheLine)));
    if (data_ == nullptr) throw std::bad_alloc();
  }
  AlignedArray(AlignedArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedArray& operator=(AlignedArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  AlignedArray(const AlignedArray&) = delete;
  AlignedArray& operator=(const AlignedArray&) = delete;
  ~AlignedArray() { std::free(data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  int64_t size() const { return size_; }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace lamina
