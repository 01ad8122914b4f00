"""The first Dense layer leaves the zeros of its input out, and nobody can tell: a model whose input
passes an Activation first multiplies all of them, and has the same bits."""

import numpy as np
import pytest

import lamina as la
from close import assert_bits

# Numbers that are not finite go in on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:the loss is:UserWarning")

rng = np.random.default_rng(11)


def sparse_rows(rows, columns, density):
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    return x * (rng.random((rows, columns)) < density)


def dense(x, units, *before, use_bias=True, optimizer="sgd", loss="mse", activation="relu"):
    """A Dense layer of fixed weights over x, compiled."""
    layer = la.layers.Dense(units, activation=activation, use_bias=use_bias)
    model = la.Sequential([la.Input(x.shape[1:]), *before, layer])
    fixed = np.random.default_rng(3)
    model.set_weights([fixed.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
    model.compile(optimizer, loss)
    return model


def all_terms():
    return la.layers.Activation("linear")  # no step of its own


def assert_same_training(x, units, batch_size, *keep, **options):
    """float32 is read where it is, float64 gathered."""
    y = np.random.default_rng(4).normal(size=(len(x), units)).astype(np.float32)
    weights = []
    wide = x.astype(np.float64)
    for before, rows in (([*keep, all_terms], x), (keep, x), (keep, wide)):
        la.utils.set_random_seed(9)
        model = dense(rows, units, *(make() for make in before), **options)
        model.fit(rows, y, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
        outputs = model.predict(rows, batch_size=batch_size, verbose=0)
        weights.append([*model.get_weights(), outputs])
    for full, *lean in zip(*weights, strict=True):
        for got in lean:
            assert_bits(got, full)


@pytest.mark.parametrize("density", [0.0, 0.03, 0.2, 0.45, 1.0])
@pytest.mark.parametrize("rows", [1, 8, 31, 32, 33, 100])
def test_the_bits_of_the_full_product(rows, density):
    assert_same_training(sparse_rows(2 * rows + 3, 75, density), 40, rows)


@pytest.mark.parametrize("columns", [1, 31, 32, 64, 223, 224, 225, 784])
@pytest.mark.parametrize("units", [31, 32, 48, 130, 512, 513])
def test_every_width(columns, units):
    assert_same_training(sparse_rows(21, columns, 0.15), units, 12)


@pytest.mark.parametrize("rows", [32, 40, 61])
@pytest.mark.parametrize("dense_rows", [3, 4, 5])
def test_zeros_that_begin_after_a_few_rows(rows, dense_rows):
    """Of every 32 rows the first ones decide whether zeros are looked for."""
    x = sparse_rows(2 * rows, 230, 0.1)
    for first in range(0, len(x), 32):
        few = x[first : first + dense_rows]
        few[...] = rng.uniform(1, 2, few.shape)
    assert_same_training(x, 40, rows)


@pytest.mark.parametrize("rows", [37, 40, 63])
def test_a_short_end_without_zeros(rows):
    """The first 32 rows of a batch have zeros, the others none, and are no 32."""
    x = sparse_rows(2 * rows, 230, 0.1)
    for first in (32, rows + 32):
        end = x[first : first + rows - 32]
        end[...] = rng.uniform(1, 2, end.shape)
    assert_same_training(x, 40, rows)


def test_more_rows_than_a_block_of_terms():
    assert_same_training(sparse_rows(600, 40, 0.1), 33, 290)


@pytest.mark.parametrize("units", [33, 300])
def test_more_blocks_than_one_chain(units):
    """Groups of blocks: of the input's columns, and of the batch in the gradient."""
    assert_same_training(sparse_rows(40, 7300, 0.02), units, 20)
    assert_same_training(sparse_rows(7300, 40, 0.1), units, 7300)


def test_without_bias_and_in_runs():
    """Zeros as an image has them, in runs, so that whole words of columns are dead."""
    x = sparse_rows(70, 200, 0.9)
    x[:, 40:130] = 0.0
    x[5:50, 10:180] = 0.0
    assert_same_training(x, 64, 35, use_bias=False)


def test_rows_of_sequences():
    x = sparse_rows(30, 4 * 50, 0.2).reshape(30, 4, 50)
    y = np.zeros((30, 2), np.float32)
    results = []
    for before in ([], [all_terms()]):
        la.utils.set_random_seed(2)
        layers = [la.layers.Dense(36), la.layers.Flatten(), la.layers.Dense(2)]
        model = la.Sequential([la.Input(x.shape[1:]), *before, *layers])
        model.compile("sgd", "mse")
        model.fit(x, y, batch_size=15, epochs=1, shuffle=False, verbose=0)
        results.append([*model.get_weights(), model.predict(x, verbose=0)])
    for lean, full in zip(*results, strict=True):
        assert_bits(lean, full)


@pytest.mark.parametrize(
    "keep",
    [
        [la.layers.Flatten],
        [lambda: la.layers.Rescaling(1 / 255), la.layers.Flatten],
        [la.layers.Flatten, lambda: la.layers.Dropout(0.5)],
        [lambda: la.layers.Rescaling(1 / 255, offset=1.0), la.layers.Flatten],  # fills zeros in
    ],
    ids=["flatten", "rescaling", "dropout", "offset"],
)
def test_layers_before_that_keep_zeros(keep):
    x = rng.integers(0, 256, (64, 10, 10)) * (rng.random((64, 10, 10)) < 0.2)
    assert_same_training(x.astype(np.uint8), 32, 32, *keep)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0, 1e-42])
def test_unusual_inputs(value):
    x = sparse_rows(40, 90, 0.1)
    x[3, 17] = x[39, 89] = x[8, 0] = value
    assert_same_training(x, 32, 40)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 33, 89])
def test_a_weight_that_is_not_finite_is_multiplied_by_zero(value, row):
    """0 * inf is NaN: it must not be left out with the zeros."""
    x = sparse_rows(40, 90, 0.1)
    x[:, row] = 0.0
    outputs = []
    for before in ([], [all_terms()]):
        model = dense(x, 32, *before)
        kernel, bias = model.get_weights()
        kernel[row, 5] = value
        model.set_weights([kernel, bias])
        outputs.append(model.predict(x, verbose=0))
    assert np.isnan(outputs[0][:, 5]).all()
    assert not np.isnan(np.delete(outputs[0], 5, axis=1)).any()
    np.testing.assert_array_equal(*outputs)


def test_a_gradient_that_is_not_finite_is_multiplied_by_zero():
    x = sparse_rows(40, 90, 0.1)
    x[:, 60] = 0.0
    y = np.zeros((40, 32), np.float32)
    weights = np.ones(40, np.float32)
    y[37, 4] = weights[37] = 1e30  # their product is the infinite gradient of unit 4
    kernels = []
    for before in ([], [all_terms()]):
        model = dense(x, 32, *before)
        model.layers[-1].set_weights([np.abs(model.get_weights()[0]), model.get_weights()[1] + 50])
        model.train_on_batch(x, y, weights)
        kernels.append(model.get_weights()[0])
    assert np.isnan(kernels[0][60, 4])
    np.testing.assert_array_equal(*kernels)


@pytest.fixture
def threads():
    before = la.get_num_threads()
    yield lambda n: la.set_num_threads(n, oversubscribe=True)
    la.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_any_number_of_threads(count, threads):
    """Several of them share out the columns of x: who gathers a column multiplies it, and updates
    its row of the kernel."""
    threads(count)
    x = sparse_rows(256, 700, 0.2)
    assert_same_training(x, 64, 64, optimizer="adam")
    assert_same_training(x[:150], 64, 40, optimizer="adam")  # the last batch is short
    assert_same_training(x[:131], 64, 64, optimizer="adam")  # and of 3 rows


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float64, bool])
def test_columns_of_any_dtype(dtype, threads):
    threads(2)
    x = rng.integers(0, 256, (140, 530)) * (rng.random((140, 530)) < 0.2)
    assert_same_training(x.astype(dtype), 32, 64)
    assert_same_training(x.astype(dtype)[::-2], 32, 64)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("row", [0, 191, 192, 530, 599])
def test_training_multiplies_by_a_weight_that_is_not_finite(row, count, threads):
    threads(count)
    x = sparse_rows(40, 600, 0.1)
    x[:, row] = 0.0
    model = dense(x, 32)
    kernel, bias = model.get_weights()
    y = np.zeros((40, 32), np.float32)
    assert np.isfinite(model.test_on_batch(x, y))
    kernel[row, 5] = np.inf
    model.set_weights([kernel, bias])
    assert np.isnan(model.train_on_batch(x, y))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("row", [0, 191, 192, 599])
@pytest.mark.parametrize(
    ("optimizer", "value", "batches"),
    [
        (lambda: la.optimizers.SGD(1e25), 1.0, 1),
        (lambda: la.optimizers.SGD(1e25, momentum=0.5), 1.0, 1),
        (lambda: la.optimizers.Adam(3e38, epsilon=1e-16), 1e-30, 2),
    ],
    ids=["sgd", "momentum", "adam"],
)
def test_an_update_that_overflows_is_multiplied_by_zero(
    optimizer, value, batches, row, count, threads
):
    """The update of a batch makes a row of the kernel infinite, that row alone; the next batch, in
    the same call, has zeros there. A batch of zeros goes before them, because fit may make a call
    of the first one alone; and ReLU would not hand the gradient of a NaN on."""
    threads(count)
    rows = 12 + 12 * batches
    x = np.zeros((rows + 12, 600), np.float32)
    x[12:rows, row] = value
    x[rows:, (row + 7) % 600] = 1.0
    y = np.full((rows + 12, 32), 1e20, np.float32)
    weights = []
    for before in ([], [all_terms()]):
        options = {"use_bias": False, "activation": "linear"}
        model = dense(x, 32, *before, optimizer=optimizer(), **options)
        model.set_weights([np.ones((600, 32), np.float32)])
        model.fit(x, y, batch_size=12, shuffle=False, verbose=0)
        weights.append(model.get_weights()[0])
    assert np.isnan(weights[1][(row + 7) % 600]).all()
    np.testing.assert_array_equal(*weights)


@pytest.mark.parametrize(
    "keep",
    [
        lambda: la.layers.Rescaling(1 / 255),
        lambda: la.layers.Dropout(0.5),
        lambda: la.layers.Reshape((2, 300)),
    ],
    ids=["rescaling", "dropout", "sequences"],
)
def test_columns_after_another_layer(keep, threads):
    threads(2)
    x = rng.integers(0, 256, (96, 600)) * (rng.random((96, 600)) < 0.2)
    y = np.zeros((96, 2), np.float32)
    results = []
    for before in ([], [all_terms()]):
        la.utils.set_random_seed(2)
        layers = [keep(), *before, la.layers.Dense(36), la.layers.Flatten(), la.layers.Dense(2)]
        model = la.Sequential([la.Input((600,)), *layers])
        model.compile("sgd", "mse")
        model.fit(x.astype(np.uint8), y, batch_size=32, epochs=1, shuffle=False, verbose=0)
        results.append([*model.get_weights(), model.predict(x, verbose=0)])
    for lean, full in zip(*results, strict=True):
        assert_bits(lean, full)


def test_a_frozen_first_layer(threads):
    threads(2)
    x, y = sparse_rows(64, 600, 0.2), np.ones((64, 2), np.float32)
    results = []
    for before in ([], [all_terms()]):
        la.utils.set_random_seed(2)
        model = la.Sequential([la.Input((600,)), *before, la.layers.Dense(40), la.layers.Dense(2)])
        model.layers[-2].trainable = False
        model.compile("sgd", "mse")
        model.fit(x, y, batch_size=32, epochs=2, shuffle=False, verbose=0)
        results.append(model.get_weights())
    for lean, full in zip(*results, strict=True):
        assert_bits(lean, full)
