"""Keras's `backend`, as far as it means something here: constants, and clear_session."""

from typing import TYPE_CHECKING

from ._hints import module_hooks
from .utils import clear_session

__all__ = ["backend", "clear_session", "epsilon", "floatx", "image_data_format"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)


def backend() -> str:
    return "lamina"


def floatx() -> str:
    """The type of all weights and results."""
    return "float32"


def epsilon() -> float:
    """What probabilities are clipped to, and Adam's epsilon."""
    return 1e-7


def image_data_format() -> str:
    return "channels_last"
