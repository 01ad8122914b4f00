"""One thing that several contenders compute, with the check that they compute the same."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .limits import Work

EPS = 2.0**-24  # half the spacing of float32 at 1: the error of one rounding


@dataclass
class Case:
    """`contenders` map a name to a call without arguments that returns its result (array-like).

    tolerance: how far two results may be apart, in units of `scale`, the largest value that an
    element could have if nothing cancelled. view: what of a result is compared.
    """

    name: str
    contenders: dict[str, Callable[[], object]]
    tolerance: float
    scale: float = 1.0
    work: Work | None = None  # what a call must do, where a limit of the machine can bind it
    view: Callable[[object], object] = np.asarray

    def disagreement(self) -> dict[str, float]:
        """Each contender's largest distance from NumPy's result (or the first one's)."""
        # A copy: some results live in buffers that the next call, or another contender, reuses.
        # Not in float64 yet: a result may be 400 MB large.
        results = {name: np.array(self.view(call())) for name, call in self.contenders.items()}
        truth = results.get("numpy", next(iter(results.values())))
        return {name: distance(result, truth) / self.scale for name, result in results.items()}


def distance(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape:
        raise ValueError(f"results differ in shape: {a.shape} and {b.shape}")
    # NaN, which no tolerance admits, must come out as one: np.max keeps it. In float32 the
    # difference of two close numbers is exact (Sterbenz).
    return float(np.max(np.abs(a - b), initial=0.0))


def sum_tolerance(terms: int) -> float:
    """Two float32 sums of `terms` products in any order: each is within terms + 1 roundings of the
    truth (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); 8 for what
    surrounds the sum."""
    return 2 * (terms + 8) * EPS


def largest(a: np.ndarray, b: np.ndarray) -> float:
    """What no element of A B exceeds: the norm of a row times that of a column (Cauchy-Schwarz)."""
    return float(np.linalg.norm(a, axis=1).max() * np.linalg.norm(b, axis=0).max())
