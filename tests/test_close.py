"""The comparator itself: what it must let pass, and the misses that it must see."""

import numpy as np
import pytest

from close import UNIT, assert_bits, assert_close, check_gradient

NAN, INF = np.float32("nan"), np.float32("inf")


def f32(*values):
    return np.array(values, dtype=np.float32)


def test_equal_arrays_pass():
    x = f32(1, -2, 0, NAN, INF, -INF, 1e-45)
    assert_close(x, x)
    assert_bits(x, x)
    assert_close(f32(0.0), f32(-0.0))
    assert_close(np.zeros((0, 3), np.float32), np.zeros((0, 3)))
    assert_close(np.array(2, np.float32), 2.0)


def test_the_bound_is_exact_at_its_edge():
    assert_close(f32(1 + 2 * UNIT), [1.0], rtol=2 * UNIT)
    with pytest.raises(AssertionError, match="out of bound"):
        assert_close(f32(1 + 2 * UNIT), [1.0], rtol=1.99 * UNIT)
    assert_close(f32(5.5), [5.0], atol=0.25, scale=[2.0])
    with pytest.raises(AssertionError, match="out of bound"):
        assert_close(f32(5.5), [5.0], atol=0.25, scale=[1.9])


def test_results_that_underflow_or_overflow():
    assert_close(f32(0.0), [2.0**-151])
    assert_close(f32(INF), [1e39])
    with pytest.raises(AssertionError, match="infinities differ"):
        assert_close(f32(3e38), [1e39], rtol=1.0)
    with pytest.raises(AssertionError, match="out of bound"):
        assert_close(f32(0.0), [2.0**-148])


@pytest.mark.parametrize(
    ("got", "want", "message"),
    [
        (f32(1, 2), [1.0], "shape"),
        (f32(1), [[1.0]], "shape"),
        (np.ones(1), [1.0], "expected float32, got float64"),
        (np.ones(1, np.int32), [1.0], "expected float32"),
        ([1.0], [1.0], "expected an array"),
        (f32(NAN), [1.0], "NaN in the wrong place"),
        (f32(1), [np.nan], "NaN in the wrong place"),
        (f32(INF), [-np.inf], "infinities differ"),
        (f32(INF), [1.0], "infinities differ"),
        (f32(1), [np.inf], "infinities differ"),
        (f32(0), [1e-3], "out of bound"),
    ],
)
def test_misses_are_seen(got, want, message):
    with pytest.raises(AssertionError, match=message):
        assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_a_bound_of_nan_is_refused():
    with pytest.raises(AssertionError, match="bound is NaN"):
        assert_close(f32(1), [1.0], atol=np.nan)


def test_nan_comes_before_anything_else():
    with pytest.raises(AssertionError, match="NaN in the wrong place"):
        assert_close(f32(NAN, 5), [0.0, 1.0])


def test_the_message_names_the_worst_element():
    want = np.zeros((2, 3))
    got = want.astype(np.float32)
    got[0, 1], got[1, 2] = 0.5, 2.0
    message = r"loss: 2 of 6 .* \(1, 2\): got .*2\.0.*, want .*0\.0.*error 2 is 8 times the bound 0"
    with pytest.raises(AssertionError, match=message):
        assert_close(got, want, atol=0.25, what="loss")


def test_one_wrong_element_among_many_is_seen():
    want = np.linspace(1, 2, 1001)
    got = want.astype(np.float32)
    assert_close(got, want, rtol=UNIT)
    got[777] = np.nextafter(np.nextafter(got[777], INF), INF)
    with pytest.raises(AssertionError, match=r"\(777,\)"):
        assert_close(got, want, rtol=UNIT)


def test_bits():
    assert_bits(f32(NAN), -f32(NAN))
    assert_bits(np.arange(3), np.arange(3))
    for got, want in [
        (f32(0.0), f32(-0.0)),
        (f32(1), np.nextafter(f32(1), f32(2))),
        (f32(NAN), f32(1)),
        (f32(1), np.ones(1)),
        (f32(1, 1), f32(1)),
        (np.arange(3), np.arange(3)[::-1]),
    ]:
        with pytest.raises(AssertionError):
            assert_bits(got, want)


def test_gradient_check():
    x = np.array([[0.3, -1.2], [2.0, 0.0]])
    check_gradient(np.sin, lambda dy: dy * np.cos(x), x)
    check_gradient(lambda v: v @ v, lambda dy: dy @ x.T + x.T @ dy, x)
    for wrong in (
        lambda dy: dy * -np.cos(x),
        lambda dy: dy * np.cos(x) * (1 + 1e-5),
        lambda dy: dy * np.cos(x) + 1e-5,
        lambda dy: dy * np.nan,
    ):
        with pytest.raises(AssertionError, match="finite differences"):
            check_gradient(np.sin, wrong, x)
    with pytest.raises(AssertionError, match="expected a gradient"):
        check_gradient(np.sin, lambda dy: dy[0], x)
