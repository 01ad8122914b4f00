"""The layers of a `Sequential`, with Keras's names, arguments and defaults.

All take name, trainable and input_shape besides their own arguments; see `Layer`, which is also
what layers of your own subclass. The batch axis comes first, channels last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._hints import module_hooks
from .base import Layer
from .convolution import Conv2D, Convolution2D
from .core import (
    ELU,
    Activation,
    Dense,
    Dropout,
    Flatten,
    Input,
    InputLayer,
    LeakyReLU,
    ReLU,
    Rescaling,
    Reshape,
    Softmax,
)
from .embedding import Embedding
from .normalization import BatchNormalization
from .pooling import (
    AveragePooling2D,
    AvgPool2D,
    GlobalAveragePooling2D,
    GlobalAvgPool2D,
    MaxPool2D,
    MaxPooling2D,
)
from .weight import Weight

__all__ = [
    "ELU",
    "Activation",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "Weight",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)


def by_class_name(name: str, custom_objects: dict[str, type[Layer]] | None = None) -> type[Layer]:
    """The layer class of this name; ValueError if there is none."""
    found = (custom_objects or {}).get(name) or globals().get(name)
    if not (isinstance(found, type) and issubclass(found, Layer)):
        from .. import _missing

        hint = _missing.value_hint("layers", name, __all__)
        raise ValueError(
            f"layer class {name!r} is not known{hint}; pass custom_objects={{{name!r}: the class}} "
            "for a class of your own"
        )
    return found
