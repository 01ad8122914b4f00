#include "engine/program.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

namespace lamina::engine {
namespace {

constexpr int64_t kAlign = kCacheLine / static_cast<int64_t>(sizeof(float));

int64_t aligned(int64_t floats) { return (floats + kAlign - 1) / kAlign * kAlign; }

}  // namespace

int Program::buffer(int64_t row_floats, int64_t fixed_floats) {
  sizes_.push_back(aligned(checked_product({row_floats, capacity_}) + fixed_floats));
  return static_cast<int>(sizes_.size()) - 1;
}

void Program::add(Step step) { append(steps_, std::move(step)); }

void Program::add_of_update(Step step) {
  append(training() ? steps_ : of_update_, std::move(step));
}

void Program::add_commit(Step step) { append(commits_, std::move(step)); }

void Program::append(std::vector<Step>& list, Step step) {
  std::erase(step.uses, kNoBuffer);
  scratch_floats_ = std::max(scratch_floats_, aligned(step.scratch));
  list.push_back(std::move(step));
}

void Program::finish() {
  first_commit_ = steps_.size();
  std::move(commits_.begin(), commits_.end(), std::back_inserter(steps_));
  commits_.clear();
  const int count = static_cast<int>(sizes_.size());
  const int end = static_cast<int>(steps_.size());
  std::vector<int> first(count, end), last(count, -1);
  for (int s = 0; s < end; ++s) {
    for (const int id : steps_[s].uses) {
      first[id] = std::min(first[id], s);
      last[id] = s;
    }
  }
  for (const Step& step : of_update_) {
    for (const int id : step.uses) first[id] = 0, last[id] = end;
  }

  // First fit, the largest buffer first: each goes to the lowest place that is free while it lives.
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return sizes_[a] > sizes_[b]; });
  offsets_.assign(count, 0);
  std::vector<int> placed;
  for (const int id : order) {
    int64_t place = 0;
    for (const int other : placed) {  // sorted by offset
      const bool together = first[id] <= last[other] && first[other] <= last[id];
      if (!together) continue;
      if (place + sizes_[id] <= offsets_[other]) break;
      place = std::max(place, offsets_[other] + sizes_[other]);
    }
    offsets_[id] = place;
    arena_floats_ = std::max(arena_floats_, place + sizes_[id]);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), id,
                                   [&](int a, int b) { return offsets_[a] < offsets_[b]; }),
                  id);
  }
}

void Program::prepare(const Run& run, Team& team, int workers, float* scratch) const {
  for (const Step& step : of_update_) execute(step, true, run, team, workers, scratch);
}

void Program::execute(const Run& run, Team& team, int workers, float* scratch) const {
  for (size_t s = 0; s < steps_.size(); ++s) {
    execute(steps_[s], s < first_commit_, run, team, workers, scratch);
  }
}

void Program::execute(const Step& step, bool serves, const Run& run, Team& team, int workers,
                      float* scratch) const {
  serves = serves && run.service;
  team.run(step.tiles(run), workers, [&](int64_t tile, int worker) {
    step.body(run, tile, scratch + worker * scratch_floats_);
    if (serves && worker == 0) run.service();
  });
}

}  // namespace lamina::engine
