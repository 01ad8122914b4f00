// Optimizers: one pass over the flat parameters a batch.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/memory.h"
#include "engine/network.h"

namespace lamina::engine {

struct Optimizer {
  enum class Kind { sgd, adam } kind = Kind::sgd;
  float learning_rate = 0.01f;
  float momentum = 0.0f;  // sgd
  bool nesterov = false;
  double beta_1 = 0.9, beta_2 = 0.999;  // adam
  float epsilon = 1e-7f;                // Keras's: beside the uncorrected root
  int64_t iterations = 0;

  // One flat buffer each, as long as the network's parameters: momentum, or first and second
  // moments. Shared with the views of them that Python holds.
  std::vector<std::shared_ptr<AlignedArray<float>>> slots;
  size_t slot_count() const { return kind == Kind::adam ? 2 : momentum != 0.0f ? 1 : 0; }
  void build(const Network& network);
  bool fits(const Network& network) const;

  // Adds the update of the network's trained parameters. It uses `rate`, which prepare() sets.
  void add_step(Program& program, const Network& network);
  void prepare();  // before a batch: counts it and computes what its update needs

 private:
  bool update(const Run& run, int64_t begin, int64_t n) const;  // true only if all are finite then

  float rate_ = 0.0f;
};

}  // namespace lamina::engine
