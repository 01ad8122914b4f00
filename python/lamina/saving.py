"""Weights in a file, in the safetensors layout, and nothing but weights: no code can hide in it.

The layout: eight bytes, the header's length n as a little-endian integer; n bytes of JSON, an
object {tensor name: {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {text:
text}}; then the tensors' bytes, little-endian and C-contiguous, without gaps. Other programs that
know the layout can read it.

A tensor is called by its layer's class in snake case, numbered, and the weight's name:
`dense/kernel`, `dense/bias`, `dense_1/kernel`. Layers' own names do not matter, as they depend on
what else the process has made.

The metadata hold a CRC-32 of the whole file, as it is with zeros in the place of the sum, so that
a changed bit anywhere is seen. Files without one, as other programs write them, are read too.

The reader takes nothing for granted and says what is wrong; a file that is refused has changed no
weight. The writer writes beside the file and puts the whole in its place at the end.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import math
import os
import stat
from typing import TYPE_CHECKING, Any

import numpy as np

from . import data
from ._hints import module_hooks
from ._names import snake_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._types import F32, Config
    from .models import Sequential

__all__ = ["load_weights", "save_weights"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)

_MAX_HEADER = 100_000_000  # bytes; the limit of the layout's own reader
_MAX_RANK = 32
_VERSIONS = ("1", "2")  # the first had no checksum
_SUM_KEY = "lamina_crc32"
_CHUNK = 1 << 20  # bytes read at once for the checksum
_Entry = tuple[str, "tuple[int, ...]", int, int]  # of a tensor: dtype, shape, begin, end
_DTYPES: dict[str, Any] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "F16": np.dtype("<f2")}


def tensor_names(model: Sequential) -> dict[str, Any]:
    """{tensor name: Weight}, in the order of the layers."""
    taken = set()
    names: dict[str, Any] = {}
    for layer in model.layers:
        if not layer.weights:
            continue
        base = prefix = snake_case(type(layer).__name__)
        count = 0
        while prefix in taken:
            count += 1
            prefix = f"{base}_{count}"
        taken.add(prefix)
        for weight in layer.weights:
            if f"{prefix}/{weight.name}" in names:
                raise ValueError(f"{layer._label} has two weights named '{weight.name}'")
            names[f"{prefix}/{weight.name}"] = weight
    return names


# ---- writing ------------------------------------------------------------------------------------


def save_weights(model: Sequential, filepath: Any, overwrite: bool = True) -> None:
    """Write the model's weights to `filepath`, whole or not at all.

    ValueError for a model that is not built, and for names that promise another format;
    FileExistsError with overwrite=False where there is a file.
    """
    path = _path(filepath)
    if not model.built:
        raise ValueError(f"model '{model.name}' is not built yet: it has no weights to save")
    if os.path.exists(path):
        if not os.path.isfile(path):
            raise ValueError(f"{path!r} is not a file that could be replaced")
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "may not be written to", path)
        if not overwrite:
            raise FileExistsError(f"{path!r} exists; pass overwrite=True to replace it")
    tensors = {
        name: np.array(weight.value, "<f4", order="C")  # another thread may be training
        for name, weight in tensor_names(model).items()
    }
    parts = [array.data.cast("B") for array in tensors.values() if array.size]
    head = _header(tensors)
    _replace(path, [head.replace(_sum_text(0), _sum_text(_checksum([head, *parts])), 1), *parts])


def _checksum(parts: Iterable[bytes | memoryview]) -> int:
    import zlib

    total = 0
    for part in parts:
        total = zlib.crc32(part, total)
    return total


def _sum_text(checksum: int) -> bytes:
    """The checksum as it stands in a header. No other place can hold this: in names, " is \\"."""
    return b'"%s":"%08x"' % (_SUM_KEY.encode(), checksum)


def _header(tensors: dict[str, F32]) -> bytes:
    """The length and the JSON, with zeros for the checksum, which comes first."""
    import json

    metadata = {"format": "lamina", "format_version": _VERSIONS[-1], _SUM_KEY: "0" * 8}
    header: dict[str, Any] = {"__metadata__": metadata}
    begin = 0
    for name, array in tensors.items():
        end = begin + array.nbytes
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors then begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text


def _replace(path: str, parts: Iterable[Any]) -> None:
    """Write a file beside `path`, make sure it is on the disk, then give it the name."""
    wanted = path
    path = os.path.realpath(path)  # a link stays a link
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    try:  # before the file is made: Ctrl-C may come at any point of what follows
        with open(temporary, "xb") as file:
            if os.name == "posix" and os.path.exists(path):  # whoever may read it, may still
                os.fchmod(file.fileno(), stat.S_IMODE(os.stat(path).st_mode))
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):  # not yet made, or no longer temporary
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename == temporary:
            raise _named(error, wanted) from None
        raise
    if os.name == "posix":  # the new name itself has to reach the disk too
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _named(error: OSError, path: str) -> OSError:
    """The error with the caller's name of the file instead of the temporary one."""
    return type(error)(error.errno, error.strerror, path)


# ---- reading ------------------------------------------------------------------------------------


def load_weights(model: Sequential, filepath: Any) -> None:
    """Overwrite the model's weights with those of a file, all of them or none.

    ValueError for a file that is damaged, or whose tensors are not exactly the model's.
    """
    path = _path(filepath)
    if not model.built:
        raise ValueError(
            f"model '{model.name}' is not built yet: build it, so that its weights have shapes"
        )
    wanted = tensor_names(model)
    with open(path, "rb") as file:
        entries, start = read_header(file, os.fstat(file.fileno()).st_size, path)
        missing = sorted(set(wanted) - set(entries))
        strange = sorted(set(entries) - set(wanted))
        if missing or strange:
            raise ValueError(
                f"{path!r} does not fit model '{model.name}': "
                f"missing {_some(missing)}, not in the model {_some(strange)}"
            )
        for name, weight in wanted.items():
            if entries[name][1] != weight.shape:
                raise ValueError(
                    f"{path!r} does not fit model '{model.name}': tensor {_short(name)} has shape "
                    f"{_short(entries[name][1])}, the model's weight {weight.shape}"
                )
        arrays = {
            name: data.to_float32(
                _read(file, start, entries[name], path, name), f"{path!r}: tensor {_short(name)}"
            )
            for name in wanted
        }
    for name, weight in wanted.items():
        weight.assign(arrays[name])


def read_header(file: io.BufferedReader, size: int, path: str) -> tuple[dict[str, Any], int]:
    """({tensor name: (dtype, shape, begin, end)}, where the tensors begin), all checked."""

    def refuse(why: str) -> ValueError:
        return ValueError(f"{path!r} is not a sound safetensors file: {why}")

    first = file.read(8)
    if len(first) < 8:
        raise refuse(f"it has {size} bytes, and the header's length alone takes 8")
    length = int.from_bytes(first, "little")
    if length > _MAX_HEADER:
        raise refuse(f"its header claims {length} bytes, more than the {_MAX_HEADER} allowed")
    if length > size - 8:
        raise refuse(f"its header claims {length} bytes, the file has {size - 8} after the length")
    text = file.read(length)
    if len(text) < length:
        raise refuse("it ends within the header")
    header = _parse(text, refuse)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise refuse("__metadata__ must be an object of strings")
    version = metadata.get("format_version")
    if metadata.get("format") == "lamina" and version not in _VERSIONS:
        raise refuse(
            f"it has format_version {_short(version)}, and this release of lamina reads "
            f"{' and '.join(_VERSIONS)}; a newer one may read it"
        )
    entries = {name: _entry(name, value, refuse) for name, value in header.items()}
    at = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != at:
            raise refuse(
                f"tensor {_short(name)} begins at {begin}, expected {at}: a gap or an overlap"
            )
        at = end
    if at != size - 8 - length:
        raise refuse(f"its tensors take {at} bytes, {size - 8 - length} follow the header")
    _check_sum(file, first + text, metadata, refuse)
    return entries, 8 + length


def _check_sum(
    file: io.BufferedReader,
    head: bytes,
    metadata: dict[str, str],
    refuse: Callable[[str], ValueError],
) -> None:
    """Compares the checksum with the file, of which `head` has been read."""
    stated = metadata.get(_SUM_KEY)
    if stated is None:
        if metadata.get("format") == "lamina" and metadata["format_version"] != "1":
            raise refuse("its checksum is missing")
        return
    text = f'"{_SUM_KEY}":"{stated}"'.encode("ascii", "replace")
    rest = iter(lambda: file.read(_CHUNK), b"")
    found = _checksum(itertools.chain([head.replace(text, _sum_text(0))], rest))
    if stated != f"{found:08x}":
        raise refuse(
            f"its checksum is {found:08x}, and should be {_short(stated)}: its content is not what "
            f"was written (a program that changes it must leave out the metadata '{_SUM_KEY}')"
        )


def _short(value: Any) -> str:
    """What a file holds, as text for a message: it may be of any length."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _some(names: list[str]) -> str:
    if not names:
        return "nothing"
    text = ", ".join(map(_short, names[:5]))
    return f"[{text}]" if len(names) <= 5 else f"[{text}, and {len(names) - 5} more]"


def _parse(text: bytes, refuse: Callable[[str], ValueError]) -> dict[str, Any]:
    import json

    def no_duplicates(pairs: list[tuple[str, Any]]) -> Config:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key is there twice")
        return found

    if not text.startswith(b"{"):
        raise refuse("its header does not begin with '{'")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=no_duplicates)
    except (ValueError, RecursionError) as error:
        raise refuse(f"its header is no JSON: {error}") from None
    return header


def _entry(name: str, value: Any, refuse: Callable[[str], ValueError]) -> _Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise refuse(
            f"tensor {_short(name)} must have dtype, shape and data_offsets, got {_short(value)}"
        )
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or (dtype not in _DTYPES and dtype != "BF16"):
        known = "F32, F64, F16, BF16"
        raise refuse(f"tensor {_short(name)} has dtype {_short(dtype)}, not one of {known}")
    if not _sizes(shape) or len(shape) > _MAX_RANK:
        raise refuse(f"tensor {_short(name)} has shape {_short(shape)}")
    if not _sizes(offsets) or len(offsets) != 2:
        raise refuse(f"tensor {_short(name)} has data_offsets {_short(offsets)}")
    item = 2 if dtype == "BF16" else _DTYPES[dtype].itemsize
    takes = math.prod(shape) * item
    if offsets[1] - offsets[0] != takes:
        raise refuse(
            f"tensor {_short(name)} of shape {_short(shape)} and dtype {dtype} takes "
            f"{_short(takes)} bytes, its data_offsets are {offsets}"
        )
    return dtype, tuple(shape), offsets[0], offsets[1]


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 1 << 62 for v in value)


def _read(file: io.BufferedReader, start: int, entry: _Entry, path: str, name: str) -> np.ndarray:
    dtype, shape, begin, end = entry
    file.seek(start + begin)
    array = np.empty(shape, "<u2" if dtype == "BF16" else _DTYPES[dtype])
    if array.size and file.readinto(array.data.cast("B")) != end - begin:
        raise ValueError(f"{path!r} ends within tensor {_short(name)}")
    if dtype == "BF16":  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _path(filepath: Any) -> str:
    path = os.fspath(filepath)
    if not isinstance(path, str):
        path = os.fsdecode(path)
    others = (".h5", ".hdf5", ".keras", ".npz", ".npy", ".pkl", ".pt", ".pth", ".onnx")
    if path.rstrip("/").lower().endswith(others):
        raise ValueError(
            f"weights are read and written in the safetensors layout; got the name {path!r}, "
            "end it in .safetensors"
        )
    return path
