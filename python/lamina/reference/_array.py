"""The one conversion that the reference makes of its arguments."""

import numpy as np


def real(x):
    """x as an array of its own floating dtype; integers, booleans and lists become float64."""
    x = np.asarray(x)
    return x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float64)
