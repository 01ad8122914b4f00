"""Rows picked by an index: batches out of a data set, embeddings out of a table."""

import numpy as np

from ._array import real


def gather_rows(source, index, scale=1.0):
    """y[i] = scale float32(source[index[i]]). source: (n, ...) any real dtype, index: (m,).

    Returns float32 (m, ...), for any source: rounding to float32 comes before scaling.
    """
    return np.asarray(source)[np.asarray(index)].astype(np.float32) * np.float32(scale)


def embedding_forward(table, index):
    """y[i, :] = table[index[i], :]. table: (vocabulary, dim), index: any shape of integers.

    Returns (*index.shape, dim).
    """
    return real(table)[np.asarray(index)]


def embedding_backward(dy, index, vocabulary):
    """dtable[v, :] = sum of dy[i, :] over all i with index[i] = v.

    dy: (*index.shape, dim). Returns (vocabulary, dim).
    """
    dy = real(dy)
    dtable = np.zeros((vocabulary, dy.shape[-1]), dy.dtype)
    np.add.at(dtable, np.asarray(index), dy)
    return dtable
