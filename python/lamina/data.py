"""Checks of x, y and sample weights, and their conversion to what the core takes.

Nothing is copied that the core can read where it lies: real numbers of native byte order whose
rows are contiguous, the first axis with any stride. Labels become int32. Every error names the
argument, what was expected, what came and, where that is known, what to do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _core, frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._types import Array, Shape
    from .layers.base import Layer

# What the core gathers from; anything else is converted to float32.
_NATIVE = frozenset(np.dtype(code) for code in [*"?bBhHefd", "i4", "u4", "i8", "u8"])
_LARGEST = float(np.finfo(np.float32).max)
_CHUNK = 1 << 20  # elements looked at at once: bounds the temporaries of checks


def as_array(value: Any, what: str) -> np.ndarray:
    """`value` as an array of real numbers; TypeError for anything else."""
    if isinstance(value, np.ndarray):
        array = np.asarray(value)  # subclasses drop their extras
    elif isinstance(value, dict):
        raise TypeError(f"{what} must be an array, got a dict: there is one input, one output")
    elif is_sparse(value):
        raise TypeError(
            f"{what} must be an array, got a sparse {type(value).__name__}: pass {what}.toarray()"
        )
    elif frames.column_names(value) is not None:
        array = frames.frame_to_array(value, what)
    elif frames.is_column(value):
        named = what if value.name is None else f"{what}, the column {value.name!r},"
        array = frames.column_to_array(value, named)
    else:
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"{what} cannot be made an array: {error}") from None
    if array.dtype.kind == "O":
        if array.ndim == 0:
            raise TypeError(f"{what} must hold real numbers, got {_checks.shown(value)}")
        array = frames.objects_to_numbers(array, what)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what} must hold real numbers, got an array of type {array.dtype}")
    return array


def is_sparse(value: Any) -> bool:
    """Whether it is a matrix of SciPy's that stores no zeros."""
    return hasattr(value, "toarray") and hasattr(value, "nnz")


@np.errstate(all="ignore")
def rounded(array: np.ndarray) -> np.ndarray:
    """`array` as float32, contiguous and aligned. What does not fit becomes infinite or 0, whatever
    numpy.seterr says: that is the user's, for code of his own."""
    return np.require(array, np.float32, ["C", "A"])


def as_rows(array: np.ndarray) -> np.ndarray:
    """The same numbers, a copy only if the core cannot read them in place."""
    if array.dtype not in _NATIVE or not array.dtype.isnative or not array.flags.aligned:
        return rounded(array)
    if array.ndim and len(array) and not array[0].flags.c_contiguous:
        return np.ascontiguousarray(array)
    return array


def to_float32(array: np.ndarray, what: str) -> np.ndarray:
    """`array` as float32; ValueError for a number beyond its range. NaN and infinities pass."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 4:
        _raise_at(array, what, "", lambda part: ~np.isfinite(part) | (np.abs(part) <= _LARGEST))
    return rounded(array)


def check_finite(array: np.ndarray, what: str) -> None:
    """ValueError for numbers that are not finite, or not as float32."""
    if array.dtype.kind == "f":
        narrow = array.dtype.itemsize <= 4
        fits = np.isfinite if narrow else lambda part: np.abs(part) <= _LARGEST
        _raise_at(array, what, what, fits)


def first_not_finite(array: np.ndarray) -> tuple[int, ...] | None:
    """The index of the first NaN or infinity, if there is one."""
    return _first_wrong(array, np.isfinite) if array.dtype.kind == "f" else None


def _raise_at(array: np.ndarray, what: str, where: str, holds: Callable[[Array], Array]) -> None:
    array = array if array.ndim else array.reshape(1)
    wrong = _first_wrong(array, holds)
    if wrong is not None:
        must = "be within the range of float32" if np.isfinite(array[wrong]) else "be finite"
        place = ", ".join(map(str, wrong))
        raise ValueError(f"{what} must {must}, got {array[wrong]} at {where}[{place}]")


# ---- x ------------------------------------------------------------------------------------------


def prepare_x(x: Any, input_shape: Shape, first_layer: Layer, what: str = "x") -> np.ndarray:
    """Rows of exactly `input_shape`. An axis of size 1 at the end is added or dropped to fit."""
    x = as_array(x, what)
    expected = tuple(input_shape)
    if x.ndim == 0:
        raise ValueError(f"{what} must have a batch axis, got a single number")
    if x.shape[1:] != expected:
        if (*x.shape[1:], 1) == expected:
            x = x[..., np.newaxis]
        elif x.shape[1:] == (*expected, 1):
            x = x[..., 0]
        else:
            raise ValueError(_wrong_shape(x, expected, first_layer))
    return as_rows(x)


def _wrong_shape(x: Array, expected: Shape, first_layer: Layer) -> str:
    row = x.shape[1:]
    message = (
        f"{first_layer._label} expects inputs of shape {batch_text(expected)}, "
        f"got {shape_text(x.shape)}"
    )
    if x.shape == expected:
        return message + "; add the batch axis: x[np.newaxis]"
    if row[1:] == expected and len(x) == 1:
        return message + "; pass the array itself, not a list with the array in it"
    if math.prod(row) == math.prod(expected):
        if len(expected) == 1:
            return message + "; add Flatten() before it"
        if len(row) == 1:
            return message + f"; reshape x to {shape_text((-1, *expected))}"
    return message


def batch_text(shape: Sequence[int]) -> str:
    return f"(batch, {', '.join(map(str, shape))})" if shape else "(batch,)"


def shape_text(shape: Sequence[int]) -> str:
    """As Python writes a tuple."""
    return f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"


def check_indices(x: np.ndarray, size: int, layer: str) -> None:
    """For an Embedding at the model's front: whole numbers in [0, size), or ValueError."""
    if not x.size:
        return
    wrong = _first_wrong(x, lambda part: (part >= 0) & (part < size))
    if wrong is None and x.dtype.kind == "f":
        wrong = _first_wrong(x, lambda part: part == np.floor(part))
    if wrong is not None:
        place = ", ".join(map(str, wrong))
        raise ValueError(
            f"{layer} takes whole numbers from 0 to {size - 1}, got {x[wrong]} at x[{place}]"
        )


def _first_wrong(array: np.ndarray, holds: Callable[[Array], Array]) -> tuple[int, ...] | None:
    """The index of the first element for which the vectorised `holds` is false, or None."""
    if array.ndim == 0 or not array.size:
        return None
    step = len(array)
    if array.size > _CHUNK:
        step = max(1, _CHUNK // (array.size // len(array)))
    for begin in range(0, len(array), step):
        right = holds(array[begin : begin + step])
        if np.count_nonzero(right) < right.size:  # a quarter of what right.all() takes
            place = np.unravel_index(int(right.argmin()), right.shape)
            return (begin + int(place[0]), *map(int, place[1:]))
    return None


# ---- y ------------------------------------------------------------------------------------------


def class_numbers(y: Any, classes: int, what: str, why: str | None = None) -> np.ndarray:
    """`y` as int32 class numbers. ValueError for NaN, fractions, and those not in [0, classes);
    `why` there are so many is by default that the model has as many outputs."""
    y = as_array(y, what)
    plain = _core.class_numbers(y, classes)
    if plain is not None:
        return plain
    wrong = _first_wrong(y, lambda part: (part >= 0) & (part < classes))
    if wrong is None and y.dtype.kind == "f":
        wrong = _first_wrong(y, lambda part: part == np.floor(part))
    if wrong is not None:
        value, place = y[wrong], ", ".join(map(str, wrong))
        hint = ""
        if why is None:
            why = f"the model has {classes} outputs"
            if classes == 1:
                hint = "; for a model with one output use loss='binary_crossentropy'"
            elif value == classes:
                hint = f"; labels count from 0, so {classes + 1} classes need {classes + 1} outputs"
        raise ValueError(
            f"{what} must hold class numbers from 0 to {classes - 1}, {why}; "
            f"got {value} at {what}[{place}]{hint}"
        )
    return np.array(y, np.int32, order="C")  # also where it was misaligned


def prepare_y(
    y: Any, rows: int, output_shape: Shape, sparse: bool, loss_name: str, what: str = "y"
) -> np.ndarray:
    """Targets as the core takes them: int32 class numbers, or numbers in the output's shape."""
    y = as_array(y, what)
    if y.ndim == 0:
        raise ValueError(f"{what} must have a batch axis, got a single number")
    if len(y) != rows:
        raise ValueError(_cardinality(what, rows, len(y)))
    output_shape = tuple(output_shape)
    expected = output_shape[:-1] if sparse else output_shape
    if y.shape[1:] != expected:
        if y.shape[1:] == (*expected, 1):
            y = y[..., 0]
        elif (*y.shape[1:], 1) == expected:
            y = y[..., np.newaxis]
        else:
            raise ValueError(_wrong_targets(y, expected, output_shape, sparse, loss_name, what))
    if sparse:
        return class_numbers(y, output_shape[-1] if output_shape else 1, what)
    check_finite(y, what)
    return as_rows(y)


def _wrong_targets(
    y: Array, expected: Shape, output_shape: Shape, sparse: bool, loss_name: str, what: str
) -> str:
    message = (
        f"{what} must have shape {batch_text(expected)} for loss '{loss_name}' and a model with "
        f"outputs of shape {batch_text(output_shape)}, got {shape_text(y.shape)}"
    )
    if sparse and y.shape[1:] == output_shape:
        return message + "; for one-hot targets use loss='categorical_crossentropy'"
    classes = (output_shape[:-1], (*output_shape[:-1], 1))
    if not sparse and y.shape[1:] in classes and y.dtype.kind in "iu":
        return message + (
            "; for class numbers use loss='sparse_categorical_crossentropy', or "
            "utils.to_categorical(y)"
        )
    return message


def _cardinality(what: str, rows: int, got: int) -> str:
    return (
        f"Data cardinality is ambiguous: x has {rows} rows and {what} has {got}; "
        "they must have the same number of rows"
    )


# ---- weights ------------------------------------------------------------------------------------


def prepare_weights(
    sample_weight: Any, rows: int, inner: Sequence[int] = (), what: str = "sample_weight"
) -> np.ndarray | None:
    """Finite float32: one a row, (rows,); or one for each of its values, (rows, product of inner).

    inner: the axes of a row's values of the loss, those of the output but the last. Given weights
    may have fewer axes, or sizes of 1, which are repeated, and one axis of 1 more.
    """
    if sample_weight is None:
        return None
    weight = as_array(sample_weight, what)
    if weight.ndim and len(weight) != rows:
        raise ValueError(_cardinality(what, rows, len(weight)))
    inner = tuple(inner)
    if weight.ndim == len(inner) + 2 and weight.shape[-1] == 1:
        weight = weight[..., 0]
    own = weight.shape[1:]
    fits = all(size in (1, whole) for size, whole in zip(own, inner, strict=False))
    if weight.ndim == 0 or len(own) > len(inner) or not fits:
        each = f" or {shape_text((rows, *inner))}" if inner else ""
        raise ValueError(f"{what} must have shape ({rows},){each}, got {shape_text(weight.shape)}")
    check_finite(weight, what)
    if math.prod(own) == 1:
        return rounded(weight.reshape(rows))
    weight = rounded(weight.reshape(*weight.shape, *[1] * (len(inner) - len(own))))
    return np.ascontiguousarray(np.broadcast_to(weight, (rows, *inner))).reshape(rows, -1)


def check_class_weight(class_weight: Any) -> dict[int, float]:
    """{class: weight} with int keys and float values that are finite as float32."""
    from . import _checks

    if not isinstance(class_weight, dict):
        raise TypeError(
            "class_weight must be a dict {class number: weight}, "
            f"got {type(class_weight).__name__}"
        )
    checked = {}
    for key, value in class_weight.items():
        number = _checks.number(f"class_weight[{key!r}]", value)
        whole = isinstance(key, (float, np.floating)) and float(key).is_integer()
        checked[_checks.integer("a key of class_weight", int(key) if whole else key, 0)] = number
    return checked


@np.errstate(all="ignore")
def weights_of_classes(class_weight: dict[int, float], y: np.ndarray, sparse: bool) -> np.ndarray:
    """class_weight for each row of prepared targets: their class number, or the largest entry's.

    A class that the dict does not name weighs 1.
    """
    if y.ndim > 2 or (sparse and y.ndim == 2 and y.shape[1] > 1):
        raise ValueError(
            f"class_weight takes targets of one class a row, got y of shape {shape_text(y.shape)}"
        )
    if y.ndim == 2:
        y = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0]
    classes = np.asarray(y).astype(np.int64)  # of binary targets as floats: 0.0 and 1.0
    weight = np.ones(len(classes), np.float32)
    for key, value in class_weight.items():
        weight[classes == key] = value
    return weight
