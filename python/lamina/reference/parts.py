"""Products of bf16 parts: what the levels of `lamina.set_float32_matmul_precision` compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import Array

# Which parts of A and of B are multiplied at each level; 0 is the largest part.
PAIRS = {
    "high": [(2, 0), (1, 0), (1, 1), (0, 1), (0, 2), (0, 0)],
    "medium": [(1, 0), (0, 0), (0, 1)],
    "low": [(0, 0)],
}


def to_bf16(x: ArrayLike) -> Array:
    """x, float32, rounded to the nearest number of eight significant bits, ties to even."""
    x = np.asarray(x, dtype=np.float32)
    words = x.view(np.uint32).astype(np.uint64)
    rounded = (words + 0x7FFF + (words >> 16 & 1)) & 0xFFFF0000
    return np.where(np.isnan(x), x, rounded.astype(np.uint32).view(np.float32))


def bf16_parts(x: ArrayLike, count: int) -> list[Array]:
    """`count` arrays of bf16 numbers, each what is left of x rounded; three add up to x."""
    rest, parts = np.array(x, dtype=np.float32), []
    for _ in range(count):
        parts.append(to_bf16(rest))
        rest = rest - parts[-1]
    return parts


def product(a: Array, b: Array, precision: str) -> Array:
    """A B of matrices as a level below highest has it, in float64 but for the parts."""
    pairs = PAIRS[precision]
    count = 1 + max(i for i, _ in pairs)
    of_a, of_b = bf16_parts(a, count), bf16_parts(b, count)
    products = (of_a[i].astype(np.float64) @ of_b[j].astype(np.float64) for i, j in pairs)
    return sum(products, start=np.zeros((len(a), b.shape[1])))
