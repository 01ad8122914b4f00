"""What memory a model takes: what memory_report says, what is really taken, and for how long."""

import numpy as np
import pytest

import lamina as la
from allocations import run_counted

MODELS = """
import sys
import numpy as np
import lamina as la

L = la.layers
MODELS = {
    "mlp": [L.Input((784,)), L.Dense(512, activation="relu"), L.Dropout(0.2),
            L.Dense(10, activation="softmax")],
    "cnn": [L.Input((28, 28, 1)), L.Conv2D(32, 3, activation="relu"), L.MaxPooling2D(),
            L.Conv2D(64, 3, padding="same", activation="gelu"), L.AveragePooling2D(), L.Flatten(),
            L.Dense(256, activation="tanh"), L.Dense(10, activation="softmax")],
    "batch norm": [L.Input((16, 16, 8)), L.BatchNormalization(), L.Conv2D(32, 3, use_bias=False),
                   L.BatchNormalization(), L.Activation("relu"), L.Flatten(), L.Dense(64),
                   L.BatchNormalization(), L.Dense(10, activation="softmax")],
}

la.utils.set_random_seed(0)

def made(name):
    model = la.Sequential(MODELS[name])
    model.compile(sys.argv[2], "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""

# One small model first, so that what Python, NumPy and OpenMP make once is there.
REPORT_SCRIPT = (
    MODELS
    + """
name, optimizer, mode, threads, batch, precision = sys.argv[1:]
la.set_float32_matmul_precision(precision)
la.set_num_threads(int(threads))
batch = int(batch)
x = np.zeros((3 * batch, *MODELS[name][0].shape), np.uint8)
y = np.zeros(len(x), np.int32)
warm = la.Sequential([L.Input((2,)), L.Dense(2, activation="softmax")])
warm.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
for _ in range(2):
    warm.fit(np.zeros((4, 2)), np.zeros(4), verbose=0)
    warm.predict(np.zeros((4, 2)), verbose=0)

before = live()
model = made(name)
predicted = model.memory_report(batch, mode)
built = live() - before
assert (predicted.batch_size, predicted.mode) == (batch, mode)
if mode == "train":
    model.fit(x, y, batch_size=batch, shuffle=False, verbose=0)
elif mode == "test":
    model.evaluate(x, y, batch_size=batch, verbose=0)
else:
    model.predict(x, batch_size=batch, verbose=0)
assert model.memory_report(batch, mode) == predicted
print(predicted.total, live() - before, predicted.parameters, built)
"""
)

CASES = [
    ("mlp", "adam", "train", 1, 32, "highest"),
    ("mlp", "sgd", "train", 2, 32, "highest"),
    ("mlp", "sgd", "train", 2, 500, "highest"),
    ("mlp", "adam", "predict", 1, 1, "highest"),
    ("mlp", "sgd", "train", 2, 100, "high"),
    ("mlp", "sgd", "predict", 1, 10, "low"),
    ("cnn", "adam", "train", 2, 64, "highest"),
    ("cnn", "adam", "predict", 1, 64, "highest"),
    ("cnn", "sgd", "train", 2, 20, "high"),
    ("cnn", "sgd", "predict", 1, 20, "medium"),
    ("batch norm", "sgd", "train", 1, 100, "highest"),
    ("batch norm", "adam", "test", 2, 100, "highest"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case)))
def test_the_report_is_what_is_taken(case, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMINA_MATRIX_UNIT", "emulated")
    ((predicted, taken, parameters, built),) = run_counted(REPORT_SCRIPT, tmp_path, *map(str, case))
    assert int(predicted) > 500_000  # beside which Python's own objects do not count
    assert int(predicted) == pytest.approx(int(taken), rel=0.05)
    # And the report itself took next to nothing beside the weights.
    assert int(built) == pytest.approx(int(parameters), rel=0.05, abs=100_000)


ROWS_SCRIPT = (
    MODELS
    + """
model = made("cnn")
report = model.memory_report(32).total
for rows in (2_000, 20_000):
    x, y = np.zeros((rows, 28, 28, 1), np.uint8), np.zeros(rows, np.int32)
    model.fit(x[:64], y[:64], verbose=0)
    used = []
    for shuffle in (False, True):
        reset_peak()
        before = live()
        model.fit(x, y, epochs=1, steps_per_epoch=3, shuffle=shuffle, verbose=0)
        used.append(peak() - before)
    print(*used)
"""
)


def test_memory_is_no_function_of_the_number_of_rows(tmp_path):
    """Beside the 16 bytes a row for the order of shuffled rows, three truth values a row while y
    is checked, and NumPy's buffers of 64 kB. A copy of x would take 784 a row."""
    few, many = run_counted(ROWS_SCRIPT, tmp_path, "cnn", "adam")
    plain, shuffled = (int(b) - int(a) for a, b in zip(few, many, strict=True))
    assert plain <= 18_000 * 3 + 200_000
    assert shuffled <= 18_000 * 16 + 200_000


def test_the_report_reads_well_and_adds_up():
    model = la.Sequential([la.Input((784,)), la.layers.Dense(128), la.layers.Dense(10)])
    model.compile("adam", "mse")
    report = model.memory_report(mode="train")
    assert report.batch_size == 32 and report.mode == "train"
    parameters = 4 * (784 * 128 + 128 + 128 * 10 + 16)  # each parameter begins on a cache line
    assert report.parameters == report.gradients == parameters
    assert report.optimizer == 2 * parameters
    assert report.batch == 32 * (784 * 4 + 10 * 4 + 4 + 8)  # x, y, weight, index
    assert report.total == sum(report[3:])
    lines = str(report).splitlines()
    threads = "1 thread" if report.workers == 1 else f"{report.workers} threads"
    assert lines[0] == f"train, batches of 32 rows, {threads}"
    assert lines[1] == "  parameters   407.1 kB"
    assert [line.split()[0] for line in lines[1:]] == [*report._fields[3:], "total"]
    small = model.memory_report(1, "predict")
    assert (small.gradients, small.optimizer) == (0, 0)
    assert model.memory_report(None, "predict").batch_size == 512
    assert model.memory_report(None, "test").batch_size == 512
    assert model.memory_report(None).batch_size == 32
    assert "GB" in str(model.memory_report(10**9))  # laid out, not allocated
    assert str(small._replace(scratch=12)).splitlines()[-2].endswith(" 12 B")


def test_a_report_changes_nothing():
    x, y = np.random.default_rng(0).random((64, 8)), np.zeros(64)
    got = []
    for ask in (False, True):
        la.utils.set_random_seed(0)
        layers = [la.Input((8,)), la.layers.Dropout(0.5), la.layers.Dense(1)]
        model = la.Sequential(layers)
        model.compile("adam", "mse")
        for _ in range(2):
            if ask:
                model.memory_report(100)
                assert model.optimizer.iterations in (0, 2)
            model.fit(x, y, verbose=0)
        got.append(model.get_weights()[0])
    assert np.array_equal(got[0], got[1])


def test_what_a_report_asks_for():
    model = la.Sequential([la.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"call compile\(\) before memory_report"):
        model.memory_report()
    with pytest.raises(ValueError, match="is not built yet"):
        model.memory_report(mode="predict")
    with pytest.raises(ValueError, match="mode must be one of train, test, predict; got 'fit'"):
        model.memory_report(mode="fit")
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        la.Sequential([la.Input((2,)), la.layers.Dense(2)]).memory_report(0, "predict")


# Allocated blocks and bytes after 1e4, and after 1e5 more calls: a leak of one byte a call shows.
LEAK_SCRIPT = """
import gc, sys
import numpy as np
import lamina as la

la.set_num_threads(1)
x, y = np.ones((4, 3), np.float32), np.zeros(4, np.int32)
model = la.Sequential([la.Input((3,)), la.layers.Dense(2, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
row, wide = x[:1], np.ones((1, 3, 1))
ways = {
    "predict": (lambda: model.predict(row, verbose=0), 100_000),
    "call": (lambda: model(row), 100_000),
    "the long way": (lambda: model.predict(wide, verbose=0), 3_000),
    "training": (lambda: model(x, training=True), 3_000),
    "fit": (lambda: model.fit(x, y, batch_size=2, verbose=0), 1_000),
    "evaluate": (lambda: model.evaluate(x, y, verbose=0), 1_000),
    "on batch": (lambda: model.train_on_batch(x, y), 3_000),
    "report": (lambda: model.memory_report(), 1_000),
}
for name, (way, times) in ways.items():
    for _ in range(times // 10):
        way()
    gc.collect()
    gc.freeze()
    blocks, bytes_ = sys.getallocatedblocks(), live()
    for _ in range(times):
        way()
    gc.collect()
    print(times, sys.getallocatedblocks() - blocks, live() - bytes_)
"""


def test_nothing_grows_with_the_number_of_calls(tmp_path):
    """sys.getallocatedblocks counts Python's objects, live() what they and the core allocate."""
    lines = run_counted(LEAK_SCRIPT, tmp_path)
    assert len(lines) == 8
    for times, blocks, held in lines:
        assert int(blocks) < int(times) / 10
        assert int(held) < int(times)
