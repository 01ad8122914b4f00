"""Networks below `highest`, on the emulated matrix unit: what splits, what it takes, and that the
level is one thing for a whole call."""

import os
import subprocess
import sys

import numpy as np
import pytest

import lamina as la

LEVELS = ["high", "medium", "low"]
# Rounding of a weight's update is next to nothing beside what a level leaves out.
LEFT_OUT = {"high": 2.0**-22, "medium": 2.0**-15, "low": 2.0**-6}


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    monkeypatch.setenv("LAMINA_MATRIX_UNIT", "emulated")
    yield
    la.set_float32_matmul_precision("highest")


def make(seed=1):
    """Dense layers that split both ways, forward only (40 columns come back) and not at all."""
    la.utils.set_random_seed(seed)
    model = la.Sequential(
        [
            la.layers.Input((40,)),
            la.layers.Dense(96, activation="relu"),
            la.layers.Dense(70, activation="tanh"),
            la.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(la.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def data(rows=130):
    g = np.random.default_rng(3)
    return g.standard_normal((rows, 40)).astype(np.float32), g.integers(0, 10, rows)


def make_images(seed=1):
    """Convolutions that split not at all, all but the input's gradient, and all three ways. All is
    smooth: of two that are nearly the largest, another level may pick the other."""
    la.utils.set_random_seed(seed)
    model = la.Sequential(
        [
            la.layers.Input((9, 8, 3)),
            la.layers.Conv2D(24, 3, activation="tanh"),
            la.layers.Conv2D(64, 2, padding="same", activation="gelu"),
            la.layers.AveragePooling2D(),
            la.layers.Conv2D(64, 2, activation="tanh", use_bias=False),
            la.layers.Flatten(),
            la.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(la.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def image_data(rows=20):
    g = np.random.default_rng(6)
    return g.standard_normal((rows, 9, 8, 3)).astype(np.float32), g.integers(0, 10, rows)


MODELS = {"dense": (make, data), "images": (make_images, image_data)}


@pytest.fixture(params=MODELS)
def kind(request):
    return request.param


def train(level, kind="dense"):
    la.set_float32_matmul_precision(level)
    make_model, made_data = MODELS[kind]
    model = make_model()
    model.fit(*made_data(), batch_size=64, epochs=2, shuffle=False, verbose=0)
    return np.concatenate([w.ravel() for w in model.get_weights()])


@pytest.mark.parametrize("level", LEVELS)
def test_training_is_near_highest_and_not_it(level, kind):
    highest, got = train("highest", kind), train(level, kind)
    error = np.abs(got - highest).max() / np.abs(highest).max()
    assert 0 < error < LEFT_OUT[level]


@pytest.mark.parametrize("rows", [50, 2304], ids=["few", "a long K of the gradient"])
@pytest.mark.parametrize("level", LEVELS)
def test_the_layers_compute_what_the_kernel_does(level, rows):
    """Dense's forward pass, and through one step of descent both of its gradients. Mostly zeros
    come in, which the first layer would leave out at `highest`."""
    la.set_float32_matmul_precision(level)
    g = np.random.default_rng(4)
    x, y = (g.standard_normal((rows, n)).astype(np.float32) for n in (80, 66))
    x[x < 0.8] = 0.0
    model = la.Sequential(
        [la.layers.Input((80,)), la.layers.Dense(72, use_bias=False), la.layers.Dense(66)]
    )
    model.compile(la.optimizers.SGD(1.0), "mse")
    first, second, bias = (w.copy() for w in model.get_weights())
    gemm = la.kernels.gemm
    hidden = gemm(x, first)
    out = gemm(hidden, second, bias=bias)
    assert model.predict(x, verbose=0).tobytes() == out.tobytes()
    model.train_on_batch(x, y)
    _, dout = la.kernels.mean_squared_error(out, y, scale=1 / rows)
    dhidden = gemm(dout, second, trans_b=True)
    for before, after, want in [
        (first, model.get_weights()[0], gemm(x, dhidden, trans_a=True)),
        (second, model.get_weights()[1], gemm(hidden, dout, trans_a=True)),
    ]:
        assert (before - want).tobytes() == after.tobytes()


@pytest.mark.parametrize("level", LEVELS)
def test_convolutions_compute_what_the_kernels_do(level):
    """Forward and through one step of descent, as above."""
    la.set_float32_matmul_precision(level)
    g = np.random.default_rng(7)
    x = g.standard_normal((33, 5, 4, 48)).astype(np.float32)
    y = g.standard_normal((33, 4 * 3 * 66)).astype(np.float32)
    layers = la.layers
    model = la.Sequential(
        [
            layers.Input((5, 4, 48)),
            layers.Conv2D(64, (3, 2), padding="same", use_bias=False),
            layers.Conv2D(66, 2),
            layers.Flatten(),
        ]
    )
    model.compile(la.optimizers.SGD(1.0), "mse")
    first, second, bias = (w.copy() for w in model.get_weights())
    forward, k = la.kernels.conv2d_forward, la.kernels
    hidden = forward(x, first, padding="same")
    out = forward(hidden, second, bias)
    assert model.predict(x, batch_size=7, verbose=0).tobytes() == out.tobytes()
    model.train_on_batch(x, y)
    _, dout = k.mean_squared_error(out.reshape(33, -1), y, scale=1 / 33)
    dout = dout.reshape(out.shape)
    dhidden = k.conv2d_backward_input(dout, second, hidden.shape)
    for before, after, want in [
        (first, 0, k.conv2d_backward_kernel(dhidden, x, (3, 2), padding="same")),
        (second, 1, k.conv2d_backward_kernel(dout, hidden, 2)),
    ]:
        assert (before - want).tobytes() == model.get_weights()[after].tobytes()


@pytest.mark.parametrize("level", LEVELS)
def test_threads_and_instruction_sets_change_no_bit(level, kind):
    script = f"""
import hashlib, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import test_precision, lamina as la
for threads in (1, 2, 3):
    la.set_num_threads(threads, oversubscribe=True)
    print(hashlib.sha256(test_precision.train({level!r}, {kind!r}).tobytes()).hexdigest())
"""
    digests = set()
    for isa in la.show_config("dicts")["runnable"]:
        env = {**os.environ, "LAMINA_ISA": isa}
        run = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=env,
            check=True,
            timeout=200,
        )
        digests |= set(run.stdout.split())
    assert len(digests) == 1


@pytest.mark.parametrize("level", LEVELS)
def test_a_row_has_the_same_bits_in_any_batch(level, kind):
    la.set_float32_matmul_precision(level)
    make_model, made_data = MODELS[kind]
    model, (x, _) = make_model(), made_data(200)
    whole = model.predict(x, verbose=0)
    for rows in (slice(0, 1), slice(7, 8), slice(199, 200), slice(3, 150)):
        assert model.predict(x[rows], verbose=0).tobytes() == whole[rows].tobytes()
    for batch_size in (1, 33, 128):
        got = model.predict(x, batch_size=batch_size, verbose=0)
        assert got.tobytes() == whole.tobytes()


def test_the_level_may_change_between_calls(kind):
    make_model, made_data = MODELS[kind]
    model, (x, y) = make_model(), made_data()
    assert len(model.get_weights()) > 0  # weights are drawn when they are first asked for
    want = {}
    for level in ["highest", *LEVELS]:
        la.set_float32_matmul_precision(level)
        want[level] = make_model().predict(x, verbose=0)
    assert len({w.tobytes() for w in want.values()}) == 4
    for level in ["low", "highest", "high", "medium", "highest"]:
        la.set_float32_matmul_precision(level)
        assert model.predict(x, verbose=0).tobytes() == want[level].tobytes(), level
        assert model.predict(x[:1], verbose=0).tobytes() == want[level][:1].tobytes(), level
    model.fit(x, y, verbose=0)
    la.set_float32_matmul_precision("low")
    model.fit(x, y, verbose=0)
    assert np.isfinite(model.evaluate(x, y, verbose=0))


@pytest.mark.parametrize("frozen", [True, False])
def test_a_change_of_level_forgets_nothing_about_frozen_layers(frozen):
    """Another call in between had the layer the other way round."""
    la.set_float32_matmul_precision("highest")
    model, (x, y) = make(), data()
    model.layers[1].trainable = not frozen
    model.fit(x, y, verbose=0)
    model.layers[1].trainable = frozen
    model.evaluate(x, y, verbose=0)
    model.layers[1].trainable = not frozen
    before = model.layers[1].get_weights()[0].copy()
    la.set_float32_matmul_precision("high")
    model.fit(x, y, verbose=0)
    assert (model.layers[1].get_weights()[0] == before).all() == (not model.layers[1].trainable)


def test_fit_keeps_the_level_that_it_began_with():
    class Change(la.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            la.set_float32_matmul_precision("low" if epoch else "highest")

    results = []
    for callbacks in ([Change()], []):
        la.set_float32_matmul_precision("highest")
        model, (x, y) = make(), data()
        model.fit(x, y, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
        results.append(np.concatenate([w.ravel() for w in model.get_weights()]).tobytes())
    assert results[0] == results[1]


def test_a_pass_keeps_the_level_that_it_began_with():
    class Change(la.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            la.set_float32_matmul_precision("low" if batch else "highest")

    la.set_float32_matmul_precision("highest")
    model, (x, y) = make(), data()
    model.fit(x, y, batch_size=64, shuffle=False, verbose=0, callbacks=[Change()])
    la.set_float32_matmul_precision("highest")
    same = make()
    same.fit(x, y, batch_size=64, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), same.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("images", [False, True])
def test_weights_that_change_are_split_again(images):
    la.set_float32_matmul_precision("high")
    made, drawn = (make_images, image_data) if images else (make, data)
    model, (x, y) = made(), drawn()
    model.predict(x, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.set_weights([2 * w for w in model.get_weights()])
    other = made(2)
    other.set_weights(model.get_weights())
    assert model.predict(x, verbose=0).tobytes() == other.predict(x, verbose=0).tobytes()
    assert model.evaluate(x, y, verbose=0) == other.evaluate(x, y, verbose=0)


def test_a_few_rows_at_the_end_stay_in_float32():
    """32 rows are the terms of the kernel's gradient: 2 rows are too few."""
    la.set_float32_matmul_precision("low")
    g = np.random.default_rng(5)
    x, y = (g.standard_normal((66, n)).astype(np.float32) for n in (80, 70))
    whole, parts = (la.Sequential([la.Input((80,)), la.layers.Dense(70)]) for _ in range(2))
    for model in (whole, parts):
        model.compile(la.optimizers.SGD(1.0), "mse")
    parts.set_weights(whole.get_weights())
    whole.fit(x, y, batch_size=64, shuffle=False, verbose=0)
    parts.train_on_batch(x[:64], y[:64])
    parts.train_on_batch(x[64:], y[64:])
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


def test_a_frozen_convolution_passes_its_gradient_on():
    """Its kernel is split for the input's gradient though no gradient of its own is made."""
    la.set_float32_matmul_precision("low")
    model, (x, y) = make_images(), image_data()
    model.layers[3].trainable = False
    before = [w.copy() for w in model.get_weights()]
    model.fit(x, y, verbose=0)
    same = [a.tobytes() == b.tobytes() for a, b in zip(before, model.get_weights(), strict=True)]
    assert same == [False, False, False, False, True, False, False]


@pytest.mark.parametrize("mode", ["train", "predict"])
def test_memory_counts_the_parts_and_highest_pays_nothing(mode):
    model = la.Sequential(
        [la.layers.Input((40,)), *(la.layers.Dense(n, activation="tanh") for n in (256, 256, 10))]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    at = {}
    for level in ["highest", *LEVELS]:
        la.set_float32_matmul_precision(level)
        at[level] = model.memory_report(batch_size=64, mode=mode)
    bytes_ = [at[level].activations for level in ("highest", "low", "medium", "high")]
    assert bytes_ == sorted(set(bytes_))
    assert bytes_[3] > 6 * 256 * 256  # three parts of the largest kernel, 2 bytes each
    os.environ["LAMINA_MATRIX_UNIT"] = "none"  # the fixture puts it back
    la.set_float32_matmul_precision("high")
    assert model.memory_report(batch_size=64, mode=mode) == at["highest"]


def test_import_looks_for_no_unit():
    code = "import lamina as la; print(la.show_config('dicts')['matrix_unit'])"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.startswith("not looked for")
