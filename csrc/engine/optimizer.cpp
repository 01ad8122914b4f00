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

namespace {

// A piece of the parameters that a tile updates: whole units of a watch, or none.
struct Piece {
  Span span;
  const Watch* watch;
};

std::vector<Piece> cut(const std::vector<Span>& spans, const std::vector<Watch>& watches) {
  std::vector<Piece> pieces;
  for (const Span& span : spans) {
    for (int64_t begin = span.begin, end = 0; begin < span.end; begin = end) {
      end = std::min(begin + ops::kStepTile, span.end);
      const Watch* watched = nullptr;
      for (const Watch& watch : watches) {
        if (begin < watch.offset) {
          end = std::min(end, watch.offset);
        } else if (begin < watch.offset + watch.size) {
          watched = &watch;
          const int64_t units = std::max<int64_t>(1, ops::kStepTile / watch.unit);
          end = std::min(begin + units * watch.unit, watch.offset + watch.size);
        }
      }
      pieces.push_back({{begin, end}, watched});
    }
  }
  return pieces;
}

}  // namespace

bool Optimizer::update(const Run& run, int64_t begin, int64_t n) const {
  const Kernels& k = *run.kernels;
  float* w = run.parameters + begin;
  const float* dw = run.gradients + begin;
  if (kind == Kind::adam) {
    return k.adam_step(w, slots[0]->data() + begin, slots[1]->data() + begin, dw, n,
                       {rate_, static_cast<float>(1.0 - beta_1), static_cast<float>(1.0 - beta_2),
                        epsilon, clears_moments(iterations)});
  }
  if (slots.empty()) return k.sgd_step(w, dw, n, rate_);
  return k.sgd_momentum_step(w, slots[0]->data() + begin, dw, n, rate_, momentum, nesterov);
}

void Optimizer::add_step(Program& program, const Network& network) {
  std::vector<Piece> pieces = cut(network.trained_spans(), program.watches());
  if (pieces.empty()) return;
  std::vector<int> marked;
  for (const Watch& watch : program.watches()) marked.push_back(watch.buffer);
  const auto count = static_cast<int64_t>(pieces.size());
  program.add_commit({.what = "update",
                      .uses = std::move(marked),
                      .tiles = [=](const Run&) { return count; },
                      .body =
                          [this, pieces = std::move(pieces)](const Run& run, int64_t tile, float*) {
                            const auto [span, watch] = pieces[static_cast<size_t>(tile)];
                            const int64_t all = span.end - span.begin,
                                          unit = watch ? watch->unit : all;
                            for (int64_t begin = span.begin; begin < span.end; begin += unit) {
                              const bool finite =
                                  update(run, begin, std::min(unit, span.end - begin));
                              if (watch) watch->mark(run, (begin - watch->offset) / unit, finite);
                            }
                          }});
}

}  // namespace lamina::engine
