// Threads that are ours alone, for regions where OpenMP's cannot be had; see parallel_region.
#pragma once

#include "cpu/function_ref.h"

namespace lamina {

// As parallel_region: body(worker, count) on `count` <= `workers` threads, as many as can be
// started. Threads are kept for later regions, of any caller. `spins`: for how long they wait for
// the next one before they sleep.
void region_of_own_threads(int workers, int spins, FunctionRef<void(int worker, int count)> body);
bool in_region_of_own_threads();  // is this thread a worker of one?

// Can so many more threads be started at the moment? They are, and end at once.
bool can_start_threads(int n);

// In a child after fork(): the parent's threads are not there.
void forget_own_threads();

}  // namespace lamina
