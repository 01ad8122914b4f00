#include "engine/split_steps.h"

#include <algorithm>
#include <utility>

#include "ops/split_product.h"

namespace lamina::engine {

bool multiplies_in_parts(const Program& program, const ops::Gemm& most) {
  return program.matmul().splits() && ops::SplitProduct::pays(most.n, most.k);
}

void multiply_last_in_parts(Program& program, bool b_is_weights,
                            std::function<ops::Gemm(const Run&)> product,
                            std::function<ProductOperands(const Run&)> operands) {
  const MatmulMode mode = program.matmul();
  Run full;
  full.rows = program.capacity();
  const ops::SplitProduct largest{product(full), mode};
  const auto pays = [](const ops::Gemm& g) { return ops::SplitProduct::pays(g.n, g.k); };
  if (!multiplies_in_parts(program, largest.gemm)) return;

  Step plain = program.take_last();
  const int parts = program.buffer(0, largest.split_floats());
  Step split{.what = plain.what + ", parts",
             .uses = plain.uses,
             .tiles = [=](const Run& run) -> int64_t {
               const ops::SplitProduct p{product(run), mode};
               return pays(p.gemm) ? p.split_tiles() : 0;
             },
             .body =
                 [=](const Run& run, int64_t tile, float*) {
                   const ops::SplitProduct p{product(run), mode};
                   p.split(*run.kernels, run.buffer(parts), operands(run).b, tile);
                 }};
  if (b_is_weights) {
    split.uses = {parts};
    program.add_of_update(std::move(split));
  } else {
    split.uses.push_back(parts);
    program.add(std::move(split));
  }

  Step multiply{
      .what = plain.what,
      .uses = plain.uses,
      .tiles =
          [=, otherwise = std::move(plain.tiles)](const Run& run) {
            const ops::SplitProduct p{product(run), mode};
            return pays(p.gemm) ? p.tiles() : otherwise(run);
          },
      .body =
          [=, otherwise = std::move(plain.body)](const Run& run, int64_t tile, float* scratch) {
            const ops::SplitProduct p{product(run), mode};
            if (!pays(p.gemm)) return otherwise(run, tile, scratch);
            const ProductOperands o = operands(run);
            p.run(*run.kernels, o.c, o.a, o.b, run.buffer(parts), &o.epilogue, tile, scratch);
          },
      .scratch = std::max(plain.scratch, largest.scratch())};
  multiply.uses.push_back(parts);
  program.add(std::move(multiply));
}

}  // namespace lamina::engine
