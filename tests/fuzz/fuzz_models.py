"""Cases of models: random layers, data of every kind, and callbacks that meddle or raise.

A model that was made with the same seed computes the same bits on one thread and on two, a
prediction does not depend on its batch, and after whatever went wrong the model still predicts.
"""

import contextlib
from typing import ClassVar

import numpy as np

import lamina as la

ERRORS = (ValueError, TypeError, RuntimeError, NotImplementedError, IndexError)


class MeddlingError(Exception):
    """What a callback of ours raises."""


# ---- models --------------------------------------------------------------------------------------


def small(g, most=9):
    return int(g.integers(1, most + 1))


def image_layers(g):
    layers = [la.Input((int(g.integers(4, 10)), int(g.integers(4, 10)), small(g, 3)))]
    for _ in range(g.integers(1, 4)):
        layers.append(
            [
                lambda: la.layers.Conv2D(
                    small(g, 20),
                    (small(g, 3), small(g, 3)),
                    padding="same",
                    activation=str(g.choice(["relu", "tanh", "linear"])),
                ),
                lambda: la.layers.MaxPooling2D(2, padding="same"),
                lambda: la.layers.AveragePooling2D(2, padding="same"),
                lambda: la.layers.BatchNormalization(),
                lambda: la.layers.Dropout(0.3),
            ][g.integers(5)]()
        )
    layers.append(la.layers.GlobalAveragePooling2D() if g.random() < 0.5 else la.layers.Flatten())
    return layers


def token_layers(g):
    tokens = small(g)
    return [la.layers.Embedding(20, small(g), input_shape=(tokens,)), la.layers.Flatten()]


def row_layers(g):
    return [la.Input((small(g, 70),))]


class Twice(la.layers.Layer):
    """A layer in NumPy that keeps what it is given, as a careless one does."""

    kept: ClassVar[list] = []

    def forward(self, x, training):
        self.kept.append(x)
        return 2 * x

    def backward(self, dy, x):
        self.kept.append(dy)
        return 2 * dy


def model_of(g):
    layers = [image_layers, token_layers, row_layers][g.integers(3)](g)
    for _ in range(g.integers(0, 4)):
        layers.append(
            [
                lambda: la.layers.Dense(small(g, 70), activation=str(g.choice(["relu", "gelu"]))),
                lambda: la.layers.Dropout(0.4),
                lambda: la.layers.BatchNormalization(),
                lambda: la.layers.Activation("softplus"),
                lambda: la.layers.Rescaling(0.5, 1.0),
                Twice,
            ][g.integers(6)]()
        )
    classes = small(g)
    last = str(g.choice(["softmax", "linear", "sigmoid"]))
    layers.append(la.layers.Dense(classes, activation=last))
    loss = [
        la.losses.SparseCategoricalCrossentropy(from_logits=last == "linear"),
        la.losses.BinaryCrossentropy(from_logits=last == "linear"),
        la.losses.MeanSquaredError(),
    ][g.integers(3)]
    model = la.Sequential(layers)
    optimizer = [
        lambda: la.optimizers.Adam(0.01),
        lambda: la.optimizers.SGD(0.01),
        lambda: la.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    ][g.integers(3)]()
    metrics = ["accuracy", "mse"] if not loss.name.startswith("sparse") else ["accuracy"]
    model.compile(optimizer, loss, metrics=metrics)
    return model, classes


# ---- data ----------------------------------------------------------------------------------------


def data_for(g, model, classes):
    rows = int(g.choice([1, 2, 31, 32, 33, 70, 200]))
    shape = (rows, *model.input_shape[1:])
    if isinstance(model.layers[0], la.layers.Embedding):
        x = g.integers(20, size=shape).astype(str(g.choice(["i4", "i8", "u1", "f4"])))
    else:
        x = g.normal(size=shape).astype(np.float32)
        if g.random() < 0.3:
            x[x < 0.5] = 0.0  # zeros are skipped
    if model.loss.name.startswith("sparse"):
        return x, g.integers(classes, size=rows).astype(str(g.choice(["i4", "i8", "u1"])))
    return x, g.random(size=(rows, classes)).astype(np.float32)


def otherwise(g, x):
    """The same numbers in another layout or, where it holds them, another type."""
    choice = g.integers(6)
    if choice == 0:
        return np.repeat(x, 2, axis=0)[::2]
    if choice == 1:
        return x[::-1].copy()[::-1]
    if choice == 2 and x.dtype.kind == "f":
        return x.astype(np.float64)
    if choice == 3:
        return x.astype(x.dtype.newbyteorder())
    if choice == 4:
        raw = np.zeros(x.nbytes + 1, np.uint8)
        view = raw[1:].view(x.dtype).reshape(x.shape)
        view[...] = x
        return view
    return np.asfortranarray(x)


# ---- callbacks -----------------------------------------------------------------------------------


class Meddler(la.callbacks.Callback):
    """Does something that it should not, at some moment of training."""

    def __init__(self, g, x, y):
        super().__init__()
        self.g, self.x, self.y = g, x, y
        self.at = int(g.integers(1, 12))
        self.what = int(g.integers(11))
        self.calls = 0

    def meddle(self):
        self.calls += 1
        if self.calls != self.at:
            return
        model = self.model
        if self.what == 0:
            raise MeddlingError
        if self.what == 1:
            self.y[...] = -1 if self.y.dtype.kind == "i" else 200
        if self.what == 2:
            self.x[...] = 120
        if self.what == 3:
            model.stop_training = True
        if self.what == 4:
            model.set_weights([w + 1 for w in model.get_weights()])
        if self.what == 5:
            model.optimizer.learning_rate = 1e30
        if self.what == 6:
            model.predict(self.x, verbose=0)
        if self.what == 7:
            model.evaluate(self.x, self.y, verbose=0)
        if self.what == 8:  # refused while it is at work
            for forbidden in (model.pop, model.compile, lambda: model.fit(self.x, self.y)):
                with contextlib.suppress(*ERRORS):
                    forbidden()
        if self.what == 9:
            model.layers[-1].trainable = False
        if self.what == 10:
            la.set_num_threads(1)

    def on_train_batch_end(self, batch, logs=None):
        self.meddle()

    def on_epoch_begin(self, epoch, logs=None):
        self.meddle()


# ---- a case --------------------------------------------------------------------------------------


def trained(seed, threads, fit_options, x, y):
    la.set_num_threads(threads, oversubscribe=True)
    la.utils.set_random_seed(seed)
    g = np.random.default_rng(seed)
    model, _ = model_of(g)
    model.fit(x, y, verbose=0, **fit_options)
    return model


def case(g):
    seed = int(g.integers(2**31))
    Twice.kept.clear()
    model, classes = model_of(np.random.default_rng(seed))
    what = " ".join(type(layer).__name__ for layer in model.layers) + f" {model.loss.name}"
    x, y = data_for(g, model, classes)
    options = {
        "batch_size": int(g.choice([1, 3, 32, 64])) if len(x) < 100 else 32,
        "epochs": small(g, 2),
        "shuffle": bool(g.integers(2)),
    }
    if g.random() < 0.3:
        options["sample_weight"] = g.random(len(x)).astype(np.float32)
    if g.random() < 0.3 and len(x) > 4:
        options["validation_split"] = 0.3
    try:
        one = trained(seed, 1, options, x, y)
        two = trained(seed, 2, options, otherwise(g, x), y)
        for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
            assert np.array_equal(a, b, equal_nan=True), f"{what}: bits differ between threads"
        whole = two.predict(x, verbose=0)
        parts = two.predict(otherwise(g, x), batch_size=small(g, 40), verbose=0)
        assert np.array_equal(whole, parts, equal_nan=True), f"{what}: bits differ between batches"
        two.evaluate(x, y, verbose=0)
        after_meddling(g, what, two, x.copy(), y.copy(), options)
    finally:
        la.set_num_threads(2)
    assert all(np.isfinite(a).all() or True for a in Twice.kept)  # reads what was kept
    return what


def after_meddling(g, what, model, x, y, options):
    meddler = Meddler(g, x, y)
    callbacks = [meddler] * (1 + (g.random() < 0.2))
    with contextlib.suppress(MeddlingError, *ERRORS):
        model.fit(x, y, verbose=0, callbacks=callbacks, **options)
    if isinstance(model.layers[0], la.layers.Embedding):
        x[...] = 0  # which are tokens again
    shape = model.predict(x, verbose=0).shape
    assert shape == (len(x), *model.output_shape[1:]), f"{what}: predicts {shape} afterwards"
