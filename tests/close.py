"""How the tests compare arrays: within a bound, bit by bit, and a gradient with its function.

A bound is stated by the test, derived from the unit roundoff and the size of what was summed; this
file only holds results to it. It does not import lamina.
"""

import numpy as np

# Half the spacing of float32 just above 1: an operation rounds within UNIT times its result.
UNIT = 2.0**-24
# Half the spacing of the smallest float32: what rounding may do to a result that underflows.
TINY = 2.0**-150


def _at(index, shape):
    return tuple(int(i) for i in np.unravel_index(index, shape))


def assert_close(got, want, *, rtol=0.0, atol=0.0, scale=None, what=""):
    """Asks that got, float32, lies within rtol |want| + atol scale + TINY of want.

    rtol, atol and scale (1 if None) may be arrays that broadcast against want. Shapes must be
    equal, NaN must be in the same places, and infinities must be equal; a want beyond the range
    of float32 counts as infinite. 0 and -0 are equal.
    """
    name = what or "result"
    assert isinstance(got, np.ndarray), f"{name}: expected an array, got {type(got).__name__}"
    want = np.asarray(want, dtype=np.float64)
    assert got.dtype == np.float32, f"{name}: expected float32, got {got.dtype}"
    assert got.shape == want.shape, f"{name}: expected shape {want.shape}, got {got.shape}"
    if got.size == 0:
        return
    with np.errstate(over="ignore"):
        rounded = want.astype(np.float32)
    want = np.where(np.isinf(rounded), rounded, want)

    def refuse(wrong, reason):
        if wrong.any():
            i = _at(wrong.argmax(), want.shape)
            raise AssertionError(
                f"{name}: {reason} at {int(wrong.sum())} of {wrong.size} elements, "
                f"first {i}: got {got[i]!r}, want {want[i]!r}"
            )

    refuse(np.isnan(got) != np.isnan(want), "NaN in the wrong place")
    infinite = np.isinf(got) | np.isinf(want)
    refuse(infinite & (got != want), "infinities differ")

    finite = np.isfinite(want)
    numbers = np.where(finite, want, 0.0)
    bound = rtol * np.abs(numbers) + atol * (1.0 if scale is None else np.asarray(scale)) + TINY
    bound = np.broadcast_to(bound, want.shape)
    assert not np.isnan(bound[finite]).any(), f"{name}: the bound is NaN"
    error = np.abs(np.where(finite, got, 0.0).astype(np.float64) - numbers)
    if not (error <= bound).all():
        ratio = np.where(finite, error / bound, 0.0)
        i = _at(ratio.argmax(), want.shape)
        raise AssertionError(
            f"{name}: {int((error > bound).sum())} of {want.size} elements out of bound, worst "
            f"{i}: got {got[i]!r}, want {want[i]!r}, error {error[i]:.3g} is {ratio[i]:.3g} times "
            f"the bound {bound[i]:.3g}"
        )


def assert_bits(got, want, what=""):
    """Asks for equal shape, dtype and bits; any NaN equals any other. 0 and -0 differ."""
    name = what or "result"
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype, f"{name}: expected {want.dtype}, got {got.dtype}"
    assert got.shape == want.shape, f"{name}: expected shape {want.shape}, got {got.shape}"
    word = f"u{got.dtype.itemsize}"
    same = np.ascontiguousarray(got).view(word) == np.ascontiguousarray(want).view(word)
    if np.issubdtype(got.dtype, np.floating):
        same |= np.isnan(got) & np.isnan(want)
    if not same.all():
        i = _at(same.argmin(), same.shape)
        raise AssertionError(
            f"{name}: {int((~same).sum())} of {same.size} elements differ, first {i}: "
            f"got {got[i]!r}, want {want[i]!r}"
        )


def check_gradient(f, df, x, *, tolerance=1e-7, what=""):
    """Asks that df(dy) is the gradient of sum(dy * f(x)), by central differences in float64.

    f maps an array like x to an array; df maps dy, of the shape of f(x), to an array like x. f
    must be smooth within a step of 6e-6 (1 + |x|) around x. That step, the cube root of the unit
    roundoff, leaves a relative error of a few 1e-11 where the third derivative and the function
    are about 1; tolerance is asked of |difference| / (1 + largest gradient).
    """
    x = np.array(x, dtype=np.float64)
    y = np.asarray(f(x.copy()))
    dy = np.random.default_rng(y.size).normal(size=y.shape)
    got = np.asarray(df(dy.copy()))
    assert got.shape == x.shape, f"{what}: expected a gradient of {x.shape}, got {got.shape}"
    want = np.empty_like(x)
    for i in np.ndindex(x.shape):
        h = 6e-6 * (1 + abs(x[i]))
        above, below = x.copy(), x.copy()
        above[i] += h
        below[i] -= h
        want[i] = (dy * (f(above) - f(below))).sum() / (above[i] - below[i])
    error = np.abs(got - want) / (1 + np.abs(want).max(initial=0.0))
    if not (error <= tolerance).all():
        i = _at(np.nan_to_num(error, nan=np.inf).argmax(), x.shape)
        raise AssertionError(
            f"{what or 'gradient'}: at {i} got {got[i]!r}, finite differences say {want[i]!r}, "
            f"error {error[i]:.3g} over {tolerance:.3g}"
        )
