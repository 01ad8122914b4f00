"""How a notebook shows a model, a History and a Weight: small tables, in the notebook's own style.

Each returns HTML of the elements that every front end keeps: no scripts, no style sheets.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .callbacks import History
    from .layers.weight import Weight

_HEAD, _TAIL = 10, 10  # rows that are shown of a long table


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<table>\n<thead>{line(header, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def of_summary(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], totals: Sequence[str]
) -> str:
    below = "<br>".join(html.escape(line.strip()) for line in totals)
    return f"<p>{html.escape(title)}</p>\n{_table(header, rows)}\n<p>{below}</p>"


def of_history(history: History) -> str:
    """A row an epoch; of many, the first and the last ones."""
    from .progress import number

    epochs, values = history.epoch, history.history
    rows = [
        [str(epoch + 1), *(number(v[i]) if i < len(v) else "" for v in values.values())]
        for i, epoch in enumerate(epochs)
    ]
    if len(rows) > _HEAD + _TAIL + 1:
        left_out = ["…"] * (1 + len(values))
        rows = [*rows[:_HEAD], left_out, *rows[-_TAIL:]]
    return _table(["epoch", *values], rows)


def of_weight(weight: Weight) -> str:
    values = weight.value
    facts = [str(weight.shape), str(weight.dtype)]
    if not weight.trainable:
        facts.append("not trainable")
    if values.size:
        with np.errstate(all="ignore"):
            facts += [f"{f.__name__} {f(values):.4g}" for f in (np.min, np.mean, np.max)]
    text = np.array2string(values, precision=4, threshold=60, edgeitems=3)
    head = f"<b>{html.escape(weight.path)}</b> {html.escape(', '.join(facts))}"
    return f"<p>{head}</p>\n<pre>{html.escape(text)}</pre>"
