"""Initial values of weights, with Keras's names, formulas and defaults.

An initializer is called with a shape and returns a float32 array. With `seed=` it returns the
same values at every call; without, every call draws new ones that follow from
`utils.set_random_seed`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _random
from ._hints import Named, module_hooks

if TYPE_CHECKING:
    from ._types import F32, Config, Shape

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)

# Standard deviation of N(0, 1) cut off at two: what a truncated normal is divided by, so that it
# has the asked one.
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(Named):
    """Base class: override `__call__(shape, dtype=None)`, and `get_config` if it has arguments."""

    def __call__(self, shape: Shape, dtype: Any = None) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype=None)")

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: Config) -> Initializer:
        return cls(**config)


class _InPlace(Initializer):
    """One of the package's own: _fill(out, shape) writes the values of a weight of that shape where
    they will stay, into the flat array out."""

    def _fill(self, out: F32, shape: Shape) -> None:
        raise NotImplementedError

    def __call__(self, shape: Shape, dtype: Any = None) -> F32:
        values = np.empty(shape, np.float32)
        self._fill(values.reshape(-1), values.shape)
        return values


class Zeros(_InPlace):
    """All 0."""

    def _fill(self, out: F32, shape: Shape) -> None:
        out[:] = 0.0


class Ones(_InPlace):
    """All 1."""

    def _fill(self, out: F32, shape: Shape) -> None:
        out[:] = 1.0


class Constant(_InPlace):
    """All `value`."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = _checks.number("Constant: value", value)

    def _fill(self, out: F32, shape: Shape) -> None:
        out[:] = self.value

    def get_config(self) -> Config:
        return {"value": self.value}


class _Random(_InPlace):
    def __init__(self, seed: int | None = None) -> None:
        if seed is not None:
            seed = _checks.integer(f"{type(self).__name__}: seed", seed)
        self.seed = seed

    def _next(self) -> int:
        return _random.next_seed() if self.seed is None else _random.combine([self.seed])


class RandomNormal(_Random):
    """N(mean, stddev)."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = _checks.number(f"{type(self).__name__}: mean", mean)
        self.stddev = _checks.number(f"{type(self).__name__}: stddev", stddev, 0.0)

    def _fill(self, out: F32, shape: Shape) -> None:
        self._draw(out, self._next(), self.stddev, self.mean)

    _draw = staticmethod(_random.normal)

    def get_config(self) -> Config:
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class TruncatedNormal(RandomNormal):
    """N(mean, stddev) without what lies more than two of its stddev from the mean."""

    _draw = staticmethod(_random.truncated_normal)


class RandomUniform(_Random):
    """Uniform in [minval, maxval)."""

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval = _checks.number("RandomUniform: minval", minval)
        self.maxval = _checks.number("RandomUniform: maxval", maxval)
        if self.minval > self.maxval:
            raise ValueError(f"RandomUniform: minval {minval} is above maxval {maxval}")
        _checks.number("RandomUniform: maxval - minval", self.maxval - self.minval)

    def _fill(self, out: F32, shape: Shape) -> None:
        _random.uniform(out, self._next(), self.maxval - self.minval, self.minval)

    def get_config(self) -> Config:
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed}


class VarianceScaling(_Random):
    """Variance `scale / n`, where n is fan_in, fan_out, or their mean (fan_avg).

    distribution: "truncated_normal", "untruncated_normal", or "uniform" in +-sqrt(3 scale / n).
    A kernel (..., in, out) has fan_in = receptive field * in, fan_out = receptive field * out.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.scale = _checks.number("VarianceScaling: scale", scale, 0.0)
        if self.scale == 0:
            raise ValueError("VarianceScaling: scale must be above 0, got 0")
        modes = ("fan_in", "fan_out", "fan_avg")
        self.mode = _checks.choice("VarianceScaling: mode", mode, modes)
        if distribution == "normal":
            distribution = "truncated_normal"
        self.distribution = _checks.choice(
            "VarianceScaling: distribution",
            distribution,
            ("truncated_normal", "untruncated_normal", "uniform"),
        )

    def _fill(self, out: F32, shape: Shape) -> None:
        fan_in, fan_out = _fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        seed = self._next()
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            _random.uniform(out, seed, 2.0 * limit, -limit)
        elif self.distribution == "untruncated_normal":
            _random.normal(out, seed, math.sqrt(variance))
        else:
            _random.truncated_normal(out, seed, math.sqrt(variance) / _TRUNCATED_STDDEV)

    def get_config(self) -> Config:
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "seed": self.seed,
        }


def _fans(shape: Shape) -> tuple[int, int]:
    if len(shape) < 2:
        n = shape[0] if shape else 1
        return n, n
    receptive = math.prod(shape[:-2])
    return receptive * shape[-2], receptive * shape[-1]


class _Fixed(VarianceScaling):
    """A VarianceScaling whose only argument is the seed."""

    _arguments: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self._arguments, seed)

    def get_config(self) -> Config:
        return {"seed": self.seed}


class GlorotUniform(_Fixed):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""

    _arguments = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Fixed):
    """Truncated normal of stddev sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""

    _arguments = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Fixed):
    """Uniform in +-sqrt(6 / fan_in) (He et al., 2015)."""

    _arguments = (2.0, "fan_in", "uniform")


class HeNormal(_Fixed):
    """Truncated normal of stddev sqrt(2 / fan_in) (He et al., 2015)."""

    _arguments = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Fixed):
    """Uniform in +-sqrt(3 / fan_in) (LeCun et al., 1998)."""

    _arguments = (1.0, "fan_in", "uniform")


class LecunNormal(_Fixed):
    """Truncated normal of stddev sqrt(1 / fan_in) (LeCun et al., 1998)."""

    _arguments = (1.0, "fan_in", "truncated_normal")


zeros = Zeros
ones = Ones
constant = Constant
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_uniform = HeUniform
he_normal = HeNormal
lecun_uniform = LecunUniform
lecun_normal = LecunNormal

_BY_NAME = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "normal": RandomNormal,
    "random_normal": RandomNormal,
    "uniform": RandomUniform,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
}
_BY_CLASS = {cls.__name__: cls for cls in _BY_NAME.values()}


def get(identifier: Any) -> Any:
    """The initializer that a name, class, config, instance or f(shape, dtype=None) stands for.

    None is None. ValueError for an unknown name, TypeError for another type.
    """
    if isinstance(identifier, str):
        cls = _BY_NAME.get(identifier.lower()) or _BY_CLASS.get(identifier)
        if cls is None:
            raise _checks.unknown("initializer", identifier, _BY_NAME)
        return cls()
    if isinstance(identifier, dict):
        cls = _BY_CLASS.get(str(identifier.get("class_name")))
        if cls is None:
            raise _checks.unknown("initializer", identifier.get("class_name"), _BY_CLASS)
        return cls.from_config(identifier.get("config", {}))
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if identifier is None or callable(identifier):
        return identifier
    raise TypeError(
        f"an initializer must be a name or a function of a shape, got {type(identifier).__name__}"
    )


def for_weight(identifier: Any, who: str) -> Any:
    """`get` for an argument of a layer; None is glorot_uniform, as in Keras."""
    try:
        return get("glorot_uniform" if identifier is None else identifier)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{who}: {error}") from None


def serialize(initializer: Any) -> Any:
    """What `get` makes the same initializer of."""
    if isinstance(initializer, Initializer):
        return {"class_name": type(initializer).__name__, "config": initializer.get_config()}
    return initializer


def fill(initializer: Any, weight: np.ndarray, who: str) -> None:
    """The initial values of a contiguous weight, into its place."""
    if type(initializer).__call__ is _InPlace.__call__:
        initializer._fill(weight.reshape(-1), weight.shape)
    else:
        weight[...] = initial_values(initializer, weight.shape, who)


def initial_values(initializer: Any, shape: Shape, who: str) -> np.ndarray:
    """Calls `initializer` for a weight and checks what came: a float32 array of that shape."""
    values = np.asarray(initializer(tuple(shape), dtype="float32"))
    if values.shape != tuple(shape):
        raise ValueError(f"{who}: its initializer was asked for {shape}, returned {values.shape}")
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{who}: its initializer returned an array of type {values.dtype}")
    return values.astype(np.float32, copy=False)
