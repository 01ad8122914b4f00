#!/usr/bin/env python3
"""Compare lamina's table of missing names with Keras, and write docs/keras.md.

    KERAS_BACKEND=jax python tools/keras_names.py check
    python tools/keras_names.py docs

`check` needs Keras and any of its backends. It prints what Keras makes public and lamina neither
has nor names in `python/lamina/_missing.py`, what is named there and is not Keras's or is here by
now, and the keyword arguments that nobody answers for; exit code 1 if there is any. `docs` writes
the page from the table and needs lamina only.
"""

import argparse
import importlib
import inspect
import sys
import types
from pathlib import Path

from lamina import _missing, layers, optimizers

PAGE = Path(__file__).parent.parent / "docs" / "keras.md"
HEAD = """# Keras's names, and what of them is here

`import lamina as keras` runs scripts that keep to what is here. A name that is not answers with a
line of this table: what it is, whether it is planned, and what to use now. A row with the name of a
module stands for everything in it. The names are those of Keras {version}.

This page is written by `python tools/keras_names.py docs`, from `python/lamina/_missing.py`.

"""


def page() -> str:
    return HEAD.format(version=_missing.KERAS) + _missing.markdown()


def here(module: str):
    """lamina's module of this name, or None."""
    try:
        return importlib.import_module(f"lamina.{module}" if module else "lamina")
    except ModuleNotFoundError:
        return None


def public(module) -> dict:
    """Keras's public names in a module; what is private to it, as `keras.src`, is left out."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "src" and not name.endswith("_all_")
    }


def wrong_names(keras) -> list[str]:
    """Names that lamina and the table do not cover, and rows that are not needed."""
    found = []
    for module, rows in _missing.MISSING.items():
        theirs = public(importlib.import_module(f"keras.{module}") if module else keras)
        ours = here(module).__all__
        table = [name for row in rows for name in row.names.split()]
        where = module or "keras"
        found += [f"{where}.{name}: missing in the table" for name in sorted(theirs)
                  if name not in ours and name not in table]  # fmt: skip
        found += [f"{where}.{name}: is not Keras's" for name in table if name not in theirs]
        found += [f"{where}.{name}: is here" for name in table if name in ours]
        found += [f"{where}.{name}: twice" for name in {n for n in table if table.count(n) > 1}]
    return found


def parameters(function) -> set[str]:
    try:
        return set(inspect.signature(function).parameters) - {"self", "args", "kwargs"}
    except (TypeError, ValueError):
        return set()


def wrong_keywords(keras) -> list[str]:
    """Keyword arguments of Keras's that end in an error which does not speak of Keras."""
    pairs = [("Sequential", keras.Sequential, name) for name in vars(here("models").Sequential)]
    pairs = [(owner, getattr(theirs, name, None), name) for owner, theirs, name in pairs]
    for module in _missing.MISSING:
        theirs = importlib.import_module(f"keras.{module}") if module else keras
        pairs += [(module, getattr(theirs, name, None), name) for name in here(module).__all__]
    found = []
    for owner, theirs, name in pairs:
        home = here("models").Sequential if owner == "Sequential" else here(owner)
        ours = getattr(home, name)
        if theirs is None or isinstance(ours, types.ModuleType) or not callable(ours):
            continue
        if name.startswith("_") or name in ("CallbackList", "serialize", "get"):
            continue  # not called with keywords
        known = parameters(ours)
        if isinstance(ours, type) and issubclass(ours, (layers.Layer, optimizers.Optimizer)):
            known |= parameters(layers.Layer.__init__) | set(ours._more_keywords)
        found += [
            f"{owner}.{name}({keyword}=...)"
            for keyword in sorted(parameters(theirs) - known)
            if "Keras's" not in _missing.keyword_hint(ours.__name__, keyword, known)
        ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare with Keras, or write docs/keras.md.")
    parser.add_argument("command", choices=("check", "docs"))
    if parser.parse_args().command == "docs":
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    import keras

    found = wrong_names(keras) + wrong_keywords(keras)
    print(*(found or [f"the table covers Keras {keras.__version__}"]), sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
