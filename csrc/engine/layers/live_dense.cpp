#include "engine/layers/live_dense.h"

#include <utility>

#include "engine/product_steps.h"
#include "ops/long_product.h"

namespace lamina::engine {
namespace {

constexpr int64_t kCheckedWords = 4;  // a tile

uint32_t* words_of(const Run& run, int id) { return reinterpret_cast<uint32_t*>(run.buffer(id)); }

}  // namespace

bool LiveDense::add_forward(Program& program, Place& place, const std::string& name, int z,
                            Activation activation, float alpha) const {
  const LiveDense self = *this;
  const bool training = program.training();
  const Run full{.rows = program.capacity()};
  const ops::LiveProduct most = product(full, training, false);
  const int64_t rows = full.rows * rows_per_row;
  if (!place.x_is_data || !most.may_pay() ||
      multiplies_in_parts(program, {.m = rows, .n = units, .k = inputs}) ||
      multiplies_in_parts(program, {.m = inputs, .n = units, .k = rows})) {
    return false;
  }
  const auto forward = [=](const Run& run) { return self.product(run, training, false); };
  const auto epilogue = [=](const Run& run) -> GemmEpilogue {
    return {self.bias < 0 ? nullptr : run.parameters + self.bias, activation, alpha};
  };
  // Few workers are about to update the kernel, a piece of its rows each.
  const int few = training && !place.frozen ? most.along_k_workers() : 0;
  const auto along_k = [=](const Run& run) { return run.has_few_workers(few); };
  place.column_workers = few;
  const bool gathered = place.x_is_input && rows_per_row == 1;
  const auto follows_gather = [=](const Run& run) {
    return gathered && !run.in_place && along_k(run);
  };

  const int x = place.x, live = place.live = program.buffer(0, most.map().floats());
  const int always = program.buffer(0, most.check_words());
  const int partial = program.buffer(0, few > 1 ? most.partial_floats() : 0);
  program.watch(
      {.offset = kernel,
       .size = inputs * units,
       .unit = kLiveBits * units,
       .buffer = always,
       .asked = [=](const Run& run) { return forward(run).may_pay(); },
       .mark = [=](const Run& run, int64_t word,
                   bool finite) { forward(run).mark(words_of(run, always), word, finite); }});
  program.add({.what = name + " zeros of the input",
               .uses = {x, live},
               .tiles =
                   [=](const Run& run) {
                     const ops::LiveMap map = forward(run).map();
                     return along_k(run) ? map.block_tiles() : map.row_tiles();
                   },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     const ops::LiveMap map = forward(run).map();
                     if (along_k(run)) {
                       map.scan_block(*run.kernels, run.buffer(live), run.buffer(x), tile);
                     } else {
                       map.scan_rows(*run.kernels, run.buffer(live), run.buffer(x), tile);
                     }
                   },
               .continues = follows_gather});
  program.add({.what = name + " forward, along K",
               .uses = {x, z, live, always, partial},
               .tiles = [=](const Run& run) -> int64_t {
                 return along_k(run) ? forward(run).map().block_tiles() : 0;
               },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     forward(run).sum(*run.kernels, run.buffer(z), run.buffer(partial),
                                      run.buffer(x), run.parameters + self.kernel, run.buffer(live),
                                      words_of(run, always), tile);
                   },
               .continues = along_k});
  program.add(
      {.what = name + " forward",
       .uses = {x, z, live, always},
       .tiles = [=](const Run& run) -> int64_t { return along_k(run) ? 0 : forward(run).tiles(); },
       .body =
           [=](const Run& run, int64_t tile, float*) {
             forward(run).run(*run.kernels, run.buffer(z), run.buffer(x),
                              run.parameters + self.kernel, run.buffer(live), words_of(run, always),
                              epilogue(run), tile);
           }});
  if (few < 2) return true;
  program.add_rows({.what = name + " forward, total",
                    .uses = {z, partial},
                    .per_row = rows_per_row,
                    .cols = units,
                    .body =
                        [=](const Run& run, int64_t first, int64_t count, float*) {
                          if (!along_k(run)) return;
                          forward(run).finish(*run.kernels, run.buffer(z), run.buffer(partial),
                                              epilogue(run), first, count);
                        },
                    .cost = ops::GemmBlocks{inputs}.count()});
  return true;
}

bool LiveDense::add_kernel_gradient(Program& program, const Place& place,
                                    const std::string& name) const {
  const LiveDense self = *this;
  const int x = place.x, dz = place.dy, live = place.live;
  const ops::Gemm plain{
      .m = inputs, .n = units, .k = program.capacity() * rows_per_row, .trans_a = true};
  // A long batch of few columns is shared out along the batch instead.
  if (live == kNoBuffer || ops::LongProduct{plain}.rounds() > 0) return false;
  const auto gradient = [=](const Run& run) { return self.product(run, true, true); };
  const Run full{.rows = program.capacity()};
  const int always = program.buffer(0, gradient(full).check_words());
  const auto words = [=](const Run& run) {
    return ops::Pieces{gradient(run).check_words(), kCheckedWords};
  };
  Step check{.what = name + " check of the gradient",
             .uses = {dz, always},
             .tiles = [=](const Run& run) { return words(run).count(); },
             .body =
                 [=](const Run& run, int64_t tile, float*) {
                   gradient(run).check(*run.kernels, words_of(run, always), run.buffer(dz),
                                       words(run).begin(tile), words(run).end(tile));
                 }};
  Step product{.what = name + " kernel gradient",
               .uses = {x, dz, live, always},
               .tiles = [=](const Run& run) { return gradient(run).tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     gradient(run).run(*run.kernels, run.gradients + self.kernel, run.buffer(x),
                                       run.buffer(dz), run.buffer(live), words_of(run, always),
                                       {nullptr, Activation::linear, 0.0f}, tile);
                   }};
  program.add_gradient({std::move(check), std::move(product)});
  return true;
}

}  // namespace lamina::engine
