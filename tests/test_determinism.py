"""The same seed gives the same bits: for any number of threads, under any instruction set, and for
a row wherever it stands in whatever batch."""

import os
import subprocess
import sys

import numpy as np
import pytest

import lamina as la
from close import assert_bits
from kernel_inputs import term_groups
from lamina import _core, kernels

# Prints the SHA-256 of all weights after training, for 1, 2, 3 and 8 threads, twice each.
SCRIPT = """
import hashlib
import numpy as np
import lamina as la

rng = np.random.default_rng(5)
x = rng.random((150, 12, 12, 3), dtype=np.float32)
y = rng.integers(0, 7, 150)
for threads in (1, 2, 3, 8, 1, 2, 3, 8):
    la.set_num_threads(threads, oversubscribe=True)
    la.utils.set_random_seed(3)
    model = la.Sequential([
        la.layers.Input((12, 12, 3)),
        la.layers.Conv2D(16, 3, padding="same", activation="relu"),
        la.layers.Conv2D(17, 3, padding="same", activation="relu"),
        la.layers.BatchNormalization(),
        la.layers.MaxPooling2D(),
        la.layers.Conv2D(20, 3, strides=2, activation="gelu"),
        la.layers.AveragePooling2D(),
        la.layers.Flatten(),
        la.layers.Dense(70, activation="tanh"),
        la.layers.Dropout(0.3),
        la.layers.Dense(7, activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=2, verbose=0)
    digest = hashlib.sha256()
    for w in model.get_weights():
        digest.update(np.ascontiguousarray(w).tobytes())
    runner = model._train_runner
    print(threads, runner.workers, runner.busy_workers, digest.hexdigest())
"""


def train(isa: str) -> list[list[str]]:
    env = {**os.environ, "LAMINA_ISA": isa}
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=env,
        check=True,
        timeout=200,
    )
    return [line.split() for line in out.stdout.splitlines()]


def test_training_has_the_same_bits_for_any_threads_and_instruction_set():
    digests = set()
    for isa in _core.show_config()["runnable"]:
        lines = train(isa)
        assert len(lines) == 8
        for threads, workers, busy, digest in lines:
            if la.show_config(mode="dicts")["openmp"]:
                assert workers == threads, "fewer workers than threads: the test shows nothing"
                assert busy == threads, "a worker had nothing to do: the test shows less"
            digests.add(digest)
    assert len(digests) == 1


@pytest.fixture(scope="module")
def model():
    la.utils.set_random_seed(1)
    return la.Sequential(
        [
            la.layers.Input((9, 9, 2)),
            la.layers.Conv2D(5, 3, activation="elu"),
            la.layers.BatchNormalization(),
            la.layers.Flatten(),
            la.layers.Dense(33, activation="sigmoid"),
            la.layers.Dropout(0.5),
            la.layers.Dense(10, activation="softmax"),
        ]
    )


def test_a_row_has_the_same_bits_in_any_batch(model):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((257, 9, 9, 2)).astype(np.float32)
    alone = np.concatenate([model.predict(x[i : i + 1], verbose=0) for i in range(257)])
    assert np.isfinite(alone).all()
    for n in range(1, 258):
        shift = (n * 37) % 257  # so that a row stands at another place in each batch
        rows = (np.arange(n) + shift) % 257
        got = model.predict(x[rows], verbose=0)
        assert got.tobytes() == alone[rows].tobytes(), n


def test_batch_size_of_predict_changes_no_bit(model):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((100, 9, 9, 2)).astype(np.float32)
    want = model.predict(x, verbose=0).tobytes()
    for batch_size in (1, 7, 32, 1000):
        assert model.predict(x, batch_size=batch_size, verbose=0).tobytes() == want


def test_a_kernel_gradient_along_many_rows_adds_its_blocks_in_order():
    """A batch of 64 sequences is cut along K, the last one of 16 is not. Every N is a power of two,
    so that what the loss divides by rounds nothing."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((80, 128, 16)).astype(np.float32)
    t = rng.standard_normal((80, 128, 32)).astype(np.float32)
    want = np.zeros((16, 32), np.float32)
    for rows in (slice(0, 64), slice(64, 80)):
        a, target = x[rows].reshape(-1, 16), t[rows].reshape(-1, 32)
        dz = (kernels.gemm(a, want) - target) * np.float32(2 / target.size)
        gradient = np.zeros_like(want)
        for group in term_groups(len(a)):
            total = np.zeros_like(want)
            for p, end in group:
                total += kernels.gemm(a[p:end], dz[p:end], trans_a=True)
            gradient += total
        want = want - gradient
    before = la.get_num_threads()
    try:
        for threads in (1, 2, 3, 4):
            la.set_num_threads(threads, oversubscribe=True)
            dense = la.layers.Dense(32, use_bias=False, kernel_initializer="zeros")
            model = la.Sequential([la.layers.Input((128, 16)), dense])
            model.compile(la.optimizers.SGD(1.0), "mse")
            model.fit(x, t, batch_size=64, shuffle=False, verbose=0)
            assert_bits(model.get_weights()[0], want, what=f"{threads} threads")
    finally:
        la.set_num_threads(before)


def small_network():
    """Its steps work row by row, and are cut alike: the rows of a tile pass all of them."""
    la.utils.set_random_seed(6)
    model = la.Sequential(
        [
            la.layers.Input((14,)),
            la.layers.Dense(24, activation="tanh"),
            la.layers.Dropout(0.25),
            la.layers.Dense(10, activation="gelu"),
            la.layers.Dropout(0.25),
            la.layers.Dense(30, activation="relu"),
            la.layers.Rescaling(0.5),
            la.layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy", "mae"])
    return model


@pytest.mark.parametrize("batch_size", [1, 15, 16, 17, 64, 200])
def test_a_chain_of_steps_has_the_same_bits_for_any_threads(batch_size):
    rng = np.random.default_rng(8)
    x = rng.standard_normal((330, 14)).astype(np.float32)
    y = rng.random((330, 5)).astype(np.float32)
    before, results = la.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 8):
            la.set_num_threads(threads, oversubscribe=True)
            model = small_network()
            history = model.fit(x, y, batch_size=batch_size, epochs=2, verbose=0).history
            results.append([history, model.get_weights(), model.predict(x, verbose=0)])
    finally:
        la.set_num_threads(before)
    for history, weights, predicted in results[1:]:
        assert history == results[0][0]
        assert_bits(predicted, results[0][2])
        for mine, first in zip(weights, results[0][1], strict=True):
            assert_bits(mine, first)


def test_a_batch_teaches_what_its_halves_teach_together():
    """The gradient is the mean of the gradients of the halves, up to rounding."""
    rng = np.random.default_rng(9)
    x = rng.standard_normal((96, 14)).astype(np.float32)
    y = rng.random((96, 5)).astype(np.float32)
    changes = []
    for rows in (slice(0, 96), slice(0, 48), slice(48, 96)):
        model = la.Sequential(
            [
                la.layers.Input((14,)),
                la.layers.Dense(24, activation="tanh"),
                la.layers.Dense(20, activation="gelu"),
                la.layers.Dense(5),
            ]
        )
        fixed = np.random.default_rng(1)
        old = [fixed.standard_normal(w.shape).astype(np.float32) / 4 for w in model.get_weights()]
        model.set_weights(old)
        model.compile(la.optimizers.SGD(1.0), "mse")
        model.train_on_batch(x[rows], y[rows])
        changes.append([n - o for n, o in zip(model.get_weights(), old, strict=True)])
    for whole, first, second in zip(*changes, strict=True):
        np.testing.assert_allclose(whole, (first + second) / 2, rtol=1e-4, atol=1e-6)
