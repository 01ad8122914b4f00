#!/usr/bin/env python3
"""Build `python/lamina/datasets/mnist.npz` from the four gzip-compressed IDX files of MNIST.

    python tools/pack_mnist.py DIRECTORY [-o OUTPUT]

The digest of each file's *contents* is checked before anything is packed, so the files may come
from any mirror, however it has compressed them. The output has the array names of Keras's own
`mnist.npz`, and the same zlib gives the same bytes at every run. Nothing is downloaded, and no
output is written unless all four inputs are right.
"""

import argparse
import gzip
import hashlib
import io
import os
import sys
import zipfile

import numpy as np

# array name, file, SHA-256 of the uncompressed IDX file, shape
SOURCES = (
    (
        "x_train",
        "train-images-idx3-ubyte.gz",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        (60000, 28, 28),
    ),
    (
        "y_train",
        "train-labels-idx1-ubyte.gz",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        (60000,),
    ),
    (
        "x_test",
        "t10k-images-idx3-ubyte.gz",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        (10000, 28, 28),
    ),
    (
        "y_test",
        "t10k-labels-idx1-ubyte.gz",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        (10000,),
    ),
)
DEFAULT_OUTPUT = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
    *("python", "lamina", "datasets", "mnist.npz"),
)


def read_array(path, sha256, shape):
    """Return the uint8 array of `shape` in the gzipped IDX file `path`.

    Raises ValueError when the uncompressed bytes do not have the digest `sha256`. Those that do
    need no parser: their header is known, four bytes of magic and four for each dimension.
    """
    with gzip.open(path, "rb") as stream:
        payload = stream.read()
    found = hashlib.sha256(payload).hexdigest()
    if found != sha256:
        raise ValueError(f"{path}: expected contents of SHA-256 {sha256}, got {found}")
    return np.frombuffer(payload, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def pack(arrays):
    """Return the bytes of a compressed .npz of `arrays`, a dict of names to arrays."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        for name, array in arrays.items():
            # Date, host system and permissions are fixed: they would differ from build to build.
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3
            member.external_attr = 0o644 << 16
            contents = io.BytesIO()
            np.lib.format.write_array(contents, array, version=(1, 0), allow_pickle=False)
            archive.writestr(member, contents.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return output.getvalue()


def main():
    parser = argparse.ArgumentParser(description="Pack MNIST into the file that lamina embeds.")
    parser.add_argument("directory", help="where the four *-ubyte.gz files are")
    parser.add_argument("-o", "--output", default=DEFAULT_OUTPUT, help="default: %(default)s")
    options = parser.parse_args()
    try:
        arrays = {
            name: read_array(os.path.join(options.directory, file), sha256, shape)
            for name, file, sha256, shape in SOURCES
        }
    except (OSError, EOFError, ValueError) as error:
        sys.exit(f"pack_mnist: {error}")
    packed = pack(arrays)
    with open(options.output, "wb") as stream:
        stream.write(packed)
    print(f"{options.output}: {len(packed)} bytes, SHA-256 {hashlib.sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main()
