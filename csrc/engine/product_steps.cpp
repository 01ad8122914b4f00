#include "engine/product_steps.h"

#include <algorithm>
#include <utility>

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

void add_in_parts(Program& program, const Product& product, const ops::SplitProduct& largest) {
  const int parts = program.buffer(0, largest.split_floats());
  const auto in_parts = [product, mode = largest.mode](const Run& run) {
    return ops::SplitProduct{shape_of(product, run), mode};
  };
  Step split{.what = product.what + ", parts",
             .uses = {parts},
             .tiles = [=](const Run& run) -> int64_t {
               const ops::SplitProduct p = in_parts(run);
               return pays(p.gemm) ? p.split_tiles() : 0;
             },
             .body =
                 [=](const Run& run, int64_t tile, float*) {
                   in_parts(run).split(*run.kernels, run.buffer(parts), product.operands(run).b,
                                       tile);
                 }};
  if (product.b_is_weights) {
    program.add_of_update(std::move(split));
  } else {
    split.uses.insert(split.uses.end(), product.uses.begin(), product.uses.end());
    program.add(std::move(split));
  }

  Step step{.what = product.what,
            .uses = product.uses,
            .tiles =
                [=](const Run& run) {
                  const ops::SplitProduct p = in_parts(run);
                  return pays(p.gemm) ? p.tiles() : p.gemm.tiles();
                },
            .body =
                [=](const Run& run, int64_t tile, float* scratch) {
                  const ops::SplitProduct p = in_parts(run);
                  if (!pays(p.gemm)) return multiply(product, run, tile, scratch);
                  const ProductOperands o = product.operands(run);
                  p.run(*run.kernels, o.c, o.a, o.b, run.buffer(parts), o.epilogue_or_null(), tile,
                        scratch);
                },
            .scratch = std::max(largest.gemm.scratch(), largest.scratch())};
  step.uses.push_back(parts);
  program.add(std::move(step));
}

}  // namespace

bool multiplies_in_parts(const Program& program, const ops::Gemm& product) {
  return program.matmul().splits() && pays(product);
}

void add_product(Program& program, const Product& product,
                 std::function<bool(const Run&)> elsewhere) {
  Run full;
  full.rows = program.capacity();
  const ops::Gemm largest = product.shape(full);
  if (multiplies_in_parts(program, largest)) {
    add_in_parts(program, product, {largest, program.matmul()});
    return;
  }
  program.add({.what = product.what,
               .uses = product.uses,
               .tiles =
                   [=](const Run& run) {
                     return elsewhere && elsewhere(run) ? 0 : shape_of(product, run).tiles();
                   },
               .body = [=](const Run& run, int64_t tile,
                           float* scratch) { multiply(product, run, tile, scratch); },
               .scratch = largest.scratch()});
}

}  // namespace lamina::engine
