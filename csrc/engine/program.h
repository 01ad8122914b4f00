// A network made into a program: a flat list of steps over preallocated buffers. One worker leads
// from step to step; the tiles of a step that has several are shared with the others.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cpu/float_state.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/precision.h"
#include "kernels/kernels.h"

namespace lamina::engine {

// rehearse: the forward half of train, for its outputs alone.
enum class Mode { train, test, predict, rehearse };

// What one pass over the steps sees. Filled in before the pass by whoever runs it.
struct Run {
  const Kernels* kernels = nullptr;
  int64_t rows = 0;       // of this batch; at most the program's capacity
  int workers = 1;        // that are there; for choices that move no bit
  bool training = false;  // for layers of the host
  uint64_t seed = 0;      // of dropout
  uint32_t step = 0;      // counts batches, for dropout
  float* const* buffers = nullptr;
  bool in_place = false;  // the input's buffer is the caller's own array: nothing is to be gathered
  const int64_t* index = nullptr;  // which row of the caller's arrays each row of the batch is
  int64_t first_row = 0;           // of these arrays, as the user counts them
  float* arena = nullptr;          // of all buffers
  float* parameters = nullptr;
  float* gradients = nullptr;
  std::function<void()> service = {};  // called by worker 0 between tiles; may throw
  FloatState caller = 0;               // what code of the host runs under

  float* buffer(int id) const { return buffers[id]; }
  // What an error calls a row of the batch.
  int64_t row_number(int64_t row) const { return first_row + index[row]; }
  bool has_few_workers(int most) const { return 1 < workers && workers <= most; }
};

constexpr int kNoBuffer = -1;

// A step's work: tiles that may run in any order and on any worker. Results depend on shapes only,
// the number of tiles on the workers too, if need be. `scratch` is the floats that each worker
// needs beside the buffers.
struct Step {
  std::string what;
  std::vector<int> uses;  // every buffer that it reads or writes
  std::function<int64_t(const Run&)> tiles;
  std::function<void(const Run&, int64_t tile, float* scratch)> body;
  int64_t scratch = 0;
  // Has this step as many tiles as the one before it, and does each need, of what that one writes,
  // its own tile's part only? Then a worker goes on from the one tile to the other: they meet once
  // for both, and what was written is read from the cache. Empty: never.
  std::function<bool(const Run&)> continues = {};
  // Of the tiles, those that are worth waking a worker for; empty: all, if there are several.
  std::function<int64_t(const Run&)> worth = {};

  int64_t worth_sharing(const Run& run) const;
};

// A step that does the same to every row of a tensor, by itself; the tensor has per_row rows for
// each row of the batch. Small ones in succession are cut alike, so that each continues the last.
struct RowStep {
  std::string what;
  std::vector<int> uses;
  int64_t per_row, cols;
  std::function<void(const Run&, int64_t first, int64_t rows, float* scratch)> body;
  int64_t cost = 1;         // of an element, times that of a cheap function
  int64_t least_rows = 1;   // that a tile should have
  int64_t align = 1;        // divides the first row of every tile
  int64_t row_scratch = 0;  // floats for each row of a tile
  int64_t scratch = 0;      // for all

  int64_t work() const { return per_row * cols * cost; }  // for a row of the batch
};

// Parameters of which a step must know where they are not finite: `size` from `offset` on, in units
// of so many. mark() is told of each unit, unless batches have too few rows for anybody to ask.
struct Watch {
  int64_t offset, size, unit;
  int buffer;  // that mark() writes
  std::function<bool(const Run&)> asked;
  std::function<void(const Run&, int64_t unit, bool finite)> mark;
};

class Program {
 public:
  Program(Mode mode, int64_t capacity, MatmulMode matmul = {})
      : mode_(mode), capacity_(capacity), matmul_(matmul) {}

  Mode mode() const { return mode_; }
  bool training() const { return mode_ == Mode::train; }  // backward steps will follow
  // Does Dropout drop, and BatchNormalization use the batch?
  bool as_in_training() const { return mode_ == Mode::train || mode_ == Mode::rehearse; }
  bool predicts() const { return mode_ == Mode::predict || mode_ == Mode::rehearse; }
  int64_t capacity() const { return capacity_; }  // rows
  const MatmulMode& matmul() const { return matmul_; }

  // A buffer of row_floats for each row of the batch and fixed_floats more; returns its id.
  int buffer(int64_t row_floats, int64_t fixed_floats = 0);
  void add(Step step);
  void add_rows(RowStep step);
  // Phases, one after the other, that write gradients of parameters: none of the steps that follow
  // reads these or changes what the phases read. So they may wait for row steps to pass, and run
  // beside the same phases of others.
  void add_gradient(std::vector<Step> phases);
  // A step whose results hold until the parameters change: when training it runs in its place in
  // every batch, else in prepare().
  void add_of_update(Step step);
  // Looks at all units in prepare(), for the first batch of a call, which is its largest. After
  // that the update tells: it has every parameter in a register.
  void watch(Watch watch);
  const std::vector<Watch>& watches() const { return watches_; }
  // A step that makes the batch count: it runs after all others, once nothing can fail any more,
  // and is never interrupted.
  void add_commit(Step step);

  // Lays the buffers out in one arena: two share memory if no step lies between the first and
  // last use of both; what may run as one counts as one step.
  void finish();

  int64_t size(int id) const { return sizes_[id]; }  // of a buffer, in floats
  int64_t arena_floats() const { return arena_floats_; }
  int64_t scratch_floats() const { return scratch_floats_; }  // per worker
  const std::vector<int64_t>& offsets() const { return offsets_; }
  const std::vector<Step>& steps() const { return steps_; }

  // Runs what comes before the first batch of a call, if the parameters may be others than in the
  // last one; then, for every batch, all steps: by worker 0 of the team; scratch holds
  // scratch_floats() for each worker.
  void prepare(const Run& run, Team& team, int workers, float* scratch) const;
  void execute(const Run& run, Team& team, int workers, float* scratch) const;

 private:
  class Guard;  // of the arena, for sanitizers

  // Steps [first, last), all but the first of which continue the one before.
  void execute(const Step* first, const Step* last, bool serves, const Run& run, Team& team,
               int workers, float* scratch) const;
  void append(std::vector<Step>& list, Step step);
  void close_chain();
  void run_waiting();

  Mode mode_;
  int64_t capacity_;
  MatmulMode matmul_;
  std::vector<int64_t> floats_, sizes_, offsets_;  // of each buffer: asked for, aligned, place
  std::vector<Step> steps_, commits_;              // until finish(), which puts the commits last
  std::vector<RowStep> chain_;                     // at the end of steps_, not yet cut
  std::vector<std::vector<Step>> waiting_;         // gradients, by phases
  std::vector<Step> of_update_;                    // in prepare()
  std::vector<Watch> watches_;
  size_t first_commit_ = 0;
  int64_t arena_floats_ = 0, scratch_floats_ = 0;
};

}  // namespace lamina::engine
