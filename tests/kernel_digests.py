"""Prints a SHA-256 for every kernel's results on fixed inputs, as JSON. test_isas.py runs it once
for each instruction set and number of threads, and asks for the same answer. With CALLER=flushed
every kernel is called by a thread that flushes denormals and traps whatever NumPy can trap.
"""

import hashlib
import json
import os

import numpy as np

import lamina as la
from float_state import flushed
from kernel_inputs import all_finite, normal, rng
from lamina import kernels as plain_kernels


class Kernels:
    """lamina.kernels, each called in the state that the environment asks for."""

    def __getattr__(self, name):
        kernel = getattr(plain_kernels, name)
        if os.environ.get("CALLER") != "flushed":
            return kernel

        def call(*arguments, **options):
            with flushed(), np.errstate(all="raise"):
                return kernel(*arguments, **options)

        return call


kernels = Kernels()


def digest(results):
    h = hashlib.sha256()
    for result in results:
        for array in result if isinstance(result, tuple) else (result,):
            assert not (array.dtype == np.float32 and np.isnan(array).any())  # has many bits
            h.update(array.tobytes())
    return h.hexdigest()


def element_by_element(g):
    x = np.concatenate([all_finite(400_009), np.linspace(-100, 100, 5000, dtype=np.float32)])
    dy = normal(g, x.size)
    moderate = x[np.abs(x) < 1e10]
    for name in ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "gelu"):
        forward, backward = (getattr(kernels, f"{name}_{way}") for way in ("forward", "backward"))
        for options in ((), (True,)) if name == "gelu" else ((),):
            y = forward(x, *options)
            saved = moderate if name == "gelu" else y[np.abs(x) < 1e10]
            dx = backward(dy[: moderate.size], saved, *options)
            yield f"{name}{options}", [y, dx]


def by_row(g):
    for cols in (70, 10):
        x, t = 5 * normal(g, 37, cols), np.abs(normal(g, 37, cols))
        w, labels, p = np.abs(normal(g, 37)), g.integers(cols, size=37), np.exp(x / 20) / 5
        for name in ("softmax", "log_softmax"):
            y = getattr(kernels, f"{name}_forward")(x)
            yield f"{name} {cols}", [y, getattr(kernels, f"{name}_backward")(t, y)]
        for name in ("softmax_cross_entropy_sparse", "cross_entropy_sparse"):
            yield f"{name} {cols}", [getattr(kernels, name)(p, labels, w, 0.3)]
        dense = ["softmax_cross_entropy_onehot", "sigmoid_cross_entropy", "mean_squared_error"]
        dense += ["mean_absolute_error", "cross_entropy_onehot", "binary_cross_entropy"]
        for name in dense:
            yield f"{name} {cols}", [getattr(kernels, name)(p, t, w, 0.3)]
    for name in ("column_sums", "row_sums", "row_argmax"):
        yield name, [getattr(kernels, name)(normal(g, rows, 83)) for rows in (3, 70, 999)]
    yield "add_bias", [kernels.add_bias(x, t[0])]


def products(g):
    def shape(m, n, k):
        out = []
        for trans_a in (False, True):
            for trans_b in (False, True):
                a = normal(g, *((k, m) if trans_a else (m, k)))
                b = normal(g, *((n, k) if trans_b else (k, n)))
                options = {"trans_a": trans_a, "trans_b": trans_b, "bias": normal(g, n)}
                for activation in ("linear", "relu", "gelu", "softplus"):
                    out.append(kernels.gemm(a, b, activation=activation, **options))
                out.append(kernels.gemm(a, b, alpha=0.7, beta=-1.3, out=out[0].copy(), **options))
        return out

    for m, n, k in [(1, 1, 1), (7, 33, 300), (97, 130, 515), (70, 530, 40), (400, 10, 60)]:
        yield f"gemm {m} x {n} x {k}", shape(m, n, k)


def products_of_parts(g, levels=("high", "medium", "low")):
    os.environ["LAMINA_MATRIX_UNIT"] = "emulated"
    for level in levels:
        la.set_float32_matmul_precision(level)
        for name, results in products(g):
            yield f"{level} {name}", results
        for results in images_of_parts(g):
            yield f"{level} conv2d {results[0].shape}", results
        a, b = normal(g, 33, 90) * np.float32(2.0**-120), normal(g, 90, 70)
        yield f"{level} of denormals", [kernels.gemm(a, b), kernels.gemm(a, b * np.float32(1e-5))]
    la.set_float32_matmul_precision("highest")


def images_of_parts(g):
    for shape, window, filters, options in [
        ((3, 4, 5, 64), (2, 2), 70, {"padding": "same"}),
        ((2, 6, 8, 24), (3, 3), 65, {"strides": (2, 1), "dilation": (1, 2)}),
    ]:
        x, k = normal(g, *shape), normal(g, *window, shape[3], filters)
        y = kernels.conv2d_forward(x, k, normal(g, filters), **options)
        dx = kernels.conv2d_backward_input(y, k, x.shape, **options)
        yield [y, dx, kernels.conv2d_backward_kernel(y, x, window, **options)]


def images(g):
    for channels, filters, options in [
        (1, 32, {}),
        (3, 17, {"padding": "same", "strides": (2, 1)}),
        (20, 70, {"padding": "same", "dilation": (2, 1)}),
        (70, 33, {"padding": "same"}),
    ]:
        x, k = normal(g, 3, 14, 13, channels), normal(g, 3, 3, channels, filters)
        y = kernels.conv2d_forward(x, k, normal(g, filters), **options)
        dx = kernels.conv2d_backward_input(y, k, x.shape, **options)
        dk = kernels.conv2d_backward_kernel(y, x, (3, 3), **options)
        yield f"conv2d {channels}", [y, dx, dk, kernels.conv2d_backward_bias(y)]
        pool = {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"}
        y, argmax = kernels.max_pool2d_forward(x, **pool)
        dx = kernels.max_pool2d_backward(y, argmax, x.shape, **pool)
        yield f"max_pool2d {channels}", [y, argmax, dx]
        y = kernels.average_pool2d_forward(x, **pool)
        dx = kernels.average_pool2d_backward(y, x.shape, **pool)
        yield f"average_pool2d {channels}", [y, dx]


def the_rest(g):
    for rows, cols in [(5, 3), (300, 70)]:
        x, dy, gamma, beta = (normal(g, *s) for s in [(rows, cols)] * 2 + [(cols,)] * 2)
        y, mean, variance = kernels.batch_norm_forward(x, gamma, beta)
        inference = kernels.batch_norm_inference(x, gamma, beta, mean, variance)
        backward = kernels.batch_norm_backward(dy, x, gamma, mean, variance)
        yield f"batch_norm {rows} x {cols}", [y, mean, variance, inference, backward]
    counters = g.integers(2**32, size=(50, 4), dtype=np.uint32)
    yield "philox4x32", [kernels.philox4x32(counters, counters[:, :2])]
    yield "random_bits", [kernels.random_bits(1000, 2**50 + 3, 4, 5, 64)]
    yield "dropout", [kernels.dropout_forward(normal(g, 1001), 0.3, 7, 1, 2)]
    index = g.integers(40, size=200)
    yield (
        "embedding",
        [
            kernels.embedding_forward(normal(g, 40, 33), index),
            kernels.embedding_backward(normal(g, 200, 33), index, 40),
        ],
    )
    for dtype in ("u1", "i2", "u4", "i8", "u8", "f2", "f4", "f8"):
        source = (1000 * g.normal(size=(40, 37))).astype("i8").astype(dtype)
        yield f"gather_rows {dtype}", [kernels.gather_rows(source, index, 1 / 255)]
    w, dw, m = normal(g, 1001), normal(g, 1001), normal(g, 1001)
    yield "sgd_step", [kernels.sgd_step(w, dw, 0.1)]
    yield "sgd_step momentum", [kernels.sgd_step(w, dw, 0.1, 0.9, False, m), m]
    yield "sgd_step nesterov", [kernels.sgd_step(w, dw, 0.1, 0.9, True, m), m]
    v = np.abs(dw) * 10 ** g.uniform(-30, 3, size=1001).astype(np.float32)
    for step in (1, 7, 1000, 1008):
        yield f"adam_step {step}", [kernels.adam_step(w, m, v, dw, step), m, v]


def tiny(g):
    """Numbers whose products are denormal, and denormals; also such that float64 inputs become."""
    for power in (-64, -130):

        def small(*shape, power=power):
            return g.normal(size=shape) * 2.0**power

        x, w = small(37, 70), small(70, 40)
        yield f"gemm of 2^{power}", [kernels.gemm(x, w), kernels.gemm(x, 1e3 * w, alpha=1e-2)]
        image, taps = small(2, 9, 8, 17), small(3, 3, 17, 20)
        y = kernels.conv2d_forward(image, taps, padding="same")
        yield f"conv2d of 2^{power}", [y]
        sums = [kernels.column_sums(x), kernels.row_sums(x), kernels.relu_forward(x)]
        yield f"sums of 2^{power}", [*sums, kernels.mean_squared_error(x, small(37, 70))]
        v, m, dw = (np.zeros(70, np.float32) for _ in range(3))
        dw[:] = x[0]
        yield f"sgd of 2^{power}", [kernels.sgd_step(v, dw, 0.1, 0.9, False, m), m]


GROUPS = (element_by_element, by_row, products, images, the_rest, products_of_parts, tiny)

if __name__ == "__main__":
    if os.environ.get("CALLER") == "flushed":
        # Workers start with the state of the thread that needs them first: here for the zeros of
        # so many gradients. From then on each does a share, however busy the machine is.
        la.set_num_threads(la.get_num_threads(), oversubscribe=True)
        row = np.zeros((1, 3000), np.float32)
        model = la.Sequential([la.Input((3000,)), la.layers.Dense(3000)])
        with flushed():
            model.compile("sgd", "mse")
            model.fit(row, row, verbose=0)
    found = {name: digest(r) for i, group in enumerate(GROUPS) for name, r in group(rng(200, i))}
    print(json.dumps(found))
