"""The embedded MNIST, the IDX parser, and Fashion-MNIST from files already in the cache.

No network and no download: those are in test_download.py.
"""

import ast
import gzip
import hashlib
import importlib.util
import io
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lamina.datasets import fashion_mnist, mnist
from lamina.datasets._download import RemoteFile
from lamina.datasets._idx import parse_idx

# Of the four original files, uncompressed, header and all.
ORIGINAL_SHA256 = {
    "x_train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "y_train": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "x_test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "y_test": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array):
    """The IDX file of `array`, written from the format's description, not with the parser."""
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def by_name(data):
    (x_train, y_train), (x_test, y_test) = data
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


@pytest.fixture(scope="module")
def digits():
    return by_name(mnist.load_data())


# ---- MNIST


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("x_train", (60000, 28, 28)),
        ("y_train", (60000,)),
        ("x_test", (10000, 28, 28)),
        ("y_test", (10000,)),
    ],
)
def test_mnist_has_the_shapes_and_the_very_bytes_of_the_original(digits, name, shape):
    array = digits[name]
    assert type(array) is np.ndarray
    assert (array.shape, array.dtype) == (shape, np.uint8)
    assert hashlib.sha256(idx(array)).hexdigest() == ORIGINAL_SHA256[name]


def test_mnist_labels(digits):
    assert digits["y_train"][:5].tolist() == [5, 0, 4, 1, 9]
    assert digits["y_test"][:5].tolist() == [7, 2, 1, 0, 4]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(digits["y_train"]).tolist() == counts
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(digits["y_test"]).tolist() == counts


def test_mnist_arrays_are_the_callers_own(digits):
    again = by_name(mnist.load_data(path="my_mnist.npz"))
    for name, array in again.items():
        assert array.flags.owndata and array.flags.writeable and array.flags.c_contiguous
        assert not np.shares_memory(array, digits[name])
        before = digits[name].flat[0]
        array.fill(77)
        assert digits[name].flat[0] == before


def test_mnist_file_is_small_and_opens_with_numpy_alone():
    assert Path(mnist._FILE).stat().st_size <= 12_000_000
    with np.load(mnist._FILE, allow_pickle=False) as archive:
        assert sorted(archive.files) == sorted(ORIGINAL_SHA256)
        assert archive["y_test"][:5].tolist() == [7, 2, 1, 0, 4]


def expect_damage(monkeypatch, path):
    monkeypatch.setattr(mnist, "_FILE", str(path))
    with pytest.raises(ValueError, match=r"missing or damaged.*reinstall lamina") as caught:
        mnist.load_data()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("member", ["x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"])
@pytest.mark.parametrize("place", [0.0, 0.5, 0.99])
def test_mnist_one_wrong_bit_is_seen(monkeypatch, tmp_path, member, place):
    contents = bytearray(Path(mnist._FILE).read_bytes())
    with zipfile.ZipFile(io.BytesIO(contents)) as archive:
        info = archive.getinfo(member)
    start = info.header_offset + 30 + len(member)
    contents[start + int(place * info.compress_size)] ^= 0x04
    path = tmp_path / "mnist.npz"
    path.write_bytes(contents)
    expect_damage(monkeypatch, path)


@pytest.mark.parametrize("length", [0, 1, 100_000, -1, -400])
def test_mnist_cut_short_is_seen(monkeypatch, tmp_path, length):
    path = tmp_path / "mnist.npz"
    path.write_bytes(Path(mnist._FILE).read_bytes()[:length])
    expect_damage(monkeypatch, path)


def test_mnist_missing_file(monkeypatch, tmp_path):
    expect_damage(monkeypatch, tmp_path / "mnist.npz")


@pytest.fixture(scope="module")
def zeros():
    """The .npy files of an archive that is whole, but of zeros."""
    return {name: npy(np.zeros(shape, np.uint8)) for name, shape in mnist._SHAPES.items()}


def npy(array):
    output = io.BytesIO()
    np.save(output, array)
    return output.getvalue()


def write_archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, contents in members.items():
            archive.writestr(f"{name}.npy", contents)


WRONG_MEMBERS = {
    "shape": {"x_test": npy(np.zeros((10000, 28, 27), np.uint8))},
    "rank": {"y_test": npy(np.zeros((10000, 1), np.uint8))},
    "dtype": {"y_test": npy(np.zeros(10000, np.int8))},
    "order": {"x_test": npy(np.zeros((28, 28, 10000), np.uint8).T)},
    "not .npy": {"y_test": bytes(10128)},
    "one byte short": {"y_test": npy(np.zeros(10000, np.uint8))[:-1]},
    "one byte long": {"y_test": npy(np.zeros(10000, np.uint8)) + b"x"},
    "much too long": {"y_test": npy(np.zeros(10000, np.uint8)) + bytes(1 << 20)},
}


@pytest.mark.parametrize("case", WRONG_MEMBERS)
def test_mnist_whole_file_with_other_contents_is_refused(monkeypatch, tmp_path, zeros, case):
    path = tmp_path / "mnist.npz"
    write_archive(path, zeros | WRONG_MEMBERS[case])
    expect_damage(monkeypatch, path)


def test_mnist_reader_is_not_what_refuses_those(monkeypatch, tmp_path, zeros):
    path = tmp_path / "mnist.npz"
    write_archive(path, zeros)
    monkeypatch.setattr(mnist, "_FILE", str(path))
    for array in by_name(mnist.load_data()).values():
        assert not array.any()


def test_importing_the_data_sets_is_cheap():
    # Read from the source: sys.modules would not do, since some Pythons start with zipfile loaded.
    cheap = {"__future__", "contextlib", "math", "numpy", "os", "sys", "time", "typing"}
    for path in Path(mnist.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= cheap, path
            elif isinstance(node, ast.ImportFrom):
                assert node.level or node.module in cheap, path  # the package is imported already


# ---- IDX


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3), (3, 1, 2), (0,), (4, 0, 5)])
def test_idx_round_trip(code, shape):
    expected = (np.arange(np.prod(shape)) * 37 - 100).astype(code).reshape(shape)
    found = parse_idx(idx(expected), shape, dtype=code)
    assert found.dtype == expected.dtype and found.dtype.isnative
    assert np.array_equal(found, expected) and found.shape == shape
    assert found.flags.owndata and found.flags.writeable


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_idx_takes_bytes_of_any_kind(kind):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert np.array_equal(parse_idx(kind(idx(array)), (2, 3)), array)


GOOD = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))


REFUSED = {
    "empty": (b"", "header of at least 4 bytes, got 0"),
    "three bytes": (GOOD[:3], "header of at least 4 bytes, got 3"),
    "first byte": (b"\1" + GOOD[1:], "not an IDX file.*got 01 00 08"),
    "second byte": (b"\0\1" + GOOD[2:], "not an IDX file.*got 00 01 08"),
    "unknown type": (b"\0\0\x0a" + GOOD[3:], "not an IDX file.*got 00 00 0a"),
    "still compressed": (gzip.compress(GOOD), "not an IDX file.*got 1f 8b 08"),
    "other type": (b"\0\0\x09" + GOOD[3:], "type uint8, got int8"),
    "cut header": (GOOD[:11], "header of 2 dimensions takes 12 bytes, got 11"),
    "rank 255": (GOOD[:3] + b"\xff" + GOOD[4:], "header of 255 dimensions"),
    "rank 0": (GOOD[:3] + b"\0" + GOOD[4:], r"shape \(2, 3\), got \(\)"),
    "rank 1": (idx(np.zeros(6, np.uint8)), r"shape \(2, 3\), got \(6,\)"),
    "one size": (GOOD[:7] + b"\3" + GOOD[8:], r"shape \(2, 3\), got \(3, 3\)"),
    "transposed": (idx(np.zeros((3, 2), np.uint8)), r"shape \(2, 3\), got \(3, 2\)"),
    "huge": (GOOD[:4] + b"\xff" * 8 + GOOD[12:], "got .4294967295, 4294967295"),
    "short": (GOOD[:-1], "18 bytes.*got 17"),
    "long": (GOOD + b"\0", "18 bytes.*got 19"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_idx_refuses(case):
    data, message = REFUSED[case]
    with pytest.raises(ValueError, match="^some file: .*" + message):
        parse_idx(data, (2, 3), name="some file")


def test_idx_sizes_whose_product_wraps_around_are_refused():
    # 2**32 * 2**32 is 0 modulo 2**64, and with it the length that the header calls for.
    sizes = (1 << 31, 1 << 31, 4)
    data = struct.pack(">4B3I", 0, 0, 0x08, 3, *sizes)
    with pytest.raises(ValueError, match="got 16"):
        parse_idx(data, sizes)


# ---- Fashion-MNIST, from the cache


def test_fashion_mnist_reads_what_lies_in_the_cache(monkeypatch, tmp_path):
    shapes = ((5, 28, 28), (5,), (2, 28, 28), (2,))
    arrays = [np.random.default_rng(i).integers(0, 256, s, np.uint8) for i, s in enumerate(shapes)]
    files = []
    (tmp_path / "fashion_mnist").mkdir()
    for array, file in zip(arrays, fashion_mnist._FILES, strict=True):
        packed = gzip.compress(idx(array))
        (tmp_path / "fashion_mnist" / file.name).write_bytes(packed)
        files.append(RemoteFile(file.name, len(packed), hashlib.sha256(packed).hexdigest()))
    monkeypatch.setenv("LAMINA_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "_FILES", tuple(files))
    monkeypatch.setattr(fashion_mnist, "_SHAPES", shapes)
    monkeypatch.setattr(fashion_mnist, "_MIRRORS", ())

    found = by_name(fashion_mnist.load_data()).values()
    for got, expected in zip(found, arrays, strict=True):
        assert got.dtype == np.uint8 and np.array_equal(got, expected)
        assert got.flags.owndata and got.flags.writeable


def test_fashion_mnist_offline_says_which_files_go_where(monkeypatch, tmp_path):
    monkeypatch.setenv("LAMINA_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "_MIRRORS", ())
    with pytest.raises(OSError, match="Fashion-MNIST") as caught:
        fashion_mnist.load_data()
    message = str(caught.value)
    assert repr(str(tmp_path / "fashion_mnist")) in message and "LAMINA_DATA_DIR" in message
    for file in fashion_mnist._FILES:
        assert file.name in message and file.sha256 in message and str(file.length) in message


# ---- the packing script, where the tests run from a source tree

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "pack_mnist.py"


@pytest.fixture(scope="module")
def pack_mnist():
    if not SCRIPT.exists():
        pytest.skip("tools/pack_mnist.py is only in the source tree")
    spec = importlib.util.spec_from_file_location("pack_mnist", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pack_mnist_is_deterministic_and_loses_nothing(pack_mnist):
    arrays = {"a": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "b": np.ones(5, np.uint8)}
    packed = pack_mnist.pack(arrays)
    assert packed == pack_mnist.pack(arrays)
    with np.load(io.BytesIO(packed)) as archive:
        assert archive.files == ["a", "b"]
        assert all(np.array_equal(archive[name], array) for name, array in arrays.items())


def test_pack_mnist_checks_the_contents_whatever_their_compression(pack_mnist, digits, tmp_path):
    for name, file, sha256, shape in pack_mnist.SOURCES:
        assert sha256 == ORIGINAL_SHA256[name]
        path = tmp_path / file
        path.write_bytes(gzip.compress(idx(digits[name]), compresslevel=1))
        assert np.array_equal(pack_mnist.read_array(path, sha256, shape), digits[name])

    wrong = digits["y_test"].copy()
    wrong[-1] ^= 1
    path.write_bytes(gzip.compress(idx(wrong)))
    output = tmp_path / "out.npz"
    shutil.copy(path, output)
    result = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, "-o", output],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 1 and "expected contents of SHA-256" in result.stderr
    assert output.read_bytes() == path.read_bytes()
