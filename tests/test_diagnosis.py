"""What is said, once, of a loss that is not finite and of outputs that do not go with the loss."""

import warnings

import numpy as np
import pytest

import lamina as la
from lamina import layers, losses

NAN, INF = float("nan"), float("inf")


def said(act):
    """The warnings of act(), which must show a line of this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


def model(*made, loss="mse", rate=0.01):
    m = la.Sequential(list(made) or [layers.Dense(1)])
    m.compile(la.optimizers.SGD(rate), loss)
    return m


def data(rows=100, value=None, at=(37, 2)):
    x = np.random.default_rng(0).random((rows, 4), np.float32)
    if value is not None:
        x[at] = value
        x[at[0] + 1 :, 0] = value  # later ones are not named
    return x, np.ones(rows)


def batches(x, y, size=10):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


class Batches(la.utils.PyDataset):
    def __init__(self, *arrays):
        super().__init__()
        self.batches = batches(*arrays)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("hooked", [False, True])
def test_the_first_input_that_is_not_finite_is_named_once(value, hooked):
    x, y = data(value=value)
    hooks = [la.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]
    hooks = hooks if hooked else []
    place = rf": x[37, 2] is {value}, in row 37, column 2. Replace it, or leave the row out"
    options = {"verbose": 0, "callbacks": hooks}
    (text,) = said(lambda: model().fit(x, y, epochs=3, validation_data=data(), **options))
    assert text.startswith("the loss is ") and text.endswith(place)
    (text,) = said(lambda: model().evaluate(x, y, **options))
    assert text.endswith(place)
    (text,) = said(lambda: model().train_on_batch(x, y))
    assert text.endswith(place)
    (text,) = said(lambda: model().fit(*data(), validation_data=(x, y), epochs=3, verbose=0))
    assert f": validation_data's x[37, 2] is {value}, in row 37" in text


def test_each_run_says_it_once_and_batches_by_hand_once():
    x, y = data(value=NAN)
    m = model()
    assert len(said(lambda: m.fit(x, y, verbose=0))) == 1
    assert len(said(lambda: m.fit(x, y, verbose=0))) == 1
    assert len(said(lambda: [m.train_on_batch(x, y) for _ in range(3)])) == 0
    m.compile("sgd", "mse")
    assert len(said(lambda: [m.train_on_batch(x, y) for _ in range(3)])) == 1
    assert said(lambda: model().fit(*data(), verbose=0)) == []


def test_the_batch_is_named_where_data_come_in_batches():
    x, y = data(value=NAN)
    place = "x[7, 2] is nan, in row 7, column 2 of batch 3."
    for source in (Batches(x, y), iter(batches(x, y))):
        (text,) = said(lambda source=source: model().fit(source, shuffle=False, verbose=0))
        assert place in text
    (text,) = said(lambda: model().evaluate(Batches(x, y), verbose=0))
    assert place in text
    (text,) = said(lambda: model().fit(*data(), validation_data=Batches(x, y), verbose=0))
    assert f"validation_data's {place}" in text


def test_rows_with_more_axes_and_columns_with_names():
    x = np.zeros((5, 2, 3))
    x[4, 1, 2] = INF
    m = model(layers.Flatten(), layers.Dense(1))
    (text,) = said(lambda: m.fit(x, np.ones(5), verbose=0))
    assert ": x[4, 1, 2] is inf, in row 4. Replace" in text
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, NAN]})
    (text,) = said(lambda: model().fit(frame, np.ones(2), verbose=0))
    assert ": x[1, 1] is nan, in row 1, column 'b'." in text


def test_the_first_layer_is_named_where_inputs_are_finite():
    x, y = data()
    first, second = layers.Dense(3, name="first"), layers.Dense(1, name="second")
    m = model(first, second)
    m.build((None, 4))
    second.set_weights([np.array([[1], [NAN], [1]]), [0]])
    (text,) = said(lambda: m.evaluate(x, y, verbose=0))
    assert "and x is finite: the first output that is not is that of Dense 'second', whose " in text
    assert "kernel have become infinite or NaN" in text
    second.set_weights([np.full((3, 1), 1e38), [0]])
    first.set_weights([np.full((4, 3), 1e10), np.zeros(3)])
    (text,) = said(lambda: m.evaluate(x, y, verbose=0))
    assert "of Dense 'second', whose weights are finite: its inputs are too large" in text
    second.set_weights([np.full((3, 1), 1e20), [0]])
    (text,) = said(lambda: m.evaluate(x, y, verbose=0))
    assert "no layer's output is infinite or NaN, so the loss itself is too large" in text
    (text,) = said(lambda: model(rate=1e30).fit(x, y, epochs=4, verbose=0))
    assert "Training has diverged: a smaller learning rate" in text
    (text,) = said(lambda: model(rate=1e30).fit(Batches(x, y), epochs=4, verbose=0))
    assert "Training has diverged: a smaller learning rate" in text


def test_a_layer_of_one_s_own_that_fails_alone_does_not_end_the_run():
    class Whole(layers.Layer):
        def forward(self, x, training):
            if len(x) == 1:
                raise RuntimeError("a row alone")
            return x * np.float32(NAN)

    m = model(Whole())
    x, _ = data()
    (text,) = said(lambda: m.evaluate(x, x, verbose=0))
    assert "which layer makes it cannot be told" in text and "a row alone" in text


PROBABILITIES = [
    losses.BinaryCrossentropy(),
    losses.CategoricalCrossentropy(),
    losses.SparseCategoricalCrossentropy(),
]


@pytest.mark.parametrize("loss", PROBABILITIES, ids=lambda loss: loss.name)
def test_outputs_that_are_no_probabilities(loss):
    x, _ = data()
    y = np.zeros(100) if loss._sparse else np.eye(2)[np.zeros(100, int)]
    fitting = "sigmoid" if loss.name == "binary_crossentropy" else "softmax"
    name = type(loss).__name__
    acts = [
        lambda m: m.fit(x, y, epochs=2, validation_data=(x, y), verbose=0),
        lambda m: m.fit(Batches(x, y), verbose=0),
        lambda m: m.evaluate(x, y, verbose=0),
        lambda m: [m.train_on_batch(x, y), m.test_on_batch(x, y), m.evaluate(x, y, verbose=0)],
    ]
    for act in acts:
        m = model(layers.Dense(2, name="last"), layers.Dropout(0.1), loss=loss)
        text, *others = said(lambda act=act, m=m: act(m))
        assert all(other.startswith("the loss is ") for other in others)  # which may come of it
        assert text.startswith(f"{name} takes probabilities, and Dense 'last' gives ")
        assert f"end the model in activation='{fitting}', or use {name}(from_logits=True)" in text
    # Where they are probabilities, as those of a ReLU may be, there is nothing to say.
    for last in ("softmax", "sigmoid"):
        m = model(layers.Dense(2, last), loss=loss)
        assert said(lambda m=m: m.fit(x, y, verbose=0)) == []
    m = model(layers.Rescaling(0.5), layers.Dense(2, "softmax"), layers.Rescaling(1.0), loss=loss)
    assert said(lambda: m.fit(x, y, verbose=0)) == []


@pytest.mark.parametrize("loss", PROBABILITIES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("function", ["softmax", "sigmoid"])
def test_probabilities_where_logits_are_expected(loss, function):
    x, _ = data()
    y = np.zeros(100) if loss._sparse else np.eye(2)[np.zeros(100, int)]
    of_logits = type(loss)(from_logits=True)
    for end in ([layers.Activation(function)], [layers.Dense(2, function), layers.Dropout(0.2)]):
        m = model(layers.Dense(2), *end, loss=of_logits)
        (text,) = said(lambda m=m: m.fit(x, y, epochs=2, verbose=0))
        assert text.startswith(f"{type(loss).__name__}(from_logits=True) applies ")
        assert f"has applied {function} already: leave out from_logits=True" in text
    for last in (None, "tanh", "log_softmax"):
        m = model(layers.Dense(2, last), loss=of_logits)
        assert said(lambda m=m: m.fit(x, y, verbose=0)) == []
    m = model(layers.Dense(2), layers.Softmax(), loss=of_logits)
    assert len(said(lambda: m.evaluate(x, y, verbose=0))) == 1


def test_losses_of_any_numbers_have_nothing_to_say():
    x, y = data()
    for loss in ("mse", "mae"):
        assert said(lambda loss=loss: model(loss=loss).fit(x, 5 * y, verbose=0)) == []
