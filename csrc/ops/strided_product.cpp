#include "ops/strided_product.h"

#include <algorithm>

namespace lamina::ops {

void multiply(const Kernels& kernels, float* c, const float* a, const float* b, int64_t n,
              Contraction t, bool add, const GemmEpilogue* epilogue) {
  // Two indices that are one run for both A and B: the taps of a kernel row without dilation.
  if (t.a_term[1] == t.terms[2] * t.a_term[2] && t.b_term[1] == t.terms[2] * t.b_term[2]) {
    t.terms[2] *= t.terms[1];
    for (int64_t* of : {t.terms, t.a_term, t.b_term}) of[1] = of[0];
    t.terms[0] = 1;
  }
  const int64_t u_end = t.terms[0], v_end = t.terms[1], w_end = t.terms[2];
  if (u_end == 0 || v_end == 0 || w_end == 0) {
    kernels.contract(c, a, b, n, t, add, epilogue);
    return;
  }
  const int64_t w_step = std::min(w_end, kContractionTerms);
  const int64_t v_step = w_step < w_end ? 1 : std::min(v_end, kContractionTerms / w_step);
  const int64_t u_step =
      v_step < v_end ? 1 : std::min(u_end, kContractionTerms / (w_step * v_step));
  for (int64_t u = 0; u < u_end; u += u_step) {
    for (int64_t v = 0; v < v_end; v += v_step) {
      for (int64_t w = 0; w < w_end; w += w_step) {
        t.terms[0] = std::min(u_step, u_end - u);
        t.terms[1] = std::min(v_step, v_end - v);
        t.terms[2] = std::min(w_step, w_end - w);
        const bool last = u + u_step >= u_end && v + v_step >= v_end && w + w_step >= w_end;
        kernels.contract(c, a + u * t.a_term[0] + v * t.a_term[1] + w * t.a_term[2],
                         b + u * t.b_term[0] + v * t.b_term[1] + w * t.b_term[2], n, t, add,
                         last ? epilogue : nullptr);
        add = true;
        t.ahead_floats = 0;
      }
    }
  }
}

void multiply_images(const Kernels& kernels, float* c, const float* a, const float* b, int64_t n,
                     Contraction t, int64_t images, int64_t c_image, int64_t a_image,
                     const GemmEpilogue* epilogue) {
  // A grid that is a single line takes the images as its other side: the corners of an image are
  // single pixels, too few for a tile.
  if (t.c_row == t.cols * t.c_col && t.a_row == t.cols * t.a_col) {
    t.cols *= t.rows;
    t.rows = 1;
  }
  if (t.cols == 1) {
    t.cols = t.rows;
    t.c_col = t.c_row;
    t.a_col = t.a_row;
    t.rows = 1;
  }
  if (t.rows == 1) {
    t.rows = images;
    t.c_row = c_image;
    t.a_row = a_image;
    t.ahead[1] += (images - 1) * t.ahead_floats;
    t.ahead_floats *= images;
    images = 1;
  }
  for (int64_t i = 0; i < images; ++i) {
    multiply(kernels, c + i * c_image, a + i * a_image, b, n, t, false, epilogue);
    for (const float*& ahead : t.ahead) ahead += 2 * t.ahead_floats;
  }
}

}  // namespace lamina::ops
