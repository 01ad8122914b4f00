#include "engine/program.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <numeric>
#include <utility>

#include "cpu/sanitize.h"
#include "ops/pieces.h"

namespace lamina::engine {
namespace {

constexpr int64_t kAlign = kCacheLine / static_cast<int64_t>(sizeof(float));

int64_t aligned(int64_t floats) { return (floats + kAlign - 1) / kAlign * kAlign; }

// Rows of more than this are work enough for tiles of their own. A tile of a chain has about as
// much: some microseconds.
constexpr int64_t kChainWork = 4 * ops::kStepTile;

Step alone(RowStep step) {
  const auto pieces = [per_row = step.per_row, cols = step.cols, cost = step.cost,
                       least = step.least_rows](const Run& run) {
    ops::Pieces rows = ops::row_tiles(run.rows * per_row, cols, ops::kStepTile / cost);
    rows.size = std::max(rows.size, least);
    return rows;
  };
  Run one;
  one.rows = 1;
  const int64_t scratch = step.scratch + step.row_scratch * pieces(one).size;
  return {.what = std::move(step.what),
          .uses = std::move(step.uses),
          .tiles = [=](const Run& run) { return pieces(run).count(); },
          .body =
              [=, body = std::move(step.body)](const Run& run, int64_t tile, float* memory) {
                body(run, pieces(run).begin(tile), pieces(run).length(tile), memory);
              },
          .scratch = scratch};
}

// The rows of the batch in a tile of the chain. Sixteen, because there are tensors of one float a
// row, of which two workers should not write into one line of the cache.
int64_t chain_height(const std::vector<RowStep>& chain) {
  int64_t work = 1, height = 1, unit = 16;
  for (const RowStep& step : chain) {
    const int64_t per_row = std::max<int64_t>(1, step.per_row);
    work += step.work();
    height = std::max(height, ops::ceil_div(step.least_rows, per_row));
    unit = std::lcm(unit, step.align / std::gcd(step.align, per_row));
  }
  return ops::round_up(std::max(height, kChainWork / work), unit);
}

// One worker has no use for short tiles.
ops::Pieces chain_tiles(const Run& run, int64_t height) {
  return {run.rows, run.workers == 1 ? 4 * height : height};
}

Step in_chain(RowStep step, int64_t height, bool is_first) {
  Step tiled{.what = std::move(step.what),
             .uses = std::move(step.uses),
             .tiles = [=](const Run& run) { return chain_tiles(run, height).count(); },
             .body =
                 [=, body = std::move(step.body), per_row = step.per_row](
                     const Run& run, int64_t tile, float* scratch) {
                   const ops::Pieces rows = chain_tiles(run, height);
                   body(run, rows.begin(tile) * per_row, rows.length(tile) * per_row, scratch);
                 },
             .scratch = step.scratch + step.row_scratch * step.per_row * 4 * height};
  if (!is_first) tiled.continues = [](const Run&) { return true; };
  return tiled;
}

// One step with the tiles of all.
Step side_by_side(std::vector<Step> steps) {
  if (steps.size() == 1) return std::move(steps.front());
  Step joined;
  for (const Step& step : steps) {
    joined.what += (joined.what.empty() ? "" : "; ") + step.what;
    joined.uses.insert(joined.uses.end(), step.uses.begin(), step.uses.end());
    joined.scratch = std::max(joined.scratch, step.scratch);
  }
  const auto all = std::make_shared<const std::vector<Step>>(std::move(steps));
  joined.tiles = [=](const Run& run) {
    int64_t count = 0;
    for (const Step& step : *all) count += step.tiles(run);
    return count;
  };
  joined.worth = [=](const Run& run) {  // other tiles are tiny
    int64_t count = 0;
    for (const Step& step : *all) count += step.worth_sharing(run);
    return count;
  };
  joined.body = [=](const Run& run, int64_t tile, float* scratch) {
    for (const Step& step : *all) {
      const int64_t count = step.tiles(run);
      if (tile < count) return step.body(run, tile, scratch);
      tile -= count;
    }
  };
  return joined;
}

}  // namespace

int64_t Step::worth_sharing(const Run& run) const {
  if (continues && continues(run)) return 0;  // are counted
  if (worth) return worth(run);
  const int64_t count = tiles(run);
  return count > 1 ? count : 0;
}

int Program::buffer(int64_t row_floats, int64_t fixed_floats) {
  const int64_t floats = checked_product({row_floats, capacity_}) + fixed_floats;
  floats_.push_back(floats);
  sizes_.push_back(aligned(floats));
  return static_cast<int>(sizes_.size()) - 1;
}

void Program::add(Step step) {
  close_chain();
  run_waiting();
  append(steps_, std::move(step));
}

void Program::add_rows(RowStep step) {
  const bool streams = checked_product({capacity_, step.per_row, step.cols}) >= ops::kStreamedArray;
  if (streams || step.work() > kChainWork) return add(alone(std::move(step)));
  chain_.push_back(std::move(step));
}

void Program::add_gradient(std::vector<Step> phases) {
  if (waiting_.size() < phases.size()) waiting_.resize(phases.size());
  for (size_t i = 0; i < phases.size(); ++i) waiting_[i].push_back(std::move(phases[i]));
}

void Program::add_of_update(Step step) {
  if (training()) return add(std::move(step));
  append(of_update_, std::move(step));
}

void Program::watch(Watch watch) {
  const ops::Pieces units{watch.size, watch.unit};
  append(of_update_,
         {.what = "watch",
          .uses = {watch.buffer},
          .tiles = [=](const Run& run) { return watch.asked(run) ? units.count() : 0; },
          .body =
              [=](const Run& run, int64_t unit, float*) {
                const float* parameters = run.parameters + watch.offset + units.begin(unit);
                watch.mark(run, unit, run.kernels->all_finite(parameters, units.length(unit)));
              }});
  watches_.push_back(std::move(watch));
}

void Program::close_chain() {
  const int64_t height = chain_height(chain_);
  const size_t length = chain_.size();
  for (size_t i = 0; i < length; ++i) {
    append(steps_, length == 1 ? alone(std::move(chain_[i]))
                               : in_chain(std::move(chain_[i]), height, i == 0));
  }
  chain_.clear();
}

void Program::run_waiting() {
  for (std::vector<Step>& phase : waiting_) append(steps_, side_by_side(std::move(phase)));
  waiting_.clear();
}

void Program::add_commit(Step step) { append(commits_, std::move(step)); }

void Program::append(std::vector<Step>& list, Step step) {
  std::erase(step.uses, kNoBuffer);
  scratch_floats_ = std::max(scratch_floats_, aligned(step.scratch));
  list.push_back(std::move(step));
}

void Program::finish() {
  close_chain();
  run_waiting();
  first_commit_ = steps_.size();
  std::move(commits_.begin(), commits_.end(), std::back_inserter(steps_));
  commits_.clear();
  const int count = static_cast<int>(sizes_.size());
  const int end = static_cast<int>(steps_.size());
  std::vector<int> first(count, end), last(count, -1);
  for (int s = 0, begun = 0; s < end; ++s) {
    if (!steps_[s].continues) begun = s;
    for (const int id : steps_[s].uses) {
      first[id] = std::min(first[id], begun);
      last[id] = s;
    }
  }
  for (const Step& step : of_update_) {
    for (const int id : step.uses) first[id] = 0, last[id] = end;
  }

  // First fit, the largest buffer first: each goes to the lowest place that is free while it lives.
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return sizes_[a] > sizes_[b] || (sizes_[a] == sizes_[b] && a < b);
  });
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

// Where AddressSanitizer watches, steps may touch the buffers that they name, up to the last float
// that was asked for, and none else: lifetimes, and so the sharing of memory, follow from the
// names.
class Program::Guard {
 public:
  Guard([[maybe_unused]] const Program& program, [[maybe_unused]] const Step* first,
        [[maybe_unused]] const Step* last, [[maybe_unused]] const Run& run) {
    if constexpr (sanitize::kGuards) {
      arena_ = run.arena;
      bytes_ = bytes(program.arena_floats_);
      sanitize::forbid(arena_, bytes_);
      for (const Step* step = first; step != last; ++step) {
        for (const int id : step->uses) {
          sanitize::permit(arena_ + program.offsets_[id], bytes(program.floats_[id]));
        }
      }
    }
  }
  ~Guard() { sanitize::permit(arena_, bytes_); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  static size_t bytes(int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); }

  float* arena_ = nullptr;
  size_t bytes_ = 0;
};

void Program::prepare(const Run& run, Team& team, int workers, float* scratch) const {
  for (const Step& step : of_update_) execute(&step, &step + 1, true, run, team, workers, scratch);
}

void Program::execute(const Run& run, Team& team, int workers, float* scratch) const {
  const Step *end = steps_.data() + steps_.size(), *last = nullptr;
  for (const Step* first = steps_.data(); first != end; first = last) {
    last = first + 1;
    while (last != end && last->continues && last->continues(run)) ++last;
    const bool serves = first < steps_.data() + first_commit_;
    execute(first, last, serves, run, team, workers, scratch);
  }
}

void Program::execute(const Step* first, const Step* last, bool serves, const Run& run, Team& team,
                      int workers, float* scratch) const {
  serves = serves && run.service;
  const Guard guard(*this, first, last, run);
  team.run(first->tiles(run), workers, [&](int64_t tile, int worker) {
    for (const Step* step = first; step != last; ++step) {
      step->body(run, tile, scratch + worker * scratch_floats_);
    }
    if (serves && worker == 0) run.service();
  });
}

}  // namespace lamina::engine
