"""One step of SGD and of Adam against float64, in place, element by element.

SGD rounds two products and their sums: within 4 UNIT of the terms. Adam's update is a quotient
of numbers that are each right to a few UNIT; its root and division may be made of Newton steps,
which bring it to 16 UNIT. 1 - beta must be rounded only once: 1 - float32(0.999) would be off by
1e-5 of itself, 100 UNIT and more. SGD's hyperparameters are rounded to float32 for the oracle too.
"""

import numpy as np
import pytest

from close import UNIT, assert_bits, assert_close
from kernel_inputs import SIZES, normal, rng
from lamina import kernels, reference


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def rounded(x):
    return float(np.float32(x))


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(momentum, nesterov):
    g = rng(91)
    for n in (*SIZES, 50_000):  # the last is cut into tiles
        w, dw, v = normal(g, n), normal(g, n), normal(g, n)
        w64, dw64, v64 = wide(w, dw, v)
        size = np.abs(w64) + np.abs(v64) + np.abs(dw64)
        velocity = (v, v64) if momentum else (None, None)
        assert kernels.sgd_step(w, dw, 0.1, momentum, nesterov, velocity[0]) is w
        options = rounded(0.1), rounded(momentum), nesterov
        reference.sgd_step(w64, dw64, *options, velocity[1])
        assert_close(w, w64, atol=4 * UNIT, scale=size, what=f"w of {n}")
        assert_close(v, v64, atol=4 * UNIT, scale=size, what=f"velocity of {n}")
    shape = normal(g, 3, 4, 5)
    before = shape.copy()
    kernels.sgd_step(shape, np.ones((3, 4, 5)), 1.0)
    assert_bits(shape, before - np.float32(1))


@pytest.mark.parametrize("step", [1, 2, 10, 1000, 100_000])
def test_adam(step):
    g = rng(92, step)
    for n in SIZES:
        for rate, beta_1, beta_2, epsilon in [(1e-3, 0.9, 0.999, 1e-7), (0.1, 0.5, 0.9, 0.01)]:
            w, m, dw = normal(g, n), normal(g, n), normal(g, n)
            v = normal(g, n) ** 2
            state = wide(w, m, v, dw)
            terms = [np.abs(m.astype(float)) + np.abs(dw), v.astype(float) + state[3] ** 2]
            options = rate, beta_1, beta_2, epsilon
            before = state[0].copy()
            assert kernels.adam_step(w, m, v, dw, step, *options) is w
            reference.adam_step(*state, step, *options)
            assert_close(m, state[1], atol=4 * UNIT, scale=terms[0], what="m")
            assert_close(v, state[2], atol=4 * UNIT, scale=terms[1], what="v")
            update = np.abs(state[0] - before)
            # What m lost to cancellation, the update has lost too.
            lost = update * (1 + terms[0] / np.maximum(np.abs(state[1]), 1e-30))
            scale = np.abs(before) + 16 * lost
            assert_close(w, state[0], atol=2 * UNIT, scale=scale, what=f"w of {n}, step {step}")


def test_adam_over_many_steps():
    g = rng(93)
    w, m, v = normal(g, 100), np.zeros(100, np.float32), np.zeros(100, np.float32)
    state = wide(w, m, v)
    for step in range(1, 101):
        dw = normal(g, 100)
        kernels.adam_step(w, m, v, dw, step)
        reference.adam_step(*state, dw.astype(np.float64), step)
    # 100 updates of about the learning rate, right to 100 UNIT each, and 100 roundings of w.
    assert_close(w, state[0], atol=100 * UNIT, scale=np.abs(state[0]) + 0.1)


def test_adam_of_no_gradient_and_of_tiny_ones():
    """epsilon stands beside the root, not inside: at v = 0 it alone keeps the quotient finite."""
    for dw in (0.0, 1e-8, 1e-20, -1e-6):
        w, m, v = (np.zeros(20, np.float32) for _ in range(3))
        gradient = np.full(20, dw, np.float32)
        state = wide(w, m, v)
        kernels.adam_step(w, m, v, gradient, 1)
        reference.adam_step(*state, gradient.astype(np.float64), 1)
        assert_close(w, state[0], rtol=32 * UNIT, what=f"dw = {dw}")


def test_nan_and_infinity_stay_where_they_are():
    w, m, v = normal(rng(94), 40), np.zeros(40, np.float32), np.zeros(40, np.float32)
    dw = normal(rng(95), 40)
    dw[3], dw[17], dw[39] = np.nan, np.inf, -np.inf
    plain = w.copy()
    kernels.sgd_step(plain, dw, 0.1)
    with np.errstate(all="ignore"):
        assert (np.isnan(plain) == np.isnan(dw)).all()
        assert (np.isinf(plain) == np.isinf(dw)).all()
    state = wide(w, m, v)
    kernels.adam_step(w, m, v, dw, 1)
    with np.errstate(all="ignore"):
        reference.adam_step(*state, dw.astype(np.float64), 1)
    assert list(np.flatnonzero(~np.isfinite(w))) == [3, 17, 39]
    assert_close(w[~np.isinf(dw)], state[0][~np.isinf(dw)], rtol=4 * UNIT, atol=1e-8)


def test_arrays_that_are_written_to_are_not_converted():
    w, dw = np.ones(6, np.float32), np.ones(6, np.float32)
    frozen = w.copy()
    frozen.setflags(write=False)
    slots = np.zeros(6, np.float32), np.zeros(6, np.float32)
    for wrong, error, message in [
        (lambda: kernels.sgd_step(w.astype(float), dw, 0.1), TypeError, "w"),
        (lambda: kernels.sgd_step([1.0], [1.0], 0.1), TypeError, "w"),
        (lambda: kernels.sgd_step(frozen, dw, 0.1), ValueError, "w"),
        (lambda: kernels.sgd_step(w[::2], dw[::2], 0.1), ValueError, "w"),
        (lambda: kernels.sgd_step(w, dw[:5], 0.1), ValueError, "dw"),
        (lambda: kernels.sgd_step(w, dw, 0.1, 0.9), ValueError, "velocity"),
        (lambda: kernels.sgd_step(w, dw, 0.1, 0.9, velocity=slots[0][:5]), ValueError, "velocity"),
        (lambda: kernels.adam_step(w, slots[0][:3], slots[1], dw, 1), ValueError, "m"),
        (lambda: kernels.adam_step(w, slots[0], slots[1].astype(float), dw, 1), TypeError, "v"),
        (lambda: kernels.adam_step(w, *slots, dw, 0), ValueError, "step"),
    ]:
        with pytest.raises(error, match=message):
            wrong()
    assert_bits(w, np.ones(6, np.float32))


def test_adam_of_gradients_whose_squares_overflow_stands_still():
    for dw in (1e25, -3e38):
        w, m, v = np.ones(20, np.float32), np.zeros(20, np.float32), np.zeros(20, np.float32)
        kernels.adam_step(w, m, v, np.full(20, dw, np.float32), 1)
        assert np.isinf(v).all() and (w == 1).all()
    w, m, v = (np.zeros(20, np.float32) for _ in range(3))
    large = np.full(20, 1e19, np.float32)
    state = wide(w, m, v)
    kernels.adam_step(w, m, v, large, 1, beta_2=0.5)
    reference.adam_step(*state, large.astype(np.float64), 1, beta_2=0.5)
    assert_close(w, state[0], rtol=32 * UNIT)


@pytest.mark.parametrize("dw", [1e-14, 1e-18, 1e-20, 1e-22])
def test_adam_of_squares_that_float32_loses(dw):
    w, m, v = (np.zeros(20, np.float32) for _ in range(3))
    state = wide(w, m, v)
    for step in range(1, 51):
        gradient = np.full(20, dw, np.float32)
        kernels.adam_step(w, m, v, gradient, step, epsilon=1e-16)
        reference.adam_step(*state, gradient.astype(np.float64), step, epsilon=1e-16)
    assert_close(w, state[0], rtol=2e-3)


def test_momentum_next_to_the_smallest_normal_number():
    """Half a unit below it: x86 flushes after rounding, AArch64 before, so neither may flush."""
    w, velocity = np.zeros(1, np.float32), np.zeros(1, np.float32)
    dw = np.array([float.fromhex("0x1.9p-120")], np.float32)
    kernels.sgd_step(w, dw, 0.01, 0.9, velocity=velocity)
    assert w.view(np.uint32)[0] == velocity.view(np.uint32)[0] == 0x80800000


def denormal(x):
    return (x != 0) & (np.abs(x) < np.float32(2.0**-126))


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_does_not_stay_denormal(nesterov):
    w, dw = np.zeros(40, np.float32), np.zeros(40, np.float32)
    velocity = (normal(rng(96), 40) * 2.0**-100).astype(np.float32)
    twin = wide(w, velocity)
    for _ in range(400):
        kernels.sgd_step(w, dw, 0.1, 0.9, nesterov, velocity)
        reference.sgd_step(twin[0], dw.astype(np.float64), 0.1, rounded(0.9), nesterov, twin[1])
        assert not denormal(velocity).any()
    assert (velocity == 0).all() and (twin[1] == 0).all()


def test_moments_of_adam_do_not_stay_denormal():
    w, dw = np.zeros(40, np.float32), np.zeros(40, np.float32)
    m, v = (2.0**-100 * normal(rng(97), 40)).astype(np.float32), np.full(40, 2e-38, np.float32)
    twin = wide(w, m, v)
    for step in range(1, 801):
        kernels.adam_step(w, m, v, dw, step)
        reference.adam_step(*twin, dw.astype(np.float64), step)
        if step % 16 == 0:
            assert not denormal(m).any() and not denormal(v).any()
    for x in (m, v, twin[1], twin[2]):
        assert (x == 0).all()


def test_adam_s_numbers_are_taken_in_double():
    w, m, v = (np.zeros(4, np.float32) for _ in range(3))
    dw = np.ones(4, np.float32)
    state = wide(w, m, v)
    kernels.adam_step(w, m, v, dw, 1, beta_2=0.99999999)
    reference.adam_step(*state, dw.astype(np.float64), 1, beta_2=0.99999999)
    assert_close(w, state[0], rtol=32 * UNIT)
    for wrong in (0, 1e-17, -1e-7, float("nan")):
        with pytest.raises(
            ValueError, match="adam_step: epsilon must be a number of at least 1e-16"
        ):
            kernels.adam_step(w, m, v, dw, 1, epsilon=wrong)
    with pytest.raises(ValueError, match="adam_step: beta_1 must be a number between 0"):
        kernels.adam_step(w, m, v, dw, 1, beta_1=1.0)
