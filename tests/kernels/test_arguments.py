"""What every kernel asks of its arguments and of `out`, tried on all of them alike."""

import subprocess
import sys

import numpy as np
import pytest

from close import assert_bits
from kernel_inputs import normal, rng
from lamina import kernels, reference

G = rng(100)
X = normal(G, 6, 8)
IMAGE = normal(G, 2, 6, 6, 3)
KERNEL = normal(G, 3, 3, 3, 4)
LABELS = np.array([0, 7, 3, 3, 1, 2])
COLUMN = np.abs(normal(G, 8)) + 1
PROBABILITIES = np.abs(X) / 8 + np.float32(0.1)

ACTIVATIONS = ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "gelu"]
ACTIVATIONS += ["softmax", "log_softmax"]
LOSSES = ["softmax_cross_entropy_onehot", "sigmoid_cross_entropy", "mean_squared_error"]
LOSSES += ["mean_absolute_error", "cross_entropy_onehot", "binary_cross_entropy"]

# name -> arguments of a valid call
CALLS = {
    "gemm": (X, normal(G, 8, 5)),
    **{f"{name}_forward": (X,) for name in ACTIVATIONS},
    **{f"{name}_backward": (X, X[::-1].copy()) for name in ACTIVATIONS},
    "softmax_cross_entropy_sparse": (X, LABELS),
    "cross_entropy_sparse": (PROBABILITIES, LABELS),
    **dict.fromkeys(LOSSES, (PROBABILITIES, X)),
    "dropout_forward": (X, 0.4, 1),
    "dropout_backward": (X, 0.4, 1),
    "conv2d_forward": (IMAGE, KERNEL),
    "conv2d_backward_input": (normal(G, 2, 4, 4, 4), KERNEL, IMAGE.shape),
    "conv2d_backward_kernel": (normal(G, 2, 4, 4, 4), IMAGE, 3),
    "conv2d_backward_bias": (IMAGE,),
    "max_pool2d_forward": (IMAGE,),
    "max_pool2d_backward": (IMAGE[:, ::2, ::2].copy(), reference.max_pool2d_forward(IMAGE)[1],
                            IMAGE.shape),
    "average_pool2d_forward": (IMAGE,),
    "average_pool2d_backward": (IMAGE[:, ::2, ::2].copy(), IMAGE.shape),
    "batch_norm_forward": (X, COLUMN, COLUMN),
    "batch_norm_inference": (X, COLUMN, COLUMN, COLUMN, COLUMN),
    "batch_norm_backward": (X, X, COLUMN, COLUMN, COLUMN),
    "embedding_forward": (X, LABELS % 6),
    "embedding_backward": (X, LABELS, 9),
    "add_bias": (X, COLUMN),
    "column_sums": (X,),
    "row_sums": (X,),
    "row_argmax": (X,),
    "gather_rows": (X, LABELS % 6),
}  # fmt: skip
WITHOUT_OUT = {
    "philox4x32": (np.zeros((2, 4), np.uint32), np.zeros((2, 2), np.uint32)),
    "random_bits": (70, 1),
    "sgd_step": (X.copy(), X, 0.1),
    "adam_step": (X.copy(), X.copy(), X * X, X, 1),
}


def copied(arguments):
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments)


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def as_out(arrays):
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def floats(arguments):
    return [
        i for i, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.dtype == np.float32
    ]


def test_every_kernel_has_its_twin_and_is_tried_here():
    public = {n for n in kernels.__all__ if callable(getattr(kernels, n))}
    assert public == set(reference.__all__) == set(CALLS) | set(WITHOUT_OUT)


@pytest.mark.parametrize("name", [*CALLS, *WITHOUT_OUT])
def test_same_shapes_and_dtypes_as_the_twin(name):
    arguments = {**CALLS, **WITHOUT_OUT}[name]
    got = as_tuple(getattr(kernels, name)(*copied(arguments)))
    want = as_tuple(getattr(reference, name)(*copied(arguments)))
    for a, b in zip(got, want, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


@pytest.mark.parametrize("name", CALLS)
def test_out_is_written_and_returned(name):
    kernel, arguments = getattr(kernels, name), CALLS[name]
    want = as_tuple(kernel(*arguments))
    out = [np.full_like(a, -77) for a in want]
    got = as_tuple(kernel(*arguments, out=as_out(out)))
    assert len(got) == len(out)
    for a, b, c in zip(got, out, want, strict=True):
        assert a is b
        assert_bits(a, c, what=name)


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_out_is_refused(name):
    kernel, arguments = getattr(kernels, name), CALLS[name]
    good = as_tuple(kernel(*arguments))

    def refused(error, bad, which):
        out = [np.empty_like(a) for a in good]
        out[which] = bad
        with pytest.raises(error, match="out"):
            kernel(*arguments, out=as_out(out))

    for i, a in enumerate(good):
        refused(TypeError, np.empty(a.shape, np.float64), i)
        refused(TypeError, a.tolist(), i)
        refused(ValueError, np.empty((*a.shape[:-1], a.shape[-1] + 1), a.dtype), i)
        refused(ValueError, np.empty((1, *a.shape), a.dtype), i)
        refused(ValueError, np.empty((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)[..., ::2], i)
        frozen = np.empty_like(a)
        frozen.setflags(write=False)
        refused(ValueError, frozen, i)


@pytest.mark.parametrize("name", CALLS)
def test_an_out_that_overlaps_an_input_is_refused(name):
    """Shifted by one element along an input's memory: in place nowhere."""
    kernel, arguments = getattr(kernels, name), CALLS[name]
    good = as_tuple(kernel(*arguments))
    tried = 0
    for which, result in enumerate(good):
        for i in floats(arguments):
            if result.dtype != np.float32:
                continue
            memory = np.zeros(max(result.size, arguments[i].size) + 1, np.float32)
            overlapping = list(arguments)
            overlapping[i] = memory[: arguments[i].size].reshape(arguments[i].shape)
            overlapping[i][...] = arguments[i]
            out = [np.empty_like(a) for a in good]
            out[which] = memory[1 : 1 + result.size].reshape(result.shape)
            if min(result.size, arguments[i].size) < 2:
                continue
            with pytest.raises(ValueError, match="out"):
                kernel(*overlapping, out=as_out(out))
            tried += 1
    assert tried or name in ("row_argmax",)


@pytest.mark.parametrize("name", CALLS)
def test_inputs_are_converted_and_left_alone(name):
    kernel, arguments = getattr(kernels, name), CALLS[name]
    want = as_tuple(kernel(*arguments))
    for convert in (
        lambda a: a.astype(np.float64),
        lambda a: np.asfortranarray(a),
        lambda a: a.tolist(),
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    ):
        changed = list(arguments)
        for i in floats(arguments):
            changed[i] = convert(arguments[i])
        kept = copied(changed)
        for a, b in zip(as_tuple(kernel(*changed)), want, strict=True):
            assert_bits(a, b, what=name)
        for a, b in zip(changed, kept, strict=True):
            if isinstance(a, np.ndarray):
                assert_bits(a, b)


@pytest.mark.parametrize("name", CALLS)
def test_dtypes_that_are_no_numbers_are_refused(name):
    kernel, arguments = getattr(kernels, name), CALLS[name]
    for i in floats(arguments):
        for dtype in (complex, object, str):
            changed = list(arguments)
            changed[i] = arguments[i].astype(dtype)
            with pytest.raises(TypeError):
                kernel(*changed)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_ask_for_equal_shapes(name):
    with pytest.raises(ValueError, match=r"dy|y|x"):
        getattr(kernels, f"{name}_backward")(X, X[:5])


def test_numbers_and_pairs_that_are_none():
    x, k = np.ones((1, 5, 5, 1)), np.ones((3, 3, 1, 1))
    with pytest.raises(TypeError, match="conv2d_forward: strides must be a tuple of 2 integers"):
        kernels.conv2d_forward(x, k, strides=np.array([1, 1]))
    two = np.array(2)  # is an integer all the same
    assert kernels.conv2d_forward(x, k, strides=two).shape == (1, 2, 2, 1)
    with pytest.raises(ValueError, match="mean_squared_error: scale must be at most"):
        kernels.mean_squared_error(np.ones((1, 1)), np.ones((1, 1)), scale=10**400)


def misaligned(a: np.ndarray) -> np.ndarray:
    """The same numbers, one byte beyond where numbers of their size may lie."""
    memory = np.zeros(a.nbytes + 1, np.uint8)
    shifted = memory[1:].view(a.dtype).reshape(a.shape)
    shifted[...] = a
    assert not shifted.flags.aligned
    return shifted


@pytest.mark.parametrize("name", [*CALLS, *WITHOUT_OUT])
def test_misaligned_inputs_are_copied_and_misaligned_outputs_refused(name):
    kernel, arguments = getattr(kernels, name), {**CALLS, **WITHOUT_OUT}[name]
    arrays = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray)]
    written = {"sgd_step": (0,), "adam_step": (0, 1, 2)}.get(name, ())
    want = as_tuple(kernel(*copied(arguments)))
    for i in arrays:
        changed = list(copied(arguments))
        changed[i] = misaligned(arguments[i])
        if i in written:
            with pytest.raises(ValueError, match=r"must lie at a multiple of 4 bytes"):
                kernel(*changed)
            continue
        for a, b in zip(as_tuple(kernel(*changed)), want, strict=True):
            assert_bits(a, b, what=name)
    for i in range(len(want) if name in CALLS else 0):
        out = [np.empty_like(a) for a in want]
        out[i] = misaligned(want[i])
        with pytest.raises(ValueError, match=r"out.* must lie at a multiple of 4 bytes"):
            kernel(*arguments, out=as_out(out))


# Arguments of kernels that are floats.
SCALARS = [
    *((name, (X, X), "scale") for name in LOSSES),
    *((name, (PROBABILITIES, LABELS), "scale")
      for name in ("softmax_cross_entropy_sparse", "cross_entropy_sparse")),
    *(("gemm", (X, X.T), key) for key in ("alpha", "activation_alpha")),
    ("leaky_relu_forward", (X,), "alpha"),
    ("leaky_relu_backward", (X, X), "alpha"),
    ("elu_forward", (X,), "alpha"),
    ("elu_backward", (X, X), "alpha"),
    ("gather_rows", (X, LABELS % 6), "scale"),
    ("batch_norm_forward", (X, COLUMN, COLUMN), "epsilon"),
    ("batch_norm_inference", (X, COLUMN, COLUMN, COLUMN, COLUMN), "epsilon"),
    ("batch_norm_backward", (X, X, COLUMN, COLUMN, COLUMN), "epsilon"),
    ("sgd_step", (X, X), "learning_rate"),
    ("adam_step", (X, X, X * X, X, 1), "learning_rate"),
    ("adam_step", (X, X, X * X, X, 1), "epsilon"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "key"), SCALARS)
def test_scalars_beyond_float32_are_refused(name, arguments, key):
    kernel = getattr(kernels, name)
    for value in (1e39, float.fromhex("0x1.ffffffp+127"), 10**60):
        with pytest.raises(ValueError, match=f"{name}: {key} must be at most 3.4028235e\\+38"):
            kernel(*copied(arguments), **{key: value})
    with np.errstate(all="ignore"):
        kernel(*copied(arguments), **{key: float(np.finfo(np.float32).max)})


def test_gemm_refuses_a_beta_beyond_float32():
    with pytest.raises(ValueError, match=r"gemm: beta must be at most 3.4028235e\+38"):
        kernels.gemm(X, X.T, beta=-1e39, out=np.zeros((6, 6), np.float32))


EMPTY_SCRIPT = """
import numpy as np
from lamina import kernels as k

def empty(*shape, dtype="f4"):
    return np.empty(shape, dtype)

many, none = 2**50, empty(0)
x = empty(many, 0)
for name in ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "gelu", "softmax",
             "log_softmax"):
    assert getattr(k, name + "_forward")(x).shape == x.shape
    assert getattr(k, name + "_backward")(x, x).shape == x.shape
    assert getattr(k, name + "_forward")(empty(2**20, 2**20, 0)).size == 0
assert k.gemm(x, empty(0, 0)).shape == x.shape
assert k.gemm(empty(0, many), empty(many, 0)).shape == (0, 0)
assert (k.gemm(empty(5, 0), empty(0, 7)) == 0).all()
assert k.dropout_forward(x, 0.5, 1).shape == k.dropout_backward(x, 0.5, 1).shape == x.shape
assert k.add_bias(x, none).shape == x.shape
assert k.column_sums(x).shape == (0,)
assert (k.row_sums(empty(3, 0)) == 0).all()
assert k.batch_norm_forward(x, none, none)[0].shape == x.shape
assert k.batch_norm_inference(x, none, none, none, none).shape == x.shape
assert k.batch_norm_backward(x, x, none, none, none)[0].shape == x.shape
assert k.embedding_forward(x, [1, 2]).shape == (2, 0)
assert k.embedding_forward(empty(3, 2), empty(many, 0, dtype="i4")).shape == (many, 0, 2)
assert k.embedding_backward(empty(many, 0, 4), empty(many, 0, dtype="i4"), 9).shape == (9, 4)
assert k.gather_rows(x, [1, 2]).shape == (2, 0)
assert k.sgd_step(x, x, 0.1) is x
assert k.adam_step(x, x, x, x, 1) is x
assert (k.mean_squared_error(empty(3, 0), empty(3, 0))[0] == 0).all()
for shape in (many, 4, 4, 0), (many, 0, 4, 1), (many, 4, 0, 1):
    x = empty(*shape)
    c = shape[3]
    assert k.conv2d_forward(x, empty(1, 1, c, 0), padding="same").size == 0
    assert k.conv2d_backward_kernel(x, x, 1, padding="same").shape == (1, 1, c, c)
    assert k.conv2d_backward_input(x, empty(1, 1, c, c), shape, padding="same").shape == shape
    assert k.conv2d_backward_bias(x).shape == (c,)
    for pool in "max_pool2d", "average_pool2d":
        getattr(k, pool + "_forward")(x, 1, padding="same")
        argmax = [empty(*shape, dtype="i4")] if pool[0] == "m" else []
        dx = getattr(k, pool + "_backward")(x, *argmax, shape, 1, padding="same")
        assert dx.shape == shape
# One number 2^50 times over takes no memory, but its copy does.
index = np.broadcast_to(0, many)
for call in (
    lambda: k.gather_rows(empty(4, 0), index),
    lambda: k.embedding_forward(empty(4, 2), index),
    lambda: k.embedding_backward(empty(0, 0), index, 4),
):
    try:
        call()
    except MemoryError:
        print("no memory")
# A wrong shape is said before anything is read or copied.
for call in (
    lambda: k.softmax_cross_entropy_sparse(empty(4, 2), index),
    lambda: k.cross_entropy_sparse(empty(4, 2), index),
    lambda: k.mean_squared_error(empty(4, 2), index),
    lambda: k.max_pool2d_backward(empty(1, 1, 1, 1), index, (1, 2, 2, 1)),
    lambda: k.add_bias(empty(4, 2), index),
):
    try:
        call()
    except ValueError as error:
        print("shape" if f"got ({many},)" in str(error) else error)
print("done")
"""


def test_huge_arrays_with_an_axis_of_size_0_are_no_work():
    out = subprocess.run(
        [sys.executable, "-c", EMPTY_SCRIPT], capture_output=True, text=True, timeout=100
    )
    assert out.stdout == "no memory\n" * 3 + "shape\n" * 5 + "done\n", out.stderr
