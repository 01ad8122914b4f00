"""Cases of `lamina.kernels`: valid calls whose arrays lie in memory in every way that NumPy allows,
and calls that are wrong in one argument.

How an array lies must not change a bit of the result; what is wrong must be refused with a message
that names the function; and no argument may be written but one that is meant to be.
"""

import inspect

import numpy as np

from lamina import kernels

ACTIVATIONS = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "gelu")
ROW_LOSSES = (
    "mean_squared_error",
    "mean_absolute_error",
    "binary_cross_entropy",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy_onehot",
    "cross_entropy_onehot",
)
LABEL_LOSSES = ("softmax_cross_entropy_sparse", "cross_entropy_sparse")


# ---- valid arguments -----------------------------------------------------------------------------


def size(g, most=40):
    """Mostly small; now and then 0, 1, or beyond the width of a vector and a tile."""
    return int(g.choice([0, 1, 2, 3, 5, 15, 16, 17, 33, int(g.integers(1, most + 1))]))


def floats(g, *shape):
    x = g.normal(size=shape).astype(np.float32)
    if x.size and g.random() < 0.1:  # what a kernel may meet in a model that diverges
        x.reshape(-1)[g.integers(x.size)] = g.choice([np.nan, np.inf, -np.inf, 1e38, 1e-40, -0.0])
    return x


def pair(g, most):
    return (int(g.integers(1, most + 1)), int(g.integers(1, most + 1)))


def window_options(g, dilation):
    options = {"strides": pair(g, 3), "padding": str(g.choice(["valid", "same"]))}
    if dilation and options["strides"] == (1, 1):
        options["dilation"] = pair(g, 2)
    return options


def images(g, channels):
    return floats(g, size(g, 4) % 5, int(g.integers(5, 12)), int(g.integers(5, 12)), channels)


def elementwise(g):
    name, way = str(g.choice(ACTIVATIONS)), str(g.choice(["forward", "backward"]))
    x = floats(g, *(size(g, 12) for _ in range(g.integers(0, 4))))
    arguments = [x] if way == "forward" else [floats(g, *x.shape), x]
    return f"{name}_{way}", arguments, {}


def by_row(g):
    rows, cols = size(g), size(g) or 1
    name = str(g.choice(["softmax", "log_softmax", "column_sums", "row_sums", "row_argmax", "add"]))
    x = floats(g, rows, cols)
    if name == "add":
        return "add_bias", [x, floats(g, cols)], {}
    if "softmax" not in name:
        return name, [x], {}
    if g.random() < 0.5:
        return f"{name}_forward", [x], {}
    return f"{name}_backward", [floats(g, rows, cols), x], {}


def losses(g):
    rows, cols = size(g), size(g) or 1
    options = {"scale": 0.5}
    if g.random() < 0.5:
        options["sample_weight"] = np.abs(floats(g, rows))
    if g.random() < 0.5:
        name = str(g.choice(ROW_LOSSES))
        return name, [floats(g, rows, cols), np.abs(floats(g, rows, cols))], options
    labels = g.integers(cols, size=rows).astype(g.choice(["i4", "i8", "u1"]))
    return str(g.choice(LABEL_LOSSES)), [floats(g, rows, cols), labels], options


def gemm(g):
    m, n, k = size(g, 100), size(g, 100), size(g, 300)
    trans_a, trans_b = bool(g.integers(2)), bool(g.integers(2))
    a = floats(g, *((k, m) if trans_a else (m, k)))
    b = floats(g, *((n, k) if trans_b else (k, n)))
    options = {"trans_a": trans_a, "trans_b": trans_b, "alpha": float(g.normal())}
    if g.random() < 0.5:
        options["bias"] = floats(g, n)
    options["activation"] = str(g.choice(["linear", *ACTIVATIONS]))
    return "gemm", [a, b], options


def convolution(g):
    channels, filters, window = size(g, 20) or 1, size(g, 20) or 1, pair(g, 3)
    x, options = images(g, channels), window_options(g, dilation=True)
    kernel = floats(g, *window, channels, filters)
    way = g.integers(3)
    if way == 0:
        bias = floats(g, filters) if g.random() < 0.5 else None
        return "conv2d_forward", [x, kernel, bias], options
    dy = floats(g, *kernels.conv2d_forward(x, kernel, **options).shape)
    if way == 1:
        return "conv2d_backward_input", [dy, kernel, x.shape], options
    return "conv2d_backward_kernel", [dy, x, window], options


def pooling(g):
    x, options = images(g, size(g, 20) or 1), window_options(g, dilation=False)
    options["pool_size"] = pair(g, 3)
    kind, backward = str(g.choice(["max", "average"])), g.random() < 0.5
    if not backward:
        return f"{kind}_pool2d_forward", [x], options
    y = getattr(kernels, f"{kind}_pool2d_forward")(x, **options)
    if kind == "average":
        return "average_pool2d_backward", [floats(g, *y.shape), x.shape], options
    y, argmax = y
    return "max_pool2d_backward", [floats(g, *y.shape), argmax, x.shape], options


def normalization(g):
    rows, cols = size(g) or 1, size(g) or 1
    x, gamma, beta, mean = (floats(g, *s) for s in [(rows, cols)] + [(cols,)] * 3)
    variance = np.abs(floats(g, cols))
    way = g.integers(3)
    if way == 0:
        return "batch_norm_forward", [x, gamma, beta], {}
    if way == 1:
        return "batch_norm_inference", [x, gamma, beta, mean, variance], {}
    return "batch_norm_backward", [floats(g, rows, cols), x, gamma, mean, variance], {}


def lookup(g):
    rows, cols, count = size(g) or 1, size(g), size(g)
    index = g.integers(rows, size=count)
    way = g.integers(3)
    if way == 0:
        return "embedding_forward", [floats(g, rows, cols), index], {}
    if way == 1:
        return "embedding_backward", [floats(g, count, cols), index, rows], {}
    dtype = str(g.choice(["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "?"]))
    source = (100 * g.normal(size=(rows, cols))).astype("i8").astype(dtype)
    return "gather_rows", [source, index], {"scale": 0.25}


def chance(g):
    x = floats(g, size(g), size(g))
    name = str(g.choice(["dropout_forward", "dropout_backward"]))
    return name, [x, float(g.random() * 0.9), int(g.integers(2**40))], {"step": int(g.integers(9))}


FAMILIES = (
    elementwise,
    by_row,
    losses,
    gemm,
    convolution,
    pooling,
    normalization,
    lookup,
    chance,
)


# ---- how an array may lie ------------------------------------------------------------------------


def strided(g, x):
    """Every other element of a larger array, backwards along some axes."""
    steps = [int(g.choice([-2, -1, 1, 2])) for _ in x.shape]
    if x.ndim == 0:
        return x
    larger = np.zeros([max(n, 1) * abs(s) for n, s in zip(x.shape, steps, strict=True)], x.dtype)
    view = larger[tuple(slice(None, None, s) for s in steps)]
    view = view[tuple(slice(0, n) for n in x.shape)]
    view[...] = x
    return view


def misaligned(g, x):
    raw = np.zeros(x.nbytes + 8, np.uint8)
    first = 1 + int(g.integers(3))
    view = raw[first : first + x.nbytes].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def swapped(g, x):
    return x.astype(x.dtype.newbyteorder())


def read_only(g, x):
    y = x.copy()
    y.flags.writeable = False
    return y


def column_major(g, x):
    return x.copy(order="F")


def repeated(g, x):
    """Rows that are all the same memory, where x's are equal."""
    if x.ndim and len(x) and all(np.array_equal(row, x[0], equal_nan=True) for row in x):
        return np.broadcast_to(x[0], x.shape)
    return x


def as_list(g, x):
    exact = x.size and x.dtype.kind == "f" and x.dtype.itemsize == 4
    return x.tolist() if exact and x.size < 200 else x


LAYOUTS = (strided, misaligned, swapped, read_only, column_major, repeated, as_list)


# ---- what is wrong -------------------------------------------------------------------------------


def another_shape(g, x):
    return np.concatenate([x, x[:1]]) if x.ndim and len(x) else np.zeros((*x.shape, 3), x.dtype)


def complex_numbers(g, x):
    return x.astype(np.complex64)


def objects(g, x):
    return np.array([object()] * max(1, x.size), dtype=object)[: x.size].reshape(x.shape)


def text(g, x):
    return "no array"


def nothing(g, x):
    return None


def huge(g, x):
    """Of a size that no memory holds; numpy makes it without any."""
    return np.broadcast_to(x.reshape(-1)[:1], (2**39, 2**19)) if x.size else x


WRONG = (another_shape, complex_numbers, objects, text, nothing, huge)


# ---- a case --------------------------------------------------------------------------------------


def results_of(call):
    got = call()
    return [np.array(part) for part in (got if isinstance(got, tuple) else (got,))]


def same(a, b):
    return all(
        x.shape == y.shape and x.dtype == y.dtype and np.array_equal(x, y, equal_nan=True)
        for x, y in zip(a, b, strict=True)
    )


def arrays_in(arguments, options):
    places = [("args", i) for i, v in enumerate(arguments) if isinstance(v, np.ndarray)]
    return places + [("options", k) for k, v in options.items() if isinstance(v, np.ndarray)]


def with_value(arguments, options, place, value):
    arguments, options = list(arguments), dict(options)
    (arguments if place[0] == "args" else options)[place[1]] = value
    return arguments, options


def value_at(arguments, options, place):
    return (arguments if place[0] == "args" else options)[place[1]]


def case(g):
    """One valid call, once more with an array that lies otherwise, once with one that is wrong."""
    name, arguments, options = FAMILIES[g.integers(len(FAMILIES))](g)
    function = getattr(kernels, name)
    what = f"{name} {[np.shape(a) for a in arguments]}"
    want = results_of(lambda: function(*arguments, **options))
    places = arrays_in(arguments, options)

    moved_arguments, moved_options, moved = arguments, options, []
    for place in places:
        if g.random() < 0.6:
            layout = LAYOUTS[g.integers(len(LAYOUTS))]
            value = layout(g, value_at(moved_arguments, moved_options, place))
            moved_arguments, moved_options = with_value(
                moved_arguments, moved_options, place, value
            )
            moved.append(layout.__name__)
    before = [np.array(value_at(moved_arguments, moved_options, p)) for p in places]
    got = results_of(lambda: function(*moved_arguments, **moved_options))
    assert same(got, want), f"{what}: another result where arrays are {moved}"
    after = [np.array(value_at(moved_arguments, moved_options, p)) for p in places]
    assert same(before, after), f"{what}: an input was written"

    if "out" in inspect.signature(function).parameters:
        check_outputs(g, what, function, arguments, options, want, places)
    if places:
        wrong = WRONG[g.integers(len(WRONG))]
        place = places[g.integers(len(places))]
        value = wrong(g, value_at(arguments, options, place))
        bad_arguments, bad_options = with_value(arguments, options, place, value)
        refused(
            f"{what} with {wrong.__name__}", name, lambda: function(*bad_arguments, **bad_options)
        )
    return what


def check_outputs(g, what, function, arguments, options, want, places):
    """out= takes what fits exactly and gets the same; whatever else is refused and not written."""
    outs = [np.full_like(part, 7) for part in want]
    out = outs[0] if len(outs) == 1 else tuple(outs)
    got = results_of(lambda: function(*arguments, **options, out=out))
    assert same(got, want) and same(outs, want), f"{what}: another result with out="
    i = int(g.integers(len(outs)))
    kinds = [misaligned, read_only, swapped, strided]
    bad = kinds[g.integers(len(kinds))](g, np.full_like(want[i], 7))
    plain = bad.flags.c_contiguous and bad.flags.aligned and bad.flags.writeable
    if (plain and bad.dtype.isnative) or bad.size == 0:
        return
    if places and g.random() < 0.3:  # an input's memory, shifted by an element
        first = value_at(arguments, options, places[0])
        if first.dtype == want[i].dtype and first.size > want[i].size > 1:
            bad = first.reshape(-1)[1 : 1 + want[i].size].reshape(want[i].shape)
    before = bad.copy()
    outs[i] = bad
    out = outs[0] if len(outs) == 1 else tuple(outs)
    name = what.split()[0]
    wrong_out = f"{what} with a wrong out of strides {bad.strides}"
    assert refused(wrong_out, name, lambda: function(*arguments, **options, out=out)), wrong_out
    assert same([before], [np.array(bad)]), f"{what}: a refused out was written"


def refused(what, name, call):
    """Is it refused, by the kernel's name? Or valid after all, as one more row may be."""
    try:
        call()
        return False
    except (ValueError, TypeError, MemoryError, OverflowError) as error:
        text = str(error)
        assert text.startswith(f"{name}: ") or isinstance(error, MemoryError), f"{what}: {error!r}"
        assert not isinstance(error, OverflowError), f"{what}: {error!r}"
        assert len(text) < 2000, f"{what}: a message of {len(text)} characters"
        return True
