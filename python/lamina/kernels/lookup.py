"""Rows picked by an index: batches out of a data set, embeddings out of a table.

An index holds integers of any dtype; one outside the table is a ValueError that names its
position and value, negative ones too. TypeError for an index of anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import kernels as _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import F32


def gather_rows(
    source: ArrayLike, index: ArrayLike, scale: float = 1.0, *, out: F32 | None = None
) -> F32:
    """y[i] = scale float32(source[index[i]]). source: (n, ...), index: (m,).

    source holds booleans, integers, or floats of 16, 32 or 64 bits, and is converted row by row,
    never as a whole. Its first axis may have any stride; rows that are not contiguous are copied
    first. Returns float32 (m, ...). Error: 1 eps of y for the conversion, 1 for the scaling; exact
    where source fits float32 and scale is 1. TypeError for any other dtype of source.
    """
    return _core.gather_rows(source, index, scale, out)


def embedding_forward(table: ArrayLike, index: ArrayLike, *, out: F32 | None = None) -> F32:
    """y[i, :] = table[index[i], :]. table: (vocabulary, dim), index: any shape of integers.

    Returns (*index.shape, dim). Exact.
    """
    return _core.embedding_forward(table, index, out)


def embedding_backward(
    dy: ArrayLike, index: ArrayLike, vocabulary: int, *, out: F32 | None = None
) -> F32:
    """dtable[v, :] = sum of dy[i, :] over all i with index[i] = v, in the order of i.

    dy: (*index.shape, dim). Returns (vocabulary, dim). Error: one eps of sum |dy| for each term.
    ValueError where the shapes do not fit.
    """
    return _core.embedding_backward(dy, index, vocabulary, out)
