"""Losses, one value a row, together with their gradients.

Every function takes (rows, cols) predictions or logits, targets, sample_weight (rows,) or None
(all ones), and scale; it returns (loss, d): loss (rows,) with loss_i = w_i L_i, and d (rows, cols),
the gradient of scale sum_i loss_i with respect to the first argument. With scale = 1 / rows that
is Keras's "sum_over_batch_size". Targets are (rows, cols); labels are (rows,), any integer dtype,
in [0, cols). Targets are finite, or NaN. A gradient that would be denormal is 0: sums and products
of these are slow on some processors. `out` is a tuple (loss, d), in which either may be None; d may
be the first argument (in place).

Errors: ValueError where the shapes do not fit, or for a label out of range, which is named with
its position; TypeError for labels that are not integers. Error bounds are of one row, with weight
and scale 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import kernels as _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import F32


def softmax_cross_entropy_sparse(
    logits: ArrayLike,
    labels: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
    *,
    out: tuple[F32 | None, F32 | None] | None = None,
) -> tuple[F32, F32]:
    """L = -log softmax(z)_label; dL/dz_j = softmax(z)_j - [j = label].

    Finite for any finite logits. Error: (cols / 16 + 16) eps (1 + L), of d (cols / 16 + 16) eps.
    """
    return _core.softmax_cross_entropy_sparse(logits, labels, sample_weight, scale, out)


def softmax_cross_entropy_onehot(
    logits: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
    *,
    out: tuple[F32 | None, F32 | None] | None = None,
) -> tuple[F32, F32]:
    """L = -sum_j t_j log softmax(z)_j; dL/dz_j = softmax(z)_j sum_k t_k - t_j.

    Finite for finite logits and targets >= 0 with a sum of at most 1; logits further apart than
    the largest float32 count as that far. With T = sum_j |t_j|, error: (cols / 8 + 32) eps T (1 +
    max_j |log softmax(z)_j|), of d (cols / 8 + 32) eps T.
    """
    return _core.softmax_cross_entropy_onehot(logits, targets, sample_weight, scale, out)


def sigmoid_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
    *,
    out: tuple[F32 | None, F32 | None] | None = None,
) -> tuple[F32, F32]:
    """L = mean_j [-t_j log s_j - (1 - t_j) log(1 - s_j)], s = sigmoid(z);
    dL/dz_j = (s_j - t_j) / cols.

    Computed as max(z, 0) - z t + log(1 + e^-|z|), in which nothing overflows; of an infinite z the
    limit, which is 0 where t is right and else infinite. Error: (cols / 16 + 16) eps of the mean of
    1 + |z_j| + |z_j t_j|, of d 16 eps (1 + |t_j|) / cols.
    """
    return _core.sigmoid_cross_entropy(logits, targets, sample_weight, scale, out)


def mean_squared_error(
    predictions: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
    *,
    out: tuple[F32 | None, F32 | None] | None = None,
) -> tuple[F32, F32]:
    """L = mean_j (p_j - t_j)^2; dL/dp_j = 2 (p_j - t_j) / cols.

    Error: (cols / 16 + 16) eps L, of d 4 eps |d|, if 2 (p_j - t_j) does not overflow.
    """
    return _core.mean_squared_error(predictions, targets, sample_weight, scale, out)


def mean_absolute_error(
    predictions: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
    *,
    out: tuple[F32 | None, F32 | None] | None = None,
) -> tuple[F32, F32]:
    """L = mean_j |p_j - t_j|; dL/dp_j = sign(p_j - t_j) / cols, 0 where they are equal.

    Error: (cols / 16 + 16) eps L, of d 4 eps |d|.
    """
    return _core.mean_absolute_error(predictions, targets, sample_weight, scale, out)


def cross_entropy_sparse(
    probabilities: ArrayLike,
    labels: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
    *,
    out: tuple[F32 | None, F32 | None] | None = None,
) -> tuple[F32, F32]:
    """L = -log clip(q_label), q = p / sum_k p_k, clip to [1e-7, 1 - 1e-7] as Keras has it.

    The gradient is that of cross_entropy_onehot with t one-hot. Where the sum is infinite, a finite
    p_label is clipped, an infinite one gives NaN. Error: (cols / 16 + 16) eps (1 + L), of d
    (cols / 16 + 32) eps / (q_label sum_k p_k).
    """
    return _core.cross_entropy_sparse(probabilities, labels, sample_weight, scale, out)


def cross_entropy_onehot(
    probabilities: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
    *,
    out: tuple[F32 | None, F32 | None] | None = None,
) -> tuple[F32, F32]:
    """L = -sum_j t_j log clip(q_j), q = p / S, S = sum_k p_k, clip to [1e-7, 1 - 1e-7].

    With m_j = 1 where clipping does not act and else 0: dL/dp_j = (sum_k m_k t_k - m_j t_j / q_j)
    / S, the gradient that Keras has. Error: (cols / 8 + 32) eps of sum_j |t_j| (1 + |log q_j|),
    of d (cols / 8 + 32) eps of (sum_k |t_k| + |t_j| / q_j) / S.
    """
    return _core.cross_entropy_onehot(probabilities, targets, sample_weight, scale, out)


def binary_cross_entropy(
    probabilities: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None = None,
    scale: float = 1.0,
    *,
    out: tuple[F32 | None, F32 | None] | None = None,
) -> tuple[F32, F32]:
    """L = mean_j [-t_j log q_j - (1 - t_j) log(1 - q_j)], q = clip(p) to [1e-7, 1 - 1e-7];
    dL/dp_j = (q_j - t_j) / (q_j (1 - q_j)) / cols, 0 where clipping acts.

    Error: (cols / 16 + 16) eps of the mean of (|t_j| + |1 - t_j|) (1 + |log q_j| + |log(1 -
    q_j)|), of d 16 eps (q_j + |t_j|) / (q_j (1 - q_j)) / cols.
    """
    return _core.binary_cross_entropy(probabilities, targets, sample_weight, scale, out)
