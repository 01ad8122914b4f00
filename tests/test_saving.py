"""Weights in files: what is written, what is read back, and everything that is refused."""

import json
import os
import pathlib
import stat
import sys
import zlib

import numpy as np
import pytest

import lamina as la
from close import assert_bits
from lamina import layers, saving


def model(units=4, seed=0):
    la.utils.set_random_seed(seed)
    return la.Sequential(
        [
            la.Input((6, 6, 1)),
            layers.Conv2D(3, 3),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(units),
            layers.Dropout(0.5),
            layers.Dense(2),
        ]
    )


NAMES = {
    "conv2d/kernel": (3, 3, 1, 3),
    "conv2d/bias": (3,),
    "batch_normalization/gamma": (3,),
    "batch_normalization/beta": (3,),
    "batch_normalization/moving_mean": (3,),
    "batch_normalization/moving_variance": (3,),
    "dense/kernel": (48, 4),
    "dense/bias": (4,),
    "dense_1/kernel": (4, 2),
    "dense_1/bias": (2,),
}


def parse(path):
    """The header and the tensors' bytes, read from the layout's description."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def checksum(data):
    """That of the file with zeros where it has its checksum."""
    key = data.index(b'"lamina_crc32":"') + 16
    return zlib.crc32(data[:key] + b"0" * 8 + data[key + 8 :])


def compose(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.safetensors"


def test_round_trip(path):
    first, second = model(seed=1), model(seed=2)
    values = [
        np.random.default_rng(i).standard_normal(w.shape) for i, w in enumerate(first.weights)
    ]
    values[0].flat[:3] = np.nan, np.inf, -0.0
    first.set_weights(values)
    first.save_weights(path)
    second.load_weights(str(path))
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        assert_bits(a, b)
    assert_bits(second.layers[0].kernel.numpy(), np.asarray(values[0], np.float32))


def test_the_layout(path):
    m = model()
    m.save_weights(path)
    header, body = parse(path)
    metadata = header.pop("__metadata__")
    assert metadata.pop("lamina_crc32") == f"{checksum(path.read_bytes()):08x}"
    assert metadata == {"format": "lamina", "format_version": "2"}
    assert {name: tuple(entry["shape"]) for name, entry in header.items()} == NAMES
    assert all(entry["dtype"] == "F32" for entry in header.values())
    at = 0
    for weight, entry in zip(m.weights, header.values(), strict=True):
        begin, end = entry["data_offsets"]
        assert begin == at
        assert body[begin:end] == weight.numpy().tobytes()
        at = end
    assert at == len(body) and (path.stat().st_size - at) % 8 == 0


def test_files_of_others_are_read(path):
    """Any order, any of the floating types, other metadata, no padding."""
    m = model()
    rng = np.random.default_rng(0)
    types = ["F32", "F64", "F16", "BF16"]
    header, body, want = {"__metadata__": {"by": "hand"}}, b"", {}
    for i, (name, shape) in enumerate(reversed(NAMES.items())):
        dtype = types[i % 4]
        values = rng.standard_normal(shape)
        if dtype == "BF16":
            upper = (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2")
            part, value = upper.tobytes(), (upper.astype(np.uint32) << 16).view(np.float32)
        else:
            value = values.astype({"F32": "<f4", "F64": "<f8", "F16": "<f2"}[dtype])
            part = value.tobytes()
        offsets = [len(body), len(body) + len(part)]
        header[name] = {"data_offsets": offsets, "dtype": dtype, "shape": list(shape)}
        body += part
        want[name] = value.astype(np.float32)
    path.write_bytes(compose(header, body))
    m.load_weights(path)
    for name, weight in saving.tensor_names(m).items():
        assert_bits(weight.numpy(), want[name])


def test_numbers_beyond_float32_are_refused_and_nothing_is_changed(path):
    m = la.Sequential([la.Input((1,)), layers.Dense(1)])
    before = m.get_weights()
    entry = {"dtype": "F64", "shape": [1, 1], "data_offsets": [0, 8]}
    bias = {"dtype": "F64", "shape": [1], "data_offsets": [8, 16]}
    header = {"dense/kernel": entry, "dense/bias": bias}
    path.write_bytes(compose(header, np.array([7.0, 1e300], "<f8").tobytes()))
    with pytest.raises(ValueError, match=r"tensor 'dense/bias' must be within .*got 1e\+300"):
        m.load_weights(path)
    for a, b in zip(before, m.get_weights(), strict=True):
        assert_bits(a, b)
    path.write_bytes(compose(header, np.array([7.0, np.inf], "<f8").tobytes()))
    m.load_weights(path)
    assert [w.item() for w in m.get_weights()] == [7.0, np.inf]


def test_names_that_classes_and_numbers_would_share(path):
    class Dense_1(layers.Dense):  # noqa: N801
        pass

    for classes, names in [
        ((layers.Dense, layers.Dense, Dense_1), ["dense", "dense_1", "dense_1_1"]),
        ((Dense_1, layers.Dense, layers.Dense), ["dense_1", "dense", "dense_2"]),
    ]:
        made = [cls(2, use_bias=False, name=f"l{i}") for i, cls in enumerate(classes)]
        m = la.Sequential([la.Input((2,)), *made])
        assert list(saving.tensor_names(m)) == [f"{name}/kernel" for name in names]
        want = m.get_weights()
        m.save_weights(path)
        m.set_weights([np.zeros((2, 2))] * 3)
        m.load_weights(path)
        for a, b in zip(want, m.get_weights(), strict=True):
            assert_bits(a, b)
    m = la.Sequential([la.Input((2,)), layers.Dense(2)])
    m.layers[0].bias.name = "kernel"
    with pytest.raises(ValueError, match="has two weights named 'kernel'"):
        m.save_weights(path)


def test_a_model_without_weights_and_one_of_the_same_shape(path):
    empty = la.Sequential([la.Input((3,)), layers.Flatten()])
    empty.save_weights(path)
    empty.load_weights(path)
    assert parse(path)[1] == b""
    # Layers' own names do not matter: they depend on what else the process has made.
    first = la.Sequential([la.Input((3,)), layers.Dense(2, name="one")])
    second = la.Sequential([la.Input((3,)), layers.Dense(2, name="two")])
    first.save_weights(path)
    second.load_weights(path)
    assert_bits(first.get_weights()[0], second.get_weights()[0])


def damage(path):
    """(what is wrong, bytes of a file, part of the message)"""
    header, body = parse(path)
    good = path.read_bytes()

    def entry(name="dense/bias", **changes):
        changed = json.loads(json.dumps(header))
        changed[name].update(changes)
        return compose(changed, body)

    def without(key):
        changed = json.loads(json.dumps(header))
        del changed["dense/bias"][key]
        return compose(changed, body)

    begin, end = header["dense/bias"]["data_offsets"]
    twice = json.dumps(header)[:-1] + ', "dense/bias": ' + json.dumps(header["dense/bias"]) + "}"
    huge = 1 << 61
    return [
        ("empty", b"", "0 bytes"),
        ("cut in the length", good[:5], "5 bytes"),
        ("cut in the header", good[:60], "claims"),
        ("cut in the tensors", good[:-1], "its tensors take"),
        ("something behind", good + b"\0", "its tensors take"),
        ("length of the header", b"\xff" * 8 + good[8:], "more than the 100000000 allowed"),
        ("a little too long", (len(good)).to_bytes(8, "little") + good[8:], "after the length"),
        ("not JSON", compose(b'{"a": ', body), "no JSON"),
        ("not UTF-8", compose(b'{"\xff": 1}', body), "no JSON"),
        ("an array", compose(b"[]", body), "does not begin with"),
        ("blanks first", compose(b" {}", body), "does not begin with"),
        ("two objects", compose(b"{} {}", body), "no JSON"),
        ("deep", compose(b'{"a":' + b"[" * 100_000, body), "no JSON"),
        ("a name twice", compose(twice.encode(), body), "twice"),
        ("metadata", compose({**header, "__metadata__": {"a": 1}}, body), "__metadata__"),
        ("metadata's type", compose({**header, "__metadata__": []}, body), "__metadata__"),
        ("no object", compose({**header, "x": 3}, body), "'x' must have dtype"),
        ("no dtype", without("dtype"), "must have dtype"),
        ("no shape", without("shape"), "must have dtype"),
        ("no offsets", without("data_offsets"), "must have dtype"),
        ("one more key", entry(more=1), "must have dtype"),
        ("integers", entry(dtype="I32"), "dtype 'I32'"),
        ("dtype's type", entry(dtype=32), "dtype 32"),
        ("a list as dtype", entry(dtype=["F32"]), r"dtype ['F32']"),
        ("shape's type", entry(shape=4), "has shape 4"),
        ("a negative size", entry(shape=[-2, -2]), "has shape"),
        ("a fraction", entry(shape=[4.0]), "has shape"),
        ("a truth value", entry(shape=[4, True]), "has shape"),
        ("many axes", entry(shape=[4] + [1] * 40), "has shape"),
        ("a huge shape", entry(shape=[huge, huge, 16]), "takes"),
        ("overflow", entry(shape=[1 << 31, 1 << 31, 4]), "takes"),
        ("offsets' type", entry(data_offsets="ab"), "data_offsets 'ab'"),
        ("three offsets", entry(data_offsets=[0, 1, 2]), "data_offsets"),
        ("backwards", entry(data_offsets=[end, begin]), "data_offsets"),
        ("another length", entry(data_offsets=[begin, end + 4]), "takes 16 bytes"),
        ("an overlap", entry(data_offsets=[begin - 4, end - 4]), "a gap or an overlap"),
        ("a gap", entry(data_offsets=[begin + 4, end + 4]), "a gap or an overlap"),
        ("far away", entry(data_offsets=[huge, huge + 16]), "a gap or an overlap"),
    ]


def test_damage_is_seen_and_changes_nothing(path):
    m = model()
    m.save_weights(path)
    before = m.get_weights()
    for name, data, message in damage(path):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="not a sound safetensors file") as caught:
            m.load_weights(path)
        assert message in str(caught.value) and str(path) in str(caught.value), name
    for a, b in zip(before, m.get_weights(), strict=True):
        assert_bits(a, b)


@pytest.fixture
def small(path):
    """A model of three weights whose file `path` holds."""
    model = la.Sequential([la.Input((2,)), layers.Dense(1)])
    model.set_weights([[[1.0], [-2.0]], [0.5]])
    model.save_weights(path)
    return model


def test_every_cut_and_everything_behind_is_refused(path, small):
    good = path.read_bytes()
    changed = [good[:length] for length in range(len(good))]
    changed += [good + more for more in (b"\0", b" ", b"\0" * 8, good)]
    for data in changed:
        path.write_bytes(data)
        with pytest.raises(ValueError, match="is not a sound safetensors file"):
            small.load_weights(path)


@pytest.mark.parametrize("change", ["each bit", "each bit inverted", "zero", "a blank", "case"])
def test_a_changed_byte_anywhere_is_refused(path, small, change):
    good = path.read_bytes()
    masks = [1 << bit for bit in range(8)] if change == "each bit" else [None]
    before = small.get_weights()
    refused = same = 0
    for i in range(len(good)):
        for mask in masks:
            other = {
                "zero": 0,
                "a blank": 32,
                "case": good[i] ^ 32,
                "each bit inverted": good[i] ^ 255,
            }
            data = bytearray(good)
            data[i] = good[i] ^ mask if mask else other[change]
            if data == good:
                same += 1
                continue
            path.write_bytes(data)
            with pytest.raises(ValueError, match="is not a sound safetensors file"):
                small.load_weights(path)
            refused += 1
    assert refused + same == len(good) * len(masks) and refused > len(good) // 2
    for a, b in zip(before, small.get_weights(), strict=True):
        assert_bits(a, b)


def test_what_a_checksum_is_asked_of(path, small):
    """Files of others, and those of the version without one, have none; a later version is none
    to guess at."""
    header, body = parse(path)
    metadata = header.pop("__metadata__")
    want = small.get_weights()

    def load(**changes):
        given = {key: value for key, value in (metadata | changes).items() if value is not None}
        path.write_bytes(compose({"__metadata__": given, **header}, body))
        small.set_weights([[[0.0], [0.0]], [0.0]])
        small.load_weights(path)
        for a, b in zip(want, small.get_weights(), strict=True):
            assert_bits(a, b)

    load(format_version="1", lamina_crc32=None)
    load(format="pt", lamina_crc32=None)
    load(format=None, format_version=None, lamina_crc32=None)
    for changes, message in [
        ({"lamina_crc32": None}, "its checksum is missing"),
        ({"format_version": "3"}, "has format_version '3', and this release of lamina reads 1 and"),
        ({"format_version": None}, "has format_version None"),
        ({}, "its content is not what was written"),  # json.dumps puts blanks elsewhere
        ({"format": "pt"}, "its content is not what was written"),
        ({"format_version": "1"}, "its content is not what was written"),
        ({"lamina_crc32": ""}, "its content is not what was written"),
        ({"lamina_crc32": "\ud800"}, r"should be '\\ud800'"),
    ]:
        with pytest.raises(ValueError, match=message):
            load(**changes)


def test_a_message_about_a_file_is_short_whatever_the_file_holds(path, small):
    long = "n" * 1_000_000
    deep = list(range(100_000))
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    fine = json.loads(json.dumps(parse(path)[0]))
    fine.pop("__metadata__")
    huge = [(1 << 62) - 1] * 32
    cases = [
        {long: 3},
        {long: entry | {"dtype": long}},
        {"x": entry | {"dtype": deep}},
        {long: entry | {"shape": long}},
        {long: entry | {"shape": deep}},
        {long: entry | {"shape": huge}},
        {long: entry | {"shape": [4]}},
        {long: entry | {"data_offsets": deep}},
        {long: entry | {"data_offsets": [4, 8]}},
        {long: entry | {"more": long}},
        {long: entry},
        {f"{i}{long[:1000]}": entry | {"data_offsets": [4 * i, 4 * i + 4]} for i in range(1000)},
        {"__metadata__": {long: 1}},
        {"__metadata__": {"format": "lamina", "format_version": long}, **fine},
        {"__metadata__": {"lamina_crc32": long}, **fine},
        fine | {"dense/kernel": entry | {"shape": [0] * 32, "data_offsets": [0, 0]}},
    ]
    for header in cases:
        entries = [value for value in header.values() if isinstance(value, dict)]
        ends = [value["data_offsets"][1] for value in entries if "data_offsets" in value]
        path.write_bytes(compose(header, bytes(min(max([0, *ends]), 1 << 20))))
        with pytest.raises(ValueError) as caught:
            small.load_weights(path)
        assert len(str(caught.value)) < 2000
    path.write_bytes(compose(("{" + long).encode()))
    with pytest.raises(ValueError) as caught:
        small.load_weights(path)
    assert len(str(caught.value)) < 2000


def test_another_model_s_weights_are_refused(path):
    m = model()
    before = m.get_weights()
    model(units=5).save_weights(path)
    with pytest.raises(
        ValueError, match=r"'dense/kernel' has shape \(48, 5\), the model's.*\(48, 4"
    ):
        m.load_weights(path)
    la.Sequential([la.Input((2,)), layers.Dense(1), layers.Embedding(3, 2)]).save_weights(path)
    with pytest.raises(
        ValueError, match=r"missing \['batch_norm.*not in the model \['embedding/emb"
    ):
        m.load_weights(path)
    for a, b in zip(before, m.get_weights(), strict=True):
        assert_bits(a, b)


def test_what_is_refused_before_a_file_is_touched(path, tmp_path):
    unbuilt = la.Sequential([layers.Dense(1)])
    for act in (unbuilt.save_weights, unbuilt.load_weights):
        with pytest.raises(ValueError, match="is not built yet"):
            act(path)
    m = model()
    for name in ("w.h5", "w.weights.h5", "w.keras", "w.h5/", "w.npz", "w.NPY", "w.pkl", "w.pt"):
        for act in (m.save_weights, m.load_weights):
            with pytest.raises(ValueError, match=r"end it in \.safetensors"):
                act(f"{tmp_path}/{name}")
    with pytest.raises(TypeError):
        m.save_weights(3)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        m.load_weights(path)
    m.save_weights(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        m.save_weights(path, overwrite=False)
    with pytest.raises(FileNotFoundError) as caught:
        m.save_weights(tmp_path / "nowhere" / "w.safetensors")
    assert caught.value.filename == str(tmp_path / "nowhere" / "w.safetensors")
    with pytest.raises(ValueError, match="is not a file that could be replaced"):
        m.save_weights(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    longest = tmp_path / ("n" * 243 + ".safetensors")
    m.save_weights(longest)
    m.load_weights(longest)


def test_a_file_is_replaced_whole_or_not_at_all(path, tmp_path, monkeypatch):
    model(seed=1).save_weights(path)
    before = path.read_bytes()
    other = model(seed=2)
    for name in ("fsync", "replace"):

        def fail(*arguments):
            raise OSError("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(OSError, match="disk full"):
                other.save_weights(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]
    other.save_weights(path)
    assert path.read_bytes() != before and list(tmp_path.iterdir()) == [path]


def interrupted(act, moment) -> bool:
    """Runs act() with a KeyboardInterrupt before the bytecode of that number; False where it has
    fewer. Signals are served between any two of them."""
    left = moment

    def trace(frame, event, arg):
        nonlocal left
        frame.f_trace_opcodes = True
        left -= event == "opcode"
        if left < 0:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_ctrl_c_at_any_moment_leaves_one_whole_file(path, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # some hundred of them take seconds
    path.write_bytes(b"old")
    moment = 0
    while interrupted(lambda: saving._replace(str(path), [b"n", b"ew"]), moment):
        assert path.read_bytes() in (b"old", b"new"), moment
        assert list(tmp_path.iterdir()) == [path], moment
        path.write_bytes(b"old")
        moment += 1
    assert path.read_bytes() == b"new"
    assert moment > 100


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX's")
def test_what_is_no_file_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="is not a file that could be replaced"):
        model().save_weights(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and [p.name for p in tmp_path.iterdir()] == ["pipe"]


def test_a_file_that_may_not_be_written_stays(path, monkeypatch):
    model(seed=1).save_weights(path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:  # the tests' user may be one who may write everything
        patch.setattr(os, "access", lambda *_: False)
        with pytest.raises(PermissionError, match="may not be written to"):
            model(seed=2).save_weights(path)
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="permissions and links are POSIX's")
def test_permissions_and_links(path, tmp_path):
    old = os.umask(0o027)
    try:
        model().save_weights(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)  # not for others, and it stays so
    model().save_weights(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    link = tmp_path / "link.safetensors"
    link.symlink_to(path)
    other = model(seed=3)
    other.save_weights(link)
    assert link.is_symlink() and path.read_bytes() == link.read_bytes()
    fresh = model(seed=4)
    fresh.load_weights(path)
    assert_bits(fresh.get_weights()[0], other.get_weights()[0])


def test_a_name_without_a_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    model().save_weights("w.safetensors")
    model().load_weights(pathlib.Path("w.safetensors"))
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
