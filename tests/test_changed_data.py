"""Arrays that somebody writes to while the engine reads them. Whatever the engine uses as an index,
labels, tokens and the order of rows, is refused by the batch that reads it, with its row."""

import threading

import numpy as np
import pytest

import lamina as la
from lamina import _core, kernels, layers

CLASSES = 20


class Then(la.callbacks.Callback):
    """Does something once, at a hook."""

    def __init__(self, hook, act):
        super().__init__()
        setattr(self, hook, self._once)
        self.act = act

    def _once(self, *_):
        act, self.act = self.act, None
        if act is not None:
            act()


def classifier(loss="sparse_categorical_crossentropy", last="softmax"):
    la.utils.set_random_seed(0)
    model = la.Sequential([layers.Input((3,)), layers.Dense(CLASSES), layers.Activation(last)])
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def data(rows=50):
    rng = np.random.default_rng(0)
    x = rng.random((rows, 3), dtype=np.float32)
    return x, rng.integers(0, CLASSES, rows).astype(np.int32)


def set_at(array, row, value):
    def act():
        array[row] = value

    return act


LOGITS = la.losses.SparseCategoricalCrossentropy(from_logits=True)
PROBABILITIES = la.losses.SparseCategoricalCrossentropy()


@pytest.mark.parametrize("value", [-1, CLASSES, 2**31 - 1])
@pytest.mark.parametrize(
    "loss, last", [(PROBABILITIES, "softmax"), (PROBABILITIES, "sigmoid"), (LOGITS, "linear")]
)
@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_batch_begin"])
def test_a_label_that_is_written_during_fit_is_refused_with_its_row(value, loss, last, hook):
    model, (x, y) = classifier(loss, last), data()
    message = (
        f"y must hold class numbers from 0 to 19, the model has 20 outputs; got {value} in row 37, "
        "which was written there after the call had checked y"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, epochs=3, verbose=0, callbacks=[Then(hook, set_at(y, 37, value))])
    assert all(np.isfinite(w).all() for w in model.get_weights())
    y[37] = 0
    model.fit(x, y, verbose=0)  # the model is as good as before


def test_a_batch_whose_labels_are_refused_is_left_out():
    model, (x, y) = classifier(), data()
    before = []

    def act():
        y[40] = -1
        before.extend(model.get_weights())

    with pytest.raises(ValueError, match="row 40"):
        model.fit(x, y, batch_size=50, epochs=2, verbose=0, callbacks=[Then("on_epoch_end", act)])
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert model.optimizer.iterations == 1


def test_unknown_labels_are_refused_in_words():
    """Marking them as -1 is a habit of other libraries."""
    model, (x, y) = classifier(), data()
    with pytest.raises(ValueError, match="To leave a row out, give it a sample_weight of 0"):
        model.fit(
            x, y, epochs=2, verbose=0, callbacks=[Then("on_epoch_end", set_at(y, slice(0, 9), -1))]
        )


def test_labels_are_counted_as_the_user_does():
    """Evaluation, the rows that validation_split holds back, and outputs of more axes."""
    model, (x, y) = classifier(), data()
    with pytest.raises(ValueError, match="got -1 in row 37,"):
        model.evaluate(x, y, verbose=0, callbacks=[Then("on_test_begin", set_at(y, 37, -1))])
    model, (x, y) = classifier(), data()
    with pytest.raises(ValueError, match="got -1 in row 37,"):
        callbacks = [Then("on_test_begin", set_at(y, 37, -1))]
        model.fit(x, y, validation_split=0.5, verbose=0, callbacks=callbacks)
    model = la.Sequential([layers.Input((4, 3)), layers.Dense(CLASSES)])
    model.compile("sgd", LOGITS)
    x, y = np.ones((50, 4, 3), np.float32), np.zeros((50, 4), np.int32)
    with pytest.raises(ValueError, match="got 20 in row 37,"):
        model.evaluate(x, y, verbose=0, callbacks=[Then("on_test_begin", set_at(y, (37, 1), 20))])


@pytest.mark.parametrize("value", [-1, 10, np.nan, 1e30])
def test_a_token_that_is_written_meanwhile_is_refused_with_its_row(value):
    la.utils.set_random_seed(0)
    model = la.Sequential([layers.Input((4,)), layers.Embedding(10, 3, name="e"), layers.Flatten()])
    model.add(layers.Dense(1))
    model.compile("sgd", "mse")
    good = np.random.default_rng(0).integers(0, 10, (50, 4)).astype(np.float32)
    y = np.zeros((50, 1), np.float32)
    x = good.copy()
    change = set_at(x, (37, 2), value)
    message = r"Embedding 'e' expects indices in \[0, 10\), got .* in row 37; "
    calls = {
        "on_epoch_end": lambda c: model.fit(x, y, epochs=2, verbose=0, callbacks=c),
        "on_test_begin": lambda c: model.evaluate(x, y, verbose=0, callbacks=c),
        "on_predict_begin": lambda c: model.predict(x, verbose=0, callbacks=c),
    }
    for hook, call in calls.items():
        x[...] = good
        with pytest.raises(ValueError, match=message):
            call([Then(hook, change)])
    runner = _core.Runner(model._network, "predict", 8)
    with pytest.raises(ValueError, match=message):  # of a piece of x
        runner.predict(x[30:], np.empty((20, 1), np.float32), 30)


@pytest.mark.parametrize("value", [-1, 50, 2**62])
def test_an_order_that_is_written_meanwhile_is_refused(value):
    network = _core.Network((3,), [_core.dense("a", 1, "linear", 0.0, True)])
    runner = _core.Runner(network, "test", 8, _core.Loss("mean_squared_error"))
    x, y, order = np.ones((50, 3), np.float32), np.ones((50, 1), np.float32), np.arange(50)
    runner.start(x, y, None, order, 8)
    assert runner.run(1, 1e9) == 1
    order[20] = value
    with pytest.raises(IndexError, match=rf"order\[20\] is {value}, .* the 50 rows of x"):
        runner.run(100, 1e9)
    order[20] = 3
    assert runner.run(100, 1e9) == 5  # goes on with the batch that it had left out


def test_another_thread_that_writes_labels_gets_an_error_or_a_number():
    model, (x, y) = classifier(), data(4000)
    done = threading.Event()

    def write():
        while not done.is_set():
            y[::7] = CLASSES
            y[::7] = 0

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            try:
                assert np.isfinite(model.evaluate(x, y, verbose=0)).all()
                model.fit(x, y, verbose=0)
            except ValueError as error:
                assert "must hold class numbers from 0 to 19" in str(error)
    finally:
        done.set()
        writer.join()
    assert all(np.isfinite(w).all() for w in model.get_weights())


class Sly(np.ndarray):
    """Changes when it is looked at."""

    def max(self, *args, **kwargs):
        result = super().max(*args, **kwargs)
        self[...] = 3
        return result


@pytest.mark.parametrize("call", [
    lambda index: kernels.softmax_cross_entropy_sparse(np.eye(4, 3, dtype="f4"), index)[0],
    lambda index: kernels.cross_entropy_sparse(np.eye(4, 3, dtype="f4") + 1, index)[0],
    lambda index: kernels.embedding_forward(np.eye(3, dtype="f4"), index),
    lambda index: kernels.gather_rows(np.eye(3, dtype="f4"), index),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_a_kernel_uses_the_indices_that_were_checked(call, dtype):
    index = np.array([0, 2, 1, 0], dtype)
    np.testing.assert_array_equal(call(index.copy().view(Sly)), call(index))
