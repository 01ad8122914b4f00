#include "ops/columns.h"

#include <algorithm>

#include "cpu/float_state.h"
#include "ops/pieces.h"
#include "ops/strided_product.h"

namespace lamina::ops {
namespace {

constexpr int64_t kLineTile = 4096;  // values that a tile of splitting takes: two microseconds

// A pixel among those of all images.
struct Pixel {
  int64_t image, i, j;
};

Pixel pixel_of(const Columns& c, int64_t row) {
  const int64_t line = row / c.width;
  return {line / c.height, line % c.height, row % c.width};
}

// Sixteen rows of the columns, and where in the lines their taps are.
class Band {
 public:
  Band(const Columns& columns, int64_t row, int64_t rows, int64_t pixel_floats)
      : columns_(columns), count_(std::clamp<int64_t>(rows, 0, kUnitSide)), floats_(pixel_floats) {
    if (count_ == 0) return;
    Pixel pixel = pixel_of(columns, row);
    for (int64_t r = 0; r < count_; ++r) {
      i_[r] = columns.h.input(pixel.i, 0);
      j_[r] = columns.v.input(pixel.j, 0);
      from_[r] = (pixel.image * columns.h.inputs + i_[r]) * columns.v.inputs + j_[r];
      if (++pixel.j < columns.width) continue;
      pixel.j = 0;
      if (++pixel.i < columns.height) continue;
      pixel.i = 0;
      ++pixel.image;
    }
  }

  // from[r]: where the lines of row r's tap begin, -1 where it lies outside the image.
  void lines_of(int64_t tap, int64_t* from) const {
    const TapAxis &h = columns_.h, &v = columns_.v;
    const int64_t down = tap / v.taps * h.dilation, across = tap % v.taps * v.dilation;
    for (int64_t r = 0; r < count_; ++r) {
      const int64_t i = i_[r] + down, j = j_[r] + across;
      const bool inside = i >= 0 && i < h.inputs && j >= 0 && j < v.inputs;
      from[r] = inside ? (from_[r] + down * v.inputs + across) * floats_ : -1;
    }
    std::fill(from + count_, from + kUnitSide, -1);
  }

 private:
  const Columns& columns_;
  int64_t count_, floats_;
  int64_t i_[kUnitSide], j_[kUnitSide], from_[kUnitSide];
};

// Applies body(tap, block, count) to the taps of the lines first .. end, `blocks` of them a tap.
template <class Body>
void for_each_tap(int64_t first, int64_t end, int64_t blocks, Body&& body) {
  while (first < end) {
    const int64_t block = first % blocks, count = std::min(blocks - block, end - first);
    body(first / blocks, block, count);
    first += count;
  }
}

// The taps of one output that lie inside.
Segment taps_of(const TapAxis& axis, int64_t output) {
  Segment taps{};
  for_each_segment(axis, output, output + 1, [&](const Segment& s) { taps = s; });
  return taps;
}

}  // namespace

int64_t SplitLines::tiles() const { return row_tiles(pixels, channels, kLineTile).count(); }

void SplitLines::split(const Kernels& kernels, float* lines, const float* x, int64_t tile) const {
  const FlushDenormals flush;
  const Pieces tiles = row_tiles(pixels, channels, kLineTile);
  const int64_t begin = tiles.begin(tile), end = tiles.end(tile);
  const int64_t whole = std::clamp(high_pixels, begin, end);
  // A line's two halves are of one pixel or of two.
  const int64_t high_n = step > kUnitSide ? channels - high : channels;
  kernels.split_lines(lines + begin * pixel_floats(), x + begin * channels, channels,
                      x + begin * channels + high, high_n, channels, whole - begin, step, blocks(),
                      parts);
  kernels.split_lines(lines + whole * pixel_floats(), x + whole * channels, channels, x, 0,
                      channels, end - whole, step, blocks(), parts);
}

void ColumnRows::split(const Kernels& kernels, float* tiles, int64_t block, int64_t first,
                       int64_t count, int64_t term, int64_t terms, int parts) const {
  const SplitLines all = lines(0, columns_.channels, parts);
  const int64_t begin = term / kUnitTerms, end = ceil_div(term + terms, kUnitTerms);
  int64_t from[kUnitSide];
  for (int64_t i = 0; i < count; i += kUnitSide, tiles += block) {
    const Band band(columns_, first + i, count - i, all.pixel_floats());
    float* to = tiles;
    for_each_tap(begin, end, all.blocks(), [&](int64_t tap, int64_t b, int64_t blocks) {
      band.lines_of(tap, from);
      kernels.gather_lines(to, parts * kUnitTile, lines_ + b * parts * kUnitSide, from, blocks,
                           parts);
      to += blocks * parts * kUnitTile;
    });
  }
}

void ColumnRows::multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows,
                          int64_t column, int64_t columns, int64_t, int64_t, float*) const {
  const TapAxis &h = columns_.h, &v = columns_.v;
  const int64_t c = columns_.channels, line = v.inputs * c;
  for (int64_t r = 0; r < rows; ++r) {
    const Pixel pixel = pixel_of(columns_, row + r);
    const Segment i = taps_of(h, pixel.i), j = taps_of(v, pixel.j);
    float* to = square + r * kUnitSide;
    if (i.taps == 0 || j.taps == 0) {
      std::fill_n(to, columns, 0.0f);
      continue;
    }
    const Contraction t{.rows = 1,
                        .cols = 1,
                        .c_row = 0,
                        .c_col = 0,
                        .a_row = 0,
                        .a_col = 0,
                        .terms = {i.taps, j.taps, c},
                        .a_term = {h.dilation * line, v.dilation * c, 1},
                        .b_term = {v.taps * c * n_, c * n_, n_}};
    ops::multiply(kernels, to,
                  columns_.x + pixel.image * columns_.image_floats() +
                      h.input(pixel.i, i.tap) * line + v.input(pixel.j, j.tap) * c,
                  b_ + (i.tap * v.taps + j.tap) * c * n_ + column, columns, t, false, nullptr);
  }
}

void ColumnTerms::split(const Kernels& kernels, float* tiles, int64_t block, int64_t first,
                        int64_t count, int64_t term, int64_t terms, int parts) const {
  const SplitLines all = lines(0, 0, columns_.channels, parts);
  const int64_t begin = first / kUnitSide, end = ceil_div(first + count, kUnitSide);
  const int64_t half = columns_.first_half();
  int64_t from[kUnitSide];
  for (int64_t p = term; p < term + terms; p += kUnitTerms, tiles += parts * kUnitTile) {
    const int64_t row = p / 2;
    const Band band(columns_, row, half - row, all.pixel_floats());
    float* to = tiles;
    for_each_tap(begin, end, all.blocks(), [&](int64_t tap, int64_t b, int64_t blocks) {
      band.lines_of(tap, from);
      kernels.gather_lines(to, block, lines_ + b * parts * kUnitSide, from, blocks, parts);
      to += blocks * block;
    });
  }
}

void ColumnTerms::multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows,
                           int64_t column, int64_t columns, int64_t begin, int64_t end,
                           float*) const {
  const TapAxis &h = columns_.h, &v = columns_.v;
  const int64_t c = columns_.channels, blocks = ceil_div(c, kUnitSide);
  const int64_t tap = column / kUnitSide / blocks, tap_h = tap / v.taps, tap_v = tap % v.taps;
  const int64_t channel = column / kUnitSide % blocks * kUnitSide;
  const int64_t half = columns_.first_half();
  std::fill_n(square, kUnitSide * kUnitSide, 0.0f);
  for (const int64_t shift : {int64_t{0}, half}) {
    const int64_t last = std::min(columns_.rows(), shift + std::min(half, end / 2));
    for (int64_t p = shift + begin / 2; p < last;) {  // pixels of one row of an image
      const Pixel pixel = pixel_of(columns_, p);
      const int64_t length = std::min(last - p, columns_.width - pixel.j);
      int64_t from = pixel.j, until = pixel.j + length;
      while (from < until && !v.inside(from, tap_v)) ++from;
      while (from < until && !v.inside(until - 1, tap_v)) --until;
      if (from < until && h.inside(pixel.i, tap_h)) {
        const Contraction t{.rows = 1,
                            .cols = rows,
                            .c_row = 0,
                            .c_col = kUnitSide,
                            .a_row = 0,
                            .a_col = 1,
                            .terms = {1, 1, until - from},
                            .a_term = {0, 0, m_},
                            .b_term = {0, 0, v.stride * c}};
        const int64_t input = h.input(pixel.i, tap_h) * v.inputs + v.input(from, tap_v);
        ops::multiply(kernels, square, a_ + (p + from - pixel.j) * m_ + row,
                      columns_.x + pixel.image * columns_.image_floats() + input * c + channel,
                      std::min(columns, c - channel), t, true, nullptr);
      }
      p += length;
    }
  }
}

}  // namespace lamina::ops
