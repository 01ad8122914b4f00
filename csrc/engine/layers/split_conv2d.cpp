#include "engine/layers/split_conv2d.h"

namespace lamina::engine {

bool SplitConv2d::add_forward(Program& program, int x, int z, Activation activation,
                              float alpha) const {
  if (!conv.mode.splits() || !conv.forward_pays()) return false;
  const SplitConv2d self = *this;
  const int parts = program.buffer(0, conv.forward(1).split_floats());
  program.add_of_update({.what = name + " forward, parts",
                         .uses = {parts},
                         .tiles = [=](const Run&) { return self.conv.forward(1).split_tiles(); },
                         .body =
                             [=](const Run& run, int64_t tile, float*) {
                               self.conv.forward(1).split(*run.kernels, run.buffer(parts),
                                                          run.parameters + self.kernel, tile);
                             }});
  program.add({.what = name + " forward",
               .uses = {x, z, parts},
               .tiles = [=](const Run& run) { return self.conv.forward(run.rows).tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float* scratch) {
                     const ops::SplitProduct product = self.conv.forward(run.rows);
                     const GemmEpilogue epilogue{
                         self.bias < 0 ? nullptr : run.parameters + self.bias, activation, alpha};
                     product.run(
                         *run.kernels, run.buffer(z),
                         self.conv.forward_columns(run.buffer(x), run.parameters + self.kernel),
                         run.buffer(parts), 0, product.gemm.k, &epilogue, tile, scratch);
                   },
               .scratch = conv.scratch(conv.forward(program.capacity()))});
  return true;
}

bool SplitConv2d::add_kernel_gradient(Program& program, int x, int dz) const {
  if (!conv.mode.splits() || !conv.backward_kernel_pays()) return false;
  const SplitConv2d self = *this;
  const int64_t capacity = program.capacity();
  const int parts = program.buffer(0, conv.backward_kernel(capacity).split_floats());
  const int partial = program.buffer(0, conv.partial_floats(capacity));
  program.add(
      {.what = name + " kernel gradient, parts",
       .uses = {dz, parts},
       .tiles = [=](const Run& run) { return self.conv.backward_kernel(run.rows).split_tiles(); },
       .body =
           [=](const Run& run, int64_t tile, float*) {
             self.conv.backward_kernel(run.rows).split(*run.kernels, run.buffer(parts),
                                                       run.buffer(dz), tile);
           }});
  program.add({.what = name + " kernel gradient",
               .uses = {x, dz, parts, partial},
               .tiles = [=](const Run& run) { return self.conv.backward_kernel_tiles(run.rows); },
               .body =
                   [=](const Run& run, int64_t tile, float* scratch) {
                     self.conv.backward_kernel(*run.kernels, run.buffer(partial), run.buffer(dz),
                                               run.buffer(x), run.buffer(parts), run.rows, tile,
                                               scratch);
                   },
               .scratch = conv.backward_kernel_scratch(capacity)});
  program.add({.what = name + " kernel gradient total",
               .uses = {partial},
               .tiles = [=](const Run&) { return self.conv.reduce_tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     self.conv.reduce(*run.kernels, run.gradients + self.kernel,
                                      run.buffer(partial), run.rows, tile);
                   }});
  return true;
}

bool SplitConv2d::add_input_gradient(Program& program, int dz, int dx) const {
  if (!conv.mode.splits() || !conv.backward_input_pays()) return false;
  const SplitConv2d self = *this;
  const int transposed = program.buffer(0, conv.transposed_floats());
  const int parts = program.buffer(0, conv.backward_input(1).split_floats());
  program.add({.what = name + " kernel transposed",
               .uses = {transposed},
               .tiles = [=](const Run&) { return self.conv.transpose_tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     self.conv.transpose(*run.kernels, run.buffer(transposed),
                                         run.parameters + self.kernel, tile);
                   }});
  program.add({.what = name + " input gradient, parts",
               .uses = {transposed, parts},
               .tiles = [=](const Run&) { return self.conv.backward_input(1).split_tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     self.conv.backward_input(1).split(*run.kernels, run.buffer(parts),
                                                       run.buffer(transposed), tile);
                   }});
  program.add({.what = name + " input gradient",
               .uses = {dz, dx, transposed, parts},
               .tiles = [=](const Run& run) { return self.conv.backward_input(run.rows).tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float* scratch) {
                     const ops::SplitProduct product = self.conv.backward_input(run.rows);
                     product.run(
                         *run.kernels, run.buffer(dx),
                         self.conv.backward_input_columns(run.buffer(dz), run.buffer(transposed)),
                         run.buffer(parts), 0, product.gemm.k, nullptr, tile, scratch);
                   },
               .scratch = conv.scratch(conv.backward_input(program.capacity()))});
  return true;
}

}  // namespace lamina::engine
