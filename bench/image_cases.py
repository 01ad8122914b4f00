"""Convolution and pooling: the layers of a small CNN on 28×28 images, forward and backward.

Images are NHWC. PyTorch gets its fastest layout, channels_last, which is the same order of bytes.
"""

import numpy as np

from .case import Case, sum_tolerance


def cases(names: list[str], smoke: bool):
    images = 4 if smoke else 128
    for size, channels, filters in ((28, 1, 32), (13, 32, 64)):
        for what in ("forward", "kernel gradient", "input gradient"):
            yield conv_case(what, images, size, channels, filters, names)
    yield max_pool_case(images, names)


def conv_case(what: str, images: int, size: int, channels: int, filters: int, names) -> Case:
    """3×3, stride 1, no padding: x (images, size, size, channels) -> (..., size - 2, filters)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, size, size, channels), dtype=np.float32)
    k = rng.standard_normal((3, 3, channels, filters), dtype=np.float32)
    dy = rng.standard_normal((images, size - 2, size - 2, filters), dtype=np.float32)
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        y, dk, dx = np.empty_like(dy), np.empty_like(k), np.empty_like(x)
        contenders["lamina"] = {
            "forward": lambda: kernels.conv2d_forward(x, k, out=y),
            "kernel gradient": lambda: kernels.conv2d_backward_kernel(dy, x, (3, 3), out=dk),
            "input gradient": lambda: kernels.conv2d_backward_input(dy, k, x.shape, out=dx),
        }[what]
    if "numpy" in names:
        contenders["numpy"] = {
            "forward": lambda: numpy_forward(x, k),
            "kernel gradient": lambda: numpy_kernel_gradient(dy, x),
            "input gradient": lambda: numpy_input_gradient(dy, k, x.shape),
        }[what]
    if "torch" in names:
        contenders["torch"] = torch_conv(what, x, k, dy)
    pixels = images * (size - 2) ** 2
    terms = {"forward": 9 * channels, "kernel gradient": pixels, "input gradient": 9 * filters}
    # Sums of products of independent standard normals: their norm is sqrt(terms) a factor, and
    # the largest element of either is below 6.
    return Case(
        f"conv2d {size}×{size}×{channels} to {filters}, {what}",
        contenders,
        sum_tolerance(terms[what]),
        scale=float(terms[what]),
        work=2.0 * pixels * 9 * channels * filters,
    )


def patches(x):
    """(pixels, 9 channels): what each output pixel sees, tap by tap."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 9 * x.shape[3])


def numpy_forward(x, k):
    n, height, width, channels = x.shape
    return (patches(x) @ k.reshape(9 * channels, -1)).reshape(n, height - 2, width - 2, -1)


def numpy_kernel_gradient(dy, x):
    filters = dy.shape[3]
    return (patches(x).T @ dy.reshape(-1, filters)).reshape(3, 3, x.shape[3], filters)


def numpy_input_gradient(dy, k, shape):
    dx = np.zeros(shape, np.float32)
    height, width = dy.shape[1:3]
    for i in range(3):
        for j in range(3):
            dx[:, i : i + height, j : j + width] += dy @ k[i, j].T
    return dx


def torch_conv(what, x, k, dy):
    import torch

    def channels_last(array):  # NHWC in memory, NCHW in its shape
        return torch.from_numpy(array).permute(0, 3, 1, 2)

    tx, tdy = channels_last(x), channels_last(dy)
    tk = torch.from_numpy(k).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)

    def backward(*wanted):
        return torch.ops.aten.convolution_backward(
            tdy, tx, tk, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, wanted
        )

    return {
        "forward": lambda: torch.nn.functional.conv2d(tx, tk).permute(0, 2, 3, 1),
        "kernel gradient": lambda: backward(False, True, False)[1].permute(2, 3, 1, 0),
        "input gradient": lambda: backward(True, False, False)[0].permute(0, 2, 3, 1),
    }[what]


def max_pool_case(images: int, names) -> Case:
    """2×2, forward, (images, 26, 26, 32) -> (images, 13, 13, 32); a maximum is exact."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, 26, 26, 32), dtype=np.float32)
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        y = np.empty((images, 13, 13, 32), np.float32)
        argmax = np.empty(y.shape, np.int32)
        contenders["lamina"] = lambda: kernels.max_pool2d_forward(x, out=(y, argmax))[0]
    if "numpy" in names:
        contenders["numpy"] = lambda: x.reshape(images, 13, 2, 13, 2, 32).max(axis=(2, 4))
    if "torch" in names:
        import torch

        tx = torch.from_numpy(x).permute(0, 3, 1, 2)
        pool = torch.nn.functional.max_pool2d
        contenders["torch"] = lambda: pool(tx, 2, return_indices=True)[0].permute(0, 2, 3, 1)
    return Case("max_pool2d 26×26×32", contenders, 0.0)
