"""Convolution and pooling: the layers of a small CNN on 28×28 images and two of a deeper network,
forward and both gradients.

Images are NHWC. PyTorch gets its fastest layout, channels_last, which is the same order of bytes.
"""

from dataclasses import dataclass

import numpy as np

from . import precision_cases
from .case import Case, sum_tolerance
from .limits import Work


@dataclass(frozen=True)
class Layer:
    """Stride 1, no padding."""

    images: int
    size: int
    channels: int
    filters: int
    taps: int  # along either side of the kernel

    @property
    def name(self) -> str:
        kernel = f"{self.taps}×{self.taps}"
        return f"conv2d {kernel}, {self.size}×{self.size}×{self.channels} to {self.filters}"

    def splits(self, what: str) -> bool:
        """Do all levels below float32 multiply in parts? Those that do not have no rows."""
        columns = self.channels if what == "input gradient" else self.filters
        return self.taps > 1 and self.channels > 1 and columns >= 64


LAYERS = [
    Layer(128, 28, 1, 32, 3),
    Layer(128, 13, 32, 64, 3),
    Layer(32, 32, 64, 64, 3),
    Layer(32, 16, 256, 64, 1),
]


def cases(names: list[str], smoke: bool):
    for layer in LAYERS:
        images = 2 if smoke else layer.images
        for what in ("forward", "kernel gradient", "input gradient"):
            case = conv_case(what, images, layer, names)
            yield case
            if layer.splits(what):
                yield from precision_cases.at_levels(case)
    yield max_pool_case(4 if smoke else 128, names)


def conv_case(what: str, images: int, layer: Layer, names) -> Case:
    """x (images, size, size, channels) -> (..., size - taps + 1, filters)."""
    size, channels, filters, taps = layer.size, layer.channels, layer.filters, layer.taps
    out = size - taps + 1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, size, size, channels), dtype=np.float32)
    k = rng.standard_normal((taps, taps, channels, filters), dtype=np.float32)
    dy = rng.standard_normal((images, out, out, filters), dtype=np.float32)
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        y, dk, dx = np.empty_like(dy), np.empty_like(k), np.empty_like(x)
        contenders["lamina"] = {
            "forward": lambda: kernels.conv2d_forward(x, k, out=y),
            "kernel gradient": lambda: kernels.conv2d_backward_kernel(dy, x, (taps, taps), out=dk),
            "input gradient": lambda: kernels.conv2d_backward_input(dy, k, x.shape, out=dx),
        }[what]
    if "numpy" in names:
        contenders["numpy"] = {
            "forward": lambda: numpy_forward(x, k),
            "kernel gradient": lambda: numpy_kernel_gradient(dy, x, taps),
            "input gradient": lambda: numpy_input_gradient(dy, k, x.shape),
        }[what]
    if "torch" in names:
        contenders["torch"] = torch_conv(what, x, k, dy)
    pixels, window = images * out**2, taps**2
    terms = {
        "forward": window * channels,
        "kernel gradient": pixels,
        "input gradient": window * filters,
    }[what]
    # Sums of products of independent standard normals: their norm is sqrt(terms) a factor, and
    # the largest element of either is below 6.
    return Case(
        f"{layer.name}, {what}",
        contenders,
        sum_tolerance(terms),
        scale=float(terms),
        work=Work(flops=2.0 * pixels * window * channels * filters),
    )


def patches(x, taps: int):
    """(pixels, taps^2 channels): what each output pixel sees, tap by tap."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (taps, taps), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, taps * taps * x.shape[3])


def numpy_forward(x, k):
    n, height, width, _ = x.shape
    taps, filters = k.shape[0], k.shape[3]
    y = patches(x, taps) @ k.reshape(-1, filters)
    return y.reshape(n, height - taps + 1, width - taps + 1, filters)


def numpy_kernel_gradient(dy, x, taps: int):
    filters = dy.shape[3]
    dk = patches(x, taps).T @ dy.reshape(-1, filters)
    return dk.reshape(taps, taps, x.shape[3], filters)


def numpy_input_gradient(dy, k, shape):
    dx = np.zeros(shape, np.float32)
    height, width = dy.shape[1:3]
    for i in range(k.shape[0]):
        for j in range(k.shape[1]):
            dx[:, i : i + height, j : j + width] += dy @ k[i, j].T
    return dx


def torch_conv(what: str, x, k, dy):
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
    # A quarter of the pixels come out, and where each was.
    work = Work(read=x.nbytes, written=x.nbytes / 2)
    return Case("max_pool2d 26×26×32", contenders, 0.0, work=work)
