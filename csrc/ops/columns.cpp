#include "ops/columns.h"

#include <algorithm>

#include "ops/strided_product.h"

namespace lamina::ops {
namespace {

// A pixel among those of all images.
struct Pixel {
  int64_t image, i, j;
};

Pixel pixel_of(const Columns& c, int64_t row) {
  const int64_t line = row / c.width;
  return {line / c.height, line % c.height, row % c.width};
}

// The taps of one output that lie inside.
Segment taps_of(const TapAxis& axis, int64_t output) {
  Segment taps{};
  for_each_segment(axis, output, output + 1, [&](const Segment& s) { taps = s; });
  return taps;
}

}  // namespace

// In runs of one tap's channels, or of a kernel row's where its taps lie next to each other.
void Columns::copy(float* to, int64_t to_row, int64_t row, int64_t rows, int64_t term,
                   int64_t terms) const {
  const int64_t together = v.dilation == 1 ? v.taps : 1, run = together * channels;
  for (int64_t r = row; r < row + rows; ++r, to += to_row) {
    const Pixel pixel = pixel_of(*this, r);
    float* next = to;
    for (int64_t p = term; p < term + terms;) {
      const int64_t tap = p / run * together, begin = p % run;
      const int64_t end = std::min(run, begin + term + terms - p);
      const int64_t i = h.input(pixel.i, tap / v.taps), j = v.input(pixel.j, tap % v.taps);
      // Of the run, what lies inside the image; nothing where its row does not.
      int64_t from = end, until = end;
      if (i >= 0 && i < h.inputs) {
        from = std::clamp(-j * channels, begin, end);
        until = std::clamp((v.inputs - j) * channels, from, end);
      }
      next = std::fill_n(next, from - begin, 0.0f);
      if (from < until) {
        const float* source = images + pixel.image * image_floats() + (i * v.inputs + j) * channels;
        next = std::copy(source + from, source + until, next);
      }
      next = std::fill_n(next, end - until, 0.0f);
      p += end - begin;
    }
  }
}

void ColumnRows::split(const Kernels& kernels, float* tiles, int64_t block, int64_t row,
                       int64_t rows, int64_t term, int64_t terms, int parts, float* scratch) const {
  for (int64_t i = 0; i < rows; i += kUnitSide) {
    const int64_t some = std::min(kUnitSide, rows - i);
    columns_.copy(scratch, terms, row + i, some, term, terms);
    kernels.split_left(tiles + i / kUnitSide * block, block, scratch, terms, 1, some, terms, parts);
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
                  columns_.images + pixel.image * columns_.image_floats() +
                      h.input(pixel.i, i.tap) * line + v.input(pixel.j, j.tap) * c,
                  b_ + (i.tap * v.taps + j.tap) * c * n_ + column, columns, t, false, nullptr);
  }
}

void ColumnTerms::split(const Kernels& kernels, float* tiles, int64_t block, int64_t row,
                        int64_t rows, int64_t term, int64_t terms, int parts,
                        float* scratch) const {
  for (int64_t p = 0; p < terms; p += kUnitTerms, tiles += parts * kUnitTile) {
    const int64_t some = std::min(kUnitTerms, terms - p);
    columns_.copy(scratch, rows, term + p, some, row, rows);
    kernels.split_left(tiles, block, scratch, 1, rows, rows, some, parts);
  }
}

void ColumnTerms::multiply(const Kernels& kernels, float* square, int64_t row, int64_t rows,
                           int64_t column, int64_t columns, int64_t begin, int64_t end,
                           float*) const {
  const TapAxis &h = columns_.h, &v = columns_.v;
  const int64_t c = columns_.channels;
  std::fill_n(square, kUnitSide * kUnitSide, 0.0f);
  for (int64_t r = row; r < row + rows;) {
    const int64_t tap = r / c, channel = r % c, some = std::min(c - channel, row + rows - r);
    float* to = square + (r - row) * kUnitSide;
    r += some;
    for (int64_t p = begin; p < end;) {  // pixels of one row of an image
      const Pixel pixel = pixel_of(columns_, p);
      const int64_t next = std::min(end, p + columns_.width - pixel.j);
      int64_t first = pixel.j, last = pixel.j + next - p;
      while (first < last && !v.inside(first, tap % v.taps)) ++first;
      while (first < last && !v.inside(last - 1, tap % v.taps)) --last;
      if (first < last && h.inside(pixel.i, tap / v.taps)) {
        const Contraction t{.rows = 1,
                            .cols = some,
                            .c_row = 0,
                            .c_col = kUnitSide,
                            .a_row = 0,
                            .a_col = 1,
                            .terms = {1, 1, last - first},
                            .a_term = {0, 0, v.stride * c},
                            .b_term = {0, 0, n_}};
        const int64_t input =
            h.input(pixel.i, tap / v.taps) * v.inputs + v.input(first, tap % v.taps);
        ops::multiply(kernels, to,
                      columns_.images + pixel.image * columns_.image_floats() + input * c + channel,
                      b_ + (p + first - pixel.j) * n_ + column, columns, t, true, nullptr);
      }
      p = next;
    }
  }
}

}  // namespace lamina::ops
