#include "engine/layers/split_conv2d.h"

#include <functional>

namespace lamina::engine {
namespace {

// y = the convolution of x with a kernel, which is a parameter or in `transposed`.
struct PassSteps {
  std::string what;
  std::function<ops::SplitPass(int64_t images)> pass;
  int y, x, transposed;
  std::function<const float*(const Run&)> kernel;
  std::function<GemmEpilogue(const Run&)> epilogue;
};

void add_pass(Program& program, const PassSteps& s) {
  const ops::SplitPass largest = s.pass(program.capacity());
  const int parts = program.buffer(0, largest.product().split_floats());
  const int lines = program.buffer(s.pass(1).lines().floats());
  program.add_of_update({.what = s.what + ", parts of the kernel",
                         .uses = {s.transposed, parts},
                         .tiles = [=](const Run&) { return s.pass(1).kernel_tiles(); },
                         .body =
                             [=](const Run& run, int64_t tile, float*) {
                               s.pass(1).split_kernel(*run.kernels, run.buffer(parts),
                                                      s.kernel(run), tile);
                             }});
  program.add({.what = s.what + ", parts of the images",
               .uses = {s.x, lines},
               .tiles = [=](const Run& run) { return s.pass(run.rows).lines().tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     s.pass(run.rows).lines().split(*run.kernels, run.buffer(lines),
                                                    run.buffer(s.x), tile);
                   }});
  program.add({.what = s.what,
               .uses = {s.x, s.y, s.transposed, parts, lines},
               .tiles = [=](const Run& run) { return s.pass(run.rows).product().tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float* scratch) {
                     const GemmEpilogue epilogue = s.epilogue(run);
                     s.pass(run.rows).run(*run.kernels, run.buffer(s.y), run.buffer(s.x),
                                          s.kernel(run), run.buffer(lines), run.buffer(parts),
                                          &epilogue, tile, scratch);
                   },
               .scratch = largest.product().scratch()});
}

}  // namespace

bool SplitConv2d::add_forward(Program& program, const std::string& name, int x, int z,
                              Activation activation, float alpha) const {
  if (!conv.mode.splits() || !conv.forward_pays()) return false;
  const SplitConv2d self = *this;
  add_pass(program, {.what = name + " forward",
                     .pass = [=](int64_t images) { return self.conv.forward(images); },
                     .y = z,
                     .x = x,
                     .transposed = kNoBuffer,
                     .kernel = [=](const Run& run) { return run.parameters + self.kernel; },
                     .epilogue = [=](const Run& run) -> GemmEpilogue {
                       return {self.bias < 0 ? nullptr : run.parameters + self.bias, activation,
                               alpha};
                     }});
  return true;
}

bool SplitConv2d::add_input_gradient(Program& program, const std::string& name, int dz,
                                     int dx) const {
  if (!conv.mode.splits() || !conv.backward_input_pays()) return false;
  const SplitConv2d self = *this;
  const int transposed = program.buffer(0, conv.transposed_floats());
  program.add({.what = name + " kernel transposed",
               .uses = {transposed},
               .tiles = [=](const Run&) { return self.conv.transpose_tiles(); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     self.conv.transpose(*run.kernels, run.buffer(transposed),
                                         run.parameters + self.kernel, tile);
                   }});
  add_pass(program, {.what = name + " input gradient",
                     .pass = [=](int64_t images) { return self.conv.backward_input(images); },
                     .y = dx,
                     .x = dz,
                     .transposed = transposed,
                     .kernel = [=](const Run& run) { return run.buffer(transposed); },
                     .epilogue = [](const Run&) -> GemmEpilogue {
                       return {nullptr, Activation::linear, 0.0f};
                     }});
  return true;
}

bool SplitConv2d::add_kernel_gradient(Program& program, const std::string& name, int x,
                                      int dz) const {
  if (!conv.mode.splits() || !conv.backward_kernel_pays()) return false;
  const SplitConv2d self = *this;
  const int64_t capacity = program.capacity();
  const int lines = program.buffer(0, conv.backward_kernel_lines(capacity).floats());
  const int parts = program.buffer(0, conv.backward_kernel(capacity).split_floats());
  const int partial = program.buffer(0, conv.partial_floats(capacity));
  program.add(
      {.what = name + " kernel gradient, parts of the images",
       .uses = {x, lines},
       .tiles = [=](const Run& run) { return self.conv.backward_kernel_lines(run.rows).tiles(); },
       .body =
           [=](const Run& run, int64_t tile, float*) {
             self.conv.backward_kernel_lines(run.rows).split(*run.kernels, run.buffer(lines),
                                                             run.buffer(x), tile);
           }});
  program.add({.what = name + " kernel gradient, parts of the outputs",
               .uses = {dz, parts},
               .tiles = [=](const Run& run) { return self.conv.split_dy_tiles(run.rows); },
               .body =
                   [=](const Run& run, int64_t tile, float*) {
                     self.conv.split_dy(*run.kernels, run.buffer(parts), run.buffer(dz), run.rows,
                                        tile);
                   }});
  program.add({.what = name + " kernel gradient",
               .uses = {x, dz, lines, parts, partial},
               .tiles = [=](const Run& run) { return self.conv.backward_kernel_tiles(run.rows); },
               .body =
                   [=](const Run& run, int64_t tile, float* scratch) {
                     self.conv.backward_kernel(*run.kernels, run.buffer(partial), run.buffer(dz),
                                               run.buffer(x), run.buffer(lines), run.buffer(parts),
                                               run.rows, tile, scratch);
                   },
               .scratch = conv.backward_kernel(capacity).scratch()});
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

}  // namespace lamina::engine
