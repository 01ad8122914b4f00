#include "engine/product_steps.h"

#include <algorithm>
#include <utility>

#include "ops/pieces.h"
#include "ops/split_product.h"

namespace lamina::engine {
namespace {

bool pays(const ops::Gemm& g) { return ops::SplitProduct::pays(g.n, g.k); }

ops::Gemm shape_of(const Product& product, const Run& run) {
  ops::Gemm shape = product.shape(run);
  shape.workers = run.workers;
  return shape;
}

void multiply(const Product& product, const Run& run, int64_t tile, float* scratch) {
  const ProductOperands o = product.operands(run);
  shape_of(product, run).run(*run.kernels, o.c, o.a, o.b, o.epilogue_or_null(), tile, scratch);
}

ops::Gemm largest_of(const Program& program, const Product& product) {
  return product.shape(Run{.rows = program.capacity()});
}

struct InParts {
  Step split, multiply;
};

InParts in_parts(Program& program, const Product& product, const ops::SplitProduct& largest) {
  const int parts = program.buffer(0, largest.split_floats());
  const auto op = [product, mode = largest.mode](const Run& run) {
    return ops::SplitProduct{shape_of(product, run), mode};
  };
  Step split{.what = product.what + ", parts",
             .uses = product.uses,
             .tiles = [=](const Run& run) -> int64_t {
               const ops::SplitProduct p = op(run);
               return pays(p.gemm) ? p.split_tiles() : 0;
             },
             .body =
                 [=](const Run& run, int64_t tile, float*) {
                   op(run).split(*run.kernels, run.buffer(parts), product.operands(run).b, tile);
                 }};
  Step step{.what = product.what,
            .uses = product.uses,
            .tiles =
                [=](const Run& run) {
                  const ops::SplitProduct p = op(run);
                  return pays(p.gemm) ? p.tiles() : p.gemm.tiles();
                },
            .body =
                [=](const Run& run, int64_t tile, float* scratch) {
                  const ops::SplitProduct p = op(run);
                  if (!pays(p.gemm)) return multiply(product, run, tile, scratch);
                  const ProductOperands o = product.operands(run);
                  p.run(*run.kernels, o.c, o.a, o.b, run.buffer(parts), o.epilogue_or_null(), tile,
                        scratch);
                },
            .scratch = std::max(largest.gemm.scratch(), largest.scratch())};
  split.uses.push_back(parts);
  step.uses.push_back(parts);
  return {std::move(split), std::move(step)};
}

Step whole(const Product& product, int64_t scratch) {
  return {.what = product.what,
          .uses = product.uses,
          .tiles = [=](const Run& run) { return shape_of(product, run).tiles(); },
          .body = [=](const Run& run, int64_t tile, float* s) { multiply(product, run, tile, s); },
          .scratch = scratch};
}

// B of so many floats stays in the first-level cache while few rows pass it; a transposed one is
// copied for them.
constexpr int64_t kSmallB = 1 << 13, kSmallCopy = 1 << 11;
constexpr int64_t kFewRows = 8, kRowsOfCopy = 32;

}  // namespace

bool multiplies_in_parts(const Program& program, const ops::Gemm& product) {
  return program.matmul().splits() && pays(product);
}

void add_row_product(Program& program, const Product& product, int64_t per_row) {
  const ops::Gemm largest = largest_of(program, product);
  if (multiplies_in_parts(program, largest)) {
    InParts steps = in_parts(program, product, {largest, program.matmul()});
    // B does not change with the batch.
    steps.split.uses = {steps.split.uses.back()};
    program.add_of_update(std::move(steps.split));
    program.add(std::move(steps.multiply));
    return;
  }
  const int64_t n = largest.n, k = largest.k;
  if (n * k > kSmallB) return program.add(whole(product, largest.scratch()));
  const int64_t least = largest.trans_b && n * k > kSmallCopy ? kRowsOfCopy : kFewRows;
  program.add_rows({.what = product.what,
                    .uses = product.uses,
                    .per_row = per_row,
                    .cols = n,
                    .body =
                        [=](const Run& run, int64_t first, int64_t rows, float* scratch) {
                          ProductOperands o = product.operands(run);
                          ops::Gemm part = product.shape(run);
                          part.m = rows;
                          for (int64_t tile = 0; tile < part.tiles(); ++tile) {
                            part.run(*run.kernels, o.c + first * n, o.a + first * k, o.b,
                                     o.epilogue_or_null(), tile, scratch);
                          }
                        },
                    .cost = std::max<int64_t>(1, k / 4),
                    .least_rows = least,
                    .scratch = largest.scratch()});
}

std::vector<Step> gradient_product(Program& program, const Product& product,
                                   std::function<bool(const Run&)> elsewhere) {
  const ops::Gemm largest = largest_of(program, product);
  if (multiplies_in_parts(program, largest)) {
    InParts steps = in_parts(program, product, {largest, program.matmul()});
    return {std::move(steps.split), std::move(steps.multiply)};
  }
  Step step = whole(product, largest.scratch());
  step.tiles = [tiles = step.tiles, elsewhere = std::move(elsewhere)](const Run& run) {
    return elsewhere(run) ? 0 : tiles(run);
  };
  return {std::move(step)};
}

}  // namespace lamina::engine
