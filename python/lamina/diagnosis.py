"""What is wrong with a run, said once in words: a loss that is not finite, outputs that do not go
with the loss.

Each is a look at numbers that are there anyway. What costs time, to find the input or the layer
that is to blame, happens once something has gone wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import data, losses
from ._warnings import warn
from .layers.core import Dropout, Flatten, Reshape, Softmax

_LOOKED_AT = 32  # rows
_OF_PROBABILITIES = ("softmax", "sigmoid")
_ROUNDING = 1e-6  # what a probability may lie beside [0, 1]


# ---- a loss that is not finite -------------------------------------------------------------------


def explain_loss(
    model: Any,
    value: float,
    x: np.ndarray,
    what: str = "x",
    names: list[str] | None = None,
    batch: int | None = None,
) -> None:
    """Warn that the loss is `value`, nan or infinite, and say where that begins.

    x: the rows of the pass, or of the first batch whose loss is not finite, and then the batch's
    number. names: of the columns of x.
    """
    wrong = data.first_not_finite(x)
    if wrong is None:
        warn(f"the loss is {value}, and {what} is finite: {_layer_to_blame(model, x)}")
        return
    place = f"{what}[{', '.join(map(str, wrong))}] is {x[wrong]}, in row {wrong[0]}"
    if len(wrong) == 2:
        place += f", column {wrong[1] if names is None else repr(names[wrong[1]])}"
    if batch is not None:
        place += f" of batch {batch}"
    warn(f"the loss is {value}: {place}. Replace it, or leave the row out")


def _layer_to_blame(model: Any, x: np.ndarray) -> str:
    try:
        return _first_that_fails(model, x)
    except Exception as error:  # of a layer of the user's own: the run itself may go on
        return f"which layer makes it cannot be told, since one cannot be called alone ({error})"


def _first_that_fails(model: Any, x: np.ndarray) -> str:
    rows = _rows_that_fail(model, x)
    if rows is None:
        return (
            "no layer's output is infinite or NaN, so the loss itself is too large for float32, or "
            "what training alone does makes it so"
        )
    for layer in model.layers:
        alone = "_alone" in layer.__dict__
        rows = layer(rows)
        if not alone:
            layer.__dict__.pop("_alone", None)  # a copy of its weights
        if not np.isfinite(rows).all():
            broken = [w.name for w in layer.weights if not np.isfinite(w.value).all()]
            first = f"the first output that is not is that of {layer._label}"
            if broken:
                return (
                    f"{first}, whose {' and '.join(broken)} have become infinite or NaN. Training "
                    "has diverged: a smaller learning rate, or inputs scaled to about 1, helps"
                )
            return f"{first}, whose weights are finite: its inputs are too large for it"
    return "its layers' outputs are finite one by one"


def _rows_that_fail(model: Any, x: np.ndarray) -> np.ndarray | None:
    """The first of the rows for which an output is not finite."""
    for begin in range(0, len(x), 512):
        part = x[begin : begin + 512]
        finite = np.isfinite(model(part)).reshape(len(part), -1).all(axis=1)
        if not finite.all():
            first = int(finite.argmin())
            return part[first : first + 1]
    return None


# ---- outputs that do not go with the loss --------------------------------------------------------


def check_outputs(model: Any, first_rows: Callable[[], np.ndarray]) -> None:
    """Warn where a loss of probabilities gets other numbers, or one of logits gets probabilities.

    first_rows: returns some rows of x, for which the model is asked where its last layer does not
    tell.
    """
    loss = model.loss
    if not isinstance(loss, losses._CrossEntropy):
        return
    last, function = _last(model)
    fitting = "sigmoid" if isinstance(loss, losses.BinaryCrossentropy) else "softmax"
    name = type(loss).__name__
    if loss.from_logits:
        if function in _OF_PROBABILITIES:
            warn(
                f"{name}(from_logits=True) applies {fitting} to the outputs, and {last._label} has "
                f"applied {function} already: leave out from_logits=True, or the activation"
            )
        return
    if function in _OF_PROBABILITIES:
        return
    outputs = model(first_rows()[:_LOOKED_AT])
    outside = (outputs < -_ROUNDING) | (outputs > 1 + _ROUNDING)
    if outside.any():
        place = np.unravel_index(int(outside.argmax()), outside.shape)
        warn(
            f"{name} takes probabilities, and {last._label} gives {outputs[place]:.3g} for row "
            f"{int(place[0])}: end the model in activation='{fitting}', or use "
            f"{name}(from_logits=True)"
        )


def _last(model: Any) -> tuple[Any, str | None]:
    """The last layer that computes, and the name of the function that it ends in, if it has one."""
    for layer in reversed(model.layers):
        if isinstance(layer, (Flatten, Reshape, Dropout)):
            continue
        if isinstance(layer, Softmax):
            return layer, "softmax"
        return layer, getattr(getattr(layer, "activation", None), "__name__", None)
    return model.layers[-1], None
