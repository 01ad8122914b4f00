"""Files from the network, pinned by length and SHA-256 and kept in a cache directory.

A file whose length or digest is not the pinned one is never returned, whether it comes from the
network or from the cache, and never gets its final name. Nothing is unpacked or parsed here, and
nothing but the pinned file names is ever written to: there is no way to ask for "the latest".
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from .. import _console

if TYPE_CHECKING:
    from collections.abc import Sequence

_PIECE_BYTES = 1 << 16
_REDRAW_SECONDS = 0.1


class RemoteFile(NamedTuple):
    """One file: its name in the cache and below the mirrors' URLs, and what it must hold."""

    name: str
    length: int
    sha256: str


def cache_dir() -> str:
    """Return the directory that data sets are cached in, which may not exist yet.

    The environment variable LAMINA_DATA_DIR if it is set and not empty, else `lamina` in the
    place where the platform keeps what can be fetched again.
    """
    chosen = os.environ.get("LAMINA_DATA_DIR")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join("~", "AppData", "Local")
    elif sys.platform == "darwin":
        base = os.path.join("~", "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        # The XDG specification says that a relative path is to be ignored.
        if not os.path.isabs(base):
            base = os.path.join("~", ".cache")
    return os.path.join(os.path.expanduser(base), "lamina")


def fetch(
    title: str,
    files: Sequence[RemoteFile],
    mirrors: Sequence[str],
    directory: str,
    timeout: float = 30.0,
) -> list[bytes]:
    """Return the contents of `files`, from `directory` or else from the first mirror that works.

    Args:
        title: Name of the data set, for errors.
        files: Sequence of RemoteFile.
        mirrors: URLs to which "/" and a file's name are appended, tried in this order.
        directory: Cache directory, made if necessary. A file that is there and right is used
            without asking the network; one that is there and wrong is replaced.
        timeout: Seconds to wait for a connection, and for each piece of an answer.

    Returns:
        List of bytes, in the order of `files`. These are the very bytes that were checked, so
        that no change of the cache afterwards can come between check and use.

    Raises:
        OSError: a file is neither in the cache nor to be had, or the directory is not writable.
            The message says how to put the files there by hand.
    """
    return [_fetch_one(title, file, files, mirrors, directory, timeout) for file in files]


def _fetch_one(
    title: str,
    file: RemoteFile,
    files: Sequence[RemoteFile],
    mirrors: Sequence[str],
    directory: str,
    timeout: float,
) -> bytes:
    path = os.path.join(directory, file.name)
    failures = []
    try:
        # Reading one byte more than expected is enough to see that there is too much.
        with open(path, "rb") as stream:
            contents = stream.read(file.length + 1)
        _check(contents, file)
        return contents
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        failures.append(f"{path}: {error}")

    if os.path.isdir(path):
        raise OSError(f"{path!r} is a directory, where {file.name!r} should be: remove it")
    _make_directory(directory)
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{file.name}"
        try:
            contents = _download(url, file, timeout)
        except (OSError, ValueError) as error:
            failures.append(f"{url}: {error}")
            continue
        _write(path, contents)
        return contents

    raise OSError(
        f"cannot get {file.name!r} of {title}:\n"
        + "".join(f"  {failure}\n" for failure in failures)
        + f"Without a network, put these files into {directory!r} by hand (the environment "
        "variable LAMINA_DATA_DIR sets the directory above it):\n"
        + "".join(f"  {f.name}  {f.length} bytes, SHA-256 {f.sha256}\n" for f in files).rstrip()
    )


def _check(contents: bytes | bytearray, file: RemoteFile) -> None:
    """Raise ValueError unless `contents` are those pinned by `file`."""
    import hashlib

    if len(contents) != file.length:
        got = len(contents) if len(contents) < file.length else "more"
        raise ValueError(f"expected {file.length} bytes, got {got}")
    found = hashlib.sha256(contents).hexdigest()
    if found != file.sha256:
        raise ValueError(f"expected SHA-256 {file.sha256}, got {found}")


def _download(url: str, file: RemoteFile, timeout: float) -> bytes:
    """Return the checked contents of `url`; OSError or ValueError says why there are none."""
    import http.client
    import urllib.error
    import urllib.request

    contents = bytearray()
    try:
        with (
            urllib.request.urlopen(url, timeout=timeout) as response,
            _ProgressBar(file) as progress,
        ):
            # A server that never ends is left as soon as it has sent too much.
            while len(contents) <= file.length:
                piece = response.read(_PIECE_BYTES)
                if not piece:
                    break
                contents += piece
                progress.update(len(contents))
    except urllib.error.HTTPError as error:
        # The error is the answer as well, and holds its connection open.
        error.close()
        raise
    except http.client.HTTPException as error:
        # Not an OSError: an answer that is not HTTP, or that ends in the middle of a chunk.
        raise OSError(f"{type(error).__name__}: {error}") from error
    _check(contents, file)
    return bytes(contents)


def _make_directory(directory: str) -> None:
    """Make the cache directory, before anything is downloaded that could not be kept."""
    import tempfile

    try:
        os.makedirs(directory, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise _not_writable(directory, error) from error


def _write(path: str, contents: bytes) -> None:
    """Make `contents` the file `path` in one step: readers see the old file or all of the new."""
    directory, name = os.path.split(path)
    # In the same directory, since a rename is atomic only within a file system. The name is
    # this call's own, so two processes which download at the same time do not mix.
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.{time.monotonic_ns()}.part")
    try:
        with open(temporary, "xb") as stream:
            stream.write(contents)
            stream.flush()
            # Without this a crash of the machine can leave the new name with empty contents.
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        if isinstance(error, OSError):
            raise _not_writable(directory, error) from error
        raise


def _not_writable(directory: str, error: OSError) -> OSError:
    return OSError(
        f"cannot write to the cache directory {directory!r} ({error}); "
        "set the environment variable LAMINA_DATA_DIR to a directory that can be written to"
    )


class _ProgressBar:
    """One line on stderr which shows how much of a file has come; silent unless a terminal."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._drawn_at: float | None = None
        self._visible = _console.redraws("stderr")

    def __enter__(self) -> _ProgressBar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._drawn_at is not None:
            _console.write("\n", "stderr")

    def update(self, received: int) -> None:
        if not self._visible:
            return
        now = time.monotonic()
        done = min(1.0, received / self._file.length)
        if self._drawn_at is not None and now - self._drawn_at < _REDRAW_SECONDS and done < 1:
            return
        self._drawn_at = now
        sizes = f"{received / 1e6:.1f}/{self._file.length / 1e6:.1f} MB"
        # One line at any width, as in progress.py: first the bar is made smaller, then it goes.
        room = _console.columns("stderr") - 1
        cells = min(30, room - len(f"{self._file.name} [] {sizes}"))
        bar = f" [{('#' * int(cells * done)).ljust(cells, '.')}]" if cells > 0 else ""
        _console.write("\r" + f"{self._file.name}{bar} {sizes}"[: max(0, room)], "stderr")
