"""Inputs that the tests of several kernels share. It imports neither lamina nor pytest."""

import itertools
import math

import numpy as np

# Around every block size there is: 16 lanes, tiles of 4, 6 and 12 rows and of 16 and 64 columns,
# blocks of 224 along K and pieces of 256 rows.
SIZES = (0, 1, 2, 3, 5, 6, 7, 15, 16, 17, 31, 33, 63, 64, 65, 223, 224, 225, 255, 256, 257, 1000)

# NaN, infinities, zeros of both signs, denormals, and numbers about which functions saturate,
# underflow and overflow.
_UPWARD = """nan inf 0 1e-45 1e-40 1.17549435e-38 1e-30 1e-8 3e-4 0.5 1 3 5.5 9 13.5 17 30 87
    88.5 89 103.5 105 1e4 1e10 1e19 1e20 1e30 3.4028235e38"""
SPECIAL = np.array([float(sign + x) for sign in "+-" for x in _UPWARD.split()], dtype=np.float32)


def rng(*seed):
    return np.random.default_rng([20, *seed])


def normal(generator, *shape):
    return generator.normal(size=shape).astype(np.float32)


def all_finite(step=40_009):
    """About 100,000 float32 of both signs, evenly spread over the bit patterns."""
    words = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32)
    x = words.view(np.float32)
    return x[np.isfinite(x)]


# The lines "philox4x32 10" of tests/kat_vectors of Random123 (D. E. Shaw Research): counter, key,
# answer. The last takes its inputs from the digits of pi.
PHILOX = np.array(
    [
        [int(word, 16) for word in line.split()]
        for line in (
            "00000000 00000000 00000000 00000000 00000000 00000000"
            " 6627e8d5 e169c58d bc57ac4c 9b00dbd8",
            "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff"
            " 408f276d 41c83b0e a20bc7c6 6d5451fd",
            "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0"
            " d16cfe09 94fdcceb 5001e420 24126ea1",
        )
    ],
    dtype=np.uint32,
)
PHILOX_COUNTERS, PHILOX_KEYS, PHILOX_ANSWERS = PHILOX[:, :4], PHILOX[:, 4:6], PHILOX[:, 6:]


def term_blocks(k):
    """The begin and end of every block of a product's k terms: the fewest of at most 224, even to
    within 32."""
    count, units = -(-k // 224), -(-k // 32)
    ends = [i * units // count * 32 for i in range(count + 1)]
    return [(p, min(end, k)) for p, end in itertools.pairwise(ends)]


def term_groups(k):
    """The same blocks in the groups whose sums are added in order: one group of up to 32 blocks,
    or else as many blocks to a group as there are groups."""
    blocks = term_blocks(k)
    size = len(blocks) if len(blocks) <= 32 else math.isqrt(len(blocks) - 1) + 1
    return [blocks[i : i + size] for i in range(0, len(blocks), size)]
