#include "cpu/own_threads.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "cpu/waiting.h"

namespace lamina {
namespace {

// A thread that waits for regions. Neither it nor this ends before the process does.
struct Helper {
  std::atomic<uint32_t> at_work{0};  // set by the caller, reset by the helper
  // Of the region:
  const FunctionRef<void(int, int)>* body = nullptr;
  int worker = 0, count = 0;
  std::atomic<int> spins{0};
  Helper* next = nullptr;  // in the pool's list, or the region's
};

struct Pool {
  std::mutex mutex;
  Helper* idle = nullptr;
};

// Never destroyed, as helpers outlive whatever the end of a process destroys. A child after fork()
// makes another: another thread may have held the mutex.
std::atomic<Pool*> pool{nullptr};
thread_local bool in_region = false;

Pool& current_pool() {
  Pool* now = pool.load();
  if (now != nullptr) return *now;
  auto* fresh = new Pool;
  if (pool.compare_exchange_strong(now, fresh)) return *fresh;
  delete fresh;
  return *now;
}

void serve(Helper* self) {
  in_region = true;
  for (;;) {
    wait_while(self->at_work, self->spins, [](uint32_t at_work) { return at_work == 0; });
    (*self->body)(self->worker, self->count);
    self->at_work.store(0);
    self->at_work.notify_one();
  }
}

Helper* take_idle(Pool& from) {
  const std::lock_guard lock(from.mutex);
  Helper* helper = from.idle;
  if (helper != nullptr) from.idle = helper->next;
  return helper;
}

// A started helper, or null where the system gives no thread or memory.
Helper* start_helper() {
  auto* helper = new (std::nothrow) Helper;
  if (helper == nullptr) return nullptr;
  try {
    std::thread(serve, helper).detach();
  } catch (...) {
    delete helper;
    return nullptr;
  }
  return helper;
}

}  // namespace

bool in_region_of_own_threads() { return in_region; }

void forget_own_threads() { pool.store(nullptr); }

bool can_start_threads(int n) {
  std::atomic<uint32_t> ended{0};
  std::vector<std::thread> threads;
  bool all = true;
  try {
    threads.reserve(static_cast<size_t>(n));
    for (int i = 0; i < n; ++i) threads.emplace_back([&] { ended.wait(0); });
  } catch (...) {
    all = false;
  }
  ended.store(1);
  ended.notify_all();
  for (std::thread& thread : threads) thread.join();
  return all;
}

void region_of_own_threads(int workers, int spins, FunctionRef<void(int, int)> body) {
  Pool& mine = current_pool();
  Helper *first = nullptr, *last = nullptr;
  int count = 1;
  while (count < workers) {
    Helper* helper = take_idle(mine);
    if (helper == nullptr) helper = start_helper();
    if (helper == nullptr) break;  // go on with fewer
    helper->worker = count++;
    helper->next = first;
    first = helper;
    if (last == nullptr) last = helper;
  }
  for (Helper* helper = first; helper != nullptr; helper = helper->next) {
    helper->body = &body;
    helper->count = count;
    helper->spins.store(spins);
    helper->at_work.store(1);
    helper->at_work.notify_one();
  }
  const bool outer = in_region;
  in_region = true;
  body(0, count);
  in_region = outer;
  for (Helper* helper = first; helper != nullptr; helper = helper->next) {
    wait_while(helper->at_work, spins, [](uint32_t at_work) { return at_work != 0; });
  }
  if (last == nullptr) return;
  const std::lock_guard lock(mine.mutex);
  last->next = mine.idle;
  mine.idle = first;
}

}  // namespace lamina
