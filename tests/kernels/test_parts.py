"""Products of bf16 parts, on the emulated matrix unit: exact where they should be, bit by bit the
sum that kernels.h states, within the bound of each level, and float32's answer where there is none.

Error of one element: that of the parts that are left out (reference.parts has what remains), and
that of the sum. The latter is a chain of 6, 3 or 1 additions per 32 terms, in blocks of 384 terms,
of dots of 16 FMAs: fewer roundings than test_gemm.py allows 6 UNIT of |A| |B| for.
"""

import numpy as np
import pytest

import lamina as la
from close import UNIT, assert_bits, assert_close
from kernel_inputs import normal, rng
from lamina import kernels, reference
from lamina.reference.parts import bf16_parts
from parts_sums import LEFT_OUT, LEVELS, sum_of_dots

TRANSPOSES = [(False, False), (False, True), (True, False), (True, True)]

# (m, n, k) that are split: one off the tile of 16 x 16 x 32, of 128 rows, 64 columns, 384 terms.
SHAPES = [
    (0, 64, 32), (1, 64, 32), (2, 65, 33), (15, 79, 63), (16, 80, 64), (17, 81, 65), (32, 96, 96),
    (33, 97, 40), (128, 64, 32), (129, 66, 47), (3, 577, 34), (5, 64, 383), (4, 70, 384),
    (6, 71, 385), (2, 64, 1100),
]  # fmt: skip
# And those that stay in float32: few columns, few terms.
SMALL = [(3, 63, 100), (100, 10, 300), (50, 200, 31), (5, 64, 0), (4, 0, 40), (1, 1, 1)]


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    monkeypatch.setenv("LAMINA_MATRIX_UNIT", "emulated")
    yield
    la.set_float32_matmul_precision("highest")


@pytest.fixture(params=LEVELS)
def level(request, emulated):
    la.set_float32_matmul_precision(request.param)
    assert la.show_config("dicts")["matrix_unit"] == "emulated"
    return request.param


def at(level, a, b, **options):
    la.set_float32_matmul_precision(level)
    return kernels.gemm(a, b, **options)


def stored(a, b, trans_a, trans_b):
    return (
        np.ascontiguousarray(a.T) if trans_a else a,
        np.ascontiguousarray(b.T) if trans_b else b,
    )


def size_of(a, b):
    return np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64))


def test_parts_are_exact_and_the_nearest():
    x = np.concatenate([normal(rng(1), 1000), np.float32([0, 1, -3, 1e30, 2e-30, 1 + 2.0**-23])])
    parts = bf16_parts(x, 3)
    assert_bits(sum(p.astype(np.float64) for p in parts).astype(np.float32), x)
    rest = x.astype(np.float64)
    for part in parts:
        assert (part.view(np.uint32) & 0xFFFF == 0).all()
        rest = rest - part
        assert (np.abs(rest) <= 2.0**-8 * np.abs(part)).all()


@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_small_integers_are_exact(level, trans_a, trans_b):
    g = rng(2)

    def integers(*shape):
        return g.integers(-8, 9, size=shape).astype(np.float32)

    for m, n, k in SHAPES + SMALL:
        a, b, c, bias = integers(m, k), integers(k, n), integers(m, n), integers(n)
        sa, sb = stored(a, b, trans_a, trans_b)
        want = a.astype(np.float64) @ b.astype(np.float64)
        got = kernels.gemm(sa, sb, trans_a=trans_a, trans_b=trans_b)
        assert_close(got, want, what=f"{m} x {n} x {k}")
        want = np.maximum(2 * want - 3 * c.astype(np.float64) + bias, 0)
        options = {"trans_a": trans_a, "trans_b": trans_b, "alpha": 2, "beta": -3}
        got = kernels.gemm(sa, sb, **options, bias=bias, activation="relu", out=c)
        assert_close(got, want, what=f"{m} x {n} x {k} with an epilogue")


@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_bits_are_those_of_the_stated_order(level, trans_a, trans_b):
    g = rng(3)
    for m, n, k in [(1, 64, 32), (17, 65, 70), (3, 81, 33), (2, 66, 1060)]:
        a, b = (g.uniform(1, 4, s).astype(np.float32) for s in [(m, k), (k, n)])
        a *= g.choice([-1, 1], a.shape)
        got = kernels.gemm(*stored(a, b, trans_a, trans_b), trans_a=trans_a, trans_b=trans_b)
        assert_bits(got, sum_of_dots(a, b, level), what=f"{m} x {n} x {k}")


@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_error_bound(level, trans_a, trans_b):
    g = rng(4)
    for m, n, k in SHAPES:
        a, b = normal(g, m, k), normal(g, k, n)
        got = kernels.gemm(*stored(a, b, trans_a, trans_b), trans_a=trans_a, trans_b=trans_b)
        size, what = size_of(a, b), f"{m} x {n} x {k}"
        exact = a.astype(np.float64) @ b.astype(np.float64)
        assert_close(got, exact, atol=LEFT_OUT[level] + 6 * UNIT, scale=size, what=what)
        twin = reference.gemm(a, b, precision=level)
        assert_close(got, twin, atol=6 * UNIT, scale=size, what=f"{what}, the twin")


def test_the_worst_operands_for_medium():
    """The middle part as large as it gets, 2^-8 - 2^-16, and what is left of it as well: 2^-17."""
    worst = np.float32(1 + 2.0**-8 - 2.0**-16 + 2.0**-17 - 2.0**-23)
    a, b = np.full((2, 64), worst), np.full((64, 64), worst)
    got = at("medium", a, b).astype(np.float64)
    error = np.abs(got / (64 * np.float64(worst) ** 2) - 1).max()
    assert 2.0**-16 < error <= 2.0**-15


def test_high_is_no_worse_than_float32():
    """The largest error over 4 seeds x 4,096 elements, of data of both signs and of one."""
    for k in (32, 64, 256, 1024, 4096):
        for both_signs in (True, False):
            worst = {"highest": 0.0, "high": 0.0}
            for seed in range(2 if k > 1000 else 4):
                g = rng(5, k, seed)
                a, b = normal(g, 64, k), normal(g, k, 64)
                if not both_signs:
                    a, b = np.abs(a), np.abs(b)
                exact = a.astype(np.float64) @ b.astype(np.float64)
                for name in worst:
                    error = float((np.abs(at(name, a, b) - exact) / size_of(a, b)).max())
                    worst[name] = max(worst[name], error)
            assert worst["high"] <= worst["highest"], f"K = {k}, {both_signs}: {worst}"


def test_alpha_beta_bias_and_activation(level):
    g = rng(6)
    for m, n, k in [(7, 70, 40), (130, 64, 33), (3, 530, 520)]:
        a, b, c, bias = normal(g, m, k) / 4, normal(g, k, n) / 4, normal(g, m, n), normal(g, n)
        for alpha, beta, name in [
            (1, 0, "linear"), (0.5, 0, "relu"), (-1.7, 0.3, "elu"),
            (1, 1, "sigmoid"), (0, 1, "gelu"), (1, -2, "softplus"),
        ]:  # fmt: skip
            options = {"alpha": alpha, "beta": beta, "bias": bias, "activation": name}
            options["activation_alpha"] = 1.5
            want = reference.gemm(a, b, c=c, precision=level, **options)
            got = kernels.gemm(a, b, out=c.copy(), **options)
            scale = abs(alpha) * size_of(a, b) + abs(beta) * np.abs(c) + np.abs(bias)
            # No activation here is steeper than 1.5; its own error is at most 8 UNIT.
            assert_close(got, want, rtol=8 * UNIT, atol=15 * UNIT, scale=scale, what=name)


def test_beta_zero_reads_no_output(level):
    a, b = normal(rng(7), 18, 50), normal(rng(8), 50, 70)
    assert_bits(kernels.gemm(a, b, out=np.full((18, 70), np.nan, np.float32)), kernels.gemm(a, b))


def test_small_products_stay_in_float32():
    g = rng(9)
    for m, n, k in SMALL:
        a, b = normal(g, m, k), normal(g, k, n)
        want = at("highest", a, b)
        for level in LEVELS:
            assert_bits(at(level, a, b), want, what=f"{m} x {n} x {k}")
    a, b = normal(g, 3, 32), normal(g, 32, 64)
    assert (at("low", a, b) != at("highest", a, b)).any()


def test_a_row_does_not_depend_on_its_batch(level):
    g = rng(10)
    for n, k in [(64, 32), (97, 530)]:
        a, b, bias = normal(g, 150, k), normal(g, k, n), normal(g, n)
        a[7, 3] = np.inf  # nor on another row's infinities
        whole = kernels.gemm(a, b, bias=bias, activation="sigmoid")
        for rows in (slice(0, 1), slice(5, 6), slice(149, 150), slice(3, 80), slice(8, 150)):
            part = kernels.gemm(a[rows], b, bias=bias, activation="sigmoid")
            assert_bits(part, whole[rows], what=f"rows {rows} of n = {n}")


def test_threads_change_no_bit(level):
    g = rng(11)
    a, b = normal(g, 300, 100), normal(g, 100, 260)
    one = None
    try:
        for threads in (1, 2, 3, 8):
            la.set_num_threads(threads, oversubscribe=True)
            got = kernels.gemm(a, b)
            one = got if one is None else one
            assert_bits(got, one, what=f"{threads} threads")
    finally:
        la.set_num_threads(_THREADS)


_THREADS = la.get_num_threads()


def test_what_is_not_finite_is_as_in_float32():
    """Infinities, NaN of all kinds, and operands that round past the range of bf16."""
    largest = np.finfo(np.float32).max
    payload = np.uint32([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7FC00000]).view(np.float32)
    for trans_a, trans_b in TRANSPOSES:
        g = rng(12)
        a, b = normal(g, 40, 300), normal(g, 300, 70)
        a[1, 5], a[2, 290], a[3, 0] = np.inf, -np.inf, np.nan
        a[4:8, 7] = payload
        a[8, 10:12] = np.inf, -np.inf
        a[9, 3], b[3, :3] = largest, [1, 0, -1]
        a[10], b[:, 60] = 0, 0
        a[10, 4], b[4, 60:63] = 2.0**-10, [largest, -largest, 0]
        b[11, 64], b[12, 69] = np.inf, np.nan
        sa, sb = stored(a, b, trans_a, trans_b)
        options = {"trans_a": trans_a, "trans_b": trans_b, "alpha": 0.5, "bias": normal(g, 70)}
        float32 = at("highest", sa, sb, **options)
        assert np.isposinf(float32).any() and np.isneginf(float32).any()
        assert np.isnan(float32[8]).any() and np.isnan(float32[4:8]).all()
        for level in LEVELS:
            got = at(level, sa, sb, **options)
            bad = ~np.isfinite(float32)
            assert (np.isfinite(got) == ~bad).all(), level
            assert_bits(got[bad], float32[bad], what=level)
            size = 0.5 * size_of(*(np.nan_to_num(x, posinf=0, neginf=0, nan=0) for x in (a, b)))
            atol = (LEFT_OUT[level] + 12 * UNIT) * (size + 4)
            assert (np.abs(got[~bad] - float32[~bad]) <= atol[~bad]).all(), level


def test_the_end_of_the_range_is_as_in_float32():
    """Every element overflows in parts, but not in float32: 2^127.99 twice, of both signs."""
    largest = np.finfo(np.float32).max
    a, b = np.zeros((3, 32), np.float32), np.zeros((32, 64), np.float32)
    a[0, 0], a[1, :2], a[2, 0] = largest, [largest, largest], 2.0**64 * (1 - 2.0**-12)
    b[0], b[1] = 1, -1
    b[0, 32:] = 2.0**63 * (1 + 2.0**-12)
    want = at("highest", a, b)
    assert np.isfinite(want[0, :32]).all() and (want[1, :32] == 0).all()
    for level in LEVELS:
        assert_close(at(level, a, b), want, rtol=LEFT_OUT[level] + 2.0**-22, what=level)


def test_denormals_count_as_zeros(level):
    """Operands, parts and sums: an error of 2^-125 of the other operand and 2^-126 a product."""
    g = rng(13)
    tiny = 2.0**-126
    a, b = normal(g, 5, 40), normal(g, 40, 64)
    a[0] *= np.float32(2.0**-130)  # denormal all of them
    a[1] *= np.float32(tiny)  # some of them, and the lower parts of all
    a[2] *= np.float32(2.0**-110)  # lower parts
    a[3] *= np.float32(2.0**-70)
    b[:, 50:] *= np.float32(2.0**-60)  # with these, products are denormal
    got = kernels.gemm(a, b)
    assert (got[0] == 0).all()
    assert not ((got != 0) & (np.abs(got) < tiny)).any()
    exact = a.astype(np.float64) @ b.astype(np.float64)
    relative = (LEFT_OUT[level] + 6 * UNIT) * size_of(a, b)
    absolute = (
        2 * tiny * (np.abs(b.astype(np.float64)).sum(axis=0) + np.abs(a).sum(axis=1)[:, None])
    )
    assert_close(got, exact, atol=relative + absolute + 40 * 7 * tiny)


def test_levels_have_names(emulated):
    assert la.get_float32_matmul_precision() == "highest"
    for level in ["high", "medium", "low", "highest"]:
        la.set_float32_matmul_precision(level)
        assert la.get_float32_matmul_precision() == level
        assert la.show_config("dicts")["float32_matmul_precision"] == level
    la.set_float32_matmul_precision("medium")
    for wrong in ("", "bf16", "High"):
        with pytest.raises(ValueError, match="one of highest, high, medium, low; got '" + wrong):
            la.set_float32_matmul_precision(wrong)
    with pytest.raises(TypeError):
        la.set_float32_matmul_precision(3)
    assert la.get_float32_matmul_precision() == "medium"


def test_the_unit_has_names_too(monkeypatch):
    la.set_float32_matmul_precision("high")
    monkeypatch.setenv("LAMINA_MATRIX_UNIT", "cube")
    with pytest.raises(ValueError, match="amx, emulated or none; got 'cube'"):
        la.set_float32_matmul_precision("low")
    assert la.get_float32_matmul_precision() == "high"
    a, b = normal(rng(14), 20, 64), normal(rng(15), 64, 64)
    want = at("highest", a, b)  # which asks for no unit
    monkeypatch.setenv("LAMINA_MATRIX_UNIT", "none")
    assert_bits(at("low", a, b), want)
    config = la.show_config("dicts")
    assert config["matrix_unit"].startswith("none: LAMINA_MATRIX_UNIT")
    assert config["float32_matmul_precision"] == "low"


def test_amx_has_the_bits_of_its_emulation(monkeypatch):
    monkeypatch.delenv("LAMINA_MATRIX_UNIT")
    la.set_float32_matmul_precision("high")
    here = la.show_config("dicts")["matrix_unit"]
    a, b = normal(rng(16), 300, 700), normal(rng(17), 700, 300)
    a[::7] *= np.float32(2.0**-115)
    if here != "amx":
        assert here.startswith("none: ")
        assert_bits(at("high", a, b), at("highest", a, b))
        monkeypatch.setenv("LAMINA_MATRIX_UNIT", "amx")
        with pytest.raises(ValueError, match="LAMINA_MATRIX_UNIT=amx: "):
            la.set_float32_matmul_precision("high")
        pytest.skip(f"the bits were not compared: {here}")
    for level in LEVELS:
        got = at(level, a, b)
        monkeypatch.setenv("LAMINA_MATRIX_UNIT", "emulated")
        assert_bits(at(level, a, b), got, what=level)
        monkeypatch.delenv("LAMINA_MATRIX_UNIT")
