"""The matrix product: exact on small integers, within a derived bound on anything else, and no
worse than NumPy's own.

Error of one element. A chain of K fused multiply-adds rounds K times, each rounding at most UNIT
times a partial sum that Sum |a||b| bounds: K * UNIT * Sum |a||b| at worst. For data of both signs
roundings and partial sums grow like random walks, so that the error grows with the root of K
against Sum |a||b|, which grows with K: it levels off under UNIT, and cutting K into blocks keeps
it there. Six times UNIT leaves room for the largest of thousands of elements. K + 1 stands for
the first few, where the worst case is the sharper one; alpha, beta and bias round on their own.
"""

import functools

import numpy as np
import pytest

import lamina as la
from close import UNIT, assert_bits, assert_close
from kernel_inputs import normal, rng, term_blocks, term_groups
from lamina import _core, kernels, reference

# (m, n, k): rectangular, empty, single, and one off every block size.
SHAPES = [
    (0, 0, 0), (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1), (1, 17, 1), (2, 1, 3), (5, 15, 7),
    (6, 16, 223), (7, 17, 224), (12, 31, 225), (13, 33, 64), (1, 64, 300), (6, 64, 16), (7, 65, 15),
    (17, 63, 63), (31, 129, 65), (65, 48, 31), (32, 10, 128), (24, 128, 784), (385, 65, 33),
    (64, 513, 17), (97, 520, 257), (13, 1100, 300), (400, 530, 20), (260, 290, 40),
    (300, 2100, 20),
]  # fmt: skip
# Small m x n and long k: the least that is cut along K and a block less, a C of one element, and
# (transposed A) operands that no cache holds.
LONG = [
    (64, 64, 224 * 7 + 1), (64, 64, 224 * 7), (6, 50, 7000), (1, 1, 2**21 + 5), (1, 7, 300_001),
    (10, 128, 3000), (1, 512, 8321),
]  # fmt: skip
# A second round of partial sums, of one block of one product. It takes the emulated fma seconds.
LONGEST = (64, 64, 224 * 64 + 1)
TRANSPOSES = [(False, False), (False, True), (True, False), (True, True)]
ACTIVATIONS = [
    ("linear", 0.0), ("relu", 0.0), ("leaky_relu", 0.3), ("elu", 1.5), ("sigmoid", 0.0),
    ("tanh", 0.0), ("gelu", 0.0), ("gelu_tanh", 0.0), ("softplus", 0.0),
]  # fmt: skip


def operands(draw, m, n, k, trans_a, trans_b):
    a, b = draw(m, k), draw(k, n)
    stored_a = np.ascontiguousarray(a.T) if trans_a else a
    stored_b = np.ascontiguousarray(b.T) if trans_b else b
    return a.astype(np.float64), b.astype(np.float64), stored_a, stored_b


def bound(a, b):
    return min(a.shape[1] + 1, 6) * UNIT, np.abs(a) @ np.abs(b)


@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_small_integers_are_exact(trans_a, trans_b):
    g = rng(1)

    def integers(*shape):
        return g.integers(-8, 9, size=shape).astype(np.float32)  # 784 * 64 < 2^24

    for m, n, k in SHAPES:
        a, b, sa, sb = operands(integers, m, n, k, trans_a, trans_b)
        got = kernels.gemm(sa, sb, trans_a=trans_a, trans_b=trans_b)
        assert_close(got, a @ b, what=f"{m} x {n} x {k}")
        c, bias = integers(m, n), integers(n)
        want = np.maximum(2 * (a @ b) - 3 * c.astype(np.float64) + bias, 0)
        options = {"trans_a": trans_a, "trans_b": trans_b, "alpha": 2, "beta": -3}
        got = kernels.gemm(sa, sb, **options, bias=bias, activation="relu", out=c)
        assert got is c
        assert_close(got, want, what=f"{m} x {n} x {k} with an epilogue")


@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_error_bound(trans_a, trans_b):
    g = rng(2)
    for m, n, k in SHAPES:
        a, b, sa, sb = operands(lambda *s: normal(g, *s), m, n, k, trans_a, trans_b)
        got = kernels.gemm(sa, sb, trans_a=trans_a, trans_b=trans_b)
        rounding, size = bound(a, b)
        want = reference.gemm(a, b)
        assert_close(got, want, atol=rounding, scale=size, what=f"{m} x {n} x {k}")


@pytest.mark.parametrize(
    ("alpha", "beta"), [(1, 1), (0.5, 0), (-1.7, 0.3), (1, -2), (0, 1), (0, 0)]
)
def test_alpha_and_beta(alpha, beta):
    g = rng(3)
    for m, n, k in [(7, 33, 20), (13, 70, 600), (3, 5, 0), (70, 600, 300)]:
        a, b, sa, sb = operands(lambda *s: normal(g, *s), m, n, k, False, False)
        c = normal(g, m, n)
        before = c.astype(np.float64)
        want = reference.gemm(a, b, alpha=alpha, beta=beta, c=before)
        got = kernels.gemm(sa, sb, alpha=alpha, beta=beta, out=c)
        rounding, size = bound(a, b)
        # alpha and beta are rounded to float32, then two products and one sum round.
        scale = abs(alpha) * size + abs(beta) * np.abs(before)
        assert_close(got, want, atol=rounding + 4 * UNIT, scale=scale, what=f"{m} x {n} x {k}")


@pytest.mark.parametrize(("name", "alpha"), ACTIVATIONS)
def test_bias_and_activation(name, alpha):
    g = rng(4)
    for m, n, k in [(1, 1, 1), (7, 33, 20), (13, 70, 600), (5, 17, 0), (3, 0, 4), (70, 600, 140)]:
        a, b, sa, sb = operands(lambda *s: normal(g, *s) / 4, m, n, k, False, False)
        bias = normal(g, n)
        got = kernels.gemm(sa, sb, bias=bias, activation=name, activation_alpha=alpha)
        options = {"activation": name, "activation_alpha": float(np.float32(alpha))}
        want = reference.gemm(a, b, bias=bias.astype(np.float64), **options)
        rounding, size = bound(a, b)
        # No activation here is steeper than 1.5; its own error is at most 8 UNIT.
        scale = 1.5 * (size + np.abs(bias))
        assert_close(
            got, want, rtol=8 * UNIT, atol=rounding + UNIT, scale=scale, what=f"{name} {m, n, k}"
        )
        plain = kernels.gemm(sa, sb, bias=bias)
        if name not in ("linear", "relu"):
            again = {"leaky_relu": (alpha,), "elu": (alpha,), "gelu_tanh": (True,)}.get(name, ())
            function = getattr(kernels, f"{name.removesuffix('_tanh')}_forward")
            assert_bits(got, function(plain, *again), what=name)


def test_a_fused_multiply_add_rounds_once():
    """1 + 2^-23, plus a product of 2^-24 - 2^-70: just below a half of the last place, and so not
    enough. A product that is rounded, or a sum that is rounded to double first, is a tie and
    goes up."""
    a = np.float32([[1 + 2.0**-23, 2.0**-24 * (1 + 2.0**-23)]])
    b = np.ones((2, 19), np.float32)
    b[1] = 1 - 2.0**-23
    assert_bits(kernels.gemm(a, b), np.full((1, 19), a[0, 0]))


def test_beta_zero_reads_no_output():
    g = rng(5)
    a, b = normal(g, 13, 300), normal(g, 300, 37)
    dirty = np.full((13, 37), np.nan, np.float32)
    assert_bits(kernels.gemm(a, b, out=dirty), kernels.gemm(a, b))


def test_nan_and_infinity_go_where_numpy_has_them():
    g = rng(6)
    a, b = normal(g, 9, 40), normal(g, 40, 35)
    a[2, 5], a[4, 0], b[7, 33], b[0, 3] = np.nan, np.inf, -np.inf, 0
    with np.errstate(invalid="ignore"):
        want = a.astype(np.float64) @ b.astype(np.float64)
    size = np.abs(np.nan_to_num(a, posinf=0)) @ np.abs(np.nan_to_num(b, neginf=0))
    assert np.isnan(want[4, 3])
    assert_close(kernels.gemm(a, b), want, atol=6 * UNIT, scale=size)


def test_a_row_does_not_depend_on_its_batch():
    g = rng(7)
    for n, k in [(10, 128), (65, 300), (520, 40)]:
        a, b, bias = normal(g, 130, k), normal(g, k, n), normal(g, n)
        whole = kernels.gemm(a, b, bias=bias, activation="sigmoid")
        for rows in (slice(0, 1), slice(5, 6), slice(129, 130), slice(3, 80)):
            part = kernels.gemm(a[rows], b, bias=bias, activation="sigmoid")
            assert_bits(part, whole[rows], what=f"rows {rows} of n = {n}")


@pytest.fixture
def threads():
    before = la.get_num_threads()
    yield lambda n: la.set_num_threads(n, oversubscribe=True)
    la.set_num_threads(before)


def test_blocks_of_terms():
    """What a product of more terms than one block adds up, and in which order."""
    assert term_blocks(784) == [(0, 192), (192, 384), (384, 576), (576, 784)]
    g = rng(10)
    for k in (223, 224, 225, 256, 257, 447, 449, 784, 1000):
        a, b = normal(g, 5, k), normal(g, k, 40)
        want = np.zeros((5, 40), np.float32)
        for p, end in term_blocks(k):
            assert 0 < end - p <= 224
            want += kernels.gemm(a[:, p:end], b[p:end])
        assert_bits(kernels.gemm(a, b), want, what=f"{k} terms")


def sum_of_groups(a, b):
    sums = []
    for group in term_groups(a.shape[1]):
        total = np.zeros((len(a), b.shape[1]), np.float32)
        for p, end in group:
            total += kernels.gemm(a[:, p:end], b[p:end])
        sums.append(total)
    return functools.reduce(np.add, sums)


@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_many_blocks_are_summed_in_groups(trans_a, trans_b, threads):
    """Whichever way the tiles are cut, with what is added before and after."""
    assert [len(group) for group in term_groups(224 * 32)] == [32]
    assert [len(group) for group in term_groups(224 * 32 + 1)] == [6, 6, 6, 6, 6, 3]
    g = rng(14)
    shapes = [(3, 5, 8000), (130, 70, 7200), (13, 700, 7169)]
    if _core.isa != "portable":  # cuts in the same places, and takes minutes without FMA
        shapes.append((300, 300, 7500))
    for m, n, k in shapes:
        a, b, bias, c = normal(g, m, k), normal(g, k, n), normal(g, n), normal(g, m, n)
        want = sum_of_groups(a, b)
        sa = np.ascontiguousarray(a.T) if trans_a else a
        sb = np.ascontiguousarray(b.T) if trans_b else b
        options = {"trans_a": trans_a, "trans_b": trans_b}
        for count in (1, 2, 3):
            threads(count)
            what = f"{m} x {n} x {k} by {count}"
            assert_bits(kernels.gemm(sa, sb, **options), want, what=what)
            got = kernels.gemm(sa, sb, **options, bias=bias, activation="relu")
            assert_bits(got, np.maximum(want + bias, 0), what=what)
            got = kernels.gemm(sa, sb, **options, alpha=2, beta=-1, out=c.copy())
            exact = 2 * (a.astype(np.float64) @ b) - c
            size = 2 * np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(c)
            assert_close(got, exact, atol=6 * UNIT, scale=size, what=what)


@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_a_long_product_is_the_sum_of_its_blocks_in_order(trans_a, trans_b, threads):
    """Bit by bit and for any number of threads, though it is cut along K."""
    g = rng(9)
    for m, n, k in [*LONG, LONGEST] if trans_a and trans_b else LONG:
        a, b = normal(g, m, k), normal(g, k, n)
        want = sum_of_groups(a, b)
        sa = np.ascontiguousarray(a.T) if trans_a else a
        sb = np.ascontiguousarray(b.T) if trans_b else b
        for count in (1, 2, 3, 4):
            threads(count)
            dirty = np.full((m, n), np.nan, np.float32)
            got = kernels.gemm(sa, sb, trans_a=trans_a, trans_b=trans_b, out=dirty)
            assert_bits(got, want, what=f"{m} x {n} x {k} by {count}")


@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_tiles_move_no_bit(trans_a, trans_b, threads):
    """More threads take smaller tiles: fewer rows to a copy of B, fewer columns, or both."""
    g = rng(11)
    for m, n, k in [(400, 530, 300), (100, 1100, 300), (300, 2100, 40), (290, 100, 520)]:
        a, b = normal(g, m, k), normal(g, k, n)
        bias, c = normal(g, n), normal(g, m, n)
        sa = np.ascontiguousarray(a.T) if trans_a else a
        sb = np.ascontiguousarray(b.T) if trans_b else b
        options = {"trans_a": trans_a, "trans_b": trans_b, "beta": 0.5, "activation": "tanh"}
        want = np.concatenate(
            [
                kernels.gemm(
                    a[i : i + 1], b, beta=0.5, activation="tanh", bias=bias, out=c[i : i + 1].copy()
                )
                for i in range(m)
            ]
        )
        for count in (1, 2, 3, 8):
            threads(count)
            got = kernels.gemm(sa, sb, **options, bias=bias, out=c.copy())
            assert_bits(got, want, what=f"{m} x {n} x {k} by {count}")


@pytest.mark.parametrize("trans_a", [False, True])
def test_few_rows_and_a_transposed_b_give_the_bits_of_a_plain_b(trans_a, threads):
    """Rows that fill whole vectors, or nearly, turn A and C instead of B."""
    g = rng(12)
    for m, n, k in [(16, 64, 1), (13, 97, 225), (30, 200, 300), (32, 130, 1024), (64, 65, 449),
                    (61, 111, 40), (63, 64, 1025), (65, 100, 30), (48, 63, 16)]:  # fmt: skip
        a, b, bias = normal(g, m, k), normal(g, k, n), normal(g, n)
        sa = np.ascontiguousarray(a.T) if trans_a else a
        sb = np.ascontiguousarray(b.T)
        for options in ({}, {"bias": bias, "activation": "relu"}, {"activation": "tanh"},
                        {"bias": bias}, {"alpha": 0.7}):  # fmt: skip
            threads(1)
            want = kernels.gemm(a, b, **options)
            for count in (1, 3):
                threads(count)
                got = kernels.gemm(sa, sb, trans_a=trans_a, trans_b=True, **options)
                assert_bits(got, want, what=f"{m} x {n} x {k} by {count}, {options.keys()}")


def test_positive_terms_no_worse_than_numpy():
    """Here partial sums grow with every term, so the error grows with a chain's length."""
    for k in (256, 1024, 10_000, 100_000):
        worst = {"lamina": 0.0, "numpy": 0.0}
        for seed in range(2):
            g = rng(15, k, seed)
            a, b = g.random((32, k), np.float32), g.random((k, 32), np.float32)
            exact = a.astype(np.float64) @ b.astype(np.float64)
            for name, got in (("lamina", kernels.gemm(a, b)), ("numpy", a @ b)):
                worst[name] = max(worst[name], float((np.abs(got - exact) / exact).max() / UNIT))
        assert worst["lamina"] <= worst["numpy"], f"K = {k}: {worst}"


def test_no_worse_than_numpy():
    """The largest error over 4 seeds x 4,096 elements, as a multiple of UNIT Sum |a||b|.

    A maximum over that many nearly independent elements is stable: for Gaussian tails it moves by
    a few hundredths of itself from one set of seeds to another, and a chain of 224 products has
    less of it than any longer one that NumPy's BLAS may use. The data are fixed, so the outcome
    changes only with one of the two implementations.
    """
    for k in (1024, 2048, 4096):
        worst = {"lamina": 0.0, "numpy": 0.0}
        for seed in range(4):
            g = rng(8, k, seed)
            a, b = normal(g, 64, k), normal(g, k, 64)
            exact = a.astype(np.float64) @ b.astype(np.float64)
            unit = UNIT * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64))
            for name, got in (("lamina", kernels.gemm(a, b)), ("numpy", a @ b)):
                worst[name] = max(worst[name], float((np.abs(got - exact) / unit).max()))
        assert worst["lamina"] <= worst["numpy"], f"K = {k}: {worst}"


def test_wrong_arguments():
    a, b = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32)
    for wrong, message in [
        (lambda: kernels.gemm(a, a), r"a and b.*\(2, 3\)"),
        (lambda: kernels.gemm(a[0], b), "a"),
        (lambda: kernels.gemm(a, b, trans_a=True), "b"),
        (lambda: kernels.gemm(a, b, beta=1.0), "out"),
        (lambda: kernels.gemm(a, b, bias=np.ones(3)), "bias"),
        (lambda: kernels.gemm(a, b, activation="swish"), "swish"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
