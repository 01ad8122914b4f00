"""Random numbers from a counter, and dropout made of them.

Nothing here has a state: a number is a function of the seed and of its place, so the mask of the
forward pass can be made again in the backward pass. seed: an integer in [0, 2^64); layer and step:
in [0, 2^32). ValueError outside, TypeError for anything but an integer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import kernels as _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import F32, U32


def philox4x32(counters: ArrayLike, keys: ArrayLike) -> U32:
    """Philox4x32-10: counters (n, 4) and keys (n, 2), integers in [0, 2^32), to (n, 4) uint32.

    ValueError for another shape or range, TypeError for anything but integers. Exact. Source:
    Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    return _core.philox4x32(counters, keys)


def random_bits(n: int, seed: int, layer: int = 0, step: int = 0, first: int = 0) -> U32:
    """Elements first .. first + n of the stream (seed, layer, step). Returns (n,) uint32.

    Element e is word (e % 64) // 16 of the Philox block b = (e // 64) * 16 + e % 16, whose key is
    (seed mod 2^32, seed >> 32) and whose counter is (b mod 2^32, b >> 32, step, layer). ValueError
    where first is no multiple of 64.
    """
    return _core.random_bits(n, seed, layer, step, first)


def dropout_forward(
    x: ArrayLike, rate: float, seed: int, layer: int = 0, step: int = 0, *, out: F32 | None = None
) -> F32:
    """y_e = x_e / (1 - rate) where random word e >= rate 2^32, else 0. Any shape; e is the flat
    index; 0 <= rate < 1, rounded to float32. In place.

    The expectation of y is x. Error: 2 eps of y. ValueError for another rate. Source: Srivastava
    et al., JMLR 15, 2014 ("inverted dropout").
    """
    return _core.dropout_forward(x, rate, seed, layer, step, out)


def dropout_backward(
    dy: ArrayLike, rate: float, seed: int, layer: int = 0, step: int = 0, *, out: F32 | None = None
) -> F32:
    """dx_e = dy_e / (1 - rate) under the same mask, else 0. In place."""
    return _core.dropout_backward(dy, rate, seed, layer, step, out)
