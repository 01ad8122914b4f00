"""The thread team at work from several sides at once: tools/sanitize.py runs this under
ThreadSanitizer. What is computed is held to the bits of one thread.
"""

import threading

import numpy as np
import pytest

import lamina as la
from lamina import _core, kernels


@pytest.fixture(autouse=True)
def threads():
    before = la.get_num_threads()
    yield
    la.set_num_threads(before)


def rng():
    return np.random.default_rng(7)


def image_model(x, y, loss="sparse_categorical_crossentropy"):
    la.utils.set_random_seed(3)
    model = la.Sequential(
        [
            la.layers.Conv2D(16, 3, padding="same", activation="relu", input_shape=x.shape[1:]),
            la.layers.BatchNormalization(),
            la.layers.Conv2D(16, 3, padding="same", activation="gelu"),
            la.layers.MaxPooling2D(),
            la.layers.Flatten(),
            la.layers.Dropout(0.2),
            la.layers.Dense(70, activation="relu"),
            la.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=2, verbose=0)
    return model


def row_model(x, y):
    la.utils.set_random_seed(4)
    model = la.Sequential([la.layers.Dense(128, activation="relu"), la.layers.Dense(10)])
    loss = la.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(la.optimizers.SGD(0.1, momentum=0.9), loss)
    model.fit(x, y, batch_size=64, epochs=2, verbose=0)
    return model


def data(rows, *shape):
    g = rng()
    x = g.random((rows, *shape), np.float32)
    x[x < 0.6] = 0  # zeros are skipped
    return x, g.integers(10, size=rows)


@pytest.mark.parametrize(
    ("make", "arguments"), [(image_model, data(96, 8, 8, 3)), (row_model, data(500, 300))]
)
@pytest.mark.parametrize("threads", [2, 3])
def test_training_evaluating_and_predicting(make, arguments, threads):
    found = []
    for count in (1, threads):
        la.set_num_threads(count, oversubscribe=True)
        model = make(*arguments)
        model.evaluate(*arguments, verbose=0)
        found.append([*model.get_weights(), model.predict(arguments[0], verbose=0)])
    for one, several in zip(*found, strict=True):
        assert np.array_equal(one, several)


def test_products_and_convolutions_of_several_python_threads():
    la.set_num_threads(2, oversubscribe=True)
    g = rng()
    a, b = (g.random((200, 300), np.float32) for _ in range(2))
    x, k = g.random((8, 12, 12, 20), np.float32), g.random((3, 3, 20, 20), np.float32)
    want = kernels.gemm(a, b, trans_b=True), kernels.conv2d_forward(x, k, padding="same")
    wrong = []

    def work():
        for _ in range(5):
            got = kernels.gemm(a, b, trans_b=True), kernels.conv2d_forward(x, k, padding="same")
            wrong.extend(i for i in range(2) if not np.array_equal(got[i], want[i]))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_models_of_several_python_threads_side_by_side():
    la.set_num_threads(2, oversubscribe=True)
    x, y = data(300, 100)
    model = row_model(x, y)
    want, errors = model.predict(x, verbose=0), []

    def work():
        try:
            assert np.array_equal(model.predict(x, verbose=0), want)
            other = la.Sequential([la.layers.Dense(20, activation="tanh"), la.layers.Dense(10)])
            other.compile("adam", "mse")
            other.fit(x, x[:, :10], verbose=0)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []


def test_an_error_in_a_tile_comes_out_of_the_team():
    la.set_num_threads(3, oversubscribe=True)
    model = la.Sequential([la.layers.Embedding(50, 70, input_shape=(20,)), la.layers.Flatten()])
    model.build()
    runner = _core.Runner(model._realise(), "predict", 300)  # which checks when it reads
    tokens = rng().integers(50, size=(300, 20)).astype(np.float32)
    out = np.empty((300, 1400), np.float32)
    tokens[200, 3] = 50
    for _ in range(5):
        with pytest.raises(ValueError, match=r"got 50.* in row 200"):
            runner.predict(tokens, out)
    tokens[200, 3] = 0
    runner.predict(tokens, out)
    assert np.array_equal(out, model.predict(tokens, verbose=0))
