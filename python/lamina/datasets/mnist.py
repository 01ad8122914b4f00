"""MNIST, the 70,000 handwritten digits, read from the copy that is part of the package.

Never uses the network or a cache directory. The copy is `mnist.npz` beside this file (see
`MNIST_LICENSE.md` for its authors and licence); `tools/pack_mnist.py` builds it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from zipfile import ZipFile

    from .._types import U8, Shape

__all__ = [
    "load_data",
]

_FILE = os.path.join(os.path.dirname(__file__), "mnist.npz")
_SHAPES = {
    "x_train": (60000, 28, 28),
    "y_train": (60000,),
    "x_test": (10000, 28, 28),
    "y_test": (10000,),
}
# Small enough that a piece is still in the second-level cache when it is checked and copied.
_PIECE_BYTES = 1 << 18


def load_data(path: str = "mnist.npz") -> tuple[tuple[U8, U8], tuple[U8, U8]]:
    """Return MNIST as `(x_train, y_train), (x_test, y_test)`.

    Args:
        path: Accepted because Keras takes it (the name of its download in the cache), and
            ignored: there is nothing to download.

    Returns:
        x_train: uint8, (60000, 28, 28), pixels from 0 (paper) to 255 (ink).
        y_train: uint8, (60000,), the digits 0 to 9.
        x_test, y_test: the same for the 10,000 test images.
        The arrays are new at every call, writable, and own their memory.

    Raises:
        ValueError: the embedded file is missing or damaged. Every byte is held against the
            checksums (CRC-32) that are stored with it.
    """
    del path
    import zipfile

    try:
        with zipfile.ZipFile(_FILE) as archive:
            arrays = {
                name: _read_array(archive, f"{name}.npy", shape) for name, shape in _SHAPES.items()
            }
    except MemoryError:
        raise
    # Damage shows as any of a dozen exceptions, according to which field of the file it hits.
    except Exception as error:
        raise ValueError(
            f"the MNIST file of lamina, {_FILE!r}, is missing or damaged "
            f"({type(error).__name__}: {error}); reinstall lamina"
        ) from error
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


def _read_array(archive: ZipFile, member: str, shape: Shape) -> U8:
    """Return the uint8 array of `shape` stored as `member` (.npy, version 1.0) of a zip archive.

    np.load would do, but returns a view of an array that nobody holds, and believes the header:
    here a damaged header cannot ask for memory. The pixels are decompressed a piece at a time
    into the array that is returned, so there is no second copy of them.
    """
    array = np.empty(shape, np.uint8)
    flat = array.reshape(-1)
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"{member}: expected .npy version (1, 0), got {version}")
        header = np.lib.format.read_array_header_1_0(stream)
        if header != (shape, False, array.dtype):
            raise ValueError(f"{member}: expected uint8 {shape} in C order, got {header}")
        filled = 0
        # To the end of the member, not of the array: that is where zipfile compares checksums.
        while piece := stream.read(_PIECE_BYTES):
            end = filled + len(piece)
            flat[filled:end] = np.frombuffer(piece, np.uint8)
            filled = end
    if filled != flat.size:
        raise ValueError(f"{member}: expected {flat.size} bytes of data, got {filled}")
    return array


def __dir__() -> list[str]:
    return __all__
