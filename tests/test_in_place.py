"""Rows that lie as a batch would have them are read where they are; all others are gathered first.
Nobody can tell, and nothing is written."""

import numpy as np
import pytest

import lamina as la
from close import assert_bits
from test_few_rows import unaligned

L = la.layers
rng = np.random.default_rng(5)
X = rng.normal(size=(90, 6, 6, 2)).astype(np.float32)
X[:, 3] = 0.0
Y = rng.integers(0, 3, 90).astype(np.int32)

FIRST = {
    "flatten": list,
    "dense": lambda: [L.Dense(5)],
    "convolution": lambda: [L.Conv2D(4, 3)],
    "dropout": lambda: [L.Dropout(0.5)],
    "rescaling": lambda: [L.Rescaling(0.5, 1.0)],
    "linear": lambda: [L.Activation("linear")],
    "relu": lambda: [L.ReLU()],
    "softmax": lambda: [L.Softmax()],
    "pooling": lambda: [L.MaxPooling2D()],
    "batch norm": lambda: [L.BatchNormalization()],
    "rescaling, dense": lambda: [L.Rescaling(0.5, 1.0), L.Dense(5)],
    "linear, relu": lambda: [L.Activation("linear"), L.ReLU()],
}

GATHERED = {
    "float64": lambda x: x.astype(np.float64),
    "rows backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "rows of a wider array": lambda x: np.concatenate([x, x], axis=1)[:, :6],
    "unaligned": unaligned,
}


def outputs(first, x):
    """Of everything that runs batches, and the weights."""
    la.utils.set_random_seed(8)
    layers = [*FIRST[first](), L.Flatten(), L.Dense(40, activation="relu"), L.Dense(3)]
    model = la.Sequential([la.Input(X.shape[1:]), *layers])
    loss = la.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    history = model.fit(x, Y, batch_size=32, epochs=2, shuffle=False, verbose=0).history
    return [
        model.predict(x, verbose=0),
        model.predict(x, batch_size=13, verbose=0),
        model(x[7:8]),
        model(x[40:80], training=True),
        model.evaluate(x, Y, verbose=0),
        model.evaluate(x, Y, batch_size=7, verbose=0),
        model.test_on_batch(x[3:50], Y[3:50]),
        model.train_on_batch(x[20:70], Y[20:70]),
        [*history["loss"], *history["accuracy"]],
        *model.get_weights(),
    ]


@pytest.mark.parametrize("first", FIRST)
def test_the_bits_of_gathered_batches(first):
    kept = X.copy()
    kept.flags.writeable = False
    want = outputs(first, kept)
    for kind, gathered in GATHERED.items():
        for i, (a, b) in enumerate(zip(outputs(first, gathered(X)), want, strict=True)):
            assert_bits(np.asarray(a), np.asarray(b), what=f"{kind}, {i}")
    assert_bits(kept, X)


@pytest.mark.parametrize("first", FIRST)
def test_denormals_are_the_same(first):
    x = np.full((9, 4, 4, 2), 1e-40, np.float32)
    model = la.Sequential([la.Input(x.shape[1:]), *FIRST[first](), L.Flatten()])
    want = model.predict(x.astype(np.float64), verbose=0)
    for got in (model.predict(x, verbose=0), model(x), model(x[:1])):
        assert_bits(got, want[: len(got)])


def test_one_array_after_the_other():
    """Each call reads its own, from its first row."""
    model = la.Sequential([la.Input(X.shape[1:]), L.Flatten(), L.Dense(4)])
    whole = model.predict(X, verbose=0)
    for first in (0, 30, 89, 2):
        for x in (X[first:], X[first:].astype(np.float64), X[first:].copy()):
            assert_bits(model.predict(x, verbose=0), whole[first:])
            assert_bits(model(x), whole[first:])
