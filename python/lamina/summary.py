"""The table of `Sequential.summary`: pure text, no terminal needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from . import _console, _html
from .progress import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .layers.base import Layer
    from .models import Sequential


def print_summary(
    model: Sequential,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    lines = summary_lines(model, line_length, positions, show_trainable, layer_range)
    if print_fn is not None:
        for line in lines:
            print_fn(line)
        return
    text = "\n".join(lines) + "\n"
    shell = _console.shell()
    if shell is None:
        _console.write(text)
    else:
        html = _html.of_summary(*summary_cells(model, show_trainable, layer_range))
        show(shell, {"text/plain": text, "text/html": html})


def summary_lines(
    model: Sequential,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> list[str]:
    """The table as text, no line of it wider than line_length or the terminal."""
    most = max(line_length or 0, _console.columns())
    width = line_length or min(88, most - 4)
    title, header, rows, totals = summary_cells(model, show_trainable, layer_range)
    if positions is None:
        positions = [0.38, 0.65, 0.85, 1.0] if show_trainable else [0.44, 0.76, 1.0]
    if len(positions) != len(header):
        raise ValueError(f"positions must have {len(header)} entries, got {len(positions)}")
    table = _table(header, rows, _widths(positions, width, most))
    return [*_wrap(title, most), *table, *(part for line in totals for part in _wrap(line, most))]


def summary_cells(
    model: Sequential, show_trainable: bool = False, layer_range: Sequence[str] | None = None
) -> tuple[str, list[str], list[list[str]], list[str]]:
    """(title, header, rows, lines of totals)."""
    header = ["Layer (type)", "Output Shape", "Param #"]
    if show_trainable:
        header.append("Trainable")
    rows = [_row(layer, show_trainable) for layer in _in_range(model.layers, layer_range)]
    return f'Model: "{model.name}"', header, rows, _totals(model)


def _row(layer: Layer, show_trainable: bool) -> list[str]:
    name = f"{layer.name} ({type(layer).__name__})"
    if layer.built:
        cells = [name, str(layer.output_shape), f"{layer.count_params():,}"]
    else:
        cells = [name, "?", "0 (unbuilt)"]
    if show_trainable:
        flag = "Y" if layer.trainable else "N"
        cells.append(flag if layer._weights else "-")
    return cells


def _in_range(layers: list[Layer], layer_range: Sequence[str] | None) -> list[Layer]:
    if layer_range is None:
        return layers
    import re

    if len(layer_range) != 2 or not all(isinstance(name, str) for name in layer_range):
        raise ValueError(f"layer_range must be two layer names (or patterns), got {layer_range!r}")
    first, last = (
        [i for i, layer in enumerate(layers) if re.match(pattern, layer.name)]
        for pattern in layer_range
    )
    if not first or not last:
        raise ValueError(f"layer_range {layer_range!r} matches no layers")
    low, high = min(min(first), min(last)), max(max(first), max(last))
    return layers[low : high + 1]


def _widths(positions: Sequence[float], width: int, most: int) -> list[int]:
    ends = [int(p * width) if p <= 1 else int(p) for p in positions]
    starts = [0, *ends[:-1]]
    # Of each column three places go to its border and the blanks beside the text, and one more
    # to the right border.
    widths = [end - start - 3 for start, end in zip(starts, ends, strict=True)]
    widths[-1] -= 1
    widths = [max(3, width) for width in widths]
    while sum(widths) + 3 * len(widths) + 1 > most and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    return widths


def _table(header: list[str], rows: list[list[str]], widths: list[int]) -> Iterator[str]:
    def rule(left: str, line: str, middle: str, right: str) -> str:
        return left + middle.join(line * (width + 2) for width in widths) + right

    def cells(values: list[str], bar: str) -> Iterator[str]:
        texts = [_wrap(value, width) for value, width in zip(values, widths, strict=True)]
        for i in range(max(map(len, texts))):
            parts = []
            for column, (text, width) in enumerate(zip(texts, widths, strict=True)):
                part = text[i] if i < len(text) else ""
                blank = " " * (width - _console.cells(part))
                parts.append(blank + part if column == 2 else part + blank)
            yield f"{bar} " + f" {bar} ".join(parts) + f" {bar}"

    yield rule("┏", "━", "┳", "┓")
    yield from cells(header, "┃")
    yield rule("┡", "━", "╇", "┩")
    for i, row in enumerate(rows):
        if i:
            yield rule("├", "─", "┼", "┤")
        yield from cells(row, "│")
    yield rule("└", "─", "┴", "┘")


def _wrap(text: str, width: int) -> list[str]:
    """The text in pieces that take `width` columns each."""
    pieces = [""]
    for c in text:
        if pieces[-1] and _console.cells(pieces[-1] + c) > width:
            pieces.append("")
        pieces[-1] += c
    return pieces


def _totals(model: Sequential) -> list[str]:
    weights = [weight for layer in model.layers for weight in layer.weights]
    total = sum(math.prod(weight.shape) for weight in weights)
    trainable = sum(math.prod(w.shape) for w in weights if w.trainable and model.trainable)
    optimizer = 0
    if model.optimizer is not None and model.optimizer.built:
        # As Keras counts: the slots of the weights that were trainable when they were made, the
        # iterations and the learning rate.
        optimizer = len(model.optimizer.state) * model.optimizer._trained + 2
    lines = [
        f" Total params: {_size(total + optimizer)}",
        f" Trainable params: {_size(trainable)}",
        f" Non-trainable params: {_size(total - trainable)}",
    ]
    if optimizer:
        lines.append(f" Optimizer params: {_size(optimizer)}")
    return lines


def _size(count: int) -> str:
    size, units = count * 4.0, ["B", "KB", "MB", "GB", "TB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{count:,} ({size:.2f} {units[0]})"
