"""Activation functions and their gradients against float64.

The bounds are in units of UNIT times a size: sums and products round once each; exp, log1p, expm1
and erf bring about two more. Where a formula cancels (the gradient of gelu crosses 0) the size is
that of its terms, not that of the result.
"""

import numpy as np
import pytest

from close import TINY, UNIT, assert_bits, assert_close
from kernel_inputs import SIZES, SPECIAL, all_finite, normal, rng
from lamina import kernels, reference

# name, its options, what the gradient is computed from, and the bounds of both in units of UNIT.
CASES = [
    ("relu", (), "y", 0, 0),
    ("leaky_relu", (0.3,), "y", 2, 2),
    ("elu", (1.7,), "y", 4, 2),
    ("sigmoid", (), "y", 4, 3),
    ("tanh", (), "y", 4, 3),
    ("softplus", (), "y", 4, 3),
    ("gelu", (), "x", 8, 8),
    ("gelu", (True,), "x", 8, 16),
]
IDS = [f"{c[0]}{c[1] or ''}" for c in CASES]


def functions(name):
    pair = f"{name}_forward", f"{name}_backward"
    return [[getattr(module, f) for f in pair] for module in (kernels, reference)]


def as_float32(options):
    return tuple(float(np.float32(v)) if isinstance(v, float) else v for v in options)


def gradient_size(name, options, dy, saved):
    """Of the terms that are added up; None where nothing cancels."""
    if name == "gelu":
        x = saved.astype(np.float64)
        gate = reference.gelu_forward(x, *options) / np.where(x == 0, 1, x)
        return np.abs(dy) * (np.where(x == 0, 0.5, gate) + np.abs(x) * np.exp(-(x**2) / 2))
    if name == "elu":
        return np.abs(dy) * (options[0] + np.abs(np.minimum(saved, 0)))
    return None


def check_forward(case, x):
    name, options, _, rtol, _ = case
    (kernel, _), (twin, _) = functions(name)
    with np.errstate(all="ignore"):
        want = twin(x.astype(np.float64), *as_float32(options))
    # From |x| = 13 on, gelu multiplies x by a Phi(x) that underflows.
    atol = 15 * TINY if name == "gelu" else 0.0
    if options == (True,):
        # e^2u turns the rounding of 2u into a relative error: three times, of at most 2u(12).
        inner = np.minimum(np.abs(np.nan_to_num(x)), 12).astype(np.float64)
        rtol = rtol + 3 * np.sqrt(8 / np.pi) * (inner + 0.044715 * inner**3)
    assert_close(kernel(x, *options), want, rtol=rtol * UNIT, atol=atol, what=name)


def check_backward(case, dy, x):
    name, options, saves, _, rtol = case
    (forward, kernel), (_, twin) = functions(name)
    saved = x if saves == "x" else forward(x, *options)
    with np.errstate(all="ignore"):
        want = twin(dy.astype(np.float64), saved.astype(np.float64), *as_float32(options))
        size = gradient_size(name, options, dy, saved)
    atol = 0.0 if size is None else rtol * UNIT * np.nan_to_num(size)
    if name == "gelu":
        atol = atol + 15 * TINY  # x times an exponential that underflows from |x| = 13.2 on
    got = kernel(dy, saved, *options)
    assert_close(got, want, rtol=rtol * UNIT, atol=atol, what=f"gradient of {name}")


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_sizes_and_shapes(case):
    g = rng(11)
    for n in SIZES:
        x, dy = 4 * normal(g, n), normal(g, n)
        check_forward(case, x)
        check_backward(case, dy, x)
    x = normal(g, 3, 1, 5, 7)
    check_forward(case, x)
    check_backward(case, x, x)
    check_forward(case, normal(g, 1)[0:1].reshape(()))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_all_of_float32(case):
    x = np.concatenate([all_finite(), np.linspace(-110, 110, 20_001, dtype=np.float32)])
    check_forward(case, x)
    check_backward(case, np.ones_like(x), x)


def ulps(got, want):
    """Largest error in units of the last place of what is wanted."""
    _, exponent = np.frexp(np.abs(want))
    return np.max(np.abs(got - want) / np.ldexp(1.0, np.maximum(exponent, -125) - 24))


# A million patterns; tools/ulps.cpp takes all of them.
@pytest.mark.parametrize(("name", "most"), [("sigmoid", 1.5), ("tanh", 1.1), ("elu", 1.0)])
def test_units_in_the_last_place(name, most):
    with np.errstate(all="ignore"):
        x = np.concatenate([all_finite(4_001), np.linspace(-110, 20, 500_001, dtype=np.float32)])
        (kernel, _), (twin, _) = functions(name)
        options = (1.0,) if name == "elu" else ()
        error = ulps(kernel(x, *options), twin(x.astype(np.float64), *options))
    assert error <= most


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_special_values(case):
    check_forward(case, SPECIAL)
    check_backward(case, np.ones_like(SPECIAL), SPECIAL)
    for d in (np.nan, 0.0):
        check_backward(case, np.full_like(SPECIAL, d), SPECIAL)
    # Farther out a slope is 0 in float32 and not yet in float64, and 0 times infinity is NaN.
    near = SPECIAL[np.abs(SPECIAL) < 6]
    for d in (np.inf, -np.inf):
        check_backward(case, np.full_like(near, d), near)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_in_place(case):
    name, options = case[:2]
    (forward, backward), _ = functions(name)
    g = rng(12)
    x, dy = normal(g, 5, 33), normal(g, 5, 33)
    y, dx = forward(x, *options), backward(dy, x, *options)
    buffer = x.copy()
    assert forward(buffer, *options, out=buffer) is buffer
    assert_bits(buffer, y)
    buffer = dy.copy()
    assert backward(buffer, x, *options, out=buffer) is buffer
    assert_bits(buffer, dx)


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu_of_infinities_is_the_limit(approximate):
    x = np.array([-np.inf, np.inf], np.float32)
    for functions in (kernels, reference):
        y = functions.gelu_forward(x, approximate)
        assert y[0] == 0 and np.signbit(y[0]) and y[1] == np.inf
        dx = functions.gelu_backward(np.array([2, 2], np.float32), x, approximate)
        assert list(dx) == [0, 2]


def test_default_alphas():
    assert_bits(kernels.leaky_relu_forward([-1.0]), np.array([-0.2], np.float32))
    assert_bits(kernels.leaky_relu_backward([1.0], [-1.0]), np.array([0.2], np.float32))
    assert_close(kernels.elu_forward([-50.0]), [-1.0])
    assert_close(kernels.elu_backward([1.0], [-0.25]), [0.75])
    assert_bits(kernels.gelu_forward([1.0]), kernels.gelu_forward([1.0], False))
