"""The table of summary(), letter by letter."""

import io
import re
import sys

import pytest

import lamina as la
from lamina import layers, summary


@pytest.fixture(autouse=True)
def fresh_names():
    la.utils.clear_session()


def text(model, **options):
    lines = []
    model.summary(print_fn=lines.append, **options)
    return "\n".join(lines)


def small(**options):
    return la.Sequential(
        [la.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Flatten()], **options
    )


def test_table():
    assert text(small(), line_length=60) == (
        'Model: "sequential"\n'
        "┏━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━┓\n"
        "┃ Layer (type)            ┃ Output Shape     ┃     Param # ┃\n"
        "┡━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━┩\n"
        "│ dense (Dense)           │ (None, 3)        │          15 │\n"
        "├─────────────────────────┼──────────────────┼─────────────┤\n"
        "│ batch_normalization (Ba │ (None, 3)        │          12 │\n"
        "│ tchNormalization)       │                  │             │\n"
        "├─────────────────────────┼──────────────────┼─────────────┤\n"
        "│ flatten (Flatten)       │ (None, 3)        │           0 │\n"
        "└─────────────────────────┴──────────────────┴─────────────┘\n"
        " Total params: 27 (108.00 B)\n"
        " Trainable params: 21 (84.00 B)\n"
        " Non-trainable params: 6 (24.00 B)"
    )


def test_unbuilt():
    shown = text(la.Sequential([layers.Dense(3)]))
    assert re.search(r"│ dense \(Dense\) +│ \? +│ +0 \(unbuilt\) │", shown)
    assert " Total params: 0 (0.00 B)" in shown
    assert 'Model: "sequential_1"' in text(la.Sequential())


def test_numbers_of_the_tutorial_are_keras_s():
    m = la.Sequential([la.Input((784,)), layers.Dense(128), layers.Dense(10)])
    assert " Total params: 101,770 (397.54 KB)" in text(m)
    m.compile("adam", "mse")
    m.optimizer._build(m, m._realise())
    shown = text(m)
    assert " Total params: 305,312 (1.16 MB)" in shown
    assert " Trainable params: 101,770 (397.54 KB)" in shown
    assert " Optimizer params: 203,542 (795.09 KB)" in shown


def test_show_trainable_and_layer_range():
    m = small()
    m.layers[0].trainable = False
    shown = text(m, show_trainable=True, line_length=80)
    assert re.search(r"dense \(Dense\).*│ N +│", shown)
    assert re.search(r"batch_normalization.*│ Y +│", shown)
    assert re.search(r"flatten \(Flatten\).*│ - +│", shown)
    assert " Trainable params: 6 " in shown
    shown = text(m, layer_range=("batch.*", "flatten"))
    assert "flatten" in shown and "dense (" not in shown
    assert text(m, positions=[30, 50, 60]) != text(m)
    for wrong in (("nope", "flatten"), ("dense",), (0, 1)):
        with pytest.raises(ValueError, match="layer_range"):
            m.summary(layer_range=wrong)
    with pytest.raises(ValueError, match="positions must have 3"):
        m.summary(positions=[10, 20])


def test_prints_where_stdout_knows_no_boxes(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    small().summary(line_length=60)
    sys.stdout.flush()
    shown = raw.getvalue().decode()
    assert "| dense (Dense)" in shown and "+---" in shown


@pytest.mark.parametrize(
    ("count", "want"),
    [(0, "0 (0.00 B)"), (255, "255 (1020.00 B)"), (256, "256 (1.00 KB)"), (2**28, "(1.00 GB)")],
)
def test_sizes(count, want):
    assert summary._size(count).endswith(want)


def test_names_of_wide_characters_stay_in_their_column(monkeypatch):
    shown = text(la.Sequential([la.Input((4,)), layers.Dense(3, name="全结合層")]), line_length=60)
    assert "│ 全结合層 (Dense)        │ (None, 3) " in shown
