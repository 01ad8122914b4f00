"""Random numbers from a counter, and dropout made of them.

Nothing here has a state: a number is a function of the seed and of its place, so the mask of the
forward pass can be made again in the backward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._array import real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import Array

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85  # the golden ratio and sqrt(3) - 1, as fractions of 2^32
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox4x32(counters: ArrayLike, keys: ArrayLike) -> Array:
    """Philox4x32-10, a block cipher for simulations: counters (n, 4) and keys (n, 2), both
    uint32, to (n, 4) uint32.

    Ten rounds of (c0, c1, c2, c3) <- (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1,
    lo(M0 c0)); after each round the keys go on by the Weyl constants.
    Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    c0, c1, c2, c3 = np.asarray(counters, np.uint64).T
    k0, k1 = np.asarray(keys, np.uint64).T
    for _ in range(10):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2  # 32 x 32 -> 64 bits: exact
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + np.uint64(_WEYL[0])) & _LOW, (k1 + np.uint64(_WEYL[1])) & _LOW
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def random_bits(n: int, seed: int, layer: int = 0, step: int = 0, first: int = 0) -> Array:
    """Elements first .. first + n of the stream (seed, layer, step). Returns (n,) uint32.

    Element e is word (e % 64) // 16 of the Philox block b = (e // 64) * 16 + e % 16, whose key is
    (seed mod 2^32, seed >> 32) and whose counter is (b mod 2^32, b >> 32, step, layer): sixteen
    blocks side by side make 64 elements, so that vector code needs no transpose.
    """
    e = np.arange(first, first + n, dtype=np.uint64)
    group, place = np.divmod(e, np.uint64(64))
    word, lane = np.divmod(place, np.uint64(16))
    block = group * np.uint64(16) + lane
    counters = np.empty((n, 4), np.uint64)
    counters[:, 0] = block & _LOW
    counters[:, 1] = block >> _HALF
    counters[:, 2] = step
    counters[:, 3] = layer
    keys = np.broadcast_to(np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint64), (n, 2))
    words = philox4x32(counters, keys)
    return np.take_along_axis(words, word[:, None].astype(np.int64), axis=1)[:, 0]


def dropout_forward(x: ArrayLike, rate: float, seed: int, layer: int = 0, step: int = 0) -> Array:
    """y_e = x_e / (1 - rate) where random word e >= rate 2^32, else 0. Any shape; e is the flat
    index; 0 <= rate < 1, rounded to float32.

    The expectation of y is x. Source: Srivastava et al., JMLR 15, 2014 ("inverted dropout").
    """
    x = real(x)
    rate = float(np.float32(rate))
    keep = random_bits(x.size, seed, layer, step).reshape(x.shape) >= rate * 2.0**32
    return np.where(keep, x / (1 - rate), 0)


def dropout_backward(dy: ArrayLike, rate: float, seed: int, layer: int = 0, step: int = 0) -> Array:
    """dx_e = dy_e / (1 - rate) under the same mask, else 0."""
    return dropout_forward(dy, rate, seed, layer, step)
