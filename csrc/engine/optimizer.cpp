#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>

#include "cpu/parallel.h"
#include "ops/pieces.h"

namespace lamina::engine {

void Optimizer::build(const Network& network) {
  const size_t count = slot_count();
  slots.clear();
  for (size_t i = 0; i < count; ++i) {
    slots.push_back(std::make_shared<AlignedArray<float>>(zeros(network.size())));
  }
  iterations = 0;
}

bool Optimizer::fits(const Network& network) const {
  const size_t count = slot_count();
  return slots.size() == count && std::all_of(slots.begin(), slots.end(), [&](const auto& slot) {
           return slot->size() == network.size();
         });
}

void Optimizer::prepare() {
  ++iterations;
  rate_ = learning_rate;
  if (kind != Kind::adam) return;
  // Kingma and Ba, "Adam", 2015, section 2, the efficient order: the bias corrections go into the
  // rate, so that epsilon stands beside the uncorrected root, as Keras has it.
  const double t = static_cast<double>(iterations);
  const double correction_1 = 1.0 - std::pow(beta_1, t);
  const double correction_2 = 1.0 - std::pow(beta_2, t);
  rate_ = static_cast<float>(learning_rate * std::sqrt(correction_2) / correction_1);
}

void Optimizer::add_step(Program& program, const Network& network) {
  std::vector<Span> pieces;
  for (const Span& span : network.trained_spans()) {
    for (int64_t begin = span.begin; begin < span.end; begin += ops::kStepTile) {
      pieces.push_back({begin, std::min(begin + ops::kStepTile, span.end)});
    }
  }
  if (pieces.empty()) return;
  const auto count = static_cast<int64_t>(pieces.size());
  program.add_commit({.what = "update",
                      .uses = {},
                      .tiles = [=](const Run&) { return count; },
                      .body =
                          [this, pieces = std::move(pieces)](const Run& run, int64_t tile, float*) {
                            const Span piece = pieces[static_cast<size_t>(tile)];
                            const int64_t n = piece.end - piece.begin;
                            float* w = run.parameters + piece.begin;
                            const float* dw = run.gradients + piece.begin;
                            if (kind == Kind::adam) {
                              run.kernels->adam_step(w, slots[0]->data() + piece.begin,
                                                     slots[1]->data() + piece.begin, dw, n,
                                                     {rate_, static_cast<float>(1.0 - beta_1),
                                                      static_cast<float>(1.0 - beta_2), epsilon});
                            } else if (!slots.empty()) {
                              run.kernels->sgd_momentum_step(w, slots[0]->data() + piece.begin, dw,
                                                             n, rate_, momentum, nesterov);
                            } else {
                              run.kernels->sgd_step(w, dw, n, rate_);
                            }
                          }});
}

}  // namespace lamina::engine
