"""Data frames and their columns as arrays: those of pandas and of polars, which are not imported.

Every column is converted by itself, so that columns of several types, and pandas' nullable ones,
become one array of numbers; what holds no number is named with its column and row.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np


def column_names(value: Any) -> list[str] | None:
    """The names of a frame's columns; None for anything else."""
    if hasattr(value, "iter_columns") or (hasattr(value, "columns") and hasattr(value, "items")):
        return [str(name) for name in value.columns]
    return None


def is_column(value: Any) -> bool:
    """Whether it is a column of a frame, with a name and a type of its own."""
    return hasattr(value, "to_numpy") and hasattr(value, "dtype") and hasattr(value, "name")


def frame_to_array(frame: Any, what: str) -> np.ndarray:
    """The frame as an array (rows, columns), of the one type that holds all of its numbers."""
    if hasattr(frame, "iter_columns"):
        named = [(column.name, column) for column in frame.iter_columns()]
    else:
        named = list(frame.items())
    columns = [column_to_array(column, f"{what}: column {name!r}") for name, column in named]
    kinds = [column.dtype for column in columns] or [np.dtype(np.float32)]
    out = np.empty((len(frame), len(columns)), np.result_type(*kinds))
    for i, column in enumerate(columns):
        out[:, i] = column
    return out


def column_to_array(column: Any, who: str) -> np.ndarray:
    """One column as numbers. TypeError where it holds something else, ValueError where a row holds
    nothing; a NaN among floats is a number."""
    array = np.asarray(column)
    if array.dtype.kind == "O":
        array = objects_to_numbers(array, who)
    elif array.dtype.kind not in "fiub":
        raise no_number(array[0], who, 0) if len(array) else TypeError(f"{who} holds no numbers")
    if not isinstance(column.dtype, np.dtype):  # a NaN of NumPy's says nothing of what is missing
        missing = column.is_null() if hasattr(column, "is_null") else column.isna()
        missing = np.asarray(missing, bool)
        if missing.any():
            raise nothing_there(who, int(missing.argmax()))
    return array


def objects_to_numbers(array: np.ndarray, who: str) -> np.ndarray:
    """An array of Python objects as numbers, if all of them are; else the first is named."""
    flat = array.reshape(-1)
    nothing = None
    for i, value in enumerate(flat):
        if isinstance(value, (numbers.Number, np.bool_)) and not isinstance(value, complex):
            continue
        if value is not None and type(value).__name__ not in ("NAType", "NaTType"):
            raise no_number(value, who, *map(int, np.unravel_index(i, array.shape)))
        nothing = i if nothing is None else nothing
    if nothing is not None:
        raise nothing_there(who, *map(int, np.unravel_index(nothing, array.shape)))
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise TypeError(f"{who} must hold numbers within the range of float64") from None


def no_number(value: Any, who: str, *place: int) -> TypeError:
    """The error for a column, or an array, of something else."""
    kind = "text" if isinstance(value, str) else type(value).__name__
    shown = repr(str(value[:60])) if isinstance(value, str) else str(value)[:60]
    return TypeError(
        f"{who} must hold real numbers, got {kind}: {shown} in row {_place(place)}; encode it as "
        "numbers first (pandas.get_dummies for columns of x, pandas.factorize for classes)"
    )


def nothing_there(who: str, *place: int) -> ValueError:
    """The error for a row without a value."""
    return ValueError(
        f"{who} has no value in row {_place(place)}; fill it in (fillna), or leave the row out "
        "(dropna)"
    )


def _place(place: tuple[int, ...]) -> str:
    row, *columns = place or (0,)
    return f"{row}, column {', '.join(map(str, columns))}" if columns else str(row)
