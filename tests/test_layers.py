"""Every layer: its output, and all gradients, against NumPy in float64; its arguments."""

import numpy as np
import pytest

import lamina as la
from close import UNIT, assert_bits, assert_close
from lamina import layers, reference

IMAGE = (7, 6, 3)
SMOOTH = ("linear", "elu", "sigmoid", "tanh", "softplus", "gelu", "softmax", "log_softmax")
ACTIVATIONS = ("relu", "leaky_relu", *SMOOTH)
POOL = {"pool_size": (3, 2), "strides": (2, 2), "padding": "same"}


def activate(name, z):
    if name in ("softmax", "log_softmax"):
        return getattr(reference, f"{name}_forward")(z)
    return z if name == "linear" else getattr(reference, f"{name}_forward")(z)


def conv(weights, x, strides=(1, 1), padding="valid", dilation=(1, 1)):
    kernel, bias = weights["kernel"], weights["bias"]
    return reference.conv2d_forward(x, kernel, bias, strides, padding, dilation)


# name -> (layer, row shape of the input, function of the weights and x in float64)
CASES = {
    "dense": (lambda: layers.Dense(5), (4,), lambda w, x: x @ w["kernel"] + w["bias"]),
    "dense_rank_3": (
        lambda: layers.Dense(5, "tanh"),
        (3, 4),
        lambda w, x: np.tanh(x @ w["kernel"] + w["bias"]),
    ),
    "dense_no_bias": (
        lambda: layers.Dense(5, "sigmoid", use_bias=False),
        (4,),
        lambda w, x: reference.sigmoid_forward(x @ w["kernel"]),
    ),
    "dense_gelu": (
        lambda: layers.Dense(5, "gelu"),
        (4,),
        lambda w, x: reference.gelu_forward(x @ w["kernel"] + w["bias"]),
    ),
    "dense_softmax": (
        lambda: layers.Dense(5, "softmax"),
        (4,),
        lambda w, x: reference.softmax_forward(x @ w["kernel"] + w["bias"]),
    ),
    **{
        f"activation_{name}": (
            lambda name=name: layers.Activation(name),
            (3, 5),
            lambda w, x, name=name: activate(name, x),
        )
        for name in ACTIVATIONS
    },
    "relu": (layers.ReLU, (9,), lambda w, x: np.maximum(x, 0)),
    "relu_slope": (
        lambda: layers.ReLU(negative_slope=0.25),
        (9,),
        lambda w, x: np.where(x > 0, x, 0.25 * x),
    ),
    "leaky_relu": (layers.LeakyReLU, (9,), lambda w, x: np.where(x > 0, x, 0.3 * x)),
    "elu": (
        lambda: layers.ELU(0.5),
        (9,),
        lambda w, x: np.where(x > 0, x, 0.5 * np.expm1(x)),
    ),
    "softmax": (layers.Softmax, (2, 5), lambda w, x: reference.softmax_forward(x)),
    "dropout": (lambda: layers.Dropout(0.5), (4,), lambda w, x: x),
    "flatten": (layers.Flatten, (2, 3, 4), lambda w, x: x.reshape(len(x), -1)),
    "reshape": (
        lambda: layers.Reshape((-1, 6)),
        (2, 3, 4),
        lambda w, x: x.reshape(len(x), 4, 6),
    ),
    "rescaling": (lambda: layers.Rescaling(0.5, -3), (4,), lambda w, x: x * 0.5 - 3),
    "conv2d": (lambda: layers.Conv2D(4, 3), IMAGE, conv),
    "conv2d_same": (
        lambda: layers.Conv2D(4, (3, 2), strides=(2, 1), padding="same"),
        IMAGE,
        lambda w, x: conv(w, x, (2, 1), "same"),
    ),
    "conv2d_dilated": (
        lambda: layers.Conv2D(4, (3, 2), dilation_rate=(2, 3), activation="tanh"),
        IMAGE,
        lambda w, x: np.tanh(conv(w, x, dilation=(2, 3))),
    ),
    "max_pooling2d": (
        layers.MaxPooling2D,
        IMAGE,
        lambda w, x: reference.max_pool2d_forward(x)[0],
    ),
    "max_pooling2d_same": (
        lambda: layers.MaxPooling2D(**POOL),
        IMAGE,
        lambda w, x: reference.max_pool2d_forward(x, **POOL)[0],
    ),
    "average_pooling2d": (
        lambda: layers.AveragePooling2D(**POOL),
        IMAGE,
        lambda w, x: reference.average_pool2d_forward(x, **POOL),
    ),
    "global_average_pooling2d": (
        layers.GlobalAveragePooling2D,
        IMAGE,
        lambda w, x: x.mean(axis=(1, 2)),
    ),
    "global_average_pooling2d_keepdims": (
        lambda: layers.GlobalAveragePooling2D(keepdims=True),
        IMAGE,
        lambda w, x: x.mean(axis=(1, 2), keepdims=True),
    ),
}


class Probe(layers.Layer):
    """Hands everything on, and keeps the gradient that comes down to it.

    It has a weight, which does nothing: gradients go down as far as there are weights to train.
    """

    def __init__(self):
        super().__init__()
        self.dx = None

    def build(self, input_shape):
        self.add_weight((1,), name="idle")

    def forward(self, x, training):
        return x

    def backward(self, dy, x):
        self.dx = dy.copy()
        return dy, {"idle": np.zeros(1)}


class Given(la.losses.Loss):
    """sum(y_true * y_pred) of a row: its gradient is y_true."""

    def forward(self, y_true, y_pred):
        return (y_true * y_pred).reshape(len(y_pred), -1).sum(axis=1)

    def backward(self, y_true, y_pred):
        return y_true


def built(make, shape, seed=0):
    la.utils.set_random_seed(seed)
    probe = Probe()
    model = la.Sequential([la.Input(shape), probe, make()])
    rng = np.random.default_rng(seed)
    model.set_weights([rng.standard_normal(w.shape) for w in model.weights])
    return model, probe


def exact(model):
    return {w.name: w.numpy().astype(np.float64) for w in model.layers[1].weights}


@pytest.mark.parametrize("case", CASES)
def test_forward(case):
    make, shape, function = CASES[case]
    model, _ = built(make, shape)
    x = np.random.default_rng(1).standard_normal((5, *shape)).astype(np.float32)
    want = function(exact(model), x.astype(np.float64))
    got = model.predict(x, verbose=0)
    assert model.output_shape == (None, *want.shape[1:])
    assert model.layers[1].compute_output_shape((None, *shape)) == model.output_shape
    assert model.layers[1].compute_output_shape((5, *shape)) == want.shape
    # Sums of at most 30 products of numbers of a few units, and a function of slope about one.
    assert_close(got, want, rtol=16 * UNIT, atol=60 * UNIT, scale=np.abs(want).max() + 3)
    assert_bits(model.layers[1](x), got)


@pytest.mark.parametrize("case", CASES)
def test_gradients(case):
    """The core's gradients (SGD of rate 1 moves weights by them) against finite differences."""
    make, shape, function = CASES[case]
    model, probe = built(make, shape)
    rng = np.random.default_rng(2)
    x = rng.standard_normal((5, *shape)).astype(np.float32)
    if case.startswith("dropout"):
        model.pop()
        model.add(layers.Dropout(0.0))
    dy = rng.standard_normal((5, *model.output_shape[1:])).astype(np.float32)
    before = exact(model)
    model.compile(la.optimizers.SGD(1.0), Given())
    model.train_on_batch(x, dy)
    after = exact(model)

    def loss(weights, inputs):
        return (function(weights, inputs) * dy).sum() / 5

    def differences(array, at):
        slope = np.empty_like(array)
        for i in np.ndindex(array.shape):
            h = 6e-6
            up, down = array.copy(), array.copy()
            up[i] += h
            down[i] -= h
            slope[i] = (at(up) - at(down)) / (2 * h)
        return slope

    wide = x.astype(np.float64)
    want = differences(wide, lambda a: loss(before, a))
    # The finite differences are good to 1e-9; the rest is rounding of the sums, and of a weight
    # of a few units that the gradient was subtracted from.
    scale = np.abs(want).max() + 1
    assert_close(probe.dx, want, atol=100 * UNIT, scale=scale)
    for name, weight in before.items():
        want = differences(weight, lambda a, name=name: loss({**before, name: a}, wide))
        moved = (weight - after[name]).astype(np.float32)
        assert_close(moved, want, atol=100 * UNIT, scale=np.abs(want).max() + 3, what=name)


def test_batch_normalization():
    rng = np.random.default_rng(0)
    model = la.Sequential([la.Input((3, 4)), layers.BatchNormalization(momentum=0.75)])
    layer = model.layers[0]
    assert [w.name for w in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w.trainable for w in layer.weights] == [True, True, False, False]
    assert [w.numpy()[0] for w in layer.weights] == [1, 0, 0, 1]
    gamma, beta = rng.random(4) + 0.5, rng.random(4)
    model.set_weights([gamma, beta, np.zeros(4), np.ones(4)])
    x = (rng.standard_normal((20, 3, 4)) * 2 + 1).astype(np.float32)
    wide = x.astype(np.float64)
    want, mean, variance = reference.batch_norm_forward(wide, gamma, beta)
    assert_close(model(x, training=True), want, atol=60 * UNIT)
    # As in Keras, calling with training=True moves the averages too.
    assert_close(layer.moving_mean.numpy(), 0.25 * mean, atol=20 * UNIT)
    model.set_weights([gamma, beta, np.zeros(4), np.ones(4)])

    dy = rng.standard_normal(x.shape).astype(np.float32)
    model.compile(la.optimizers.SGD(1.0), Given())
    model.train_on_batch(x, dy)
    _, dgamma, dbeta = reference.batch_norm_backward(
        dy.astype(np.float64) / 20, wide, gamma, mean, variance
    )
    got = [w.numpy() for w in layer.weights]
    assert_close(got[0], gamma - dgamma, atol=100 * UNIT)
    assert_close(got[1], beta - dbeta, atol=100 * UNIT)
    assert_close(got[2], 0.25 * mean, atol=20 * UNIT)
    assert_close(got[3], 0.75 + 0.25 * variance, atol=40 * UNIT)
    inference = reference.batch_norm_inference(wide, *[a.astype(np.float64) for a in got])
    assert_close(model.predict(x, verbose=0), inference, atol=60 * UNIT)
    # Frozen, it is in inference mode in training too, and its averages stay.
    layer.trainable = False
    model.train_on_batch(x, dy)
    for a, weight in zip(got, layer.weights, strict=True):
        assert_bits(weight.numpy(), a)


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh", "gelu"])
def test_convolutions_in_squares_compute_what_the_kernels_do(activation):
    """Forward and through one step of descent; the kernels' tests ask whether that is right."""
    k, rows = la.kernels, 11
    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows, 12, 11, 16)).astype(np.float32)
    y = rng.standard_normal((rows, 10 * 9 * 18)).astype(np.float32)
    model = la.Sequential(
        [
            layers.Input((12, 11, 16)),
            layers.Conv2D(33, 3, padding="same", activation=activation, bias_initializer="ones"),
            layers.Conv2D(18, 3),
            layers.Flatten(),
        ]
    )
    model.compile(la.optimizers.SGD(1.0), "mse")
    first, bias, second, zeros = (w.copy() for w in model.get_weights())
    z = k.conv2d_forward(x, first, bias, padding="same")
    hidden = z if activation == "linear" else getattr(k, f"{activation}_forward")(z)
    out = k.conv2d_forward(hidden, second, zeros)
    assert_bits(model.predict(x, batch_size=4, verbose=0), out.reshape(rows, -1))
    model.train_on_batch(x, y)
    _, dout = k.mean_squared_error(out.reshape(rows, -1), y, scale=1 / rows)
    dout = dout.reshape(out.shape)
    dz = k.conv2d_backward_input(dout, second, hidden.shape)
    if activation != "linear":
        saved = z if activation == "gelu" else hidden
        dz = getattr(k, f"{activation}_backward")(dz, saved)
    for i, before, want in [
        (0, first, k.conv2d_backward_kernel(dz, x, (3, 3), padding="same")),
        (1, bias, k.conv2d_backward_bias(dz)),
        (2, second, k.conv2d_backward_kernel(dout, hidden, (3, 3))),
    ]:
        assert_bits(model.get_weights()[i], before - want, what=f"weight {i}")


def test_batch_normalization_passes_the_gradient_on():
    model, probe = built(lambda: layers.BatchNormalization(), (4,))
    model.layers[1].set_weights([np.arange(1, 5), np.zeros(4), np.zeros(4), np.ones(4)])
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 9, 4)).astype(np.float32)
    model.compile("sgd", Given())
    model.train_on_batch(x, dy)
    wide, gamma = x.astype(np.float64), np.arange(1.0, 5)
    _, mean, variance = reference.batch_norm_forward(wide, gamma, np.zeros(4))
    want, _, _ = reference.batch_norm_backward(dy / 9.0, wide, gamma, mean, variance)
    assert_close(probe.dx, want, atol=100 * UNIT)


@pytest.mark.parametrize(("center", "scale", "count"), [(0, 1, 3), (1, 0, 3), (0, 0, 2)])
def test_batch_normalization_without(center, scale, count):
    model = la.Sequential(
        [la.Input((4,)), layers.BatchNormalization(center=bool(center), scale=bool(scale))]
    )
    names = [w.name for w in model.weights]
    assert len(names) == count and ("beta" in names, "gamma" in names) == (center, scale)
    x = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    want = reference.batch_norm_forward(x.astype(np.float64), np.ones(4), np.zeros(4))[0]
    assert_close(model(x, training=True), want, atol=60 * UNIT)
    model.compile("adam", "mse")
    model.fit(x, x, verbose=0)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_max_pooling_takes_the_gradient_of_relu_along(activation):
    """With something in between, the pool cannot know what made its input: the same bits."""
    g = np.random.default_rng(5)
    x, y = (
        g.normal(size=(12, 9, 8, 2)).astype(np.float32),
        g.normal(size=(12, 5)).astype(np.float32),
    )
    weights = []
    for between in ([], [layers.Reshape((7, 6, 3))]):
        la.utils.set_random_seed(4)
        stack = [layers.Conv2D(3, 3, activation=activation), *between]
        pool = layers.MaxPooling2D(3, strides=1)  # windows overlap: gradients add up
        model = la.Sequential(
            [la.Input((9, 8, 2)), *stack, pool, layers.Flatten(), layers.Dense(5)]
        )
        model.compile("sgd", "mse")
        before = model.get_weights()
        model.train_on_batch(x, y)
        weights.append(model.get_weights())
        assert all((a != b).any() for a, b in zip(before, weights[-1], strict=True))
    for one, other in zip(*weights, strict=True):
        assert_bits(one, other)


def test_embedding():
    model = la.Sequential([la.Input((3,)), layers.Embedding(7, 5), layers.Flatten()])
    assert model.output_shape == (None, 15)
    table = model.layers[0].embeddings.numpy()
    assert table.shape == (7, 5) and np.abs(table).max() <= 0.05 and np.abs(table).max() > 0.03
    index = np.array([[0, 6, 6], [2, 0, 5]])
    for kind in ("u1", "i8", "f4", "f8"):
        assert_bits(model.predict(index.astype(kind), verbose=0), table[index].reshape(2, 15))
    dy = np.random.default_rng(0).standard_normal((2, 15)).astype(np.float32)
    model.compile(la.optimizers.SGD(1.0), Given())
    model.train_on_batch(index, dy)
    want = table.astype(np.float64)
    np.subtract.at(want, index, dy.reshape(2, 3, 5) / 2)
    assert_close(model.layers[0].embeddings.numpy(), want, atol=20 * UNIT)


def test_dropout_in_training_scales_what_it_keeps_and_masks_the_gradient():
    la.utils.set_random_seed(3)
    probe = Probe()
    model = la.Sequential([la.Input((400,)), probe, layers.Dropout(0.2)])
    model.compile("sgd", Given())
    ones = np.ones((10, 400), np.float32)
    loss = model.train_on_batch(ones, ones)
    kept = probe.dx != 0
    # 4000 draws at 0.2: five standard deviations are 126.
    assert abs((~kept).sum() - 800) < 126
    assert_close(probe.dx[kept], np.full(kept.sum(), 0.125), rtol=2 * UNIT)
    assert loss == pytest.approx(kept.sum() * 1.25 / 10, rel=1e-5)
    assert model.evaluate(ones, ones, verbose=0) == pytest.approx(400)


@pytest.mark.parametrize("rate", [0, 1])
def test_dropout_at_its_ends(rate):
    model = la.Sequential([la.Input((50,)), layers.Dropout(rate)])
    x = np.ones((3, 50), np.float32)
    assert_bits(model(x, training=True), x * (1 - rate))


WRONG = [
    (lambda: layers.Dense(0), ValueError, "Dense '.*': units must be at least 1, got 0"),
    (lambda: layers.Dense(2.5), TypeError, "units must be an integer, got 2.5"),
    (lambda: layers.Dense("3"), TypeError, "units must be an integer, got '3'"),
    (lambda: layers.Dense(True), TypeError, "units must be an integer, got True"),
    (lambda: layers.Dense(3, "rellu"), ValueError, "'rellu' is not known; did you mean 'relu'"),
    (lambda: layers.Dense(3, 7), TypeError, "an activation must be a name"),
    (lambda: layers.Dense(3, np.sin), ValueError, "subclass lamina.layers.Layer"),
    (lambda: layers.Dense(3, units_=1), TypeError, "unexpected keyword argument 'units_'"),
    (
        lambda: layers.Dense(3, kernel_regularizer="l2"),
        ValueError,
        "kernel_regularizer is not offered yet",
    ),
    (lambda: layers.Dense(3, kernel_initializer="x"), ValueError, "initializer 'x' is not known"),
    (lambda: layers.Dense(3, dtype="float64"), ValueError, "dtype must be float32"),
    (lambda: layers.Dense(3, input_shape=5), ValueError, r"write \(5,\)"),
    (lambda: layers.Dense(3, input_shape="5"), TypeError, "tuple of integers"),
    (lambda: layers.Dense(3, input_shape=(None,)), ValueError, "only known sizes"),
    (lambda: layers.Dense(3, input_shape=(0,)), ValueError, "at least 1, got 0"),
    (lambda: layers.Dense(3, input_shape=(2,), input_dim=2), ValueError, "not both"),
    (lambda: la.Input(), ValueError, "needs the shape of one row"),
    (lambda: la.Input(784), ValueError, r"write \(784,\)"),
    (lambda: layers.Reshape(3), TypeError, "target_shape must be a tuple"),
    (lambda: layers.Reshape((-1, -1)), ValueError, "at most one -1"),
    (lambda: layers.Reshape((0, 2)), ValueError, "at least 1"),
    (lambda: layers.Dropout(1.5), ValueError, "rate must be between 0 and 1, got 1.5"),
    (lambda: layers.Dropout("a"), TypeError, "rate must be a number"),
    (lambda: layers.Dropout(float("nan")), ValueError, "rate must be between"),
    (lambda: layers.Dropout(0.5, noise_shape=(1,)), ValueError, "noise_shape is not offered"),
    (lambda: layers.Dropout(0.5, seed=1.5), TypeError, "seed must be an integer"),
    (lambda: layers.ReLU(max_value=6), ValueError, "max_value and threshold are not offered"),
    (lambda: layers.LeakyReLU(-1), ValueError, "negative_slope must be finite and at least 0"),
    (lambda: layers.Rescaling(float("inf")), ValueError, "scale must be finite"),
    (lambda: layers.Conv2D(3, (3, 3, 3)), ValueError, "kernel_size must be an integer or a pair"),
    (lambda: layers.Conv2D(3, 0), ValueError, "kernel_size must be at least 1"),
    (lambda: layers.Conv2D(3, 3, padding="causal"), ValueError, "one of valid, same; got 'causal'"),
    (lambda: layers.Conv2D(3, 3, padding=1), TypeError, "padding must be a string"),
    (lambda: layers.Conv2D(3, 3, data_format="channels_first"), ValueError, "channels_last"),
    (lambda: layers.Conv2D(4, 3, groups=2), ValueError, "groups other than 1"),
    (lambda: layers.MaxPooling2D(strides=-1), ValueError, "strides must be at least 1"),
    (lambda: layers.BatchNormalization(momentum=2), ValueError, "momentum must be between"),
    (lambda: layers.Embedding(0, 3), ValueError, "input_dim must be at least 1"),
    (lambda: layers.Embedding(2**24 + 1, 3), ValueError, r"at most 2\*\*24"),
    (lambda: layers.Embedding(3, 3, mask_zero=True), ValueError, "mask_zero=True is not offered"),
]


@pytest.mark.parametrize(("make", "error", "message"), WRONG)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (lambda: layers.Softmax(axis=1), (2, 3), "axis must be the last one, -1 or 2"),
        (lambda: layers.BatchNormalization(axis=1), (2, 3), "axis must be the last one"),
        (lambda: layers.Conv2D(2, 3), (5,), "Conv2D 'conv2d.*'"),
        (lambda: layers.Conv2D(2, 9), (5, 5, 1), "Conv2D 'conv2d.*'"),
        (lambda: layers.MaxPooling2D(9), (5, 5, 1), "MaxPooling2D 'max_pooling2d.*'"),
        (lambda: layers.Reshape((4,)), (5,), "Reshape 'reshape.*'"),
        (lambda: layers.Reshape((-1, 4)), (6,), "Reshape 'reshape.*'"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_when_the_layer_is_added(layer, shape, message):
    model = la.Sequential([la.Input(shape)])
    with pytest.raises(ValueError, match=message):
        model.add(layer())
    assert model.layers == []


def test_a_layer_alone():
    layer = layers.Dense(3, activation="relu", name="alone")
    x = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    y = layer(x)
    assert y.shape == (4, 3) and layer.built and layer.kernel.shape == (5, 3)
    assert_bits(layer(x), y)
    layer.kernel.assign(np.zeros((5, 3)))
    assert_bits(layer(x), np.zeros((4, 3), np.float32))
    model = la.Sequential([la.Input((5,)), layer])
    assert_bits(model.get_weights()[0], np.zeros((5, 3), np.float32))
    model.set_weights([np.ones((5, 3)), np.zeros(3)])
    assert_bits(layer(x), model(x))
    with pytest.raises(TypeError, match="functional API is not offered"):
        layer(la.Input((5,)))
    with pytest.raises(ValueError, match="batch axis"):
        layer(3.0)
    with pytest.raises(TypeError, match="real numbers"):
        layer(np.array(["a"]))
    with pytest.raises(AttributeError, match="no attribute 'kernels'"):
        layer.kernels  # noqa: B018


@pytest.mark.parametrize("kind", ["dense", "host"])
def test_a_layer_alone_in_a_model_that_is_not_built(kind):
    class Scale(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(input_shape[-1:], "ones", name="w")

        def forward(self, x, training):
            return x * self.w.value

        def backward(self, dy, x):
            return dy * self.w.value, {"w": (dy * x).sum(axis=0)}

    layer = layers.Dense(4) if kind == "dense" else Scale()
    model = la.Sequential([layer, layers.Dense(1)], name="young")
    x = np.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match=r"belongs to model 'young', which is not built yet"):
        layer(x)
    assert not model.built
    model.compile("sgd", "mse")
    model.fit(x, np.ones(2), verbose=0)
    assert layer(x).shape == (2, 4)


def test_a_frozen_normalisation_alone_uses_its_moving_moments():
    layer = layers.BatchNormalization(trainable=False)
    x = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    assert_bits(layer(x, training=True), layer(x))
    layer.trainable = True
    assert not np.array_equal(layer(x, training=True), layer(x))


def test_activation_functions_are_their_kernels_and_have_names():
    x = np.linspace(-3, 3, 12, dtype=np.float32).reshape(3, 4)
    wide = x.astype(np.float64)
    functions = la.activations
    for name in ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "gelu", "softmax"):
        function = functions.get(name)
        assert function is getattr(functions, name) and functions.serialize(function) == name
        assert_close(function(x), activate(name, wide), rtol=8 * UNIT, atol=8 * UNIT)
        assert layers.Activation(function).get_config()["activation"] == name
    assert_close(functions.softmax(x, axis=0).T.copy(), activate("softmax", wide.T), rtol=8 * UNIT)
    assert_close(functions.log_softmax(x), activate("log_softmax", wide), atol=20 * UNIT)
    assert functions.linear(x) is not x and np.array_equal(functions.linear(x), x)
    assert functions.get(None) is functions.linear
    with pytest.raises(ValueError, match="'swish2' is not known; did you mean 'swish'"):
        functions.get("swish2")
    with pytest.raises(ValueError, match="at least one axis"):
        functions.softmax(3.0)


def test_a_seeded_dropout_alone_has_a_sequence_of_masks_of_its_own():
    ones = np.ones((4, 100))
    a, b = layers.Dropout(0.5, seed=1), layers.Dropout(0.5, seed=1)
    first, second = ([layer(ones, training=True) for _ in range(2)] for layer in (a, b))
    for a, b in zip(first, second, strict=True):
        assert_bits(a, b)
    assert (first[0] != first[1]).any()
    assert (layers.Dropout(0.5, seed=2)(ones, training=True) != first[0]).any()


def test_build_makes_the_weights_of_a_layer_alone():
    dense = layers.Dense(3)
    dense.build((None, 6))
    assert dense.built and [w.shape for w in dense.get_weights()] == [(6, 3), (3,)]
    kernel = dense.get_weights()[0]
    x = np.ones((2, 6), np.float32)
    y = dense(x)
    m = la.Sequential([dense])
    assert_bits(m.predict(x, verbose=0), y)
    assert_bits(dense.get_weights()[0], kernel)
    dense.build((None, 6))  # as it is
    with pytest.raises(ValueError, match=r"belongs to model 'sequential.*', which builds it"):
        dense.build((None, 7))
    for wrong, error in ((6, TypeError), ((), TypeError), ((None, None), ValueError)):
        with pytest.raises(error, match=r"Dense 'dense.*': input_shape"):
            layers.Dense(3).build(wrong)


def test_a_layer_of_a_model_called_alone_moves_its_averages():
    m = la.Sequential([layers.BatchNormalization(input_shape=(6,))])
    m.layers[0](np.full((8, 6), 5.0), training=True)
    assert_close(m.layers[0].get_weights()[2], np.full(6, 0.05), rtol=1e-6)
    m.layers[0](np.full((8, 6), 5.0))
    assert_close(m.get_weights()[2], np.full(6, 0.05), rtol=1e-6)


def test_a_layer_with_weights_takes_other_inputs_that_the_weights_fit():
    m = la.Sequential([layers.Dense(4, input_shape=(6,))])
    x = np.random.default_rng(0).random((2, 3, 6), dtype=np.float32)
    assert_bits(m.layers[0](x).reshape(6, 4), m.predict(x.reshape(6, 6), verbose=0))
    with pytest.raises(ValueError, match=r"built for inputs of shape \(None, 6\)"):
        m.layers[0](np.ones((2, 3, 7)))
    conv = la.Sequential([layers.Conv2D(4, 3, input_shape=(8, 8, 2))])
    conv.build()
    layer = conv.pop()
    wide = la.Sequential([la.Input((9, 12, 2)), layer])
    assert wide.output_shape == (None, 7, 10, 4)


def test_no_initializer_is_keras_s_default_and_a_wrong_one_names_its_argument():
    outputs = []
    for options in ({"kernel_initializer": None}, {}):
        la.utils.set_random_seed(0)
        outputs.append(layers.Dense(4, **options)(np.ones((1, 6))))
    assert_bits(*outputs)
    for make, argument in (
        (lambda: layers.Dense(3, bias_initializer="wrong"), "bias_initializer"),
        (lambda: layers.Conv2D(3, 3, kernel_initializer=3), "kernel_initializer"),
        (lambda: layers.Embedding(3, 3, embeddings_initializer="wrong"), "embeddings_initializer"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"'.*': {argument}: .*initializer"):
            make()
    with pytest.raises(ValueError, match=r"activation must be a name .* got the layer .* follow"):
        layers.Dense(3, activation=layers.LeakyReLU(0.1))


def test_sizes_that_nobody_can_have_are_refused():
    with pytest.raises(
        ValueError, match=r"units must be below 2\*\*63, got 1180591620717411303424"
    ):
        layers.Dense(2**70)
    with pytest.raises(ValueError, match="after the batch axis, must have only known sizes"):
        layers.Conv2D(3, 3).compute_output_shape((None, None, None, 1))


def test_the_mean_of_a_large_image_keeps_its_digits():
    rng = np.random.default_rng(0)
    x = np.stack([rng.random((300, 301, 2)), np.full((300, 301, 2), 1e4 + 0.1)]).astype(np.float32)
    mean = x.mean(axis=(1, 2), dtype=np.float64)
    # (256 + K / 256 + 1) eps at the most; rounding errors of random numbers grow with the root.
    assert_close(layers.GlobalAveragePooling2D()(x)[0], mean[0], rtol=20 * UNIT)
    assert_close(layers.GlobalAveragePooling2D()(x)[1], mean[1], rtol=610 * UNIT)


@pytest.mark.parametrize("constant", [1e8, 123456.78, 3e38])
def test_batch_normalization_of_one_huge_constant(constant):
    x = np.full((100, 3), constant, np.float32)
    layer = layers.BatchNormalization(momentum=0.5)
    assert np.array_equal(layer(x, training=True), np.zeros_like(x))
    mean, variance = layer.get_weights()[2:]
    assert np.array_equal(mean, x[0] * np.float32(0.5)) and np.array_equal(variance, [0.5] * 3)
