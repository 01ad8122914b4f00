"""Rows picked by an index: batches out of a data set, embeddings out of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._array import real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import Array


def gather_rows(source: ArrayLike, index: ArrayLike, scale: float = 1.0) -> Array:
    """y[i] = scale float32(source[index[i]]). source: (n, ...) any real dtype, index: (m,).

    Returns float32 (m, ...), for any source: rounding to float32 comes before scaling.
    """
    return np.asarray(source)[np.asarray(index)].astype(np.float32) * np.float32(scale)


def embedding_forward(table: ArrayLike, index: ArrayLike) -> Array:
    """y[i, :] = table[index[i], :]. table: (vocabulary, dim), index: any shape of integers.

    Returns (*index.shape, dim).
    """
    return real(table)[np.asarray(index)]


def embedding_backward(dy: ArrayLike, index: ArrayLike, vocabulary: int) -> Array:
    """dtable[v, :] = sum of dy[i, :] over all i with index[i] = v.

    dy: (*index.shape, dim). Returns (vocabulary, dim).
    """
    dy = real(dy)
    dtable = np.zeros((vocabulary, dy.shape[-1]), dy.dtype)
    np.add.at(dtable, np.asarray(index), dy)
    return dtable
