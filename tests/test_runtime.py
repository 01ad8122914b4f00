"""How the engine behaves inside a process: memory, threads, fork, signals, floating-point state."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import lamina as la
from lamina import _core


def small_model():
    la.utils.set_random_seed(0)
    model = la.Sequential(
        [
            la.layers.Input((40,)),
            la.layers.Dense(64, activation="relu"),
            la.layers.Dropout(0.2),
            la.layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data(rows=256):
    rng = np.random.default_rng(0)
    return rng.random((rows, 40), dtype=np.float32), rng.integers(0, 5, rows)


# Counts calls of the allocator in the process that preloads it.
COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
static long count;
long allocations(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }
#define COUNTED(type, name, params, args)                          \
  type name params {                                               \
    static type(*real) params;                                     \
    if (!real) real = (type(*) params)dlsym(RTLD_NEXT, #name);     \
    __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);               \
    return real args;                                              \
  }
COUNTED(void*, malloc, (size_t n), (n))
COUNTED(void*, realloc, (void* p, size_t n), (p, n))
COUNTED(void*, aligned_alloc, (size_t a, size_t n), (a, n))
COUNTED(int, posix_memalign, (void** p, size_t a, size_t n), (p, a, n))
"""

ALLOCATION_SCRIPT = """
import ctypes
import numpy as np
from lamina import _core

count = ctypes.CDLL(None).allocations
count.restype = ctypes.c_long
x = np.random.default_rng(0).random((4000, 12, 12, 3), dtype=np.float32)
y = np.zeros(4000, np.int32)
for threads in (1, 2):
    _core.set_num_threads(threads)
    network = _core.Network((12, 12, 3), [
        _core.conv2d("a", 8, (3, 3), (1, 1), "same", (1, 1), "relu", 0.0, True),
        _core.batch_normalization("b", 0.99, 1e-3, True, True),
        _core.max_pooling2d("c", (2, 2), (2, 2), "valid"),
        _core.flatten("d"),
        _core.dense("e", 100, "tanh", 0.0, True),
        _core.dropout("f", 0.2),
        _core.dense("g", 10, "softmax", 0.0, True),
    ])
    optimizer = _core.Optimizer("adam", 1e-3)
    optimizer.build(network)
    runner = _core.Runner(network, "train", 32, _core.Loss("sparse_categorical_crossentropy"),
                          [_core.Metric("sparse_categorical_accuracy")], optimizer, 0)
    runner.start(x, y, None, None, 32)
    assert runner.run(2, 1e9) == 2  # the pool of threads and the scratch are there after this
    counts = []
    for batches in (1, 100):
        before = count()
        assert runner.run(batches, 1e9) == batches
        counts.append(count() - before)
    print(before > 0, *counts)
"""


def test_the_training_loop_allocates_nothing(tmp_path):
    """A call that runs a hundred batches allocates as often as one that runs a single batch."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and LD_PRELOAD to count allocations")
    source, library = tmp_path / "counter.c", tmp_path / "counter.so"
    source.write_text(COUNTER)
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    out = subprocess.run(
        [sys.executable, "-c", ALLOCATION_SCRIPT],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split() for line in out.stdout.splitlines()]
    assert len(lines) == 2
    for counting, one, hundred in lines:
        assert counting == "True"
        assert one == hundred


def test_denormals_are_flushed_inside_the_engine_only():
    tiny = np.full((3000, 40), 1e-40, np.float32)
    model = la.Sequential([la.layers.Input((40,)), la.layers.Rescaling(1.0)])
    for threads in (1, 3):
        la.set_num_threads(threads)
        assert np.array_equal(model.predict(tiny, verbose=0), np.zeros_like(tiny))
        # The caller's state is as it was, on this thread and on the pool's.
        assert np.float32(1e-40) * np.float32(0.5) > 0
        assert np.array_equal(la.kernels.relu_forward(tiny), tiny)


def test_threads_can_be_set():
    before = la.get_num_threads()
    try:
        la.set_num_threads(3)
        assert la.get_num_threads() == (3 if _core.show_config()["openmp"] else 1)
        for wrong in (0, -1, 100000):
            with pytest.raises(ValueError, match="must be from 1 to 1024"):
                la.set_num_threads(wrong)
    finally:
        la.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_forked_child_computes_the_same():
    model = small_model()
    x, y = data()
    la.set_num_threads(2)
    model.fit(x, y, verbose=0)  # the pool has started
    want = model.predict(x, verbose=0).tobytes()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(60)  # a hang must not outlive the test
            same = model.predict(x, verbose=0).tobytes() == want
            model.fit(x, y, verbose=0)
            status = 0 if same else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_several_python_threads_train_at_once():
    x, y = data()
    digests = []

    def work():
        network = _core.Network((40,), [_core.dense("d", 5, "softmax", 0.0, True)])
        optimizer = _core.Optimizer("adam", 1e-2)
        optimizer.build(network)
        loss = _core.Loss("sparse_categorical_crossentropy")
        runner = _core.Runner(network, "train", 32, loss, [], optimizer, 0)
        for _ in range(20):
            runner.start(x, y.astype(np.int32), None, None, 32)
            while runner.run(10**9, 1e9):
                pass
        digests.append(network.flat.tobytes())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(digests) == 4
    assert len(set(digests)) == 1


INTERRUPT_SCRIPT = """
import _thread, sys, threading
import numpy as np
import lamina as la

layers = [la.layers.Input((512,)), la.layers.Dense(512), la.layers.Dense(1)]
model = la.Sequential(layers)
model.compile("sgd", "mse")
x, y = np.zeros((4096, 512), np.float32), np.zeros((4096, 1), np.float32)
model.fit(x[:64], y[:64], verbose=0)
threading.Timer(0.3, _thread.interrupt_main).start()
try:
    model.fit(x, y, epochs=100000, verbose=0)
except KeyboardInterrupt:
    model.fit(x[:64], y[:64], verbose=0)  # still usable
    print("interrupted", np.isfinite(model.predict(x[:3], verbose=0)).all())
"""


def test_ctrl_c_is_served_and_leaves_the_model_usable():
    out = subprocess.run(
        [sys.executable, "-c", INTERRUPT_SCRIPT], capture_output=True, text=True, timeout=60
    )
    assert out.stdout == "interrupted True\n", out.stderr


def test_an_exception_of_a_host_layer_comes_out_and_changes_nothing():
    def forward(x, weights, training):
        raise RuntimeError("no luck")

    host = _core.host_layer("h", lambda s: s, forward, lambda dy, x, w: (dy, []), [])
    network = _core.Network((4,), [_core.dense("d", 4, "linear", 0.0, True), host])
    optimizer = _core.Optimizer("sgd", 0.1)
    optimizer.build(network)
    network.flat[:] = 1
    runner = _core.Runner(network, "train", 8, _core.Loss("mean_squared_error"), [], optimizer, 0)
    x = np.ones((64, 4), np.float32)
    for threads in (1, 3):
        la.set_num_threads(threads)
        runner.start(x, x, None, None, 8)
        with pytest.raises(RuntimeError, match="no luck"):
            runner.run(10, 1e9)
        assert (network.flat == 1).all()
        assert optimizer.iterations == 0


LIMIT_SCRIPT = """
import numpy as np
import lamina as la

la.set_num_threads(8)
x = np.ones((4096, 64), np.float32)
model = la.Sequential([la.layers.Input((64,)), la.layers.Dense(64, activation="tanh")])
assert np.isfinite(model.predict(x, verbose=0)).all()
print(la.get_num_threads())
"""


def test_a_limit_of_openmp_is_kept_and_nobody_waits_for_missing_threads():
    if not _core.show_config()["openmp"]:
        pytest.skip("built without OpenMP")
    for variable, expected in (("OMP_THREAD_LIMIT", "3"), ("OMP_DYNAMIC", "8")):
        value = "3" if variable == "OMP_THREAD_LIMIT" else "true"
        out = subprocess.run(
            [sys.executable, "-c", LIMIT_SCRIPT],
            env={**os.environ, variable: value},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert out.stdout == f"{expected}\n", out.stderr
