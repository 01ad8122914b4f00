"""What a layer, a loss or a metric of one's own is given, it may keep: the arrays outlive the model
and never change."""

import gc
import weakref

import numpy as np
import pytest

import lamina as la
from lamina import layers, losses, metrics


class Kept(list):
    """Arrays, each with what it held when it came."""

    def keep(self, *arrays):
        self.extend((array, array.copy()) for array in arrays)

    def check(self):
        assert self
        for array, held in self:
            np.testing.assert_array_equal(array, held)
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


class KeepingLayer(layers.Layer):
    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def forward(self, x, training):
        self.kept.keep(x)
        return 2 * x

    def backward(self, dy, x):
        self.kept.keep(dy, x)
        return 2 * dy


class KeepingLoss(losses.Loss):
    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def forward(self, y_true, y_pred):
        self.kept.keep(y_true, y_pred)
        return ((y_pred - y_true) ** 2).sum(axis=1)

    def backward(self, y_true, y_pred):
        self.kept.keep(y_true, y_pred)
        return 2 * (y_pred - y_true)


class KeepingMetric(metrics.Metric):
    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def forward(self, y_true, y_pred):
        self.kept.keep(y_true, y_pred)
        return y_pred.max(axis=1)


def layer_case(kept):
    return [KeepingLayer(kept)], "mse", None


def loss_case(kept):
    return [], KeepingLoss(kept), None


def metric_case(kept):
    return [], "mse", [KeepingMetric(kept)]


def labels_case(kept):
    return [], losses.SparseCategoricalCrossentropy(from_logits=True), [KeepingMetric(kept)]


# 3000 columns: memory that the system takes back when it is freed.
@pytest.mark.parametrize("columns", [3, 3000])
@pytest.mark.parametrize("case", [layer_case, loss_case, metric_case, labels_case])
def test_kept_arrays_neither_change_nor_die(case, columns):
    rng = np.random.default_rng(0)
    kept = Kept()
    middle, loss, metric_list = case(kept)
    x = rng.standard_normal((50, 4)).astype(np.float32)
    y = rng.standard_normal((50, columns)).astype(np.float32)
    if case is labels_case:
        y = rng.integers(0, columns, 50)
    model = la.Sequential([layers.Input((4,)), layers.Dense(columns), *middle])
    model.compile(la.optimizers.SGD(1e-5), loss, metrics=metric_list)
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    model.evaluate(x, y, verbose=0)
    kept.check()
    model.predict(np.tile(x, (20, 1)), verbose=0)
    model.train_on_batch(x, y)
    model.compile("sgd", "mse")
    kept.check()
    model.add(layers.Dense(2))
    model.predict(x, verbose=0)
    alive = weakref.ref(model)
    del model, middle, loss, metric_list
    gc.collect()
    assert alive() is None
    new = la.Sequential([layers.Input((4,)), layers.Dense(columns), layers.Dense(columns)])
    new.predict(x, verbose=0)  # where the old one's memory was
    kept.check()
