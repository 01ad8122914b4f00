#include "engine/layers/live_dense.h"

#include "engine/product_steps.h"
#include "ops/long_product.h"

namespace lamina::engine {

bool LiveDense::add_forward(Program& program, Place& place, const std::string& name, int z,
                            Activation activation, float alpha) const {
  const LiveDense self = *this;
  const bool training = program.training();
  const ops::LiveProduct most = product(program.capacity(), training, false);
  const int64_t rows = program.capacity() * rows_per_row;
  if (!place.x_is_data || !most.may_pay() ||
      multiplies_in_parts(program, {.m = rows, .n = units, .k = inputs}) ||
      multiplies_in_parts(program, {.m = inputs, .n = units, .k = rows})) {
    return false;
  }
  // Few workers are about to update the kernel, a piece of its rows each.
  const int along_k = training && !place.frozen ? most.along_k_workers() : 0;
  const auto forward = [=](const Run& run) {
    return self.product(run.rows, training, false, run.has_few_workers(along_k));
  };
  const auto epilogue = [=](const Run& run) -> GemmEpilogue {
    return {self.bias < 0 ? nullptr : run.parameters + self.bias, activation, alpha};
  };
  place.column_workers = along_k;
  const int x = place.x, live = place.live = program.buffer(0, most.map().floats());
  const int partial = program.buffer(0, along_k > 1 ? most.partial_floats() : 0);
  program.add({.what = name + " zeros of the input",
               .uses = {x, live},
               .tiles = [=](const Run& run) { return forward(run).map().tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     forward(run).map().scan(*run.kernels, run.buffer(live), run.buffer(x), tile);
                   }});
  program.add({.what = name + " zeros of the input, total",
               .uses = {live},
               .tiles = [](const Run&) -> int64_t { return 1; },
               .body = [=](const Run& run, int64_t,
                           float*) { forward(run).map().add_up(run.buffer(live)); }});
  program.add({.what = name + " check of the kernel",
               .uses = {live},
               .tiles = [=](const Run& run) { return forward(run).check_tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     forward(run).check(*run.kernels, run.buffer(live),
                                        run.parameters + self.kernel, tile);
                   }});
  program.add({.what = name + " forward",
               .uses = {x, z, live, partial},
               .tiles = [=](const Run& run) { return forward(run).tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     forward(run).run(*run.kernels, run.buffer(z), run.buffer(partial),
                                      run.buffer(x), run.parameters + self.kernel, run.buffer(live),
                                      epilogue(run), tile);
                   }});
  program.add({.what = name + " forward, total",
               .uses = {z, partial},
               .tiles = [=](const Run& run) { return forward(run).finish_tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     forward(run).finish(*run.kernels, run.buffer(z), run.buffer(partial),
                                         epilogue(run), tile);
                   }});
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
  const auto gradient = [=](const Run& run) { return self.product(run.rows, true, true); };
  program.add({.what = name + " check of the gradient",
               .uses = {dz, live},
               .tiles = [=](const Run& run) { return gradient(run).check_tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     gradient(run).check(*run.kernels, run.buffer(live), run.buffer(dz), tile);
                   }});
  program.add({.what = name + " kernel gradient",
               .uses = {x, dz, live},
               .tiles = [=](const Run& run) { return gradient(run).tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     gradient(run).run(*run.kernels, run.gradients + self.kernel, nullptr,
                                       run.buffer(x), run.buffer(dz), run.buffer(live),
                                       {nullptr, Activation::linear, 0.0f}, tile);
                   }});
  return true;
}

}  // namespace lamina::engine
