// Making a trainer, and running its passes. Its own steps are in trainer_steps.cpp.
#include "engine/trainer.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "cpu/dispatch.h"
#include "cpu/float_state.h"

namespace lamina::engine {
namespace {

using Clock = std::chrono::steady_clock;

// A batch that takes longer than this is interrupted between its steps for signals.
constexpr auto kLongBatch = std::chrono::milliseconds(20);
constexpr auto kServiceEvery = std::chrono::milliseconds(50);

// That a worker of a pass of one batch should get at the least; half of them, of more batches.
constexpr int64_t kTilesPerWorker = 8;

}  // namespace

Trainer::Trainer(std::shared_ptr<Network> network, Mode mode, int64_t capacity,
                 std::optional<Loss> loss, std::vector<Metric> metrics,
                 std::shared_ptr<Optimizer> optimizer, uint64_t seed)
    : network_(std::move(network)),
      loss_(std::move(loss)),
      metrics_(std::move(metrics)),
      optimizer_(std::move(optimizer)),
      seed_(seed),
      program_(mode, capacity, matmul_mode()),
      means_(1 + metrics_.size()) {
  const Shape& output = network_->output();
  if (!output.empty()) {
    cols_ = output.back();
    inner_ = cols_ == 0 ? 0 : element_count(output) / cols_;
  }

  const auto& layers = network_->layers();
  fused_ = !program_.predicts() && loss_ && !layers.empty() &&
           loss_->fuses(layers.back()->last_activation());
  x_ = program_.buffer(element_count(network_->input()));
  add_gather();
  std::vector<Place> places = network_->add_forward(program_, x_, fused_);
  output_ = places.empty() ? x_ : places.back().y;
  only_reads_ = output_ != x_;
  for (const Place& place : places) {
    if (place.x != x_) continue;
    column_workers_ = std::max(column_workers_, place.column_workers);
    only_reads_ = only_reads_ && place.only_reads;
  }
  if (program_.predicts()) {
    add_output();
  } else {
    add_gather_targets();
    add_loss(places);
    if (mode == Mode::train) {
      network_->add_backward(program_, places, dy_);
      if (optimizer_) optimizer_->add_step(program_, *network_);
    }
  }
  program_.finish();
}

void Trainer::Mean::add(double s, double w) {
  sum += s;
  weight += w;
  last_sum = s;
  last_weight = w;
}

void Trainer::reset() { std::fill(means_.begin(), means_.end(), Mean{}); }

std::vector<double> Trainer::results() const {
  std::vector<double> values;
  for (const Mean& m : means_) values.push_back(m.weight == 0.0 ? 0.0 : m.sum / m.weight);
  return values;
}

std::vector<double> Trainer::last_results() const {
  std::vector<double> values;
  for (const Mean& m : means_) {
    values.push_back(m.last_weight == 0.0 ? 0.0 : m.last_sum / m.last_weight);
  }
  return values;
}

Trainer::Memory Trainer::memory() const {
  constexpr int64_t floats = sizeof(float);
  Run run;
  run.kernels = &kernels();
  run.rows = capacity();
  run.workers = num_threads();
  Memory memory{};
  memory.arena = program_.arena_floats() * floats;
  for (const int id : {x_, y_true_, weights_}) {
    if (id != kNoBuffer) memory.batch += program_.size(id) * floats;
  }
  memory.scratch = program_.scratch_floats() * floats;
  memory.index = capacity() * static_cast<int64_t>(sizeof(int64_t));
  memory.workers = workers_for(run, kTilesPerWorker);
  return memory;
}

void Trainer::start(const Pass& pass) {
  if (pass.count > 0 && index_.size() == 0) {
    if (mode() == Mode::train) network_->gradients();  // makes them
    arena_ = AlignedArray<float>(program_.arena_floats());
    buffers_.clear();
    for (const int64_t offset : program_.offsets()) buffers_.push_back(arena_.data() + offset);
    index_ = AlignedArray<int64_t>(capacity());
  }
  if (pass.count > 0 && pass.batch != paced_batch_) {
    pace_ = {};
    paced_batch_ = pass.batch;
  }
  pass_ = pass;
  position_ = 0;
  run_.in_place = reads_in_place(pass);
  if (pass.count > 0 && !run_.in_place) buffers_[x_] = arena_.data() + program_.offsets()[x_];
}

// Are the rows as a gathered batch would have them, one after the other?
bool Trainer::reads_in_place(const Pass& pass) const {
  const auto row = element_count(network_->input()) * static_cast<int64_t>(sizeof(float));
  return only_reads_ && pass.order == nullptr && pass.x.dtype == DType::float32 &&
         (pass.x.row_bytes == row || pass.count == 1) &&
         reinterpret_cast<uintptr_t>(pass.x.data) % sizeof(float) == 0;
}

// A worker that never gets a tile would only be woken, and a few tiles a batch do not pay for what
// it and the others read of each other's.
int Trainer::workers_for(const Run& run, int64_t batches) const {
  int64_t most = 1, shared = 0;
  for (const Step& step : program_.steps()) {
    const int64_t tiles = step.worth_sharing(run);
    most = std::max(most, tiles);
    shared += tiles;
  }
  const int64_t paid = shared * std::min<int64_t>(batches, 2) / kTilesPerWorker;
  return static_cast<int>(
      std::min({most, std::max<int64_t>(1, paid), static_cast<int64_t>(num_threads())}));
}

// Points the run at the next batch; false if there is none. Throws for a row that is not there
// before anything has changed.
bool Trainer::next_batch() {
  const int64_t rows = std::min(pass_.batch, pass_.count - position_);
  if (rows <= 0) return false;
  for (int64_t i = 0; i < rows; ++i) {
    index_[i] = pass_.order == nullptr ? position_ + i : pass_.order[position_ + i];
    if (index_[i] < 0 || index_[i] >= pass_.rows) {
      throw std::out_of_range("order[" + std::to_string(position_ + i) + "] is " +
                              std::to_string(index_[i]) + ", which is outside the " +
                              std::to_string(pass_.rows) + " rows of x");
    }
  }
  run_.rows = rows;
  run_.index = index_.data();
  run_.first_row = pass_.first_row;
  if (run_.in_place) {
    const char* first = static_cast<const char*>(pass_.x.data) + position_ * pass_.x.row_bytes;
    buffers_[x_] = const_cast<float*>(reinterpret_cast<const float*>(first));
  }
  if (optimizer_ && mode() == Mode::train) {
    optimizer_->prepare();
    run_.step = static_cast<uint32_t>(optimizer_->iterations);
  } else {
    run_.step = ++batches_seen_;
  }
  return true;
}

int64_t Trainer::run(int64_t batches, double seconds, const std::function<void()>& service) {
  const int64_t left = pass_.count - position_;
  if (left <= 0 || batches <= 0) return 0;
  run_.caller = float_state();
  const DefaultFloatState default_state;
  run_.kernels = &kernels();
  run_.rows = std::min(pass_.batch, left);
  run_.workers = num_threads();
  run_.training = program_.as_in_training();
  run_.seed = seed_;
  run_.buffers = buffers_.data();
  run_.arena = arena_.data();
  run_.parameters = network_->parameters();
  run_.gradients = mode() == Mode::train ? network_->gradients() : nullptr;

  const int64_t ahead = std::min(batches, left / run_.rows + 1);
  const int useful = workers_for(run_, ahead);
  const bool paces = useful > 1 && mode() == Mode::train;
  const int workers = paces && ahead == 1 ? pace_.workers(useful) : useful;
  const int64_t scratch = program_.scratch_floats();
  if (scratch_.size() < scratch * workers) scratch_ = AlignedArray<float>(scratch * workers);

  bool in_batch = next_batch();
  const auto begin = Clock::now();
  const auto deadline = begin + std::chrono::duration<double>(std::min(seconds, 1e9));
  auto batch_begin = begin, serviced = begin;
  const auto serve = [&](Clock::time_point now) {
    if (!service || now - serviced < kServiceEvery) return;
    serviced = now;
    const FloatScope caller(run_.caller);
    service();
  };
  run_.service = [&] { serve(Clock::now()); };  // until a batch turns out to be short
  const uint64_t version = network_->version();
  int64_t done = 0;
  Team team(workers);
  std::exception_ptr failure;
  parallel_region(workers, [&](int index, int count) {
    const DefaultFloatState state;
    if (index != 0) return team.help(index);
    workers_ = run_.workers = count;
    try {
      if (in_batch && prepared_ != version) {
        program_.prepare(run_, team, count, scratch_.data());
        prepared_ = version;
      }
      while (in_batch) {
        if (paces) run_.workers = pace_.workers(count);
        program_.execute(run_, team, run_.workers, scratch_.data());
        in_batch = false;
        ++done;
        position_ += run_.rows;
        const auto now = Clock::now();
        if (paces && run_.rows == pass_.batch) pace_.took(batch_begin, now);
        if (now - batch_begin < kLongBatch) run_.service = nullptr;
        batch_begin = now;
        serve(now);
        in_batch = done < batches && now < deadline && next_batch();
      }
    } catch (...) {
      failure = std::current_exception();
    }
    team.dismiss();
  });
  if (program_.as_in_training()) network_->changed();
  busy_workers_ = std::max(busy_workers_, team.busy());
  run_.service = nullptr;
  if (!failure) return done;
  if (in_batch && optimizer_ && mode() == Mode::train) {
    --optimizer_->iterations;  // of the batch that was left out
  }
  std::rethrow_exception(failure);
}

}  // namespace lamina::engine
