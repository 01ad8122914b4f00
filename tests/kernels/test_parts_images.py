"""Convolutions of bf16 parts, on the emulated matrix unit: what test_parts.py asks of products, and
that taps outside an image are left out where something is not finite.

Error of one element: as there, of the product of the columns and the kernel. The kernel's gradient
adds up to 16 pieces, and there are so many fewer blocks in each.
"""

import numpy as np
import pytest

import lamina as la
from close import UNIT, assert_bits, assert_close
from kernel_inputs import normal, rng
from lamina import kernels, reference
from parts_sums import LEFT_OUT, LEVELS, sum_of_dots

# Elements of few terms, which a kernel's gradient has, may come nearer to the worst operands.
LEFT_OUT = {**LEFT_OUT, "medium": 2.0**-15}

# x (n, height, width, channels), kernel (kh, kw), filters, strides, padding, dilation. All of them
# are split forward; channels are near blocks of 16 and 32, filters near 64.
CASES = [
    ((3, 6, 7, 32), (3, 3), 64, (1, 1), "valid", (1, 1)),
    ((2, 5, 6, 64), (3, 3), 65, (1, 1), "same", (1, 1)),
    ((5, 3, 4, 91), (2, 2), 79, (1, 1), "same", (1, 1)),
    ((2, 9, 8, 24), (3, 2), 80, (1, 1), "same", (2, 3)),
    ((2, 9, 8, 49), (3, 3), 128, (2, 3), "same", (1, 1)),
    ((1, 9, 8, 31), (2, 3), 130, (3, 1), "valid", (2, 2)),
    ((1, 2, 3, 64), (5, 7), 74, (1, 1), "same", (1, 1)),  # no pixel sees the whole kernel
    ((3, 1, 1, 64), (3, 3), 64, (1, 1), "same", (1, 1)),
    ((2, 3, 40, 65), (2, 2), 70, (1, 1), "valid", (1, 1)),
    ((2, 3, 3, 580), (2, 2), 64, (1, 1), "same", (1, 1)),  # a tap of more terms than a block
    ((2, 2, 3, 64), (2, 2), 600, (1, 1), "same", (1, 1)),  # several tiles of filters
    ((66, 4, 4, 24), (2, 2), 64, (1, 1), "same", (1, 1)),  # several pieces of the batch
    ((3, 5, 4, 128), (1, 1), 129, (1, 1), "valid", (1, 1)),
    ((3, 5, 4, 91), (2, 2), 128, (2, 2), "valid", (1, 1)),
    ((0, 5, 5, 32), (3, 3), 64, (1, 1), "same", (1, 1)),
]


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    monkeypatch.setenv("LAMINA_MATRIX_UNIT", "emulated")
    yield
    la.set_float32_matmul_precision("highest")


@pytest.fixture(params=LEVELS)
def level(request, emulated):
    la.set_float32_matmul_precision(request.param)
    return request.param


def options_of(case):
    return dict(zip(("strides", "padding", "dilation"), case[3:], strict=True))


def drawn(draw, case):
    """x, kernel, bias and dy."""
    shape, window, filters = case[:3]
    x, kernel, bias = draw(*shape), draw(*window, shape[3], filters), draw(filters)
    y = reference.conv2d_forward(x, kernel, **options_of(case))
    return x, kernel, bias, draw(*y.shape)


def run(x, kernel, bias, dy, case, module=kernels):
    """y, dx, dkernel"""
    options = options_of(case)
    return {
        "y": module.conv2d_forward(x, kernel, bias, **options),
        "dx": module.conv2d_backward_input(dy, kernel, x.shape, **options),
        "dkernel": module.conv2d_backward_kernel(dy, x, case[1], **options),
    }


def wide(arrays):
    return [a.astype(np.float64) for a in arrays]


def at(level, *arguments):
    la.set_float32_matmul_precision(level)
    return run(*arguments)


def test_small_integers_are_exact(level):
    g = rng(61)
    for case in CASES:
        operands = drawn(lambda *s: g.integers(-4, 5, size=s).astype(np.float32), case)
        want = run(*wide(operands), case, reference)
        for name, got in run(*operands, case).items():
            assert_close(got, want[name], what=f"{name} {case}")


def test_error_bound(level):
    g = rng(62)
    for case in CASES:
        operands = drawn(lambda *s: normal(g, *s), case)
        want = run(*wide(operands), case, reference)
        size = run(*wide(np.abs(a) for a in operands), case, reference)
        for name, got in run(*operands, case).items():
            atol = LEFT_OUT[level] + 7 * UNIT
            assert_close(got, want[name], atol=atol, scale=size[name], what=f"{name} {case}")


def test_no_terms_give_the_bias(level):
    """Of no channels, and for the input of no filters; as in float32."""
    bias = np.arange(64, dtype=np.float32)
    y = np.full((1, 5, 5, 64), np.nan, np.float32)
    x, kernel = np.zeros((1, 5, 5, 0), np.float32), np.zeros((3, 3, 0, 64), np.float32)
    kernels.conv2d_forward(x, kernel, bias, padding="same", out=y)
    assert_bits(y, np.broadcast_to(bias, y.shape))
    dx = np.full((1, 5, 5, 64), np.nan, np.float32)
    dy, kernel = np.zeros((1, 5, 5, 0), np.float32), np.zeros((3, 3, 64, 0), np.float32)
    kernels.conv2d_backward_input(dy, kernel, dx.shape, padding="same", out=dx)
    assert_bits(dx, np.zeros_like(dx))


def columns_of(x, window, dilation):
    """(pixels, taps, channels) of a convolution with stride 1 and padding "same"."""
    (n, height, width, _), (kh, kw) = x.shape, window
    reach = [(k - 1) * d for k, d in zip(window, dilation, strict=True)]
    padded = np.pad(x, [(0, 0), *((r // 2, r - r // 2) for r in reach), (0, 0)])
    taps = [
        padded[:, i * dilation[0] :, j * dilation[1] :][:, :height, :width]
        for i in range(kh)
        for j in range(kw)
    ]
    return np.stack(taps, axis=3).reshape(n * height * width, kh * kw, -1)


def test_bits_are_those_of_the_stated_order(level):
    """Terms: for each tap its channels, filled up to 32. For the kernel's gradient 16 pixels of the
    first half of the images, 16 of the second, and so on."""
    g = rng(63)
    for shape, window, filters, dilation in [
        ((3, 4, 3, 27), (3, 2), 66, (1, 2)),
        ((2, 3, 7, 64), (3, 3), 80, (1, 1)),
        ((1, 5, 3, 32), (2, 2), 64, (1, 1)),
    ]:
        x, kernel, dy = (
            (g.uniform(1, 4, s) * g.choice([-1, 1], s)).astype(np.float32)
            for s in (shape, (*window, shape[3], filters), (*shape[:3], filters))
        )
        case = (shape, window, filters, (1, 1), "same", dilation)
        got = run(x, kernel, None, dy, case)
        columns, taps = columns_of(x, window, dilation), window[0] * window[1]
        more = -shape[3] % 32
        a = np.pad(columns, ((0, 0), (0, 0), (0, more))).reshape(len(columns), -1)
        b = np.pad(kernel.reshape(taps, -1, filters), ((0, 0), (0, more), (0, 0)))
        want = sum_of_dots(a, b.reshape(-1, filters), level)
        assert_bits(got["y"], want.reshape(dy.shape), what=f"y of {case}")

        half = (shape[0] + 1) // 2 * shape[1] * shape[2]
        blocks = -(-half // 16)

        def interleaved(rows, half=half, blocks=blocks):
            both = np.zeros((2, 16 * blocks, rows.shape[1]), np.float32)
            both[0, :half] = rows[:half]
            both[1, : len(rows) - half] = rows[half:]
            return both.reshape(2, blocks, 16, -1).transpose(1, 0, 2, 3).reshape(32 * blocks, -1)

        rows = interleaved(columns.reshape(len(columns), -1))
        want = sum_of_dots(
            np.ascontiguousarray(interleaved(dy.reshape(-1, filters)).T), rows, level
        )
        assert_bits(got["dkernel"], want.T.reshape(kernel.shape), what=f"dkernel of {case}")


def follows(shape, window, filters, level, **options):
    """Which of the three differ from float32; zeros for the bias."""
    rest = {"strides": (1, 1), "padding": "same", "dilation": (1, 1), **options}
    case = (shape, window, filters, *rest.values())
    g = rng(64)
    operands = drawn(lambda *s: normal(g, *s), case)
    want, got = at("highest", *operands, case), at(level, *operands, case)
    return {name for name in got if (got[name] != want[name]).any()}


def test_shapes_that_do_not_pay_stay_in_float32():
    forward, every = {"y", "dkernel"}, {"y", "dkernel", "dx"}
    for level in LEVELS:
        least = 64 if level == "high" else 32
        for columns, want in [(least, forward), (least - 1, set())]:
            assert follows((2, 4, 5, 24), (2, 2), columns, level) == want, (level, columns)
            # Of the input's gradient the channels are the columns.
            want = {"y", "dx", "dkernel"} if columns >= least else {"y", "dkernel"}
            assert follows((2, 4, 5, columns), (2, 2), 64, level) - forward == want - forward
        for channels, want in [(23, set()), (24, forward), (33, set()), (47, set()), (48, forward)]:
            found = follows((1, 4, 5, channels), (2, 2), 65, level) - {"dx"}
            assert found == want, (level, channels)
        assert follows((2, 4, 5, 128), (1, 3), 128, level) == every
        assert follows((2, 4, 5, 127), (1, 3), 128, level) == forward
        assert follows((2, 4, 5, 128), (1, 3), 127, level) == {"dx"}
        assert follows((2, 5, 5, 64), (3, 3), 64, level, strides=(1, 2)) == forward
        assert follows((2, 5, 5, 64), (3, 3), 64, level, strides=(2, 1)) == forward
        for columns, want in [(127, set()), (128, forward)]:
            assert follows((2, 5, 5, 64), (3, 3), columns, level, strides=(2, 2)) == want
        assert follows((2, 5, 5, 64), (1, 1), 256, level, strides=(2, 1)) == set()
        assert follows((2, 5, 5, 1), (3, 3), 64, level) == set()


def test_an_image_does_not_depend_on_its_batch(level):
    g = rng(65)
    case = ((9, 4, 5, 64), (2, 2), 65, (1, 1), "same", (1, 1))
    x, kernel, bias, dy = drawn(lambda *s: normal(g, *s), case)
    x[3, 2, 1, 5] = dy[3, 0, 0, 7] = np.inf  # nor on another image's infinities
    whole = run(x, kernel, bias, dy, case)
    for some in (slice(0, 1), slice(4, 5), slice(8, 9), slice(1, 8)):
        part = run(x[some], kernel, bias, dy[some], case)
        for name in ("y", "dx"):
            assert_bits(part[name], whole[name][some], what=f"{name} of images {some}")


_THREADS = la.get_num_threads()


def test_threads_change_no_bit(level):
    g = rng(66)
    case = ((34, 4, 4, 64), (2, 2), 64, (1, 1), "same", (1, 1))
    operands = drawn(lambda *s: normal(g, *s), case)
    one = None
    try:
        for threads in (1, 2, 3):
            la.set_num_threads(threads, oversubscribe=True)
            got = run(*operands, case)
            one = got if one is None else one
            for name in got:
                assert_bits(got[name], one[name], what=f"{name}, {threads} threads")
    finally:
        la.set_num_threads(_THREADS)


# Bit by bit but for the kernel's gradient, whose float32 sums are cut otherwise.
def compare_with_float32(operands, case, least):
    float32 = at("highest", *operands, case)
    for level in LEVELS:
        for name, got in at(level, *operands, case).items():
            want, what = float32[name], f"{level} {name} {case}"
            bad = ~np.isfinite(want)
            assert bad.sum() >= least, what
            assert (np.isfinite(got) == ~bad).all(), what
            if name == "dkernel":
                assert (np.isnan(got) == np.isnan(want)).all(), what
                assert (got[np.isinf(want)] == want[np.isinf(want)]).all(), what
            else:
                assert_bits(got[bad], want[bad], what=what)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_what_is_not_finite_is_as_in_float32(padding):
    g = rng(67)
    for shape, window, filters, strides, dilation in [
        ((3, 6, 7, 64), (3, 3), 66, (1, 1), (1, 1)),
        ((2, 7, 6, 64), (3, 2), 64, (1, 1), (2, 1)),
        ((2, 7, 6, 31), (2, 2), 128, (2, 1), (1, 3)),
    ]:
        case = (shape, window, filters, strides, padding, dilation)
        x, kernel, bias, dy = drawn(lambda *s: normal(g, *s), case)
        x[0, 1, 2, 3], x[1, 0, 0, 0], x[1, 5, 5, 1] = np.inf, -np.inf, np.nan
        kernel[0, 0, 2, 5], kernel[1, 1, 3, 63] = np.inf, -np.inf  # outside, 0 times this is NaN
        dy[0, 0, 0, 1], dy[1, 1, 1, 2] = -np.inf, np.nan
        # Two that overflow would depend on the order of the kernel's gradient.
        x[..., 7], dy[..., 9] = 0, 0
        x[0, 4, 4, 7], dy[0, 1, 0, 9] = np.finfo(np.float32).max * np.float32([1, -1])
        compare_with_float32((x, kernel, bias, dy), case, least=10)


def test_infinite_weights_do_not_reach_outside_the_image():
    """Every pixel at the border leaves an infinite weight out."""
    case = ((2, 4, 4, 64), (3, 3), 64, (1, 1), "same", (1, 1))
    g = rng(68)
    x, kernel, bias, dy = (np.abs(a) for a in drawn(lambda *s: normal(g, *s), case))
    kernel[0] = np.inf
    compare_with_float32((x, kernel, bias, dy), case, least=0)
    for level in LEVELS:
        got = at(level, x, kernel, bias, dy, case)
        assert np.isfinite(got["y"][:, 0]).all() and np.isposinf(got["y"][:, 1:]).all(), level
        assert np.isfinite(got["dx"][:, 3]).all() and np.isposinf(got["dx"][:, :3]).all(), level
    kernel[0], dy[:, 0] = 1, np.inf
    for level in LEVELS:
        dkernel = at(level, x, kernel, bias, dy, case)["dkernel"]
        assert np.isfinite(dkernel[0]).all() and np.isposinf(dkernel[1:]).all(), level


def test_the_end_of_the_range_is_as_in_float32():
    """What overflows in parts, but not in float32: 2^127.99 once, of either sign."""
    case = ((2, 3, 4, 64), (2, 2), 64, (1, 1), "same", (1, 1))
    largest = np.finfo(np.float32).max
    x, kernel, dy = np.zeros(case[0]), np.zeros((2, 2, 64, 64)), np.zeros((2, 3, 4, 64))
    x[:, 0, 1, 2], x[1, 2, 3, 4] = largest, -largest
    kernel[:, :, 2, 5] = 1
    kernel[:, :, 7, 8] = [[largest, -largest], [0, 1]]
    dy[:, 1, 1, 8], dy[0, 0, 1, 3] = 1, largest
    x[0, 0, 1, 2] = 1
    operands = [a.astype(np.float32) for a in (x, kernel, np.zeros(64), dy)]
    want = at("highest", *operands, case)
    for level in LEVELS:
        for name, got in at(level, *operands, case).items():
            assert np.isfinite(want[name]).all() and (np.abs(want[name]) == largest).any()
            assert_close(got, want[name], rtol=LEFT_OUT[level] + 2.0**-22, what=f"{level} {name}")


def test_denormals_count_as_zeros(level):
    g = rng(69)
    case = ((3, 4, 5, 64), (2, 2), 64, (1, 1), "same", (1, 1))
    x, kernel, bias, dy = drawn(lambda *s: normal(g, *s), case)
    tiny = np.float32(2.0**-130)
    got = run(x * tiny, kernel, np.zeros_like(bias), dy * tiny, case)
    assert all((got[name] == 0).all() for name in got)
    # Lower parts and products that are denormal: 2^-125 of the other operand, 2^-126 a product.
    small = [x * np.float32(2.0**-112), kernel, np.zeros_like(bias), dy * np.float32(2.0**-112)]
    got, want = run(*small, case), run(*wide(small), case, reference)
    size = run(*wide(np.abs(a) for a in small), case, reference)
    terms = {"y": 4 * 64, "dx": 4 * 64, "dkernel": 3 * 4 * 5}
    for name in ("y", "dx"):
        atol = (LEFT_OUT[level] + 7 * UNIT) * size[name]
        atol = atol + terms[name] * (2.0**-125 * np.abs(kernel).max() + 7 * 2.0**-126)
        assert_close(got[name], want[name], atol=atol, what=name)
