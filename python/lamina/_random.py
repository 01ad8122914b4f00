"""The package's own source of random numbers, and the one place that knows the global seed.

Everything random in `lamina` (initial weights, the order of rows, dropout masks) is a function of
a 64-bit seed that `next_seed` hands out. The seeds are a counter passed through SplitMix64
(Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014), the numbers under
one seed are Philox4x32-10: no generator state is ever shared, and NumPy's own global generator is
neither read nor moved.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

_MASK = (1 << 64) - 1
_CHUNK = 1 << 20  # numbers made at once: bounds the float64 temporaries


class _State:
    seed: int | None = None
    drawn = 0
    generation = 0


def set_seed(seed: int) -> None:
    """Restart the sequence of seeds; runners made before know by `generation` that it happened."""
    _State.seed = seed
    _State.drawn = 0
    _State.generation += 1


def generation() -> int:
    return _State.generation


def _mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def next_seed() -> int:
    """A fresh 64-bit seed: from the global seed, or from the system's entropy without one."""
    if _State.seed is None:
        set_seed(int.from_bytes(os.urandom(8), "little"))
    assert _State.seed is not None
    _State.drawn += 1
    return _mix((_mix(_State.seed) + _State.drawn * 0x9E3779B97F4A7C15) & _MASK)


def combine(seeds: Iterable[int]) -> int:
    """One seed out of several, in which each of them and their order count."""
    result = 0
    for seed in seeds:
        result = _mix((result + 0x9E3779B97F4A7C15 + _mix(seed & _MASK)) & _MASK)
    return result


def _bits(n: int, seed: int, step: int) -> np.ndarray:
    from . import kernels

    return kernels.random_bits(n, seed & _MASK, layer=0, step=step)


@np.errstate(under="ignore")
def _moved(part: np.ndarray, scale: float, shift: float | None) -> None:
    """scale x + shift of a chunk, while a cache holds it."""
    part *= np.float32(scale)
    if shift is not None:
        part += np.float32(shift)


def uniform(out: np.ndarray, seed: int, scale: float = 1.0, shift: float | None = None) -> None:
    """Fills a float32 vector with scale u + shift, u in [0, 1): multiples of 2^-24."""
    for step, first in enumerate(range(0, out.size, _CHUNK)):
        part = out[first : first + _CHUNK]
        bits = _bits(part.size, seed, step)
        bits >>= 8
        part[...] = bits.view(np.int32)  # exact below 2^31, and converts faster
        part *= np.float32(2.0**-24)
        _moved(part, scale, shift)


def _normal_chunk(n: int, seed: int, step: int) -> np.ndarray:
    """n (even) float64 of N(0, 1) by Box and Muller; u1 is in (0, 1], so the log is finite."""
    bits = _bits(n, seed, step)
    radius = np.sqrt(-2.0 * np.log((bits[: n // 2] + 1.0) * 2.0**-32))
    angle = bits[n // 2 :] * (2.0 * np.pi * 2.0**-32)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])


def normal(out: np.ndarray, seed: int, scale: float = 1.0, shift: float | None = None) -> None:
    """Fills a float32 vector with scale z + shift, z of N(0, 1)."""
    for step, first in enumerate(range(0, out.size, _CHUNK)):
        part = out[first : first + _CHUNK]
        part[...] = _normal_chunk(part.size + part.size % 2, seed, step)[: part.size]
        _moved(part, scale, shift)


def truncated_normal(
    out: np.ndarray, seed: int, scale: float = 1.0, shift: float | None = None
) -> None:
    """As normal, but z beyond two standard deviations are drawn again."""
    filled = step = 0
    while filled < out.size:
        # 95.4 % are kept: a twelfth more than what is missing mostly ends it in one go.
        size = min(_CHUNK, (out.size - filled) * 13 // 12 + 64)
        chunk = _normal_chunk(size + size % 2, seed, step)
        chunk = chunk[np.abs(chunk) <= 2.0][: out.size - filled]
        part = out[filled : filled + chunk.size]
        part[...] = chunk
        _moved(part, scale, shift)
        filled += chunk.size
        step += 1


def permutation(n: int, seed: int) -> np.ndarray:
    """A random order of range(n), int64.

    Sorts random keys that carry the index in their low bits: no two are equal, so that every
    sorting algorithm, on every machine, gives the same order.
    """
    width = np.uint64(max(n, 1).bit_length())
    bits = _bits(2 * n, seed, 0)
    keys = bits[:n].astype(np.uint64)  # and all in place: 16 bytes a row at most, 8 in the end
    keys <<= np.uint64(32)
    keys |= bits[n:]
    del bits
    keys <<= width
    keys |= np.arange(n, dtype=np.uint64)
    keys.sort()
    keys &= (np.uint64(1) << width) - np.uint64(1)
    return keys.view(np.int64)
