"""Data sets for examples and tests: `mnist` is part of the package, `fashion_mnist` is fetched.

Importing these modules reads no file and opens no connection, and nothing heavier than NumPy is
imported before the first `load_data()`: decompression, digests and HTTP are imported where used.
"""

from typing import TYPE_CHECKING

from .._hints import module_hooks
from . import fashion_mnist, mnist

__all__ = ["fashion_mnist", "mnist"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)
