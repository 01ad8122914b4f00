"""The downloader of data sets against a web server on 127.0.0.1 that misbehaves on request.

What every failure has in common is checked by one helper: the error names the address and the
way out, and the cache directory is left as it was.
"""

import contextlib
import errno
import hashlib
import http.server
import io
import os
import socket
import sys
import tempfile
import threading

import pytest

from lamina.datasets import _download
from lamina.datasets._download import RemoteFile, cache_dir, fetch

BODY = bytes(range(256)) * 1000
FILE = RemoteFile("pictures.gz", len(BODY), hashlib.sha256(BODY).hexdigest())


def answer(body, length=None, status="200 OK"):
    """An HTTP answer; `length` is the Content-Length that it claims."""
    length = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends the bytes that the test has chosen for the path, then closes the connection."""

    def do_GET(self):
        self.server.requests.append(self.path)
        reply = self.server.answers.get(self.path, answer(b"nothing here", status="404 Not Found"))
        if reply is None:
            self.server.released.wait(10)
        else:
            with contextlib.suppress(ConnectionError):  # the client may have seen enough
                self.wfile.write(reply)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    # A proxy set in the environment would be asked for 127.0.0.1 as well.
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answers, server.requests, server.released = {}, [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / "not" / "there" / "yet")


def get(server, directory, timeout=10.0, mirrors=None):
    mirrors = [server.url] if mirrors is None else mirrors
    return fetch("Pictures", [FILE], mirrors, directory, timeout=timeout)


def contents_of(directory):
    """Every file below `directory` by name, hidden ones too."""
    if not os.path.isdir(directory):
        return {}
    return {
        name: open_and_read(os.path.join(directory, name)) for name in sorted(os.listdir(directory))
    }


def open_and_read(path):
    with open(path, "rb") as stream:
        return stream.read()


def expect_failure(server, directory, reason, timeout=10.0):
    before = contents_of(directory)
    with pytest.raises(OSError, match=reason) as caught:
        get(server, directory, timeout)
    message = str(caught.value)
    for part in ("Pictures", f"{server.url}/{FILE.name}", repr(directory), "LAMINA_DATA_DIR"):
        assert part in message
    assert f"{FILE.name}  {FILE.length} bytes, SHA-256 {FILE.sha256}" in message
    assert contents_of(directory) == before


def test_download_then_cache(server, directory, capfd):
    server.answers["/pictures.gz"] = answer(BODY)
    assert get(server, directory) == [BODY]
    assert contents_of(directory) == {FILE.name: BODY}
    assert get(server, directory) == [BODY]
    assert server.requests == ["/pictures.gz"]
    assert capfd.readouterr() == ("", "")


def test_several_files_come_in_order(server, directory):
    other = RemoteFile("labels.gz", 3, hashlib.sha256(b"abc").hexdigest())
    server.answers |= {"/pictures.gz": answer(BODY), "/labels.gz": answer(b"abc")}
    assert fetch("Pictures", [other, FILE], [server.url + "/"], directory) == [b"abc", BODY]
    assert contents_of(directory) == {FILE.name: BODY, other.name: b"abc"}


WRONG = BODY[:-1] + b"!"
BAD_ANSWERS = {
    "truncated": (answer(BODY[: len(BODY) // 2], length=len(BODY)), "expected 256000 bytes, got"),
    "shorter file": (answer(BODY[:-1]), "expected 256000 bytes, got 255999"),
    "empty": (answer(b""), "expected 256000 bytes, got 0"),
    "longer file": (answer(BODY + b"x"), "expected 256000 bytes, got more"),
    "wrong bytes": (answer(WRONG), f"expected SHA-256 {FILE.sha256}, got "),
    "404": (answer(BODY, status="404 Not Found"), "HTTP Error 404"),
    "503": (answer(BODY, status="503 Service Unavailable"), "HTTP Error 503"),
    "cut chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8000\r\nabc",
        r"IncompleteRead|expected 256000 bytes, got 3",
    ),
    "not HTTP": (b"SSH-2.0-server\r\n", "BadStatusLine"),
    "hung up": (b"", "closed connection without response|reset"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_bad_answer(server, directory, case):
    server.answers["/pictures.gz"], reason = BAD_ANSWERS[case]
    expect_failure(server, directory, reason)


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_next_mirror_after_a_bad_answer(server, directory, case):
    server.answers["/first/pictures.gz"], _ = BAD_ANSWERS[case]
    server.answers["/second/pictures.gz"] = answer(BODY)
    mirrors = [server.url + "/first", server.url + "/second"]
    assert get(server, directory, mirrors=mirrors) == [BODY]
    assert server.requests == ["/first/pictures.gz", "/second/pictures.gz"]
    assert contents_of(directory) == {FILE.name: BODY}


def test_every_failed_mirror_is_named(server, directory):
    mirrors = [server.url + "/first", server.url + "/second"]
    with pytest.raises(OSError) as caught:
        get(server, directory, mirrors=mirrors)
    assert all(f"{mirror}/{FILE.name}" in str(caught.value) for mirror in mirrors)


def test_server_that_does_not_answer(server, directory):
    server.answers["/pictures.gz"] = None
    expect_failure(server, directory, "timed out", timeout=0.2)


def test_no_network(server, directory):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        # Bound but not listening: a connection to this port is refused.
        server.url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        expect_failure(server, directory, "urlopen error")


@pytest.mark.parametrize(
    "damaged", [b"", BODY[:-1], BODY + b"x", WRONG], ids=["empty", "short", "long", "wrong"]
)
def test_damaged_cached_file(server, directory, damaged):
    path = os.path.join(directory, FILE.name)
    os.makedirs(directory)
    with open(path, "wb") as stream:
        stream.write(damaged)

    # Without a network: an error which names the file too, and nothing of the user's is deleted.
    expect_failure(server, directory, "(?s)" + FILE.name + ": expected .*HTTP Error 404")
    assert open_and_read(path) == damaged

    server.answers["/pictures.gz"] = answer(BODY)
    assert get(server, directory) == [BODY]
    assert contents_of(directory) == {FILE.name: BODY}


def test_leftover_of_a_killed_download_is_never_used(server, directory):
    leftovers = {f".{FILE.name}.1.2.part": BODY[:999], f"{FILE.name}.part": BODY}
    os.makedirs(directory)
    for name, contents in leftovers.items():
        with open(os.path.join(directory, name), "wb") as stream:
            stream.write(contents)
    expect_failure(server, directory, "HTTP Error 404")
    server.answers["/pictures.gz"] = answer(BODY)
    assert get(server, directory) == [BODY]
    assert contents_of(directory) == leftovers | {FILE.name: BODY}


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_failure_while_writing_leaves_nothing(server, directory, monkeypatch, step, error):
    def fail(*arguments):
        # By now the bytes are on disk, under another name than the real one.
        assert [name.endswith(".part") for name in os.listdir(directory)] == [True]
        raise error

    server.answers["/pictures.gz"] = answer(BODY)
    monkeypatch.setattr(_download.os, step, fail)
    message = "LAMINA_DATA_DIR" if isinstance(error, OSError) else None
    with pytest.raises(type(error), match=message):
        get(server, directory)
    assert contents_of(directory) == {}


def test_cache_directory_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(OSError, match=r"cannot write to the cache directory.*LAMINA_DATA_DIR"):
        get(server, str(tmp_path / "file" / "below"))
    assert server.requests == []


def test_what_cannot_be_kept_is_not_downloaded(server, directory, monkeypatch):
    server.answers["/pictures.gz"] = answer(BODY)
    os.makedirs(os.path.join(directory, FILE.name))
    with pytest.raises(OSError, match=r"is a directory, where 'pictures.gz' should be: remove it"):
        get(server, directory)
    os.rmdir(os.path.join(directory, FILE.name))

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", refuse)
        with pytest.raises(OSError, match=r"cannot write to the cache directory.*LAMINA_DATA_DIR"):
            get(server, directory)
    assert server.requests == [] and get(server, directory) == [BODY]


def test_many_threads_at_once(server, directory):
    server.answers["/pictures.gz"] = answer(BODY)
    results = [None] * 8

    def work(i):
        results[i] = get(server, directory)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[BODY]] * len(results)
    assert contents_of(directory) == {FILE.name: BODY}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_bar_only_on_a_terminal(server, directory, monkeypatch):
    server.answers["/pictures.gz"] = answer(BODY)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stderr", Terminal())
    get(server, directory)
    drawn = sys.stderr.getvalue()
    assert drawn.startswith("\rpictures.gz [")
    assert drawn.endswith("\rpictures.gz [" + "#" * 30 + "] 0.3/0.3 MB\n")
    get(server, directory)
    assert sys.stderr.getvalue() == drawn


def test_no_stderr_at_all(server, directory, monkeypatch):
    server.answers["/pictures.gz"] = answer(BODY)
    monkeypatch.setattr(sys, "stderr", None)
    assert get(server, directory) == [BODY]


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "{home}/.cache/lamina"),
        ("linux", {"XDG_CACHE_HOME": "{home}/xdg"}, "{home}/xdg/lamina"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "{home}/.cache/lamina"),
        ("linux", {"XDG_CACHE_HOME": ""}, "{home}/.cache/lamina"),
        ("darwin", {"XDG_CACHE_HOME": "{home}/xdg"}, "{home}/Library/Caches/lamina"),
        ("win32", {"LOCALAPPDATA": "{home}/Local"}, "{home}/Local/lamina"),
        ("win32", {}, "{home}/AppData/Local/lamina"),
        ("linux", {"LAMINA_DATA_DIR": "{home}/data"}, "{home}/data"),
        ("linux", {"LAMINA_DATA_DIR": "~/data"}, "{home}/data"),
        ("linux", {"LAMINA_DATA_DIR": ""}, "{home}/.cache/lamina"),
    ],
)
def test_cache_dir(monkeypatch, tmp_path, platform, environment, expected):
    for name in ("LAMINA_DATA_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(_download.sys, "platform", platform)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    assert cache_dir() == os.path.normpath(expected.format(home=tmp_path))
    assert not os.path.exists(cache_dir())


def test_cache_dir_is_absolute(monkeypatch):
    monkeypatch.setenv("LAMINA_DATA_DIR", "data")
    assert cache_dir() == os.path.join(os.getcwd(), "data")
