"""Convolution and pooling with their gradients: exact on small integers, bounded on the rest."""

import numpy as np
import pytest

from close import UNIT, assert_bits, assert_close
from kernel_inputs import normal, rng
from lamina import kernels, reference

# x (n, height, width, channels), kernel (kh, kw), filters, strides, padding, dilation
CONVOLUTIONS = [
    ((2, 5, 6, 1), (3, 3), 4, (1, 1), "valid", (1, 1)),
    ((3, 7, 9, 3), (3, 2), 17, (2, 1), "same", (1, 1)),
    ((1, 8, 5, 16), (2, 3), 5, (3, 2), "same", (1, 1)),
    ((2, 9, 11, 5), (3, 2), 16, (1, 1), "same", (2, 3)),
    ((2, 10, 9, 2), (2, 2), 3, (2, 3), "valid", (3, 1)),
    ((2, 4, 5, 33), (1, 1), 7, (1, 1), "valid", (1, 1)),
    ((2, 5, 5, 7), (1, 1), 65, (2, 2), "same", (1, 1)),
    ((1, 1, 1, 1), (3, 3), 1, (1, 1), "same", (1, 1)),
    ((2, 4, 3, 2), (4, 3), 6, (1, 1), "valid", (1, 1)),
    ((3, 6, 40, 4), (5, 5), 9, (1, 1), "same", (1, 1)),
    ((1, 28, 28, 1), (3, 3), 32, (1, 1), "valid", (1, 1)),
    ((2, 13, 13, 32), (2, 3), 19, (1, 1), "same", (1, 1)),
    ((9, 30, 31, 1), (3, 3), 2, (1, 1), "same", (1, 1)),  # many chunks of pixels to add up
    ((2, 9, 8, 9), (2, 2), 5, (3, 3), "valid", (1, 1)),  # inputs that no tap reads
    ((2, 11, 10, 8), (3, 3), 6, (2, 4), "same", (2, 2)),  # stride and dilation share a factor
    ((2, 7, 12, 12), (4, 3), 3, (3, 2), "same", (2, 3)),
    ((33, 4, 5, 10), (3, 3), 40, (1, 1), "same", (1, 1)),  # several small images at once
    ((2, 3, 4, 300), (2, 1), 20, (1, 1), "same", (1, 1)),  # more channels than a block has terms
    ((2, 3, 4, 130), (3, 2), 270, (1, 1), "same", (1, 1)),  # so many filters; strips of channels
    ((1, 3, 300, 1), (2, 5), 17, (1, 1), "same", (1, 1)),  # a row longer than a block
    ((1, 2, 3, 9), (5, 7), 3, (1, 1), "same", (1, 1)),  # no pixel sees the whole kernel
    ((0, 5, 5, 2), (3, 3), 4, (1, 1), "same", (1, 1)),
    ((2, 4, 9, 16), (3, 3), 16, (1, 1), "same", (1, 1)),  # too small for squares
    ((2, 9, 9, 16), (3, 3), 15, (1, 1), "same", (1, 1)),  # too few filters for them
    ((2, 12, 12, 16), (3, 3), 16, (2, 1), "same", (1, 1)),
    ((2, 14, 14, 16), (3, 3), 16, (1, 1), "valid", (1, 2)),
]

# The same for convolutions that are taken in squares of 2 x 2 outputs.
SQUARES = [
    ((2, 10, 12, 16), (3, 3), 16, (1, 1), "valid", (1, 1)),
    ((3, 13, 13, 32), (3, 3), 64, (1, 1), "valid", (1, 1)),  # dx leaves a row and a column
    ((2, 12, 13, 17), (3, 3), 33, (1, 1), "same", (1, 1)),  # y and dx leave a column
    ((2, 13, 12, 33), (3, 3), 17, (1, 1), "same", (1, 1)),  # and here a row
    ((2, 11, 15, 65), (3, 3), 66, (1, 1), "same", (1, 1)),  # two strips of channels and filters
    ((1, 10, 9, 230), (3, 3), 130, (1, 1), "same", (1, 1)),  # two blocks of channels, pieces of 24
    ((21, 9, 10, 16), (3, 3), 18, (1, 1), "same", (1, 1)),  # several images at once
    ((40, 8, 8, 16), (3, 3), 16, (1, 1), "same", (1, 1)),  # more of them, and pieces to add up
    ((2, 31, 36, 16), (3, 3), 20, (1, 1), "valid", (1, 1)),  # bands of an image
    ((1, 5, 200, 16), (3, 3), 16, (1, 1), "valid", (1, 1)),  # a row longer than a piece
    ((0, 12, 12, 16), (3, 3), 16, (1, 1), "same", (1, 1)),
]


def run_convolution(draw, case, compare):
    shape, window, filters, strides, padding, dilation = case
    options = {"strides": strides, "padding": padding, "dilation": dilation}
    x, kernel, bias = draw(*shape), draw(*window, shape[3], filters), draw(filters)
    wide = [v.astype(np.float64) for v in (x, kernel, bias)]
    want = reference.conv2d_forward(*wide, **options)
    dy = draw(*want.shape)
    for name, inputs in [
        ("conv2d_forward", (x, kernel)),
        ("conv2d_backward_input", (dy, kernel, shape)),
        ("conv2d_backward_kernel", (dy, x, window)),
    ]:
        wide = [v.astype(np.float64) if isinstance(v, np.ndarray) else v for v in inputs]
        sizes = [np.abs(v) if isinstance(v, np.ndarray) else v for v in wide]
        twin = getattr(reference, name)
        got = getattr(kernels, name)(*inputs, **options)
        compare(got, twin(*wide, **options), twin(*sizes, **options), f"{name} {case}")
    got = kernels.conv2d_forward(x, kernel, bias, **options)
    size = reference.conv2d_forward(np.abs(x), np.abs(kernel), np.abs(bias), **options)
    compare(got, want, size, f"conv2d_forward with bias {case}")
    sum_of = np.abs(dy).astype(np.float64).sum(axis=(0, 1, 2))
    wide = dy.astype(np.float64)
    compare(kernels.conv2d_backward_bias(dy), wide.sum(axis=(0, 1, 2)), sum_of, "bias's gradient")


def test_convolution_of_small_integers_is_exact():
    g = rng(51)

    def integers(*shape):
        return g.integers(-4, 5, size=shape).astype(np.float32)

    def compare(got, want, size, what):
        assert size.max(initial=0) < 2**24
        assert_close(got, want, what=what)

    for case in CONVOLUTIONS + SQUARES:
        run_convolution(integers, case, compare)


def test_convolution():
    g = rng(52)

    def compare(got, want, size, what):
        # A chain of products as in the GEMM (see test_gemm), plus the bias or another piece.
        assert_close(got, want, atol=7 * UNIT, scale=size, what=what)

    for case in CONVOLUTIONS:
        run_convolution(lambda *s: normal(g, *s), case, compare)


def square_sizes(x, kernel, dy, padding):
    """What the errors of y, dx and dkernel in squares are bounded by, a unit for each rounding."""
    x, kernel, dy = (np.abs(v).astype(np.float64) for v in (x, kernel, dy))
    taps = np.broadcast_to(kernel.sum(axis=(0, 1)), kernel.shape)
    y = 4 * reference.conv2d_forward(x, taps, padding=padding)
    dx = 4 * reference.conv2d_backward_input(dy, taps, x.shape, padding=padding)
    (_, height, width, _), before = dy.shape, int(padding == "same")
    around = [(0, 0), (before, before + 2), (before, before + 2), (0, 0)]
    window = np.lib.stride_tricks.sliding_window_view
    of_x = window(np.pad(x, around), (4, 4), axis=(1, 2))[:, :height:2, :width:2].sum(axis=(4, 5))
    to_even = [(0, 0), (0, height % 2), (0, width % 2), (0, 0)]
    of_dy = window(np.pad(dy, to_even), (2, 2), axis=(1, 2))[:, ::2, ::2].sum(axis=(4, 5))
    dkernel = 4 * np.einsum("nijc,nijf->cf", of_x, of_dy)
    return {"y": y, "dx": dx, "dkernel": np.broadcast_to(dkernel, kernel.shape)}


def in_squares(x, kernel, dy, padding, module=kernels):
    return {
        "y": module.conv2d_forward(x, kernel, padding=padding),
        "dx": module.conv2d_backward_input(dy, kernel, x.shape, padding=padding),
        "dkernel": module.conv2d_backward_kernel(dy, x, (3, 3), padding=padding),
    }


def plain(x, kernel, dy, padding):
    """The same, eight filters or channels at a time: so few are not taken in squares."""
    cuts = range(8, kernel.shape[3], 8)
    kernels_, dys = np.split(kernel, cuts, axis=3), np.split(dy, cuts, axis=3)
    y = [kernels.conv2d_forward(x, k, padding=padding) for k in kernels_]
    dkernel = [kernels.conv2d_backward_kernel(d, x, (3, 3), padding=padding) for d in dys]
    dx = [
        kernels.conv2d_backward_input(dy, k, (*x.shape[:3], k.shape[2]), padding=padding)
        for k in np.split(kernel, range(8, x.shape[3], 8), axis=2)
    ]
    parts = {"y": y, "dx": dx, "dkernel": dkernel}
    return {name: np.concatenate(part, axis=3) for name, part in parts.items()}


def drawn_squares(g, case, draw=normal):
    shape, _, filters, _, padding, _ = case
    x, kernel = draw(g, *shape), draw(g, 3, 3, shape[3], filters)
    return x, kernel, draw(g, *kernels.conv2d_forward(x, kernel, padding=padding).shape), padding


def most_roundings(case):
    """Of y, dx and dkernel: a chain, the blocks that are added, and twelve in the transforms. What
    is computed plainly has its own number of sums that are smaller by a factor of four or more."""
    (images, height, width, channels), _, filters, *_ = case

    def of_sum(terms):
        return min(terms, 256) + terms / 128

    most = {
        name: max(of_sum(terms) + 12, of_sum(9 * terms) / 4)
        for name, terms in (("y", channels), ("dx", filters))
    }
    blocks = images * ((height // 2 + 1) * (width // 2 + 1) / 24 + 1)
    return most | {"dkernel": max(48 + blocks + 12, (256 + 9 * blocks) / 4)}


def test_squares_are_as_exact_as_documented():
    """And as a rule as exact as a plain convolution: 8 units of the root mean square."""
    g = rng(58)
    for case in SQUARES:
        operands = drawn_squares(g, case)
        wide = [v.astype(np.float64) if isinstance(v, np.ndarray) else v for v in operands]
        want, size = in_squares(*wide, reference), square_sizes(*operands)
        for name, got in in_squares(*operands).items():
            what, roundings = f"{name} {case}", most_roundings(case)[name]
            assert_close(got, want[name], atol=roundings * UNIT, scale=size[name], what=what)
            error, typical = (np.sqrt(np.square(v).sum()) for v in (got - want[name], want[name]))
            assert error <= 8 * UNIT * typical, f"{what}: {error / UNIT / typical} units"


def test_squares_are_there():
    """A plain convolution with the identity returns its input; in squares, sums round.

    Where squares are too few or the taps are not theirs, it is a plain convolution.
    """
    for case in CONVOLUTIONS + SQUARES:
        shape, window, filters, strides, padding, dilation = case
        x = np.full(shape, 1e8, np.float32)
        x[:, ::2] = 3.0
        kernel = np.zeros((*window, shape[3], filters), np.float32)
        kernel[window[0] // 2, window[1] // 2, 0] = 1
        y = kernels.conv2d_forward(x, kernel, None, strides, padding, dilation)
        want = reference.conv2d_forward(x, kernel, None, strides, padding, dilation)
        assert (y == want).all() == (case not in SQUARES or x.size == 0), case


def test_squares_keep_what_is_not_finite_in_its_place():
    """Results that an infinity or a NaN has part in are those of a plain convolution; the others
    are bounded as ever. So are those whose squares overflow, though the sums do not."""
    g = rng(59)

    def spotted(g, *shape):
        x = normal(g, *shape)
        spots = g.choice(x.size, size=3, replace=False)
        x.reshape(-1)[spots] = g.choice(np.float32([np.nan, np.inf, -np.inf]), size=3)
        return x

    def huge(g, *shape):
        return (normal(g, *shape) * 1e19).astype(np.float32)

    for case in SQUARES[:-1]:
        operands = drawn_squares(g, case)
        for place, draw in [(0, spotted), (1, spotted), (2, spotted), (0, huge), (2, huge)]:
            *arrays, padding = operands
            arrays[place] = draw(g, *arrays[place].shape)
            if draw is huge:
                arrays[place].reshape(-1)[:: arrays[place].size // 3] = 3e38
                for other in {0, 1, 2} - {place}:
                    arrays[other] = arrays[other] * np.float32(1e-4)
            got, without = in_squares(*arrays, padding), plain(*arrays, padding)
            wide = [v.astype(np.float64) for v in arrays]
            with np.errstate(invalid="ignore"):
                want = in_squares(*wide, padding, reference)
                size = square_sizes(
                    *(np.nan_to_num(v, posinf=0, neginf=0) for v in arrays), padding
                )
            for name in got:
                atol = most_roundings(case)[name] * UNIT
                what = f"{name} of {case}, {draw.__name__} {place}"
                expected = np.where(np.isfinite(want[name]), want[name], without[name])
                assert_close(got[name], expected, atol=atol, scale=size[name], what=what)


def test_numbers_stand_for_pairs():
    g = rng(53)
    x, kernel = normal(g, 2, 9, 8, 3), normal(g, 2, 2, 3, 4)
    pairs = {"strides": (2, 2), "padding": "same", "dilation": (1, 1)}
    ints = {"strides": 2, "padding": "same", "dilation": 1}
    y = kernels.conv2d_forward(x, kernel, **pairs)
    assert_bits(kernels.conv2d_forward(x, kernel, **ints), y)
    want = kernels.conv2d_backward_kernel(y, x, (2, 2), **pairs)
    assert_bits(kernels.conv2d_backward_kernel(y, x, 2, **ints), want)
    assert_bits(kernels.max_pool2d_forward(x)[0], kernels.max_pool2d_forward(x, 2, 2)[0])
    assert_bits(kernels.average_pool2d_forward(x), kernels.average_pool2d_forward(x, 2, (2, 2)))


def test_an_image_does_not_depend_on_its_batch():
    g = rng(54)
    for images, channels, spoiled in [(9, 3, ()), (37, 16, ()), (37, 16, (0, 2, 36))]:
        x, kernel = normal(g, images, 10, 11, channels), normal(g, 3, 3, channels, 20)
        dy = normal(g, images, 10, 11, 20)
        for i in spoiled:
            x[i, 4, 5, 2] = dy[i, 9, 10, 3] = np.inf
        whole = kernels.conv2d_forward(x, kernel, padding="same")
        dx = kernels.conv2d_backward_input(dy, kernel, x.shape, padding="same")
        for i in range(0, images, 4):
            one = slice(i, i + 1)
            assert_bits(kernels.conv2d_forward(x[one], kernel, padding="same"), whole[one])
            part = kernels.conv2d_backward_input(dy[one], kernel, x[one].shape, padding="same")
            assert_bits(part, dx[one])


def test_zero_padding_lets_nan_stay_where_it_is():
    x = np.zeros((1, 5, 5, 1), np.float32)
    x[0, 0, 0] = np.nan
    y = kernels.conv2d_forward(x, np.ones((3, 3, 1, 1)), padding="same")[0, :, :, 0]
    assert np.isnan(y[:2, :2]).all() and np.isnan(y).sum() == 4


# x (n, height, width, channels), pool_size, strides, padding
POOLS = [
    ((2, 4, 6, 1), (2, 2), None, "valid"),
    ((2, 5, 7, 3), (2, 2), None, "same"),
    ((1, 7, 7, 17), (3, 3), (2, 2), "same"),
    ((3, 6, 5, 16), (3, 2), (1, 1), "valid"),
    ((2, 6, 5, 33), (2, 3), (1, 2), "same"),
    ((1, 1, 1, 2), (1, 1), (1, 1), "valid"),
    ((1, 1, 1, 2), (3, 3), (1, 1), "same"),
    ((2, 9, 9, 4), (2, 2), (3, 3), "valid"),
    ((2, 3, 3, 64), (3, 3), None, "valid"),
    ((0, 4, 4, 3), (2, 2), None, "valid"),
]


@pytest.mark.parametrize("ties", [False, True])
def test_max_pool(ties):
    g = rng(55)
    for shape, window, strides, padding in POOLS:
        x = g.integers(-2, 3, size=shape).astype(np.float32) if ties else normal(g, *shape)
        options = {"pool_size": window, "strides": strides, "padding": padding}
        y, argmax = kernels.max_pool2d_forward(x, **options)
        want, where = reference.max_pool2d_forward(x, **options)
        assert_bits(y, want, what=f"{shape} {options}")
        assert_bits(argmax, where, what=f"argmax of {shape} {options}")
        dy = g.integers(-8, 9, size=y.shape).astype(np.float32)
        dx = kernels.max_pool2d_backward(dy, argmax, shape, **options)
        assert_close(dx, reference.max_pool2d_backward(dy, where, shape, **options))


def test_average_pool():
    g = rng(56)
    for shape, window, strides, padding in POOLS:
        x, options = (
            normal(g, *shape),
            {"pool_size": window, "strides": strides, "padding": padding},
        )
        # At most nine additions and one division round.
        y = kernels.average_pool2d_forward(x, **options)
        wide = x.astype(np.float64)
        want = reference.average_pool2d_forward(wide, **options)
        size = reference.average_pool2d_forward(np.abs(wide), **options)
        assert_close(y, want, atol=10 * UNIT, scale=size, what=f"{shape} {options}")
        dy = normal(g, *y.shape).astype(np.float64)
        got = kernels.average_pool2d_backward(dy.astype(np.float32), shape, **options)
        want = reference.average_pool2d_backward(dy, shape, **options)
        size = reference.average_pool2d_backward(np.abs(dy), shape, **options)
        assert_close(got, want, atol=10 * UNIT, scale=size, what=f"gradient of {shape} {options}")


def test_pools_of_nan_and_infinity():
    g = rng(57)
    x = normal(g, 2, 7, 6, 19)
    special = g.choice(np.float32([np.nan, np.inf, -np.inf]), size=x.shape)
    x = np.where(g.uniform(size=x.shape) < 0.3, special, x)
    x[0, :4, :4, 0] = -np.inf
    for options in ({}, {"pool_size": 3, "strides": 1, "padding": "same"}):
        y, argmax = kernels.max_pool2d_forward(x, **options)
        want, where = reference.max_pool2d_forward(x, **options)
        assert_bits(y, want)
        assert_bits(argmax, where)
        with np.errstate(invalid="ignore"):
            want = reference.average_pool2d_forward(x.astype(np.float64), **options)
        assert_close(kernels.average_pool2d_forward(x, **options), want, atol=40 * UNIT)


def test_wrong_arguments():
    x, kernel = np.ones((1, 4, 5, 3)), np.ones((2, 2, 3, 4))
    y = kernels.conv2d_forward(x, kernel)
    for wrong, message in [
        (lambda: kernels.conv2d_forward(x[0], kernel), "x"),
        (lambda: kernels.conv2d_forward(x, kernel[0]), "kernel"),
        (lambda: kernels.conv2d_forward(x, kernel[:, :, :2]), "kernel|channels"),
        (lambda: kernels.conv2d_forward(x, kernel, np.ones(3)), "bias"),
        (lambda: kernels.conv2d_forward(x, kernel, strides=0), "strides"),
        (lambda: kernels.conv2d_forward(x, kernel, strides=(1, 2, 3)), "strides"),
        (lambda: kernels.conv2d_forward(x, kernel, dilation=-1), "dilation"),
        (lambda: kernels.conv2d_forward(x, kernel, padding="full"), "padding.*full"),
        (lambda: kernels.conv2d_backward_input(y, kernel, (1, 5, 5, 3)), "dy"),
        (lambda: kernels.conv2d_backward_kernel(y, x, (3, 2)), "dy"),
        (lambda: kernels.max_pool2d_forward(x[0]), "x"),
        (lambda: kernels.max_pool2d_forward(x, 0), "pool_size"),
        (lambda: kernels.max_pool2d_forward(x, 2, padding="half"), "padding.*half"),
        (lambda: kernels.average_pool2d_backward(x, (1, 4, 5, 3)), "dy"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
