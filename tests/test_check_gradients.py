"""check_gradients: what is right passes, in float64 and float32; each mistake is named."""

import numpy as np
import pytest

import lamina as la

check = la.utils.check_gradients


class Affine(la.layers.Layer):
    """y = tanh(x W + b); `wrong` says which mistake its backward makes."""

    def __init__(self, units=3, wrong=None, dtype_of_work=None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.wrong, self.work = units, wrong, dtype_of_work

    def build(self, input_shape):
        self.w = self.add_weight(name="kernel", shape=(input_shape[-1], self.units))
        self.b = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def _arrays(self, *arrays):
        return [a if self.work is None else a.astype(self.work) for a in arrays]

    def forward(self, x, training):
        x, w, b = self._arrays(x, self.w.value, self.b.value)
        if self.wrong == "random":
            return np.tanh(x @ w + b) + np.random.random()
        if self.wrong == "nan":
            return np.tanh(x @ w + b) * np.nan
        return np.tanh(x @ w + b)

    def backward(self, dy, x):
        dy, x, w, b = self._arrays(dy, x, self.w.value, self.b.value)
        y = np.tanh(x @ w + b)
        dz = dy * (1 - y if self.wrong == "formula" else 1 - y * y)
        dw, db, dx = x.T @ dz, dz.sum(axis=0), dz @ w.T
        if self.wrong == "element":
            dw[1, 2] *= 1.001
        if self.wrong == "mean":
            db = dz.mean(axis=0)
        if self.wrong == "nan gradient":
            dx[0, 0] = np.nan
        if self.wrong == "shape":
            db = dz
        gradients = {"kernel": dw, "bias": db}
        if self.wrong == "missing":
            del gradients["bias"]
        if self.wrong == "strange":
            gradients["gain"] = db
        return dx, gradients


@pytest.mark.parametrize("work", [None, np.float32])
def test_what_is_right_agrees(work):
    layer = Affine(dtype_of_work=work)
    report = check(layer, (4, 5))
    assert [c.name for c in report] == ["input", "kernel", "bias"]
    assert [c.checked for c in report] == [20, 15, 3] and all(c.ok for c in report)
    # As sharp as the arithmetic is: nine digits, or three.
    assert max(c.tolerance for c in report) < (1e-8 if work is None else 1e-2)
    assert "agrees kernel (5, 3): 15 elements; the worst at [" in str(report)


def test_a_layer_is_left_as_it_was():
    layer = Affine()
    layer.build((None, 5))
    before = layer.get_weights()
    check(layer, (None, 5))
    for wrong in ("random", "shape", "element"):
        layer.wrong = wrong
        with pytest.raises((ValueError, AssertionError)):
            check(layer, (None, 5))
    for weight, old in zip(layer.weights, before, strict=True):
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight.numpy(), old)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("element", r"WRONG  kernel \(5, 3\): 15 elements; the worst at \[1, 2\]: backward "),
        ("formula", r"WRONG  input \(4, 5\)"),
        ("mean", r"WRONG  bias \(3,\): 3 elements"),
        ("nan gradient", r"WRONG  input .* the worst at \[0, 0\]: backward nan"),
    ],
)
def test_a_mistake_is_named(wrong, line):
    with pytest.raises(AssertionError, match=line):
        check(Affine(wrong=wrong), (4, 5))


def test_a_mistake_of_a_thousandth_is_seen_among_many_elements():
    """Of 30,000 elements 200 are looked at one by one, the others together."""
    layer = Affine(units=300, wrong="element")
    with pytest.raises(AssertionError, match=r"kernel .* the worst along a random direction"):
        check(layer, (2, 100))
    layer.wrong = None
    check(layer, (2, 100))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ("random", ValueError, "forward gives two results for one input"),
        ("nan", ValueError, "forward is not finite here; pass x"),
        ("shape", ValueError, r"gradient of 'bias' has shape \(4, 3\), expected \(3,\)"),
        ("missing", ValueError, "backward returned no gradient of 'bias'"),
        ("strange", ValueError, r"backward returned a gradient of \['gain'\]"),
    ],
)
def test_what_cannot_be_compared_is_said(wrong, error, message):
    with pytest.raises(error, match=message):
        check(Affine(wrong=wrong), (4, 5))


class Relu(la.layers.Layer):
    def forward(self, x, training):
        return np.maximum(x, 0)

    def backward(self, dy, x):
        return dy * (x > 0)


def test_corners_are_left_out():
    x = np.random.default_rng(0).standard_normal((4, 6))
    x[1, 2] = x[3, 3] = 0
    (compared,) = check(Relu(), (4, 6), x=x)
    assert (compared.checked, compared.unclear) == (22, 2)
    assert "2 at a corner left out" in str(compared)
    with pytest.raises(ValueError, match="corners or jumps at every element of 'x'"):
        check(Relu(), (4, 6), x=np.zeros((4, 6)))


class Cubed(la.losses.Loss):
    factor = 3.0

    def forward(self, y_true, y_pred):
        return (np.abs(y_pred - y_true) ** 3).mean(axis=-1)

    def backward(self, y_true, y_pred):
        d = y_pred - y_true
        return self.factor * d * np.abs(d) / y_pred.shape[-1]


def test_losses():
    assert check(Cubed(), (4, 3))[0].tolerance < 1e-8
    wrong = Cubed()
    wrong.factor = 2.999
    with pytest.raises(AssertionError, match=r"WRONG  cubed/y_pred \(4, 3\)"):
        check(wrong, (4, 3))
    for loss in ("mse", "binary_crossentropy", "categorical_crossentropy"):
        check(la.losses.get(loss), (4, 3))
    check(la.losses.SparseCategoricalCrossentropy(from_logits=True), (4, 3))
    check(Cubed(), (4, 3), x=np.ones((4, 3)), y_true=np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"x must have shape \(4, 3\), got \(3,\)"):
        check(Cubed(), (4, 3), x=np.ones(3))


def test_a_model_s_own_layers_and_loss():
    model = la.Sequential(
        [
            la.Input((6,)),
            la.layers.Dense(5),
            Affine(name="mine"),
            la.layers.Flatten(),
            Relu(name="relu"),
        ]
    )
    model.compile("sgd", Cubed())
    names = [c.name for c in check(model, (6,))]
    want = ["mine/input", "mine/kernel", "mine/bias", "relu/input", "cubed/y_pred"]
    assert names == want
    model.layers[1].wrong = "mean"
    with pytest.raises(AssertionError, match="WRONG  mine/bias"):
        check(model, (None, 6))
    model.layers[1].wrong = None
    model.fit(np.ones((8, 6)), np.ones((8, 3)), verbose=0)


def test_what_has_no_backward_in_python():
    for what, error, message in (
        (la.layers.Dense(3), TypeError, "Dense 'dense.*' has no backward in Python to check"),
        (la.Sequential([la.Input((4,)), la.layers.Dense(3)]), ValueError, "no layer and no loss"),
        ("relu", TypeError, "takes a layer, a loss or a Sequential, got str"),
        (type("Half", (la.layers.Layer,), {})(), NotImplementedError, "does not define backward"),
        (type("No", (la.losses.Loss,), {})(), NotImplementedError, "does not define backward"),
    ):
        with pytest.raises(error, match=message):
            check(what, (4,))
    for shape in (4, (), ("a", 3), (2, None)):
        with pytest.raises((TypeError, ValueError), match="shape"):
            check(Affine(), shape)
