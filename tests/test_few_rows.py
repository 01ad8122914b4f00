"""The short way of predict(x) and model(x) for few rows: it must not be told from the long one."""

import re
import sys
import threading

import numpy as np
import pytest

import lamina as la
from close import assert_bits

X = np.random.default_rng(0).integers(0, 100, (40, 6, 2)).astype(np.float32)


def model(*last):
    layers = [
        la.Input((6, 2)),
        la.layers.Flatten(),
        la.layers.Dense(9, activation="relu"),
        la.layers.Dropout(0.5),
        la.layers.Activation("tanh"),
        la.layers.Rescaling(2.0),
        la.layers.Dense(4, activation="softmax"),
        *last,
    ]
    return la.Sequential(layers)


def unaligned(x):
    bytes_ = np.zeros(x.nbytes + 1, np.uint8)
    moved = bytes_[1:].view(np.float32).reshape(x.shape)
    moved[...] = x
    assert not moved.flags.aligned
    return moved


class Subclass(np.ndarray):
    pass


KINDS = {
    "float32": lambda x: x,
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.astype(np.float16),
    "uint8": lambda x: x.astype(np.uint8),
    "int64": lambda x: x.astype(np.int64),
    "big-endian": lambda x: x.astype(">f4"),
    "unaligned": unaligned,
    "Fortran order": np.asfortranarray,
    "rows backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "one row many times": lambda x: np.broadcast_to(x[:1], x.shape),
    "every other column": lambda x: np.repeat(x, 2, axis=2)[..., ::2],
    "an axis at the end": lambda x: x[..., np.newaxis],
    "a subclass": lambda x: x.view(Subclass),
    "a list": lambda x: x.tolist(),
}


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_any_array_gives_the_bits_of_a_batch(kind, rows):
    m = model()
    want = m.predict(
        np.ascontiguousarray(KINDS[kind](X[:rows]), np.float32).reshape(rows, 6, 2),
        batch_size=64,
        verbose=0,
    )
    m(X)  # from here on there is a runner for 40 rows
    for _ in range(2):
        for got in (m(KINDS[kind](X[:rows])).numpy(), m.predict(KINDS[kind](X[:rows]), verbose=0)):
            assert type(got) is np.ndarray and got.dtype == np.float32
            assert (got if got.base is None else got.base).flags.owndata
            assert got.flags.writeable and got.flags.c_contiguous
            assert_bits(got, want)


def test_what_is_wrong_is_still_said():
    m = model()
    m(X)
    for wrong, error, message in (
        (X[0], ValueError, r"expects inputs of shape \(batch, 6, 2\), got \(6, 2\); add the batch"),
        (X.reshape(40, 12), ValueError, r"reshape x to \(-1, 6, 2\)"),
        (X.astype(str), TypeError, "x must hold real numbers"),
        (X.astype(complex), TypeError, "x must hold real numbers"),
        (None, TypeError, "x must hold real numbers"),
    ):
        for run in (m, lambda x: m.predict(x, verbose=0)):
            with pytest.raises(error, match=message):
                run(wrong)
    with pytest.raises(ValueError, match="verbose must be"):
        m.predict(X, verbose=3)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        m.predict(X, 0, verbose=0)
    with pytest.raises(TypeError, match="callbacks must be"):
        m.predict(X, callbacks=[print], verbose=0)
    assert m(X[:0]).shape == m.predict(X[:0], verbose=0).shape == (0, 4)


def test_only_few_rows_go_the_short_way():
    m = model()
    m.predict(np.repeat(X, 20, axis=0), batch_size=800, verbose=0)
    _, runner = m._runners["predict"]
    assert runner.batch_size == 800 and m._rows_at_once == 512
    assert runner.predict_few(np.repeat(X, 13, axis=0), 512) is None
    assert runner.predict_few(X, 512).shape == (40, 4)


def test_indices_are_still_checked():
    m = la.Sequential([la.Input((2,)), la.layers.Embedding(5, 3)])
    m(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="takes whole numbers from 0 to 4, got 5"):
        m(np.full((1, 2), 5))


def test_a_changed_model_predicts_as_changed():
    m = model()
    m(X)
    m.add(la.layers.Dense(2))
    assert m(X).shape == (40, 2)
    m.pop()
    assert m.predict(X, verbose=0).shape == (40, 4)
    m.set_weights([np.zeros_like(w) for w in m.get_weights()])
    assert_bits(m(X), np.full((40, 4), 0.25, np.float32))


def test_a_call_in_training_mode_leaves_the_others_alone():
    m = model()
    want = m(X)
    for _ in range(2):
        assert not np.array_equal(m(X, training=True), want)
        assert_bits(m(X), want)
        assert_bits(m.predict(X, verbose=0), want)


def test_a_layer_called_alone_in_training_mode_takes_all_rows_as_one_batch():
    x = np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32)
    normalisation = la.layers.BatchNormalization()
    got = normalisation(x, training=True)
    m = la.Sequential([la.Input((3,)), la.layers.BatchNormalization()])
    assert_bits(got, m(x, training=True))


class Nosy(la.layers.Layer):
    """Does something to its model while it computes."""

    act = None

    def forward(self, x, training):
        if self.act is not None:
            act, self.act = self.act, None
            act()
        return x


def test_a_layer_may_predict_with_its_own_model_but_not_change_it():
    nosy = Nosy()
    m = model(nosy)
    want = m(X)
    seen = []
    nosy.act = lambda: seen.append(m(X))
    assert_bits(m(X), want)
    assert_bits(seen[0], want)
    nosy.act = lambda: m.add(la.layers.Dense(1))
    with pytest.raises(RuntimeError, match="cannot add a layer while the model is being used to"):
        m(X)
    nosy.act = lambda: seen.append(1 / 0)
    with pytest.raises(ZeroDivisionError):
        m.predict(X, verbose=0)
    assert_bits(m(X), want)
    m.add(la.layers.Dense(1))  # nothing says any more that the model is at work


def test_many_threads_share_a_model():
    m = model()
    want = m(X)
    wrong = []

    def work(i):
        for _ in range(200):
            if not np.array_equal(m(X[i : i + 5]), want[i : i + 5]):
                wrong.append(i)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


@pytest.mark.parametrize(
    ("verbose", "line"),
    [
        ("auto", r"2/2 ━{20} 0s \d+(s|ms|us)/step\n"),
        (1, r"2/2 ━{20} 0s \d+(s|ms|us)/step\n"),
        (2, r"2/2 - 0s - \d+(s|ms|us)/step\n"),
        (0, ""),
    ],
)
def test_the_line_is_the_same(verbose, line, capsys):
    m = model()
    for batch_size in (None, 32, 20, 39):  # the first time by the long way
        m.predict(X, batch_size, verbose=verbose)
        assert re.fullmatch(line, capsys.readouterr().out)
