"""What the tests of products of bf16 parts share: the levels, and the sum that kernels.h states."""

import numpy as np

from lamina.reference.parts import PAIRS, bf16_parts

LEVELS = ["high", "medium", "low"]
BLOCK = 384  # terms that are summed on their own
# What the parts that are left out may be of |A| |B|; for medium, of data that are not made for it.
LEFT_OUT = {"high": 2.0**-24, "medium": 2.0**-16, "low": 2.0**-7 * (1 + 2.0**-9)}


def sum_of_dots(a, b, level):
    """A B in the order that kernels.h states, each step rounded to float32. Sums of exact products
    of eight bits are formed in float64, where nothing is lost for operands of similar size."""
    pairs = PAIRS[level]
    count = 1 + max(i for i, _ in pairs)
    (m, k), n = a.shape, b.shape[1]
    pad = -k % 32
    a_parts = [np.pad(p, ((0, 0), (0, pad))) for p in bf16_parts(a, count)]
    b_parts = [np.pad(p, ((0, pad), (0, 0))) for p in bf16_parts(b, count)]
    total = np.zeros((m, n), np.float32)
    for block in range(0, k + pad, BLOCK):
        sums = np.zeros((m, n), np.float32)
        for p in range(block, min(block + BLOCK, k + pad), 32):
            for i, j in pairs:
                halves = []
                for first in (p, p + 16):
                    chain = np.zeros((m, n), np.float32)
                    for q in range(first, first + 16):
                        x, y = a_parts[i][:, q, None], b_parts[j][None, q]
                        chain = (x.astype(np.float64) * y + chain).astype(np.float32)
                    halves.append(chain)
                sums = sums + (halves[0] + halves[1])
        total = sums if block == 0 else total + sums
    return total
