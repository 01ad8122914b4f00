// Runs a network over data in one mode: training, testing or predicting. A whole pass is one
// parallel region; between batches nothing is allocated.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "cpu/parallel.h"
#include "engine/losses.h"
#include "engine/network.h"
#include "engine/optimizer.h"

namespace lamina::engine {

// One pass over n rows. Everything pointed at must outlive the pass, but others may write to it
// meanwhile: what is used as an index is copied with its batch, and the copy is checked.
struct Pass {
  RowSource x, y;                  // in the caller's memory; y of int32 where the loss is sparse
  const float* weights = nullptr;  // or null: all are 1
  int64_t weights_of_row = 1;      // or one for each value of the loss, of which a row has several
  int64_t rows = 0;                // of x, y and weights
  int64_t first_row = 0;           // the number of the first in what the user gave, for errors
  const int64_t* order = nullptr;  // the rows to visit, or null for all in turn
  int64_t count = 0;               // how many rows to visit
  int64_t batch = 32;              // rows of a batch, at most the capacity
  float* out = nullptr;            // predictions, in the order of the visit
};

class Trainer {
 public:
  // loss and optimizer may be null where the mode does not ask for them.
  Trainer(std::shared_ptr<Network> network, Mode mode, int64_t capacity, std::optional<Loss> loss,
          std::vector<Metric> metrics, std::shared_ptr<Optimizer> optimizer, uint64_t seed);
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  Mode mode() const { return program_.mode(); }
  int64_t capacity() const { return program_.capacity(); }
  const Network& network() const { return *network_; }
  bool sparse_targets() const { return loss_ && loss_->sparse(); }
  int64_t values_of_row() const { return inner_; }  // that the loss has

  // What it takes beside the network and the optimizer, in bytes, known before any is taken.
  struct Memory {
    int64_t arena;    // activations, their gradients, and the batch itself
    int64_t batch;    // of these: inputs, targets and weights of a batch
    int64_t scratch;  // of each worker
    int64_t index;
    int workers;  // of a full batch, for as many threads as there are now
  };
  Memory memory() const;

  // Does it multiply at the level that is set now? It keeps the one that it was made with.
  bool up_to_date() const { return program_.matmul() == matmul_mode(); }

  // The first pass with rows allocates.
  void start(const Pass& pass);
  // Runs batches of the pass until `batches` are done, `seconds` have gone by, or no rows are
  // left; returns how many it ran. `service` is called by the calling thread at least every 100 ms
  // while a batch lasts, and may throw: then the batch is left out.
  int64_t run(int64_t batches, double seconds, const std::function<void()>& service);
  int workers() const { return workers_; }            // that the last run() had
  int busy_workers() const { return busy_workers_; }  // that did some of the work of one run()

  // Means since reset(): the loss, then each metric; or those of the last batch.
  std::vector<double> results() const;
  std::vector<double> last_results() const;
  void reset();

 private:
  struct Mean {
    double sum = 0.0, weight = 0.0;
    double last_sum = 0.0, last_weight = 0.0;
    void add(double s, double w);
  };

  void add_gather();
  void add_gather_targets();
  void add_output();
  void add_loss(const std::vector<Place>& places);
  void add_host_rows(int y);
  void add_totals();
  bool reads_in_place(const Pass& pass) const;
  bool next_batch();
  void check_labels(const Run& run, const int32_t* labels, int64_t first, int64_t rows) const;
  int workers_for(const Run& run, int64_t batches) const;

  std::shared_ptr<Network> network_;
  std::optional<Loss> loss_;
  std::vector<Metric> metrics_;
  std::shared_ptr<Optimizer> optimizer_;
  uint64_t seed_;
  Program program_;

  int64_t cols_ = 1, inner_ = 1;  // output.back(), and the product of the other axes
  bool fused_ = false;            // the loss takes logits
  bool only_reads_ = false;       // no step writes x
  int column_workers_ = 0;        // from two to so many share out the columns of x, not its rows
  int x_ = kNoBuffer, y_true_ = kNoBuffer, weights_ = kNoBuffer;
  int output_ = kNoBuffer, dy_ = kNoBuffer, values_ = kNoBuffer;

  AlignedArray<float> arena_, scratch_;
  std::vector<float*> buffers_;  // in the arena, but for an input that is read in place
  AlignedArray<int64_t> index_;  // the rows of this batch
  uint64_t prepared_ = 0;        // the network's version that the program is prepared for, if any

  Pass pass_;
  int64_t position_ = 0;
  int workers_ = 0, busy_workers_ = 0;
  Pace pace_;                // of training batches
  int64_t paced_batch_ = 0;  // of so many rows
  Run run_;
  uint32_t batches_seen_ = 0;
  std::vector<Mean> means_;
};

}  // namespace lamina::engine
