"""Fashion-MNIST: 70,000 pictures of clothes in MNIST's shapes, downloaded once and then cached.

By Han Xiao, Kashif Rasul and Roland Vollgraf (Zalando Research), MIT licence,
https://github.com/zalandoresearch/fashion-mnist. The files are not part of this package; only
those whose lengths and SHA-256 digests stand here are accepted, from wherever they come.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ._download import RemoteFile, cache_dir, fetch
from ._idx import parse_idx

if TYPE_CHECKING:
    from .._types import U8

__all__ = [
    "load_data",
]

# Keras's mirror first because it speaks HTTPS. The digests would be enough without it.
_MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
)
_FILES = (
    RemoteFile(
        "train-images-idx3-ubyte.gz",
        26421880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    RemoteFile(
        "train-labels-idx1-ubyte.gz",
        29515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    RemoteFile(
        "t10k-images-idx3-ubyte.gz",
        4422102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    RemoteFile(
        "t10k-labels-idx1-ubyte.gz",
        5148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)
_SHAPES = ((60000, 28, 28), (60000,), (10000, 28, 28), (10000,))


def load_data() -> tuple[tuple[U8, U8], tuple[U8, U8]]:
    """Return Fashion-MNIST as `(x_train, y_train), (x_test, y_test)`.

    The four files are kept in the directory `fashion_mnist` below LAMINA_DATA_DIR if that
    environment variable is set, else below the user's cache directory (`~/.cache/lamina` on
    Linux). The first call downloads them (31 MB); files put there by hand serve as well.

    Returns:
        x_train: uint8, (60000, 28, 28), grey levels from 0 to 255.
        y_train: uint8, (60000,): 0 T-shirt/top, 1 trouser, 2 pullover, 3 dress, 4 coat,
            5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot.
        x_test, y_test: the same for the 10,000 test images.
        The arrays are new at every call, writable, and own their memory.

    Raises:
        OSError: the files are neither cached nor to be had; the message says what to put where.
    """
    import gzip

    directory = os.path.join(cache_dir(), "fashion_mnist")
    contents = fetch("Fashion-MNIST", _FILES, _MIRRORS, directory)
    x_train, y_train, x_test, y_test = (
        parse_idx(gzip.decompress(data), shape, name=file.name)
        for data, shape, file in zip(contents, _SHAPES, _FILES, strict=True)
    )
    return (x_train, y_train), (x_test, y_test)


def __dir__() -> list[str]:
    return __all__
