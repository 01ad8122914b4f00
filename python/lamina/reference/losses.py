"""Losses, one value a row, together with their gradients.

Every function takes (rows, cols) predictions or logits, targets, sample_weight (rows,) or None
(all ones), and scale; it returns (loss, d): loss (rows,) with loss_i = w_i L_i, and d (rows, cols),
the gradient of scale sum_i loss_i with respect to the first argument. With scale = 1 / rows that
is Keras's "sum_over_batch_size". A gradient that float32 would hold as a denormal is 0: sums and
products of these are slow on some processors. Targets are (rows, cols); labels are (rows,)
integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._array import real
from .activations import sigmoid_forward
from .softmax import log_softmax_forward

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import Array

# Keras clips probabilities to [1e-7, 1 - 1e-7], limits that are float32 there and here.
CLIP_LOW = float(np.float32(1e-7))
CLIP_HIGH = float(np.float32(1) - np.float32(1e-7))


def _one_hot(labels: ArrayLike, like: Array) -> Array:
    return (np.asarray(labels)[:, None] == np.arange(like.shape[1])).astype(like.dtype)


def _mean(terms: Array) -> Array:
    """Of each row; 0 where there are no columns."""
    return terms.sum(axis=1) / max(1, terms.shape[1])


def _weighted(
    loss: Array, d: Array, sample_weight: ArrayLike | None, scale: float
) -> tuple[Array, Array]:
    w = np.ones_like(loss) if sample_weight is None else np.asarray(sample_weight, loss.dtype)
    d = scale * w[:, None] * d
    return w * loss, np.where(np.abs(d) < 2.0**-126, 0, d)


def softmax_cross_entropy_sparse(
    logits: ArrayLike, labels: ArrayLike, sample_weight: ArrayLike | None = None, scale: float = 1.0
) -> tuple[Array, Array]:
    """L = -log softmax(z)_label; dL/dz_j = softmax(z)_j - [j = label]."""
    z = real(logits)
    log_p = log_softmax_forward(z)
    loss = -np.take_along_axis(log_p, np.asarray(labels)[:, None], axis=1)[:, 0]
    return _weighted(loss, np.exp(log_p) - _one_hot(labels, z), sample_weight, scale)


def softmax_cross_entropy_onehot(
    logits: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
) -> tuple[Array, Array]:
    """L = -sum_j t_j log softmax(z)_j, without what has t_j = 0, as an infinite z_j may be there;
    dL/dz_j = softmax(z)_j sum_k t_k - t_j."""
    z, t = real(logits), real(targets)
    log_p = log_softmax_forward(z)
    d = np.exp(log_p) * t.sum(axis=1, keepdims=True) - t
    with np.errstate(invalid="ignore"):
        terms = np.where(t == 0, 0, t * log_p)
    return _weighted(-terms.sum(axis=1), d, sample_weight, scale)


def sigmoid_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
) -> tuple[Array, Array]:
    """L = mean_j [-t_j log s_j - (1 - t_j) log(1 - s_j)], s = sigmoid(z);
    dL/dz_j = (s_j - t_j) / cols.

    The bracket is max(z, 0) - z t + log(1 + e^-|z|), in which nothing overflows. Where z is
    infinite it is |z| times 1 - t for a positive and t for a negative z, and 0 where that is 0.
    """
    z, t = real(logits), real(targets)
    off = np.where(z > 0, 1 - t, t)
    with np.errstate(invalid="ignore"):
        limit = np.where(off == 0, 0, np.abs(z) * off)
        loss = np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))
    loss = np.where(np.isinf(z), limit, loss)
    d = (sigmoid_forward(z) - t) / z.shape[1]
    return _weighted(_mean(loss), d, sample_weight, scale)


def mean_squared_error(
    predictions: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
) -> tuple[Array, Array]:
    """L = mean_j (p_j - t_j)^2; dL/dp_j = 2 (p_j - t_j) / cols."""
    e = real(predictions) - real(targets)
    return _weighted(_mean(e**2), 2 * e / e.shape[1], sample_weight, scale)


def mean_absolute_error(
    predictions: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
) -> tuple[Array, Array]:
    """L = mean_j |p_j - t_j|; dL/dp_j = sign(p_j - t_j) / cols, 0 where they are equal."""
    e = real(predictions) - real(targets)
    return _weighted(_mean(np.abs(e)), np.sign(e) / e.shape[1], sample_weight, scale)


def _clip(q: Array) -> tuple[Array, Array]:
    """q between the limits, and where it already was; a NaN stays one."""
    return np.clip(q, CLIP_LOW, CLIP_HIGH), ~((q < CLIP_LOW) | (q > CLIP_HIGH))


def cross_entropy_onehot(
    probabilities: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
) -> tuple[Array, Array]:
    """L = -sum_j t_j log clip(q_j), q = p / S, S = sum_k p_k.

    With m_j = 1 where clipping does not act and else 0, and dq_j/dp_k = ([j = k] - q_j) / S,
    dL/dp_j = (sum_k m_k t_k - m_j t_j / q_j) / S.
    """
    p, t = real(probabilities), real(targets)
    S = p.sum(axis=1, keepdims=True)
    q, inside = _clip(p / S)
    mt = np.where(inside, t, 0)
    d = (mt.sum(axis=1, keepdims=True) - mt / q) / S
    return _weighted(-(t * np.log(q)).sum(axis=1), d, sample_weight, scale)


def cross_entropy_sparse(
    probabilities: ArrayLike,
    labels: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
) -> tuple[Array, Array]:
    """L = -log clip(q_label), q = p / sum_k p_k: the above with t one-hot, but nothing else of q
    is read. Where the sum is infinite, a finite p_label is clipped, an infinite one gives NaN."""
    p = real(probabilities)
    S = p.sum(axis=1, keepdims=True)
    q, inside = _clip(np.take_along_axis(p, np.asarray(labels)[:, None], axis=1) / S)
    d = np.where(inside, (1 - _one_hot(labels, p) / q) / S, 0)
    return _weighted(-np.log(q[:, 0]), d, sample_weight, scale)


def binary_cross_entropy(
    probabilities: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
) -> tuple[Array, Array]:
    """L = mean_j [-t_j log q_j - (1 - t_j) log(1 - q_j)], q = clip(p);
    dL/dp_j = (q_j - t_j) / (q_j (1 - q_j)) / cols, 0 where clipping acts."""
    p, t = real(probabilities), real(targets)
    q, inside = _clip(p)
    loss = -t * np.log(q) - (1 - t) * np.log1p(-q)
    d = np.where(inside, (q - t) / (q * (1 - q)), 0) / p.shape[1]
    return _weighted(_mean(loss), d, sample_weight, scale)
