"""Checks of single arguments, shared by the whole package: they return the value or raise.

TypeError for a wrong type, ValueError for a wrong value; `who` begins the message, as in
"Dense 'dense': units must be ...".
"""

from __future__ import annotations

import math
import operator
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_T = TypeVar("_T")

_BEYOND_FLOAT32 = float.fromhex("0x1.ffffffp+127")  # from here on infinite as float32


def shown(value: Any) -> str:
    """repr(value) for the end of a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:80]}... ({len(text)} characters)"


def flag(who: str, value: Any) -> bool:
    """`value` as a bool: anything but what has no truth value, such as an array."""
    try:
        return bool(value)
    except (TypeError, ValueError):
        raise TypeError(f"{who} must be True or False, got {shown(value)}") from None


def integer(who: str, value: Any, minimum: int | None = None) -> int:
    """`value` as an int; bool and float are wrong types."""
    if isinstance(value, bool):
        raise TypeError(f"{who} must be an integer, got {shown(value)}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{who} must be an integer, got {shown(value)}") from None
    if minimum is not None and not minimum <= number < 1 << 63:
        least = f"at least {minimum}" if number < minimum else "below 2**63"
        raise ValueError(f"{who} must be {least}, got {number}")
    return number


def number(who: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a finite float in [low, high], of the size that float32 has."""
    if isinstance(value, (str, bytes, bool)):
        raise TypeError(f"{who} must be a number, got {shown(value)}")
    try:
        result = float(value)
    except OverflowError:  # an int of hundreds of digits
        result = _BEYOND_FLOAT32 if value > 0 else -_BEYOND_FLOAT32
    except (TypeError, ValueError):
        raise TypeError(f"{who} must be a number, got {shown(value)}") from None
    if math.isfinite(result) and abs(result) >= _BEYOND_FLOAT32 and low <= result <= high:
        raise ValueError(
            f"{who} must be at most 3.4028235e+38 in size, the largest float32, got {shown(value)}"
        )
    if not math.isfinite(result) or not low <= result <= high:
        if low == -math.inf and high == math.inf:
            expected = "finite"
        elif high == math.inf:
            expected = f"finite and at least {low:g}"
        else:
            expected = f"between {low:g} and {high:g}"
        raise ValueError(f"{who} must be {expected}, got {shown(value)}")
    return result


def pair(who: str, value: Any) -> tuple[int, int]:
    """An integer of at least 1, or two of them."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{who} must be an integer or a pair of integers, got {shown(value)}")
        return (integer(who, value[0], 1), integer(who, value[1], 1))
    one = integer(who, value, 1)
    return (one, one)


def choice(who: str, value: Any, choices: Collection[str]) -> str:
    """One of the strings in `choices`; upper case is accepted, as in padding="SAME"."""
    if not isinstance(value, str):
        raise TypeError(f"{who} must be a string, got {shown(value)}")
    if value.lower() not in choices:
        raise ValueError(f"{who} must be one of {', '.join(choices)}; got {shown(value)}")
    return value.lower()


def shape(who: str, value: Any) -> tuple[int, ...]:
    """A shape without the batch axis: every size known and at least 1."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"{who} must be a tuple, got {value}; write ({value},)")
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{who} must be a tuple of integers, got {shown(value)}")
    if any(size is None for size in value):
        raise ValueError(f"{who} must have only known sizes, got {tuple(value)}")
    return tuple(integer(who, size, 1) for size in value)


def batched_shape(who: str, value: Any) -> tuple[int, ...]:
    """A shape with the batch axis, which may be None; the rest of it is returned."""
    if not isinstance(value, (tuple, list)) or not value:
        raise TypeError(
            f"{who} must be a tuple that begins with None for the batch, got {shown(value)}"
        )
    return shape(f"{who}, after the batch axis,", tuple(value[1:]))


def not_offered(who: str, given: dict[str, Any], neutral: dict[str, tuple[Any, ...]]) -> None:
    """For arguments of Keras's that have no effect here: {name: the values that ask for none}.

    TypeError for a name that is not among them, ValueError for another value.
    """
    for key, value in given.items():
        if key not in neutral:
            raise TypeError(f"{who} got an unexpected keyword argument {key!r}")
        scalar = getattr(value, "ndim", 0) == 0
        if not any(value is none or (scalar and value == none) for none in neutral[key]):
            raise ValueError(f"{who}: {key} is not offered yet, got {shown(value)}")


def unknown(who: str, value: Any, known: Collection[str]) -> ValueError:
    """The error for a name that is none of `known`; who: "loss", "optimizer", ..."""
    from . import _missing

    hint = _missing.value_hint("losses" if who == "loss" else f"{who}s", str(value), known)
    there_are = " There are" if hint.endswith("?") else "; there are"
    return ValueError(
        f"{who} {shown(value)} is not known{hint}{there_are}: {', '.join(sorted(known))}"
    )


def verbose(value: Any) -> int:
    if type(value) is int and 0 <= value <= 2:  # as a rule, and soonest told
        return value
    if isinstance(value, str) and value == "auto":
        return 1
    try:
        level = operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        level = -1
    if level not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1, 2 or 'auto', got {shown(value)}")
    return level


def batch_size(value: Any, name: str = "batch_size") -> int:
    size = 32 if value is None else integer(name, value, 1)
    if size >= 1 << 40:
        raise ValueError(f"{name} must be below 2**40, got {size}")
    return size


def steps(name: str, value: Any) -> int | None:
    return None if value is None else integer(name, value, 1)


def weakly(who: str, thing: _T) -> Callable[[], _T]:
    """A function that returns `thing`, which it does not keep: RuntimeError once it is gone.

    For what the core is given to call: its objects are invisible to Python's garbage collector, so
    that a strong reference from them to something that knows the model would be a cycle for ever.
    """
    reference = weakref.ref(thing)

    def alive() -> _T:
        found = reference()
        if found is None:
            raise RuntimeError(f"{who} is gone: keep the model while it is used")
        return found

    return alive
