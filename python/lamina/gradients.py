"""Whether a `backward` that was written by hand is the derivative of its `forward`.

Central differences with two steps, h and 2h: their difference says how much the curvature of the
function bends them, and Richardson's extrapolation of both is what `backward` is compared with. The
rounding errors of `forward` are measured, in differences of fourth order of nearly equal inputs
(Hamming's table); h is the step at which they and the curvature disturb least. In float64, which
NumPy code has unless it converts, that is about 1e-5, and what agrees does so to nine digits; in
code that computes in float32 to three or four.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _checks
from .layers.base import Layer
from .losses import Loss
from .models import Sequential

if TYPE_CHECKING:
    from ._types import Array

_MOST = 200  # elements of an array that are taken one by one; the others are taken together
_NEAR = 1e-6  # relative distance of the inputs whose results show the rounding errors


class Compared(NamedTuple):
    """One array of gradients; the worst element is the one furthest beyond its tolerance."""

    name: str
    shape: tuple[int, ...]
    checked: int
    unclear: int  # at a corner of the function, as ReLU has at 0, where there is no derivative
    worst: tuple[int, ...] | None  # None: all elements together, along a random direction
    backward: float
    difference: float  # the difference quotient
    tolerance: float

    @property
    def ok(self) -> bool:
        return abs(self.backward - self.difference) <= self.tolerance

    def __str__(self) -> str:
        place = "along a random direction" if self.worst is None else f"at {list(self.worst)}"
        text = (
            f"{'agrees' if self.ok else 'WRONG '} {self.name} {self.shape}: {self.checked} elements"
            f"; the worst {place}: backward {self.backward:.6g}, difference quotient "
            f"{self.difference:.6g}, off by {abs(self.backward - self.difference):.1e}, tolerance "
            f"{self.tolerance:.1e}"
        )
        return text + (f"; {self.unclear} at a corner left out" if self.unclear else "")


class GradientReport(list[Compared]):
    """What was compared; prints as one line an array."""

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    __repr__ = __str__


def check(
    what: Any, shape: Any, x: Any = None, y_true: Any = None, seed: int = 0
) -> GradientReport:
    report = GradientReport()
    rng = np.random.default_rng(_checks.integer("seed", seed, 0))
    if isinstance(what, Loss):
        report += _of_loss(what, _batch(shape, None), x, y_true, rng)
    elif isinstance(what, Layer):
        if not what._is_host():
            raise TypeError(
                f"{what._label} has no backward in Python to check: what it computes, and its "
                "gradient, are the core's. check_gradients is for layers and losses of your own"
            )
        report += _of_layer(what, _batch(shape, what._input_shape), x, rng)
    elif isinstance(what, Sequential):
        report += _of_model(what, shape, x, y_true, rng)
    else:
        raise TypeError(
            f"check_gradients takes a layer, a loss or a Sequential, got {type(what).__name__}"
        )
    if not all(compared.ok for compared in report):
        raise AssertionError(f"backward is not the derivative of forward:\n{report}")
    return report


def _batch(shape: Any, row: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of a batch, given as such, with None for the rows, or as that of one row."""
    if not isinstance(shape, (tuple, list)) or not shape:
        raise TypeError(f"shape must be a tuple such as (None, 8), got {shape!r}")
    shape = tuple(shape)
    if shape == row or (row is None and len(shape) == 1 and shape[0] is not None):
        shape = (None, *shape)
    rows = 3 if shape[0] is None else _checks.integer("shape's number of rows", shape[0], 1)
    return (rows, *_checks.shape("shape, after the batch axis,", shape[1:]))


def _given(name: str, value: Any, shape: tuple[int, ...], otherwise: Array) -> Array:
    if value is None:
        return otherwise
    value = np.array(value, np.float64)
    if value.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {value.shape}")
    return value


def _of_model(model: Sequential, shape: Any, x: Any, y_true: Any, rng: Any) -> list[Compared]:
    batch = _batch(shape, model._in_shape)
    if not model.built:
        model.build((None, *batch[1:]))
    if batch[1:] != model._in_shape:
        raise ValueError(f"model '{model.name}' takes {model.input_shape}, got shape {shape}")
    model._realise()
    compared: list[Compared] = []
    before = batch[1:]
    for i, layer in enumerate(model._layers):
        if layer._is_host():
            of_input = x if i == 0 else None
            compared += _of_layer(layer, (batch[0], *before), of_input, rng, layer.name + "/")
        before = model._shapes[i]
    loss = model.loss
    if loss is not None and not loss._kind:
        compared += _of_loss(loss, (batch[0], *before), None, y_true, rng)
    if not compared:
        raise ValueError(
            f"model '{model.name}' has no layer and no loss of your own: there is no backward in "
            "Python to check"
        )
    return compared


def _of_layer(
    layer: Layer, batch: tuple[int, ...], x: Any, rng: Any, prefix: str = ""
) -> list[Compared]:
    if not layer._defines_backward():
        raise NotImplementedError(f"{layer._label} does not define backward(dy, x)")
    if not layer.built and layer._model() is None:
        layer.build((None, *batch[1:]))
    elif layer._input_shape not in (None, batch[1:]):
        raise ValueError(
            f"{layer._label} was built for inputs of shape {(None, *layer._input_shape)}, "
            f"got shape {batch}"
        )
    weights = layer._weights
    learned = [w for w in weights if w._trainable]
    kept = [w._array for w in weights]
    try:
        # In float64, and away from the zeros that biases begin with.
        for weight in weights:
            array = weight._array.astype(np.float64)
            if weight._trainable:
                array += 0.1 * (np.abs(array) + 0.1) * rng.uniform(-1, 1, array.shape)
            weight._array = array
        point = {"x": _given("x", x, batch, rng.standard_normal(batch))}
        point |= {weight.name: weight._array for weight in learned}

        def forward(at: dict[str, Array]) -> Array:
            for weight in learned:
                array = at[weight.name]
                weight._array = array
            return np.asarray(layer.forward(_read_only(at["x"]), True))

        y = forward(point)
        want = (batch[0], *layer._chain(batch[1:]))
        if y.shape != want:
            raise ValueError(f"{layer._label}: forward returned shape {y.shape}, expected {want}")
        dy = rng.standard_normal(y.shape)
        forward(point)  # what it keeps for backward
        found = layer.backward(_read_only(dy), _read_only(point["x"]))
        dx, gradients = found if isinstance(found, tuple) else (found, {})
        gradients = {"x": dx, **gradients}
        names = {"x": f"{prefix}input"} | {w.name: prefix + w.name for w in learned}
        return _compare(layer._label, forward, point, dy, gradients, names, rng)
    finally:
        for weight, array in zip(weights, kept, strict=True):
            weight._array = array


def _of_loss(loss: Loss, batch: tuple[int, ...], x: Any, y_true: Any, rng: Any) -> list[Compared]:
    if not loss._defines_backward():
        raise NotImplementedError(f"loss {loss.name!r} does not define backward(y_true, y_pred)")
    point = {"y_pred": _given("x", x, batch, rng.uniform(0.1, 0.9, batch))}
    if y_true is None:
        classes = batch[-1]
        y_true = (
            rng.integers(0, classes, batch[:-1]) if loss._sparse else rng.uniform(0.1, 0.9, batch)
        )
    truth = _read_only(np.asarray(y_true))

    def forward(at: dict[str, Array]) -> Array:
        return np.asarray(loss.forward(truth, _read_only(at["y_pred"])))

    y = forward(point)
    if y.shape != batch[: y.ndim] or not y.ndim:
        raise ValueError(
            f"loss {loss.name!r}: forward returned shape {y.shape}, expected a value a row"
        )
    forward(point)
    gradients = {"y_pred": loss.backward(truth, _read_only(point["y_pred"]))}
    names = {"y_pred": f"{loss.name}/y_pred"}
    return _compare(f"loss {loss.name!r}", forward, point, np.ones(y.shape), gradients, names, rng)


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _compare(
    label: str,
    forward: Callable[[dict[str, Array]], Array],
    point: dict[str, Array],
    dy: Array,
    gradients: dict[str, Any],
    names: dict[str, str],
    rng: Any,
) -> list[Compared]:
    strange = sorted(set(gradients) - set(point))
    if strange:
        raise ValueError(f"{label}: backward returned a gradient of {strange}, of {list(point)}")
    y = forward(point).astype(np.float64)
    if not np.array_equal(forward(point), y, equal_nan=True):
        raise ValueError(
            f"{label}: forward gives two results for one input, as random numbers do or a state "
            "that it changes, and cannot be compared; make it repeatable for the check"
        )
    if not np.isfinite(y).all():
        raise ValueError(f"{label}: forward is not finite here; pass x, where it is")
    noise = _noise(forward, point, rng)
    compared = []
    for name, array in point.items():
        if gradients.get(name) is None:
            raise ValueError(f"{label}: backward returned no gradient of '{name}'")
        g = np.asarray(gradients[name], np.float64)
        if g.shape != array.shape:
            raise ValueError(
                f"{label}: backward's gradient of '{name}' has shape {g.shape}, expected "
                f"{array.shape}"
            )
        scale = max(0.1, math.sqrt(np.mean(array**2)))  # biases begin near zero
        h = scale * noise ** (1 / 3)
        places = list(np.ndindex(array.shape))
        if len(places) > _MOST:
            places = [places[i] for i in sorted(rng.permutation(len(places))[:_MOST])]
        directions: list[tuple[int, ...] | None] = [*places]
        if len(places) < array.size:
            directions.append(None)
        largest = float(np.abs(g).max(initial=0.0))
        worst: Compared | None = None
        unclear = 0
        for place in directions:
            step = np.zeros(array.shape)
            step[... if place is None else place] = 1.0
            if place is None:
                step = rng.choice([-1.0, 1.0], array.shape)

            def moved(by: float, name: str = name, array: Any = array, step: Any = step) -> Array:
                return forward({**point, name: array + by * step}).astype(np.float64)

            near = moved(h), moved(-h)
            far = moved(2 * h), moved(-2 * h)
            one = float(np.sum(dy * (near[0] - near[1]))) / (2 * h)
            two = float(np.sum(dy * (far[0] - far[1]))) / (4 * h)
            size = np.abs(dy * y) * ((near[0] != near[1]) | (far[0] != far[1]))
            rounding = 10 * noise * float(np.sum(size)) / h
            curvature = abs(one - two)
            # How much the slope changes from one side to the other: h f'' where there is one, which
            # the two steps take away from each other, and the whole bend at a corner.
            bend, far_bend = (
                float(np.sum(dy * (a + b - 2 * y))) / by for (a, b), by in ((near, h), (far, 2 * h))
            )
            corner = max(curvature, abs(2 * bend - far_bend))
            if corner > 10 * rounding + 0.01 * (abs(one) + abs(two)):
                unclear += 1
                continue
            # backward rounds too, in sums whose terms are as large as the largest gradient.
            own = 100 * noise * largest * (1 if place is not None else math.sqrt(array.size))
            tolerance = curvature + rounding + own + 1e-300
            result = Compared(
                names[name],
                array.shape,
                0,
                0,
                place,
                float(np.sum(g * step)),
                (4 * one - two) / 3,
                tolerance,
            )
            if worst is None or _excess(result) > _excess(worst):
                worst = result
        if worst is None:
            raise ValueError(
                f"{label}: forward has corners or jumps at every element of '{name}', where it has "
                "no derivative; pass x, where it is smooth"
            )
        compared.append(worst._replace(checked=len(places) - unclear, unclear=unclear))
    return compared


def _excess(c: Compared) -> float:
    off = abs(c.backward - c.difference)
    return math.inf if math.isnan(off) else off / c.tolerance


def _noise(
    forward: Callable[[dict[str, Array]], Array], point: dict[str, Array], rng: Any
) -> float:
    """The rounding errors of forward, relative to its results; at least those of float64."""
    ways = {name: rng.standard_normal(array.shape) for name, array in point.items()}
    steps = {
        name: _NEAR * (math.sqrt(np.mean(array**2)) or 1.0) * ways[name]
        for name, array in point.items()
    }
    rows = [
        forward({name: array + i * steps[name] for name, array in point.items()})
        for i in range(-4, 5)
    ]
    table = np.diff(np.stack(rows).astype(np.float64), 4, axis=0)
    # The fourth difference of independent errors has (8 over 4) = 70 times their variance.
    error = math.sqrt(np.mean(table**2) / 70)
    size = math.sqrt(np.mean(np.square(rows[4], dtype=np.float64))) or 1.0
    return max(error / size, 2.0**-52)
