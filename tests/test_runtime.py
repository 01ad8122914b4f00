"""How the engine behaves inside a process: memory, threads, fork, signals, floating-point state."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import lamina as la
from allocations import run_counted
from float_state import CAN_FLUSH, flushed
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


ALLOCATION_SCRIPT = """
import sys
import numpy as np
from lamina import _core

_core.set_float32_matmul_precision(sys.argv[1])
x = np.random.default_rng(0).random((4000, 12, 12, 3), dtype=np.float32)
y = np.zeros(4000, np.int32)
for threads, convolves in ((1, True), (2, True), (2, False)):
    _core.set_num_threads(threads)
    network = _core.Network((12, 12, 3), [
        _core.flatten("d"),
        _core.dense("e", 100, "tanh", 0.0, True),
        _core.dropout("f", 0.2),
        _core.dense("g", 10, "softmax", 0.0, True),
    ] if not convolves else [
        _core.conv2d("a", 64, (3, 3), (1, 1), "same", (1, 1), "relu", 0.0, True),
        _core.conv2d("q", 16, (3, 3), (1, 1), "same", (1, 1), "relu", 0.0, True),  # in squares
        _core.conv2d("r", 64, (1, 1), (1, 1), "same", (1, 1), "relu", 0.0, True),
        _core.batch_normalization("b", 0.99, 1e-3, True, True),
        _core.max_pooling2d("c", (4, 4), (4, 4), "valid"),
        _core.conv2d("p", 64, (2, 2), (1, 1), "valid", (1, 1), "relu", 0.0, True),
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
        before = calls()
        assert runner.run(batches, 1e9) == batches
        counts.append(calls() - before)
    print(before > 0, *counts)
"""


@pytest.mark.parametrize("precision", ["highest", "high"])
def test_the_training_loop_allocates_nothing(tmp_path, monkeypatch, precision):
    """A call that runs a hundred batches allocates as often as one that runs a single batch."""
    monkeypatch.setenv("LAMINA_MATRIX_UNIT", "emulated")
    lines = run_counted(ALLOCATION_SCRIPT, tmp_path, precision)
    assert len(lines) == 3
    for counting, one, hundred in lines:
        assert counting == "True"
        assert one == hundred


SMALLER_BATCH_SCRIPT = """
import gc, sys
import numpy as np
import lamina as la

la.set_float32_matmul_precision(sys.argv[1])
la.set_num_threads(1)  # so that behind the scratch lies nobody else's

# A last batch of every kind of size, after products that need little scratch for a full one.
for inputs, units, outputs, batch in (784, 128, 10, 512), (600, 700, 520, 130), (3, 5000, 2, 600):
    for rest in (1, 11, 12, 63, 64, 96, 127, 128):
        x = np.ones((batch + rest, inputs), np.float32)
        model = la.Sequential([
            la.layers.Input((inputs,)), la.layers.Dense(units), la.layers.Dense(outputs)
        ])
        model.compile("sgd", "mse")
        model.fit(x, np.ones((len(x), outputs), np.float32), batch_size=batch, verbose=0)
        del model
# Two threads share out the columns of the first layer's input, if batches are small.
la.set_num_threads(2, oversubscribe=True)
for rest in 1, 7, 9, 31:
    x = np.ones((96 + rest, 784), np.float32)
    model = la.Sequential([la.layers.Input((784,)), la.layers.Dense(128)])
    model.compile("adam", "mse")
    model.fit(x, np.ones((len(x), 128), np.float32), batch_size=32, verbose=0)
    del model
la.set_num_threads(1)
for side, channels, filters in (7, 64, 80), (2, 600, 64):
    for rest in (1, 2, 3, 10):
        x = np.ones((16 + rest, side, side, channels), np.float32)
        model = la.Sequential([
            la.layers.Input(x.shape[1:]), la.layers.Conv2D(filters, 2, padding="same"),
            la.layers.Conv2D(filters, 1), la.layers.GlobalAveragePooling2D(),
        ])
        model.compile("sgd", "mse")
        model.fit(x, np.ones((len(x), filters), np.float32), batch_size=16, verbose=0)
        del model
gc.collect()
print(overruns())
"""


@pytest.mark.parametrize("precision", ["highest", "high"])
def test_a_smaller_last_batch_stays_within_the_scratch_of_a_full_one(
    tmp_path, monkeypatch, precision
):
    monkeypatch.setenv("LAMINA_MATRIX_UNIT", "emulated")
    assert run_counted(SMALLER_BATCH_SCRIPT, tmp_path, precision) == [["0"]]


@pytest.mark.skipif(not CAN_FLUSH, reason="how to flush is known for Linux, x86-64 and AArch64")
def test_the_engine_computes_in_a_state_of_its_own():
    tiny = np.full((3000, 40), 1e-40, np.float32)
    states = []

    class Look(la.layers.Layer):
        def forward(self, x, training):
            states.append(float(np.float32(2.0**-126) * np.float32(0.5)))
            return x

    model = la.Sequential([la.layers.Input((40,)), la.layers.Rescaling(1.0), Look()])
    for threads in (1, 3):
        la.set_num_threads(threads, oversubscribe=True)
        with flushed():
            assert np.array_equal(model.predict(tiny, verbose=0).view("u4"), tiny.view("u4"))
            # The caller's state is as it was, and that of a user's layer is the caller's.
            assert np.float32(2.0**-126) * np.float32(0.5) == 0
            assert set(states) == {0.0}
        assert np.float32(2.0**-126) * np.float32(0.5) > 0


def test_numpy_s_error_state_changes_nothing_inside():
    """What overflows or underflows on the way to float32 is infinite or 0, and no exception."""
    wide = np.array([[1e300, -1e300, 1e-300, 1.0]] * 6)
    y = np.arange(6) % 4
    weight = np.full(6, 1e-300)
    with np.errstate(all="raise"):
        for code in ("f8", ">f8", "g"):
            x = wide.astype(code)
            model = la.Sequential([la.layers.Input((4,)), la.layers.Rescaling(1.0)])
            want = [[np.inf, -np.inf, 0, 1]] * 6
            assert np.array_equal(model.predict(x, verbose=0), want)
            assert np.array_equal(model(x), want)
            assert np.array_equal(la.activations.linear(x), want)
            assert np.array_equal(la.kernels.add_bias(x, np.zeros(4)), want)
        model = la.Sequential([la.layers.Input((4,)), la.layers.Dense(4)])
        model.compile("adam", la.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(wide[:, 2:3] * np.ones(4), y, sample_weight=weight, verbose=0)
        model.fit(np.ones((6, 4)), y, class_weight={0: 1e-300}, verbose=0)
        model.set_weights([np.full((4, 4), 1e-300), np.zeros(4)])
        smooth = la.losses.CategoricalCrossentropy(label_smoothing=0.1)
        assert smooth(np.full((6, 4), 1e-300), np.full((6, 4), 0.25)) > 0
        for initializer in (la.initializers.RandomNormal, la.initializers.TruncatedNormal):
            initializer(stddev=1e-40)((30, 30))


def test_threads_can_be_set():
    before = la.get_num_threads()
    try:
        la.set_num_threads(3, oversubscribe=True)
        assert la.get_num_threads() == 3
        la.set_num_threads(1024)  # more threads than cores would only wait for each other
        assert 1 <= la.get_num_threads() <= os.cpu_count()
        for wrong in (0, -1, 100000):
            with pytest.raises(ValueError, match="must be from 1 to 1024"):
                la.set_num_threads(wrong)
        for wrong in ("2", 2.0, True, None):
            with pytest.raises(TypeError, match="set_num_threads: n must be an integer, got"):
                la.set_num_threads(wrong)
    finally:
        la.set_num_threads(before)


def pieces_alone(pace, now, seconds, of_team, alone):
    """Does pieces of work for some seconds: the end, and the share that one worker did."""
    end, workers = now + seconds, []
    while now < end:
        workers.append(pace.workers(2))
        duration = of_team if workers[-1] == 2 else alone
        pace.took(now, now + duration)
        now += duration
    return now, workers.count(1) / len(workers)


def test_a_team_that_is_slower_than_one_worker_stands_back_until_it_is_not():
    pace = _core.Pace()
    now, share = pieces_alone(pace, 100.0, 0.004, 250e-6, 180e-6)
    assert share == 0  # a short call tries nothing
    now, share = pieces_alone(pace, now, 2.0, 250e-6, 180e-6)
    assert share > 0.98
    now, share = pieces_alone(pace, now, 2.0, 120e-6, 180e-6)
    assert share < 0.2  # what it had begun to do, and trials
    now, share = pieces_alone(pace, now, 2.0, 120e-6, 180e-6)
    assert 0 < share < 0.01
    # As good as alone: the team goes on. And long pieces are not tried alone.
    now, share = pieces_alone(pace, now, 2.0, 180e-6, 179e-6)
    assert share < 0.01
    now, share = pieces_alone(pace, now, 10.0, 2e-3, 1.5e-3)
    assert share == 0


def test_single_slow_pieces_do_not_send_a_team_away():
    pace, now, alone = _core.Pace(), 0.0, 0
    for i in range(50_000):
        team = pace.workers(2) == 2
        duration = (150e-6 if i % 3 == 0 else 60e-6) if team else 100e-6
        pace.took(now, now + duration)
        now += duration
        alone += not team
    assert 0 < alone < 500


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_forked_child_computes_the_same():
    model = small_model()
    x, y = data()
    la.set_num_threads(2, oversubscribe=True)
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
import _thread, signal, sys, threading
import numpy as np
import lamina as la

layers = [la.layers.Input((512,)), la.layers.Dense(512), la.layers.Dense(1)]
model = la.Sequential(layers)
model.compile("sgd", "mse")
x, y = np.zeros((4096, 512), np.float32), np.zeros((4096, 1), np.float32)
model.fit(x[:64], y[:64], verbose=0)
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored
threading.Timer(0.3, _thread.interrupt_main).start()
try:
    model.fit(x, y, epochs=100000, verbose=0)
except KeyboardInterrupt:
    model.fit(x[:64], y[:64], verbose=0)  # still usable
    print("interrupted", np.isfinite(model.predict(x[:3], verbose=0)).all())
"""


# Every output is 1, and 0 where none was written: the last one tells whether predict was cut short.
PREDICT_INTERRUPT_SCRIPT = """
import _thread, signal, sys, threading, time
import numpy as np
from lamina import _core

def interrupt():
    while rows > batch and out[0, 0] == 0:  # until the first batch is through
        time.sleep(0.001)
    time.sleep(0.2)
    _thread.interrupt_main()

inputs, units, rows, batch = map(int, sys.argv[1:])
network = _core.Network((inputs,), [_core.dense("d", units, "linear", 0.0, True)])
network.flat[inputs * units :] = 1
runner = _core.Runner(network, "predict", batch)
row = np.zeros(inputs, np.float32)
x = np.lib.stride_tricks.as_strided(row, (rows, inputs), (0, 4))
out = np.zeros((rows, units), np.float32)
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored
try:
    threading.Thread(target=interrupt).start()
    runner.predict(x, out)
except KeyboardInterrupt:
    print("cut short" if out[-1, -1] == 0 else "served at the end")
"""


@pytest.mark.parametrize(
    "sizes", [(1, 1, 10**8, 32), (4096, 4096, 16384, 16384)], ids=["short batches", "a long step"]
)
def test_ctrl_c_is_served_inside_a_predict(sizes):
    out = subprocess.run(
        [sys.executable, "-c", PREDICT_INTERRUPT_SCRIPT, *map(str, sizes)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert out.stdout == "cut short\n", out.stderr


def test_a_batch_that_fails_changes_no_statistics():
    def backward(dy, x):
        raise RuntimeError("no luck")

    host = _core.host_layer("h", lambda s: s, lambda x, t: x, backward, [])
    norm = _core.batch_normalization("b", 0.9, 1e-3, True, True)
    network = _core.Network((4,), [_core.dense("d", 4, "linear", 0.0, True), norm, host])
    optimizer = _core.Optimizer("sgd", 0.1)
    optimizer.build(network)
    network.flat[:] = 1
    runner = _core.Runner(network, "train", 8, _core.Loss("mean_squared_error"), [], optimizer, 0)
    x = np.random.default_rng(0).random((64, 4), dtype=np.float32)
    runner.start(x, x, None, None, 8)
    with pytest.raises(RuntimeError, match="no luck"):
        runner.run(10, 1e9)
    assert (network.flat == 1).all()


def test_host_code_runs_under_the_caller_s_floating_point_state():
    seen = []

    def forward(x, training):
        seen.append(np.float32(1e-40) * np.float32(0.5) > 0)
        return x

    host = _core.host_layer("h", lambda s: s, forward, lambda dy, x: (dy, []), [])
    runner = _core.Runner(_core.Network((4,), [host]), "predict", 8)
    runner.predict(np.ones((8, 4), np.float32), np.empty((8, 4), np.float32))
    assert seen == [True]


def test_views_of_an_optimizer_s_state_outlive_a_new_build():
    network = _core.Network((40,), [_core.dense("d", 50, "linear", 0.0, True)])
    optimizer = _core.Optimizer("adam", 0.1)
    optimizer.build(network)
    slot = optimizer.slots["m"]
    slot[:] = 3
    for _ in range(20):
        optimizer.build(network)
    assert (slot == 3).all()
    assert (optimizer.slots["m"] == 0).all()


def test_a_runner_keeps_the_arrays_that_it_converted_and_refuses_half_a_start():
    network = _core.Network((4,), [_core.dense("d", 1, "linear", 0.0, True)])
    runner = _core.Runner(network, "test", 8, _core.Loss("mean_squared_error"))
    x, y = np.ones((64, 4), np.float32), np.ones((64, 1), np.float32)
    runner.start(x, y, np.full(64, 2.0), None, 8)  # float64 weights
    trash = [np.full(64, 7.0, np.float32) for _ in range(50)]
    assert runner.run(100, 1e9) == 8
    assert runner.results() == [2.0]
    runner.start(x, y, None, None, 8)
    with pytest.raises(ValueError, match="batch_size must lie in"):
        runner.start(np.zeros((3, 4)), np.zeros((3, 1)), None, None, 9)
    del trash
    assert runner.run(100, 1e9) == 8


def test_a_runner_works_for_one_caller_at_a_time():
    refused = []

    def forward(x, training):
        with pytest.raises(RuntimeError, match="at work"):
            runner.predict(x, np.empty((8, 4), np.float32))
        refused.append(True)
        return x

    host = _core.host_layer("h", lambda s: s, forward, lambda dy, x: (dy, []), [])
    runner = _core.Runner(_core.Network((4,), [host]), "predict", 8)
    runner.predict(np.ones((8, 4), np.float32), np.empty((8, 4), np.float32))
    assert refused == [True]


def test_ctrl_c_is_served_and_leaves_the_model_usable():
    out = subprocess.run(
        [sys.executable, "-c", INTERRUPT_SCRIPT], capture_output=True, text=True, timeout=60
    )
    assert out.stdout == "interrupted True\n", out.stderr


def test_an_exception_of_a_host_layer_comes_out_and_changes_nothing():
    def forward(x, training):
        raise RuntimeError("no luck")

    host = _core.host_layer("h", lambda s: s, forward, lambda dy, x: (dy, []), [])
    network = _core.Network((4,), [_core.dense("d", 4, "linear", 0.0, True), host])
    optimizer = _core.Optimizer("sgd", 0.1)
    optimizer.build(network)
    network.flat[:] = 1
    runner = _core.Runner(network, "train", 8, _core.Loss("mean_squared_error"), [], optimizer, 0)
    x = np.ones((64, 4), np.float32)
    for threads in (1, 3):
        la.set_num_threads(threads, oversubscribe=True)
        runner.start(x, x, None, None, 8)
        with pytest.raises(RuntimeError, match="no luck"):
            runner.run(10, 1e9)
        assert (network.flat == 1).all()
        assert optimizer.iterations == 0


LIMIT_SCRIPT = """
import numpy as np
import lamina as la

la.set_num_threads(8, oversubscribe=True)
x = np.ones((4096, 64), np.float32)
model = la.Sequential([la.layers.Input((64,)), la.layers.Dense(64, activation="tanh")])
model.compile("sgd", "mse")
model.fit(x, x, verbose=0)
assert np.isfinite(model.predict(x, verbose=0)).all()
ones = np.ones((300, 300), np.float32)
assert (la.kernels.gemm(ones, ones) == 300).all()
print(la.get_num_threads())
"""


def test_a_limit_of_openmp_is_kept_and_nobody_waits_for_missing_threads():
    if not _core.show_config()["openmp"]:
        pytest.skip("built without OpenMP")
    for variable, value, expected in (
        ("OMP_THREAD_LIMIT", "3", "3"),
        ("OMP_DYNAMIC", "true", "8"),
        ("OMP_MAX_ACTIVE_LEVELS", "0", "8"),
    ):
        out = subprocess.run(
            [sys.executable, "-c", LIMIT_SCRIPT],
            env={**os.environ, variable: value},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert out.stdout == f"{expected}\n", out.stderr


def test_a_runner_does_only_what_it_was_made_for():
    network = _core.Network((4,), [_core.dense("d", 1, "linear", 0.0, True)])
    x, y = np.ones((8, 4), np.float32), np.ones((8, 1), np.float32)
    for mode in ("predict", "rehearse"):
        runner = _core.Runner(network, mode, 8)
        for wrong in (
            lambda r=runner: r.start(x, y, None, None, 8),
            lambda r=runner: r.run(1, 1e9),
        ):
            with pytest.raises(ValueError, match="only predicts"):
                wrong()
    runner = _core.Runner(network, "test", 8, _core.Loss("mean_squared_error"))
    with pytest.raises(ValueError, match="does not predict"):
        runner.predict(x, np.empty_like(y))
    assert runner.predict_few(x, 8) is None
    with pytest.raises(ValueError, match="unknown mode 'fit'"):
        _core.Runner(network, "fit", 8)


def test_an_optimizer_of_another_network_is_refused():
    networks = [_core.Network((n,), [_core.dense("d", 1, "linear", 0.0, True)]) for n in (4, 400)]
    optimizer = _core.Optimizer("adam", 0.1)
    loss = _core.Loss("mean_squared_error")
    runner = _core.Runner(networks[0], "train", 8, loss, [], optimizer, 0)
    x, y = np.ones((8, 4), np.float32), np.ones((8, 1), np.float32)
    for build in (lambda: None, lambda: optimizer.build(networks[1])):
        build()
        with pytest.raises(ValueError, match="the optimizer was built for another network"):
            runner.start(x, y, None, None, 8)
    optimizer.build(networks[0])
    runner.start(x, y, None, None, 8)
    assert runner.run(1, 1e9) == 1
    runner.release()
    assert runner.run(1, 1e9) == 0
