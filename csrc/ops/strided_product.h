// Products whose rows and terms lie on grids of an image: a convolution without a copy of its taps.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lamina::ops {

// C (rows of t x n) = or += the product, its terms cut into blocks of at most
// kContractionTerms, which are added in order: along the innermost index that has that many, whole
// outer ones together where they are fewer. The cuts follow from t.terms and the strides alone.
void multiply(const Kernels& kernels, float* c, const float* a, const float* b, int64_t n,
              Contraction t, bool add, const GemmEpilogue* epilogue);

// The same for several images, c_image and a_image floats apart.
void multiply_images(const Kernels& kernels, float* c, const float* a, const float* b, int64_t n,
                     Contraction t, int64_t images, int64_t c_image, int64_t a_image,
                     const GemmEpilogue* epilogue);

}  // namespace lamina::ops
