"""Losses and metrics: their values and gradients against NumPy, in a model and on their own."""

import gc
import math
import weakref

import numpy as np
import pytest

import lamina as la
from close import UNIT, assert_bits, assert_close
from lamina import layers, losses, metrics

RNG = np.random.default_rng(0)
ROWS, CLASSES = 23, 5
LOGITS = RNG.standard_normal((ROWS, CLASSES)) * 2
LABELS = RNG.integers(0, CLASSES, ROWS)
ONE_HOT = np.eye(CLASSES)[LABELS]
SOFT = RNG.dirichlet(np.ones(CLASSES), ROWS)
BITS = RNG.integers(0, 2, (ROWS, CLASSES)).astype(np.float64)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def clip(p):
    return np.clip(p, 1e-7, 1 - 1e-7)


def cross_entropy(targets, p, smoothing=0.0):
    targets = targets * (1 - smoothing) + smoothing / p.shape[-1]
    return -(targets * np.log(clip(p / p.sum(axis=-1, keepdims=True)))).sum(axis=-1)


def binary(targets, p, smoothing=0.0):
    targets, p = targets * (1 - smoothing) + smoothing / 2, clip(p)
    return -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(axis=-1)


SPARSE = losses.SparseCategoricalCrossentropy
CATEGORICAL = losses.CategoricalCrossentropy
BINARY = losses.BinaryCrossentropy

# (loss, activation of the model, y, rows' losses of the model's logits in float64)
CASES = {
    "sparse": (SPARSE(), "softmax", LABELS, lambda z: cross_entropy(ONE_HOT, softmax(z))),
    "sparse_logits": (
        SPARSE(from_logits=True),
        None,
        LABELS,
        lambda z: cross_entropy(ONE_HOT, softmax(z)),
    ),
    "sparse_probabilities": (
        SPARSE(),
        "sigmoid",
        LABELS,
        lambda z: cross_entropy(ONE_HOT, sigmoid(z)),
    ),
    "categorical": (CATEGORICAL(), "softmax", SOFT, lambda z: cross_entropy(SOFT, softmax(z))),
    "categorical_smooth": (
        CATEGORICAL(label_smoothing=0.1),
        "softmax",
        ONE_HOT,
        lambda z: cross_entropy(ONE_HOT, softmax(z), 0.1),
    ),
    "categorical_logits": (
        CATEGORICAL(from_logits=True, label_smoothing=0.2),
        None,
        ONE_HOT,
        lambda z: cross_entropy(ONE_HOT, softmax(z), 0.2),
    ),
    "categorical_probabilities": (
        CATEGORICAL(),
        "sigmoid",
        SOFT,
        lambda z: cross_entropy(SOFT, sigmoid(z)),
    ),
    "binary": (BINARY(), "sigmoid", BITS, lambda z: binary(BITS, sigmoid(z))),
    "binary_smooth": (
        BINARY(label_smoothing=0.3),
        "sigmoid",
        BITS,
        lambda z: binary(BITS, sigmoid(z), 0.3),
    ),
    "binary_logits": (
        BINARY(from_logits=True),
        None,
        BITS,
        lambda z: binary(BITS, sigmoid(z)),
    ),
    "binary_probabilities": (BINARY(), "softmax", BITS, lambda z: binary(BITS, softmax(z))),
    "mse": (
        losses.MeanSquaredError(),
        None,
        SOFT,
        lambda z: ((z - SOFT) ** 2).mean(axis=-1),
    ),
    "mae": (
        losses.MeanAbsoluteError(),
        "tanh",
        SOFT,
        lambda z: np.abs(np.tanh(z) - SOFT).mean(axis=-1),
    ),
}


def logit_model(activation, loss, **options):
    """A model whose kernel, for the unit matrix as its input, is the matrix of the logits."""
    dense = layers.Dense(CLASSES, activation, use_bias=False)
    model = la.Sequential([la.Input((ROWS,)), dense])
    model.set_weights([LOGITS])
    model.compile(la.optimizers.SGD(1.0), loss, **options)
    return model


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_losses_in_a_model(case, weighted):
    loss, activation, y, rows = CASES[case]
    w = RNG.random(ROWS) + 0.5 if weighted else None
    scale = np.ones(ROWS) if w is None else w
    model = logit_model(activation, loss)
    logits = model.get_weights()[0].astype(np.float64)
    got = model.evaluate(np.eye(ROWS), y, sample_weight=w, batch_size=7, verbose=0)
    assert got == pytest.approx((scale * rows(logits)).mean(), rel=100 * UNIT)
    # The gradient with respect to the logits, by one step of SGD at rate 1.
    model.train_on_batch(np.eye(ROWS), y, sample_weight=w)
    moved = (logits - model.get_weights()[0]).astype(np.float32)
    want = np.empty_like(logits)
    h = 1e-5
    for i in np.ndindex(logits.shape):
        up, down = logits.copy(), logits.copy()
        up[i] += h
        down[i] -= h
        want[i] = (scale * (rows(up) - rows(down))).sum() / (2 * h) / ROWS
    # Rounding of the weight that was moved, a few units in size, and of the differences.
    assert_close(moved, want, atol=20 * UNIT, scale=np.abs(logits).max())


@pytest.mark.parametrize("case", [name for name in CASES if name not in ("sparse", "mse")])
def test_losses_on_their_own(case):
    loss, activation, y, rows = CASES[case]
    z = LOGITS.astype(np.float32)
    wide = z.astype(np.float64)
    function = {None: lambda v: v, "softmax": softmax, "sigmoid": sigmoid, "tanh": np.tanh}
    y_pred = function[activation](wide).astype(np.float32)
    got = loss.forward(y, y_pred)
    # p is rounded to float32 before the logarithm: half a unit of p, where 1 - p is as small as
    # 1e-3 some hundred units of the result.
    assert_close(got, rows(wide), rtol=1e-3 / 8, atol=1e-5)
    assert loss(y, y_pred) == pytest.approx(got.mean(dtype=np.float64))
    w = np.arange(ROWS)
    assert loss(y, y_pred, w) == pytest.approx((got.astype(np.float64) * w).sum() / ROWS)
    gradient = loss.backward(y, y_pred)
    assert gradient.shape == y_pred.shape
    i = (3, 2)
    up, down = y_pred.copy(), y_pred.copy()
    up[i] += 1e-3
    down[i] -= 1e-3
    slope = (loss.forward(y, up)[3] - loss.forward(y, down)[3]) / (up[i] - down[i])
    assert gradient[i] == pytest.approx(slope, rel=0.02, abs=1e-3)


def test_softmax_and_loss_are_one_where_clipping_would_be_active():
    """Keras clips p to 1e-7 and stops the gradient there; the logits know better. Documented."""
    fused = la.Sequential([la.Input((2,)), layers.Activation("softmax")])
    fused.compile("sgd", "sparse_categorical_crossentropy")
    x = np.array([[0.0, 40.0]])
    assert fused.evaluate(x, [0], verbose=0) == pytest.approx(40.0)
    # What the loss sees when the softmax is not the last layer: Keras's number.
    apart = la.Sequential([la.Input((2,)), layers.Softmax(), layers.Rescaling(1.0)])
    apart.compile("sgd", "sparse_categorical_crossentropy")
    assert apart.evaluate(x, [0], verbose=0) == pytest.approx(-np.log(1e-7), rel=1e-5)
    p = np.array([[0.0, 1.0]], np.float32)
    loss = losses.SparseCategoricalCrossentropy()
    assert loss([0], p) == pytest.approx(-np.log(1e-7), rel=1e-5)
    assert not loss.backward([0], p).any()
    # Inside, both sides agree.
    x = np.array([[0.5, -1.0]])
    assert fused.evaluate(x, [0], verbose=0) == pytest.approx(
        apart.evaluate(x, [0], verbose=0), abs=4 * UNIT
    )


def test_losses_of_rows_with_more_axes():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((6, 4, CLASSES))
    y = rng.integers(0, CLASSES, (6, 4))
    model = la.Sequential([la.Input((4, CLASSES)), layers.Softmax()])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    p = softmax(x.astype(np.float32).astype(np.float64))
    rows = -np.log(np.take_along_axis(p, y[..., None], -1)[..., 0])
    w = rng.random(6)
    loss, accuracy = model.evaluate(x, y, sample_weight=w, batch_size=4, verbose=0)
    assert loss == pytest.approx((rows * w[:, None]).mean(), rel=50 * UNIT)
    assert accuracy == pytest.approx((p.argmax(-1) == y).mean())
    assert losses.sparse_categorical_crossentropy(y, p).shape == (6, 4)


# ---- names


@pytest.mark.parametrize(
    ("names", "cls"),
    [
        (("mse", "MSE", "mean_squared_error", "MeanSquaredError"), "MeanSquaredError"),
        (("mae", "MAE", "mean_absolute_error", "MeanAbsoluteError"), "MeanAbsoluteError"),
        (("bce", "binary_crossentropy", "BinaryCrossentropy"), "BinaryCrossentropy"),
        (("categorical_crossentropy", "CategoricalCrossentropy"), "CategoricalCrossentropy"),
        (
            ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"),
            "SparseCategoricalCrossentropy",
        ),
    ],
)
def test_names(names, cls):
    for module in (losses, metrics):
        for name in (*names, getattr(module, cls), getattr(losses, names[-2])):
            assert type(module.get(name)).__name__ == cls
        made = getattr(module, cls)()
        assert module.get(made) is made
        again = module.get({"class_name": cls, "config": made.get_config()})
        assert again.get_config() == made.get_config()
    assert losses.get(None) is None and metrics.get(None) is None


def test_compile_refuses_at_once_and_lists_what_there_is():
    model = la.Sequential([la.Input((3,)), layers.Dense(2)])

    class NoForward(losses.Loss):
        pass

    class NoValues(metrics.Metric):
        pass

    sparse = "sparse_categorical_crossentropy"
    wrong = [
        (("adamm", "mse"), {}, ValueError, "optimizer 'adamm' is not known; did you mean 'adam'"),
        ((None, "mse"), {}, TypeError, "optimizer must be a name"),
        (
            ("sgd", "mean_sq"),
            {},
            ValueError,
            "'mean_sq' is not known; did you mean 'mean_squared",
        ),
        (("sgd", lambda a, b: a), {}, TypeError, "subclass lamina.losses.Loss"),
        (("sgd", 3), {}, TypeError, "loss must be a name"),
        (("sgd", {"a": "mse"}), {}, TypeError, "loss must be one loss: .* got a dict"),
        (("sgd", NoForward()), {}, TypeError, "must define forward"),
        (("sgd", "mse"), {"metrics": ["acuracy"]}, ValueError, "metric 'acuracy' is not known"),
        (("sgd", "mse"), {"metrics": [3]}, TypeError, "a metric must be a name"),
        (("sgd", "mse"), {"metrics": {"a": "mse"}}, TypeError, "metrics must be a list"),
        (("sgd", "mse"), {"metrics": [NoValues()]}, TypeError, "must define forward"),
        (("sgd", "mse"), {"metrics": ["mae", "mae"]}, ValueError, "'mae' is taken"),
        (("sgd", sparse), {"metrics": ["mse"]}, ValueError, "does not go with loss 'sparse"),
        (
            ("sgd", "mse"),
            {"metrics": ["sparse_categorical_accuracy"]},
            ValueError,
            "does not go with loss 'mean_squared_error'",
        ),
        (("sgd", "mse", ["accuracy"]), {}, ValueError, "third argument of compile"),
        (("sgd", "mse"), {"steps_per_execution": 0}, ValueError, "steps_per_execution must be"),
    ]
    for arguments, keywords, error, message in wrong:
        with pytest.raises(error, match=message):
            model.compile(*arguments, **keywords)
        assert not model.compiled and model.optimizer is None
    for make, error, message in [
        (lambda: losses.MeanSquaredError(reduction="sum"), ValueError, "reduction must be"),
        (lambda: BINARY(label_smoothing=2), ValueError, "label_smoothing must be between"),
        (lambda: SPARSE(ignore_class=0), ValueError, "ignore_class is not offered"),
        (lambda: CATEGORICAL(axis=1), ValueError, "axis must be -1"),
        (lambda: losses.get({"class_name": "X"}), ValueError, "loss 'X' is not known"),
        (lambda: metrics.get({"class_name": "X"}), ValueError, "metric 'X' is not known"),
    ]:
        with pytest.raises(error, match=message):
            make()


def test_compile_again_replaces_everything():
    model = la.Sequential([la.Input((3,)), layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae"], jit_compile=True, run_eagerly=True)
    x, y = np.ones((8, 3)), np.zeros((8, 2))
    model.fit(x, y, verbose=0)
    model.compile("sgd", "mae", steps_per_execution=10, loss_weights=1.0)
    assert model.metrics_names == ["loss"] and model.loss.name == "mean_absolute_error"
    model.fit(x, y, verbose=0)
    assert model.optimizer.iterations == 1
    model.compile()
    assert model.optimizer.get_config()["name"] == "adam"
    with pytest.raises(ValueError, match=r"fit\(\) needs a loss"):
        model.fit(x, y)


@pytest.mark.parametrize(
    ("units", "loss", "accuracy"),
    [
        (1, "binary_crossentropy", metrics.BinaryAccuracy),
        (1, "mse", metrics.BinaryAccuracy),
        (3, "categorical_crossentropy", metrics.CategoricalAccuracy),
        (3, "binary_crossentropy", metrics.CategoricalAccuracy),
        (3, "sparse_categorical_crossentropy", metrics.SparseCategoricalAccuracy),
        (1, "sparse_categorical_crossentropy", metrics.SparseCategoricalAccuracy),
    ],
)
def test_which_accuracy_is_meant(units, loss, accuracy):
    model = la.Sequential([layers.Dense(units, activation="sigmoid")])
    model.compile("sgd", loss, metrics=["accuracy", "acc", "ce"])
    assert model.metrics_names == ["loss", "accuracy", "acc", "ce"]
    y = np.zeros(4) if loss[0] == "s" else np.zeros((4, units))
    results = model.evaluate(np.ones((4, 2)), y, verbose=0)
    assert results[1] == results[2]
    assert [type(m) for m in model._compiled.metrics[:2]] == [accuracy, accuracy]


def test_accuracy_is_resolved_anew_when_the_model_changes():
    x = np.ones((4, 2))
    model = la.Sequential([la.Input((2,)), layers.Dense(3)])
    model.compile("sgd", "mse", metrics=["accuracy"])
    model.evaluate(x, np.zeros((4, 3)), verbose=0)
    assert type(model._compiled.metrics[0]) is metrics.CategoricalAccuracy
    model.add(layers.Dense(1))
    model.evaluate(x, np.zeros(4), verbose=0)
    assert type(model._compiled.metrics[0]) is metrics.BinaryAccuracy


# ---- metrics


PREDICTED = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.3, 0.3, 0.4], [0.6, 0.2, 0.2]])
TRUE = np.array([1, 0, 0, 2])
SHARP = np.eye(3)[TRUE]


@pytest.mark.parametrize(
    ("metric", "y", "want"),
    [
        (metrics.SparseCategoricalAccuracy(), TRUE, [1, 1, 0, 0]),
        (metrics.CategoricalAccuracy(), SHARP, [1, 1, 0, 0]),
        (metrics.BinaryAccuracy(), SHARP, [1, 2 / 3, 2 / 3, 1 / 3]),
        (metrics.BinaryAccuracy(threshold=0.25), SHARP, [1, 2 / 3, 1 / 3, 1 / 3]),
        (metrics.MeanSquaredError(), SHARP, ((PREDICTED - SHARP) ** 2).mean(axis=1)),
        (metrics.MeanAbsoluteError(), SHARP, np.abs(PREDICTED - SHARP).mean(axis=1)),
        (metrics.CategoricalCrossentropy(), SHARP, cross_entropy(SHARP, PREDICTED)),
        (
            metrics.CategoricalCrossentropy(label_smoothing=0.1),
            SHARP,
            cross_entropy(SHARP, PREDICTED, 0.1),
        ),
        (metrics.SparseCategoricalCrossentropy(), TRUE, cross_entropy(SHARP, PREDICTED)),
        (metrics.BinaryCrossentropy(), SHARP, binary(SHARP, PREDICTED)),
    ],
)
def test_metrics_on_their_own_and_in_a_model(metric, y, want):
    want = np.asarray(want, np.float64)
    w = np.array([1.0, 2.0, 3.0, 0.5])
    y_pred = PREDICTED.astype(np.float32)
    assert metric(y, y_pred) == pytest.approx(want.mean(), rel=20 * UNIT)
    metric.update_state(y[:2], y_pred[:2])
    assert metric.result() == pytest.approx((want.sum() + want[:2].sum()) / 6, rel=20 * UNIT)
    metric.reset_state()
    assert metric.result() == 0.0
    metric.update_state(y, y_pred, w)
    assert metric.result() == pytest.approx((w * want).sum() / w.sum(), rel=20 * UNIT)
    metric.reset_state()

    loss = "sparse_categorical_crossentropy" if y.ndim == 1 else "mse"
    model = la.Sequential([la.Input((3,)), layers.Rescaling(1.0)])
    model.compile("sgd", loss, metrics=[metric])
    again = metric.from_config({**metric.get_config(), "name": "again"})
    model.compile("sgd", loss, metrics=[metric], weighted_metrics=[again])
    assert model.metrics_names == ["loss", metric.name, "again"]
    got = model.evaluate(y_pred, y, sample_weight=w, batch_size=3, verbose=0)
    assert got[1] == pytest.approx(want.mean(), rel=20 * UNIT)
    assert got[2] == pytest.approx((w * want).sum() / w.sum(), rel=20 * UNIT)


def test_metrics_of_the_output_behind_a_loss_of_logits():
    """Softmax and loss are one kernel in training: metrics still see probabilities."""
    model = logit_model("softmax", "categorical_crossentropy", metrics=["mse", "ce", "accuracy"])
    got = model.evaluate(np.eye(ROWS), ONE_HOT, verbose=0)
    p = softmax(model.get_weights()[0].astype(np.float64))
    assert got[1] == pytest.approx(((p - ONE_HOT) ** 2).mean(), rel=100 * UNIT)
    assert got[2] == pytest.approx(got[0], rel=100 * UNIT)
    assert got[3] == np.mean(p.argmax(axis=1) == LABELS)


def test_a_function_as_a_metric():
    seen = []

    def largest(y_true, y_pred):
        seen.append((y_true.dtype, y_true.shape, y_pred.shape, y_pred.flags.writeable))
        return y_pred.reshape(len(y_pred), -1).max(axis=1)

    x = np.random.default_rng(0).random((10, 4)).astype(np.float32)
    model = la.Sequential([la.Input((4,)), layers.Rescaling(1.0)])
    model.compile(
        "sgd", "mse", metrics=[largest], weighted_metrics=[metrics.FunctionMetric(largest, "w")]
    )
    w = np.arange(10.0)
    got = model.evaluate(x, x, sample_weight=w, batch_size=4, verbose=0, return_dict=True)
    assert got["largest"] == pytest.approx(x.max(axis=1).mean(), rel=20 * UNIT)
    assert got["w"] == pytest.approx((x.max(axis=1) * w).sum() / w.sum(), rel=20 * UNIT)
    assert seen[0] == (np.float32, (4, 4), (4, 4), False) and seen[-1][1] == (2, 4)

    def right(y_true, y_pred):
        seen.append(y_true.dtype)
        return y_pred.argmax(axis=-1) == y_true

    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[right, "accuracy"])
    y = x.argmax(axis=1)
    y[:4] = 0
    results = model.evaluate(x, y, batch_size=3, verbose=0)
    assert results[1] == results[2] == pytest.approx(np.mean(x.argmax(axis=1) == y))
    assert seen[-1] == np.int32


def test_a_function_as_a_weighted_metric_of_rows_with_more_axes():
    x = np.random.default_rng(0).random((10, 3, 4)).astype(np.float32)

    def total(y_true, y_pred):
        return y_pred.sum(axis=(1, 2))

    model = la.Sequential([la.Input((3, 4)), layers.Rescaling(1.0)])
    model.compile("sgd", "mse", weighted_metrics=[total])
    w = np.arange(10.0)
    got = model.evaluate(x, x, sample_weight=w, batch_size=4, verbose=0)[1]
    assert got == pytest.approx((x.sum(axis=(1, 2)) * w).sum() / w.sum(), rel=50 * UNIT)


def test_what_a_wrong_function_returns_is_refused():
    model = la.Sequential([la.Input((4,)), layers.Dense(4)])
    before = model.get_weights()
    for function in (lambda t, p: p, lambda t, p: 3.0, lambda t, p: np.array(["a"] * len(p))):
        model.compile("sgd", "mse", metrics=[function])
        with pytest.raises(
            ValueError, match=r"must return one number a row, an array of shape \(5,"
        ):
            model.fit(np.ones((5, 4)), np.ones((5, 4)), verbose=0)
    assert_bits(model.get_weights()[0], before[0])


# ---- losses of one's own


class Cubic(losses.Loss):
    """mean(|y_pred - y_true|^3) of a row."""

    def forward(self, y_true, y_pred):
        return (np.abs(y_pred - y_true) ** 3).mean(axis=tuple(range(1, y_pred.ndim)))

    def backward(self, y_true, y_pred):
        d = y_pred - y_true
        return 3 * d * np.abs(d) / (d.size / len(d))


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_a_loss_of_one_s_own(shape):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((11, *shape[:-1], 4)).astype(np.float32)
    y = rng.standard_normal((11, *shape)).astype(np.float32)
    w = rng.random(11)
    model = la.Sequential([la.Input(x.shape[1:]), layers.Dense(3)])
    model.compile(la.optimizers.SGD(0.5), Cubic(), metrics=["mse"])
    kernel, bias = (a.astype(np.float64) for a in model.get_weights())
    assert model.metrics_names == ["loss", "mse"]
    d = x.astype(np.float64) @ kernel + bias - y
    axes = tuple(range(1, d.ndim))
    want = (w * (np.abs(d) ** 3).mean(axis=axes)).mean()
    got = model.evaluate(x, y, sample_weight=w, batch_size=4, verbose=0)
    assert got[0] == pytest.approx(want, rel=100 * UNIT)
    assert got[1] == pytest.approx((d**2).mean(), rel=100 * UNIT)
    model.train_on_batch(x, y, sample_weight=w)
    g = 3 * d * np.abs(d) / d[0].size * w.reshape(-1, *(1 for _ in shape)) / 11
    want = kernel - 0.5 * np.tensordot(x.astype(np.float64), g, [range(d.ndim - 1)] * 2)
    assert_close(model.get_weights()[0], want, atol=200 * UNIT)


def test_a_loss_of_one_s_own_that_is_wrong():
    x = y = np.ones((5, 4))

    class NoBackward(losses.Loss):
        def forward(self, y_true, y_pred):
            return y_pred.sum(axis=1)

    class WrongShape(Cubic):
        def backward(self, y_true, y_pred):
            return y_pred[:, :1]

    class WrongRows(Cubic):
        def forward(self, y_true, y_pred):
            return np.float32(3)

    model = la.Sequential([la.Input((4,)), layers.Dense(4)])
    before = model.get_weights()
    for loss, error, message in [
        (NoBackward(), NotImplementedError, "does not define backward"),
        (WrongShape(), ValueError, r"backward returned an array of shape \(5, 1\)"),
        (WrongRows(), ValueError, "must return one number a row"),
    ]:
        model.compile("sgd", loss)
        with pytest.raises(error, match=message):
            model.fit(x, y, verbose=0)
        assert_bits(model.get_weights()[0], before[0])
    model.compile("sgd", NoBackward(name="n"))
    assert isinstance(model.evaluate(x, y, verbose=0), float)
    assert NoBackward().name == "no_backward"


def test_a_loss_and_a_metric_that_know_the_model_do_not_keep_it():
    class Shift(metrics.Metric):
        def forward(self, y_true, y_pred):
            return (y_pred - y_true).mean(axis=1)

    loss, metric = Cubic(), Shift()
    model = la.Sequential([la.Input((4,)), layers.Dense(4)])
    loss.model = metric.model = model
    model.compile("sgd", loss, metrics=[metric])
    model.fit(np.ones((5, 4)), np.ones((5, 4)), verbose=0)
    model.evaluate(np.ones((5, 4)), np.ones((5, 4)), verbose=0)
    gone = weakref.ref(model)
    del model, loss, metric
    gc.collect()
    assert gone() is None


def test_a_loss_without_backward_is_refused_before_anything_has_changed():
    class NoBackward(losses.Loss):
        def forward(self, y_true, y_pred):
            return y_pred.sum(axis=1)

    begun = []
    hook = la.callbacks.LambdaCallback(on_train_begin=begun.append)
    model = la.Sequential([la.Input((4,)), layers.BatchNormalization()])
    model.compile("sgd", NoBackward())
    before = model.get_weights()
    with pytest.raises(NotImplementedError, match="loss 'no_backward' cannot train"):
        model.fit(np.ones((5, 4)), np.ones((5, 4)), verbose=0, callbacks=[hook])
    assert begun == [] and model.history is None
    for a, b in zip(before, model.get_weights(), strict=True):
        assert_bits(a, b)


# ---- optimizers


def test_optimizers_and_their_configuration():
    sgd = la.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    adam = la.optimizers.Adam(beta_1=0.8, epsilon=1e-5)
    assert (sgd.learning_rate, sgd.momentum, sgd.nesterov) == (0.1, 0.9, True)
    assert (adam.learning_rate, adam.beta_1, adam.beta_2, adam.epsilon) == (0.001, 0.8, 0.999, 1e-5)
    for optimizer in (sgd, adam):
        config = optimizer.get_config()
        assert type(optimizer).from_config(config).get_config() == config
        again = la.optimizers.get({"class_name": type(optimizer).__name__, "config": config})
        assert again.get_config() == config
        assert not optimizer.built and optimizer.state == {} and optimizer.iterations == 0
    assert la.optimizers.get(la.optimizers.SGD).learning_rate == 0.01
    assert la.optimizers.get("ADAM").name == "adam"
    for make, error, message in [
        (lambda: la.optimizers.SGD(-1), ValueError, "learning_rate must be finite and at least 0"),
        (lambda: la.optimizers.SGD("fast"), TypeError, "learning_rate must be a number"),
        (lambda: la.optimizers.SGD(lambda: 0.1), TypeError, "schedules are not offered"),
        (lambda: la.optimizers.SGD(momentum=1.5), ValueError, "momentum must be between"),
        (lambda: la.optimizers.Adam(beta_1=1), ValueError, "beta_1 must be below 1"),
        (lambda: la.optimizers.Adam(epsilon=-1), ValueError, "epsilon must be"),
        (lambda: la.optimizers.get({"class_name": "X"}), ValueError, "optimizer 'X' is not known"),
        (lambda: la.optimizers.Adam(clipnorm=1.0), ValueError, "Adam: clipnorm is not offered yet"),
        (lambda: la.optimizers.SGD(use_ema=True), ValueError, "SGD: use_ema is not offered yet"),
        (lambda: la.optimizers.SGD(ema_momentum=0.5), ValueError, "ema_momentum is not offered"),
        (lambda: la.optimizers.SGD(decay=None), TypeError, "unexpected keyword argument 'decay'"),
    ]:
        with pytest.raises(error, match=message):
            make()
    asks_for_nothing = {"clipnorm": None, "weight_decay": None, "use_ema": False}
    plain = la.optimizers.Adam(amsgrad=False, ema_momentum=0.99, **asks_for_nothing)
    assert plain.get_config() == la.optimizers.Adam().get_config()


def test_an_optimizer_belongs_to_one_model():
    adam = la.optimizers.Adam()
    x = np.ones((4, 2))
    first = la.Sequential([la.Input((2,)), layers.Dense(1)], name="first")
    second = la.Sequential([la.Input((2,)), layers.Dense(1)])
    first.compile(adam, "mse")
    second.compile(adam, "mse")
    first.fit(x, x[:, 0], verbose=0)
    assert adam.built and sorted(adam.state) == ["m", "v"] and adam.state["m"].any()
    for act in (
        lambda: second.fit(x, x[:, 0]),
        lambda: second.train_on_batch(x, x[:, 0]),
        lambda: second.compile(adam, "mse"),
    ):
        with pytest.raises(ValueError, match="belongs to model 'first'"):
            act()
    first.compile(adam, "mae")  # the same model goes on with its state
    first.fit(x, x[:, 0], verbose=0)
    assert adam.iterations == 2
    del first
    second.fit(x, x[:, 0], verbose=0)  # its model is gone
    assert adam.iterations == 1


def cycled(shape, *, step, shift, scale, least):
    """Numbers that anybody can make again: multiples of `scale`."""
    return (np.arange(math.prod(shape)) * step + shift) % 11 * scale + least


# Keras 3.15.1: (shape of y_pred, of sample_weight, losses.MeanSquaredError, BinaryCrossentropy,
# metrics.MeanSquaredError, BinaryAccuracy); None where it refuses.
KERAS_WEIGHTED = [
    ((4,), (), 0.048062, 0.141898, 0.192249, 0.750000),
    ((4,), (1,), 0.048062, 0.141898, 0.192249, 0.750000),
    ((4,), (4,), 0.288373, 0.851389, None, 0.666667),
    ((4,), (4, 1), 0.288373, 0.851389, None, 0.666667),
    ((2, 2), (), 0.048062, 0.141898, 0.192249, 0.750000),
    ((2, 2), (1,), 0.048062, 0.141898, 0.192249, 0.750000),
    ((2, 2), (2,), 0.059919, 0.249308, 0.053261, 0.944444),
    ((2, 2), (2, 1), 0.059919, 0.249308, 0.053261, 0.944444),
    ((2, 2), (1, 2), 0.059919, 0.249308, None, 0.555556),
    ((2, 2), (2, 2), 0.132012, 0.462155, None, 0.666667),
    ((2, 2), (2, 2, 1), 0.288373, 0.851389, None, 0.666667),
    ((3, 1), (), 0.062658, 0.177519, 0.250631, 0.666667),
    ((3, 1), (3,), 0.460340, 1.214216, 0.424929, 0.384615),
    ((3, 1), (3, 1), 0.460340, 1.214216, 0.424929, 0.384615),
    ((3, 1), (1, 1), 0.062658, 0.177519, 0.250631, 0.666667),
    ((3, 3), (3,), 0.209979, 0.608923, 0.193826, 0.769231),
    ((3, 3), (3, 1), 0.209979, 0.608923, 0.193826, 0.769231),
    ((3, 3), (3, 3), 0.310872, 0.891513, None, 0.788462),
    ((2, 3, 4), (), 0.056519, 0.161660, 0.226075, 0.708333),
    ((2, 3, 4), (2,), None, None, 0.245941, 0.675926),
    ((2, 3, 4), (3,), 0.259822, 0.734137, None, None),
    ((2, 3, 4), (2, 1), 0.276684, 0.779944, 0.245941, 0.675926),
    ((2, 3, 4), (2, 3), 0.314043, 0.899080, 0.221678, 0.727941),
    ((2, 3, 4), (1, 3), 0.259822, 0.734137, 0.239836, 0.711538),
    ((2, 3, 4), (2, 3, 1), 0.314043, 0.899080, 0.221678, 0.727941),
    ((2, 3, 4), (2, 1, 1), 0.276684, 0.779944, 0.245941, 0.675926),
    ((2, 3, 4), (2, 3, 4), None, None, None, 0.659574),
    ((3, 3, 2), (3,), 0.175297, 0.526015, 0.199288, 0.769231),
    ((3, 3, 2), (3, 1), 0.215896, 0.634234, 0.199288, 0.769231),
    ((3, 3, 2), (3, 3), 0.276016, 0.809116, 0.191088, 0.769231),
    ((2, 3, 2, 2), (2,), 0.184352, 0.570246, 0.245941, 0.675926),
    ((2, 3, 2, 2), (2, 3), None, None, 0.221678, 0.727941),
    ((2, 3, 2, 2), (2, 3, 2), 0.278751, 0.811821, 0.199702, 0.776119),
    ((2, 3, 2, 2), (2, 3, 2, 1), 0.278751, 0.811821, 0.199702, 0.776119),
    ((2, 3, 2, 2), (2, 1, 1), 0.276684, 0.779944, 0.245941, 0.675926),
    ((2, 3, 2, 2), (1, 3, 1), 0.259822, 0.734137, 0.239836, 0.711538),
]
# One weight a row is the row's, as in fit and in metrics. Keras's losses refuse it where a row has
# several values, or lay it along these where there are as many as rows: then, what Keras says of
# the same weights with an axis of 1.
BY_ROW = {
    ((2, 3, 4), (2,)): (0.276684, 0.779944),
    ((3, 3, 2), (3,)): (0.215896, 0.634234),
    ((2, 3, 2, 2), (2,)): (0.276684, 0.779944),
    ((2, 3, 2, 2), (2, 3)): (0.314043, 0.899080),
}


@pytest.mark.parametrize("case", KERAS_WEIGHTED, ids=lambda case: f"{case[0]} {case[1]}")
def test_weights_of_every_rank_are_keras_s(case):
    shape, weight_shape, *keras = case
    y_true = (cycled(shape, step=7, shift=0, scale=1, least=0) > 4).astype(float)
    y_pred = cycled(shape, step=21, shift=2, scale=1 / 13, least=0.1)
    weight = cycled(weight_shape, step=7, shift=0, scale=1 / 4, least=0.25).reshape(weight_shape)
    y_true, y_pred = y_true.reshape(shape), y_pred.reshape(shape)
    keras[:2] = BY_ROW.get((shape, weight_shape), keras[:2])
    judges = [
        losses.MeanSquaredError(),
        losses.BinaryCrossentropy(),
        metrics.MeanSquaredError(),
        metrics.BinaryAccuracy(),
    ]
    for judge, want in zip(judges, keras, strict=True):
        if want is None:
            with pytest.raises(ValueError, match=f"{judge.name}: sample_weight must be a number,"):
                judge(y_true, y_pred, sample_weight=weight)
        else:
            got = judge(y_true, y_pred, sample_weight=weight.tolist())
            assert got == pytest.approx(want, abs=2e-6), judge


def test_weights_in_a_column():
    """What was silently wrong: (n,) values times (n, 1) weights are no (n, n) products."""
    column = [[1], [3]]
    mse = losses.MeanSquaredError()
    assert mse([[1, 2], [3, 4]], [[1, 4], [3, 8]], sample_weight=column) == 13.0
    bce = losses.BinaryCrossentropy()([[1], [0]], [[0.9], [0.9]], sample_weight=column)
    assert bce == pytest.approx(3.50656, abs=1e-5)
    metric = metrics.MeanSquaredError()
    assert metric([[1], [2]], [[2], [4]], sample_weight=column) == 3.25
    with pytest.raises(TypeError, match="mean_squared_error: sample_weight must hold real numbers"):
        mse([[1.0]], [[1.0]], sample_weight=["a"])


def test_a_row_counts_once_in_a_metric_however_many_values_it_has():
    ones, zeros = np.ones((2, 3, 4)), np.zeros((3, 2))
    metric = metrics.BinaryAccuracy()
    assert metric(ones, ones) == 1.0
    assert metric(zeros, zeros + 1, sample_weight=[1, 2, 3]) == 2 / 8
    assert metric(zeros, zeros + 1, sample_weight=2.0) == 2 / 10  # the batch counts twice
    assert metric(zeros[0], zeros[0] + 1) == 2 / 12
    assert metric(zeros[:0], zeros[:0]) == 2 / 12


def of_sequences():
    """Steps of four numbers to classes, four steps a row; and the same model of single steps."""
    made = []
    for shape in [(4, 3), (3,)]:
        model = la.Sequential([la.Input(shape), layers.Dense(CLASSES, "softmax")])
        model.compile(
            la.optimizers.SGD(0.5),
            "sparse_categorical_crossentropy",
            weighted_metrics=["accuracy"],
        )
        made.append(model)
    made[1].set_weights(made[0].get_weights())
    return made


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 4), (6, 4, 1), (6, 1, 1)])
def test_weights_of_steps_in_a_model(shape):
    rng = np.random.default_rng(1)
    x, y = rng.random((6, 4, 3)), rng.integers(0, CLASSES, (6, 4))
    weight = rng.random(shape) + 0.1
    steps = np.broadcast_to(weight.reshape(6, -1), (6, 4)).reshape(24)
    whole, single = of_sequences()
    want = single.evaluate(x.reshape(24, 3), y.reshape(24), sample_weight=steps, verbose=0)
    got = [
        whole.evaluate(x, y, sample_weight=weight, verbose=0),
        whole.evaluate(x, y, sample_weight=weight, verbose=0, batch_size=4),
        whole.evaluate(feeds_of(x, y, weight), verbose=0),
        whole.test_on_batch(x, y, sample_weight=weight),
        whole.train_on_batch(x, y, sample_weight=weight),
    ]
    for values in got:
        assert values == pytest.approx(want, rel=50 * UNIT)
    single.train_on_batch(x.reshape(24, 3), y.reshape(24), sample_weight=steps)
    options = {"batch_size": 8, "shuffle": True, "verbose": 0}
    la.utils.set_random_seed(3)
    held = (x, y, weight)
    history = whole.fit(x, y, sample_weight=weight, validation_data=held, **options).history
    single.train_on_batch(x.reshape(24, 3), y.reshape(24), sample_weight=steps)
    for a, b in zip(whole.get_weights(), single.get_weights(), strict=True):
        assert_close(a, b, atol=100 * UNIT, scale=1.0)
    after = single.evaluate(x.reshape(24, 3), y.reshape(24), sample_weight=steps, verbose=0)
    got = [history["val_loss"][0], history["val_accuracy"][0]]
    assert got == pytest.approx(after, rel=50 * UNIT)


def feeds_of(*arrays):
    """Batches of 1, 2 and 3 rows: runners change within the pass."""
    return iter([[a[i:j] for a in arrays] for i, j in [(0, 1), (1, 3), (3, 6)]])


def test_weights_of_steps_that_do_not_fit():
    x, y = np.zeros((6, 4, 3)), np.zeros((6, 4))
    whole, single = of_sequences()
    for shape in [(6, 3), (6, 4, 2), (6, 4, 1, 1)]:
        with pytest.raises(ValueError, match=r"must have shape \(6,\) or \(6, 4\), got \(6, "):
            whole.fit(x, y, sample_weight=np.ones(shape), verbose=0)
    with pytest.raises(ValueError, match=r"must have shape \(6,\), got \(\)"):
        single.evaluate(x[:, 0], y[:, 0], sample_weight=2.0, verbose=0)

    class RowMetric(metrics.Metric):
        def forward(self, y_true, y_pred):
            return np.zeros(len(y_pred))

    whole.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=[RowMetric()])
    whole.evaluate(x, y, sample_weight=np.ones((6, 1)), verbose=0)
    with pytest.raises(ValueError, match="one weight a row: 'row_metric' gives one value a row"):
        whole.evaluate(x, y, sample_weight=np.ones((6, 4)), verbose=0)

    class RowLoss(losses.Loss):
        def forward(self, y_true, y_pred):
            return np.zeros(len(y_pred))

    whole.compile("sgd", RowLoss())
    with pytest.raises(ValueError, match="one weight a row: 'row_loss' gives one value a row"):
        whole.evaluate(x, np.zeros((6, 4, 5)), sample_weight=np.ones((6, 4)), verbose=0)
