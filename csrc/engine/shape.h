// Shapes of tensors, without the batch axis, and how messages spell them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cpu/memory.h"

namespace lamina::engine {

using Shape = std::vector<int64_t>;

inline int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count = checked_product({count, size});
  return count;
}

// "(batch, 28, 28)"
inline std::string with_batch(const Shape& shape) {
  std::string text = "(batch";
  for (const int64_t size : shape) text += ", " + std::to_string(size);
  return text + ")";
}

}  // namespace lamina::engine
