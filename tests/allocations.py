"""Runs a script in a process whose allocator counts: calls, and the bytes that live.

The script finds `calls()`, `live()`, `peak()` and `reset_peak()`; the peak is that since the last
reset. Freed blocks count with the size that the allocator knows them by. `overruns()` is how many
bytes behind the core's blocks had been written to when these were freed.
"""

import os
import shutil
import subprocess
import sys

import pytest

COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stddef.h>
#include <string.h>

static long calls, live, peak;
long counted_calls(void) { return __atomic_load_n(&calls, __ATOMIC_SEQ_CST); }
long counted_live(void) { return __atomic_load_n(&live, __ATOMIC_SEQ_CST); }
long counted_peak(void) { return __atomic_load_n(&peak, __ATOMIC_SEQ_CST); }
void reset_peak(void) { __atomic_store_n(&peak, counted_live(), __ATOMIC_SEQ_CST); }

static void* taken(void* p) {
  __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  long now = __atomic_add_fetch(&live, (long)malloc_usable_size(p), __ATOMIC_SEQ_CST);
  long before = counted_peak();
  while (now > before && !__atomic_compare_exchange_n(&peak, &before, now, 0, __ATOMIC_SEQ_CST,
                                                      __ATOMIC_SEQ_CST)) {
  }
  return p;
}
static void given_back(void* p) {
  __atomic_sub_fetch(&live, (long)malloc_usable_size(p), __ATOMIC_SEQ_CST);
}
#define REAL(type, name, params)       \
  static type(*real) params;           \
  if (!real) real = (type(*) params)dlsym(RTLD_NEXT, #name)

void* malloc(size_t n) {
  REAL(void*, malloc, (size_t));
  return taken(real(n));
}
void* calloc(size_t n, size_t size) { /* not by the real one: dlsym may call it */
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes)) return NULL;
  void* p = malloc(bytes);
  return p ? memset(p, 0, bytes) : p;
}
void* realloc(void* p, size_t n) {
  REAL(void*, realloc, (void*, size_t));
  given_back(p);
  void* moved = real(p, n);
  return taken(moved || !n ? moved : p);
}

/* Aligned blocks, which are all the core's, end in a guard of `a` bytes, looked at when freed. */
enum { most = 4096, mark = 0xA5 };
static struct { unsigned char* end; void* p; size_t guard; } guarded[most];
static int count, overrun, locked;
int overruns(void) { return overrun; }
static void lock(void) { while (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE)) {} }
static void unlock(void) { __atomic_store_n(&locked, 0, __ATOMIC_RELEASE); }

void* aligned_alloc(size_t a, size_t n) {
  REAL(void*, aligned_alloc, (size_t, size_t));
  unsigned char* p = real(a, n + a);
  if (!p) return p;
  memset(p + n, mark, a);
  lock();
  if (count < most) {
    guarded[count].end = p + n;
    guarded[count].p = p;
    guarded[count++].guard = a;
  }
  unlock();
  return taken(p);
}
static void check_guard(void* p) {
  lock();
  for (int i = 0; i < count; ++i) {
    if (guarded[i].p != p) continue;
    for (size_t b = 0; b < guarded[i].guard; ++b) overrun += guarded[i].end[b] != mark;
    guarded[i] = guarded[--count];
    break;
  }
  unlock();
}

int posix_memalign(void** p, size_t a, size_t n) {
  REAL(int, posix_memalign, (void**, size_t, size_t));
  int failed = real(p, a, n);
  if (!failed) taken(*p);
  return failed;
}
void free(void* p) {
  REAL(void, free, (void*));
  if (count) check_guard(p);
  given_back(p);
  real(p);
}
"""

PRELUDE = """
import ctypes
_library = ctypes.CDLL(None)
calls, live, peak = _library.counted_calls, _library.counted_live, _library.counted_peak
calls.restype = live.restype = peak.restype = ctypes.c_long
reset_peak, overruns = _library.reset_peak, _library.overruns
"""


def run_counted(script: str, directory, *arguments: str) -> list[list[str]]:
    """What the script prints, as words of lines."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and LD_PRELOAD to count allocations")
    source, library = directory / "counter.c", directory / "counter.so"
    if not library.exists():
        source.write_text(COUNTER)
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    out = subprocess.run(
        [sys.executable, "-c", PRELUDE + script, *arguments],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [line.split() for line in out.stdout.splitlines()]
