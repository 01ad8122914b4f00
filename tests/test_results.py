"""What models, layers, losses and metrics return when they are called, as tutorials use it."""

import copy
import json
import pickle

import numpy as np
import pytest

import lamina as la

X = np.random.default_rng(0).random((6, 4)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture
def model():
    m = la.Sequential([la.Input((4,)), la.layers.Dense(3)])
    m.compile("sgd", la.losses.SparseCategoricalCrossentropy(from_logits=True))
    return m


def plain(array, want):
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, want)


def test_the_beginner_s_tutorial(model):
    want = model.predict(X[:1], verbose=0)
    predictions = model(X[:1]).numpy()
    plain(predictions, want)
    plain(la.activations.softmax(predictions).numpy(), np.asarray(la.activations.softmax(want)))
    loss_fn = la.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = loss_fn(Y[:1], predictions).numpy()
    assert type(loss) is np.float32 and loss == np.float32(model.evaluate(X[:1], Y[:1], verbose=0))
    plain(la.losses.sparse_categorical_crossentropy(Y[:1], want, True).numpy(), [loss])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rows", [1, 6, 500])
def test_every_way_to_call(model, rows, training):
    x = np.tile(X, (100, 1))[:rows]
    want = model.predict(x, verbose=0)
    plain(want, want)
    for called in (model, model.layers[0]):
        plain(called(x, training=training).numpy(), want)
        plain(np.asarray(called(x, training=training)), want)
    plain(model.predict_on_batch(x), want)
    hook = la.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: None)
    plain(model.predict(x, verbose=0, callbacks=[hook]), want)


def test_slices_and_arithmetic_keep_it(model):
    out, want = model(X), model.predict(X, verbose=0)
    plain(out[0].numpy(), want[0])
    plain(out[:, 1].numpy(), want[:, 1])
    plain((2 * out - 1).numpy(), 2 * want - 1)
    plain(np.exp(out).argmax(axis=1).numpy(), want.argmax(axis=1))
    plain(model(out @ np.ones((3, 4), np.float32)).numpy(), model(want @ np.ones((3, 4), "f4")))
    assert float(out[0, 0]) == want[0, 0] and out.shape == (6, 3)
    assert repr(out) == repr(want) and str(out) == str(want)
    out.numpy()[0] = 5  # the same memory
    assert (out[0] == 5).all()


def test_copies_and_pickles_are_plain(model, tmp_path):
    out = model(X)
    for copied in (pickle.loads(pickle.dumps(out)), copy.deepcopy(out)):
        plain(np.asarray(copied), out)
    assert type(pickle.loads(pickle.dumps(out))) is np.ndarray
    assert b"lamina" not in pickle.dumps(out) + pickle.dumps(model.loss(Y, out))
    np.save(tmp_path / "out.npy", out)
    plain(np.load(tmp_path / "out.npy"), out)


def test_numbers_are_floats(model):
    value = model.loss(Y, model(X))
    assert isinstance(value, float) and repr(value) == repr(float(value))
    assert json.loads(json.dumps({"loss": value})) == {"loss": float(value)}
    metric = la.metrics.MeanSquaredError()
    assert metric([[1.0]], [[3.0]]).numpy() == 4 and metric.result().numpy() == np.float32(4)
    assert model.optimizer.learning_rate.numpy() == np.float32(0.01)
    for copied in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert type(copied) is float and copied == value
