"""The IDX format of MNIST and its relatives: big-endian arrays behind a header of a few bytes.

    offset 0   two zero bytes
           2   type of the elements, one byte (see _DTYPES)
           3   number of dimensions n, one byte
           4   n sizes, each a big-endian uint32
      4 + 4n   the elements, last index fastest

Strict: the caller says which shape and type it expects, and anything else, one byte too many
included, is refused. Works on bytes in memory; opens and decompresses nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from .._types import Array

_DTYPES = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(np.int16),
    0x0C: np.dtype(np.int32),
    0x0D: np.dtype(np.float32),
    0x0E: np.dtype(np.float64),
}


def parse_idx(
    data: bytes | bytearray | memoryview,
    shape: Sequence[int],
    dtype: DTypeLike = np.uint8,
    name: str = "IDX data",
) -> Array:
    """Return the array held by `data`, the uncompressed contents of an IDX file.

    Args:
        data: bytes, bytearray or memoryview of bytes.
        shape: Tuple of the sizes that the header must state.
        dtype: Type of element that the header must state, in any byte order.
        name: What to call the data in an error, usually the file name.

    Returns:
        A new array of `shape` and `dtype` in native byte order; it shares nothing with `data`.

    Raises:
        ValueError: wrong magic number, unknown or unexpected type, unexpected shape, or fewer or
            more bytes than these call for.
    """
    data = memoryview(data).cast("B")
    dtype = np.dtype(dtype).newbyteorder("=")
    if len(data) < 4:
        raise ValueError(f"{name}: expected an IDX header of at least 4 bytes, got {len(data)}")
    code, rank = data[2], data[3]
    if data[0] or data[1] or code not in _DTYPES:
        raise ValueError(
            f"{name}: not an IDX file: expected two zero bytes and a type code of "
            f"{', '.join(f'{known:02x}' for known in _DTYPES)}, got {data[:3].hex(' ')}"
        )
    if _DTYPES[code] != dtype:
        raise ValueError(f"{name}: expected elements of type {dtype}, got {_DTYPES[code]}")
    start = 4 + 4 * rank
    if len(data) < start:
        raise ValueError(
            f"{name}: the header of {rank} dimensions takes {start} bytes, got {len(data)}"
        )
    found = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    if found != tuple(shape):
        raise ValueError(f"{name}: expected shape {tuple(shape)}, got {found}")
    # Python integers: a product of sizes cannot wrap around and pass for a small one.
    length = start + math.prod(found) * dtype.itemsize
    if len(data) != length:
        raise ValueError(f"{name}: expected {length} bytes for shape {found}, got {len(data)}")
    elements = np.frombuffer(data, dtype.newbyteorder(">"), offset=start)
    return elements.reshape(found).astype(dtype)
