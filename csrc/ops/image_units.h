// How a batch of images is cut into units of work: bands of the rows of one image, or several small
// images whole.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernels.h"
#include "ops/pieces.h"

namespace lamina::ops {

// A unit of work is about as many output pixels as one block may have terms, which makes it one
// block of the kernel's gradient where pixels are not taken in squares; its pixels and theirs of
// the image stay in the second-level cache while the kernel passes by.
constexpr int64_t kUnitPixels = kContractionTerms;

// Small images go together where pixels are the rows of a product, so that the few at the borders
// fill its tiles too; but there should be groups for many threads.
constexpr int64_t kGroupPixels = 1024, kLeastGroups = 16;

struct Units {
  int64_t images, height, width;
  int64_t most;                // pixels of several images
  int64_t band = kUnitPixels;  // of one image

  int64_t rows() const { return std::max<int64_t>(1, band / std::max<int64_t>(1, width)); }
  Pieces bands() const { return {height, std::min(rows(), height)}; }
  Pieces groups() const {
    const int64_t fit = most / std::max<int64_t>(1, height * width);
    return {images, std::clamp<int64_t>(fit, 1, std::max<int64_t>(1, images / kLeastGroups))};
  }
  bool whole() const { return rows() >= height; }
  int64_t count() const {
    if (height == 0 || width == 0) return 0;
    return whole() ? groups().count() : images * bands().count();
  }
};

struct Unit {
  int64_t image, image_end, row, row_end;
};

inline Unit unit_of(const Units& units, int64_t tile) {
  if (units.whole()) {
    const Pieces groups = units.groups();
    return {groups.begin(tile), groups.end(tile), 0, units.height};
  }
  const Pieces bands = units.bands();
  const int64_t image = tile / bands.count(), band = tile % bands.count();
  return {image, image + 1, bands.begin(band), bands.end(band)};
}

// The next unit's part of a tensor, per image: `row` floats for each row of the unit.
struct Range {
  int64_t begin, floats;
};

inline Range after(const Unit& unit, int64_t image_floats, int64_t row) {
  return {(unit.image_end - 1) * image_floats + std::min(image_floats, unit.row_end * row),
          std::min(image_floats, (unit.row_end - unit.row) * row)};
}

// In two halves: one line a term would not do where a term is few products.
inline void fetch(Contraction& t, const float* tensor, const Range& range) {
  t.ahead_floats = range.floats / 2;
  t.ahead[0] = tensor + range.begin;
  t.ahead[1] = t.ahead[0] + t.ahead_floats;
}

}  // namespace lamina::ops
