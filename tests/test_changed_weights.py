"""What the core makes of the weights for predictions, it makes anew after every change of one:
transformed kernels of convolutions, and where the first kernel is not finite."""

import numpy as np
import pytest

import lamina as la
from close import assert_bits

# Numbers that are not finite go in on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:the loss is:UserWarning")

L = la.layers
rng = np.random.default_rng(12)


def convolutions():
    """3 x 3 taps of 16 channels: multiplied in squares, with transformed kernels."""
    layers = [L.Conv2D(16, 3), L.BatchNormalization(), L.Conv2D(16, 3), L.Flatten(), L.Dense(3)]
    return la.Sequential([la.Input((9, 9, 16)), *layers])


def products():
    """Of data with zeros, which are left out."""
    return la.Sequential([la.Input((9, 9, 16)), L.Flatten(), L.Dense(40), L.Dense(3)])


MODELS = {"convolutions": convolutions, "products": products}
X = rng.normal(size=(6, 9, 9, 16)).astype(np.float32)
X[:, 4] = 0.0
Y = np.zeros((6, 3), np.float32)


def others(model):
    return [w + rng.normal(size=w.shape).astype(np.float32) for w in model.get_weights()]


def infinite(model):
    """A row of the first kernel that only zeros are multiplied with."""
    kernel = next(w for w in model.weights if w.name == "kernel")
    value = kernel.numpy()
    value.reshape(-1, value.shape[-1])[-1 if value.ndim == 4 else 4 * 9 * 16 + 5] = np.inf
    kernel.assign(value)


def load(model, tmp_path):
    other = la.Sequential.from_config(model.get_config())
    other.set_weights(others(model))
    other.save_weights(tmp_path / "w.safetensors")
    model.load_weights(tmp_path / "w.safetensors")


def restore(model):
    stop = la.callbacks.EarlyStopping(monitor="loss", patience=0, restore_best_weights=True)
    begin = la.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: model.predict(X, verbose=0)
    )
    model.optimizer.learning_rate = 10.0
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[begin, stop])


CHANGES = {
    "model": lambda m, p: m.set_weights(others(m)),
    "layer": lambda m, p: m.layers[-1].set_weights([np.ones_like(w) for w in m.get_weights()[-2:]]),
    "first layer": lambda m, p: m.weights[0].assign(others(m)[0]),
    "infinite": lambda m, p: infinite(m),
    "load": load,
    "batch": lambda m, p: m.train_on_batch(X, Y),
    "fit": lambda m, p: m.fit(X, Y, epochs=2, batch_size=4, verbose=0),
    "restored": lambda m, p: restore(m),
    "in training": lambda m, p: m(X, training=True),
    "alone": lambda m, p: [layer(X, training=True) for layer in m.layers[:1]],
    "moments": lambda m, p: m.layers[1](m.layers[0](X), training=True),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("which", MODELS)
def test_predictions_after_a_change(which, change, tmp_path):
    la.utils.set_random_seed(4)
    model = MODELS[which]()
    model.compile("sgd", "mse")
    calls = (
        lambda m: m.predict(X, verbose=0),
        lambda m: m.predict(X[:1], verbose=0),
        lambda m: m(X[2:4]),
        lambda m: np.float64(m.evaluate(X, Y, verbose=0)),
    )
    for call in calls:
        for _ in range(2):
            call(model)
        CHANGES[change](model, tmp_path)
        fresh = la.Sequential.from_config(model.get_config())
        fresh.compile("sgd", "mse")
        fresh.set_weights(model.get_weights())
        for _ in range(2):
            assert_bits(call(model), call(fresh), what=change)


def test_weights_changed_between_the_batches_of_a_prediction():
    model = convolutions()
    kernels = [model.get_weights()[0] * k for k in (1, 2, 3)]
    hook = la.callbacks.LambdaCallback(
        on_predict_batch_begin=lambda batch, logs: model.weights[0].assign(kernels[batch])
    )
    got = model.predict(X, batch_size=2, callbacks=[hook], verbose=0)
    for i, kernel in enumerate(kernels):
        model.weights[0].assign(kernel)
        rows = slice(2 * i, 2 * i + 2)
        assert_bits(got[rows], model.predict(X[rows], verbose=0))
