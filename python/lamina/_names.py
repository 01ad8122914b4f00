"""Names of models, layers and losses: automatic ones are Keras's."""

from __future__ import annotations

from typing import Any

_counters: dict[str, int] = {}


def auto_name(prefix: str) -> str:
    """dense, dense_1, dense_2, ...: a counter for each prefix, for as long as Python runs."""
    count = _counters.get(prefix, 0)
    _counters[prefix] = count + 1
    return f"{prefix}_{count}" if count else prefix


def reset_names() -> None:
    _counters.clear()


def snake_case(name: str) -> str:
    """MaxPooling2D -> max_pooling2d, ReLU -> re_lu, as Keras has it."""
    out = []
    for i, c in enumerate(name):
        after_lower = i > 0 and (name[i - 1].islower() or name[i - 1].isdigit())
        before_lower = i > 0 and i + 1 < len(name) and name[i + 1].islower()
        if c.isupper() and (after_lower or before_lower) and not name[i - 1].isdigit():
            out.append("_")
        out.append(c.lower())
    return "".join(out)


def check_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    if not name or "/" in name:
        raise ValueError(f"name must be a string without '/', not empty, got {name!r}")
    return name
