"""Optimizers: how a gradient moves the weights. Names, formulas and defaults are Keras's.

An optimizer keeps state for the weights of one model (momenta, the number of steps) and belongs to
the first model that trains with it. That state starts anew when layers are added or removed.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _core
from ._hints import Named, module_hooks
from ._results import Number

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._types import Config, OptimizerLike

__all__ = [
    "SGD",
    "Adam",
    "Optimizer",
    "get",
]

if not TYPE_CHECKING:
    __path__ = []  # a package, so that `import lamina.optimizers.schedules` can be answered
    __getattr__, __dir__ = module_hooks(__name__, __all__)

# Keras arguments that are understood, and refused unless they ask for nothing.
_NOT_OFFERED = dict.fromkeys(
    (
        "amsgrad",
        "clipnorm",
        "clipvalue",
        "ema_overwrite_frequency",
        "global_clipnorm",
        "gradient_accumulation_steps",
        "loss_scale_factor",
        "use_ema",
        "weight_decay",
    ),
    (None, False),
) | {"ema_momentum": (None, False, 0.99)}

# Adam divides by sqrt(v) + epsilon, and v may be 0 or too small for float32.
_LEAST_EPSILON = 1e-16


class Optimizer(Named):
    """Base of SGD and Adam; there are no optimizers in Python."""

    _kind = ""
    _more_keywords = _NOT_OFFERED

    def __init__(
        self, learning_rate: float, name: str, not_offered: Config, **options: Any
    ) -> None:
        _checks.not_offered(type(self).__name__, not_offered, _NOT_OFFERED)
        self.name = name
        self._options = options
        rate = _learning_rate(type(self).__name__, learning_rate)
        self._core = _core.Optimizer(self._kind, rate, **options)
        self._network: _core.Network | None = None
        self._trained = 0  # numbers that were trainable when the state was made
        self._model: weakref.ref[Any] | None = None

    @property
    def learning_rate(self) -> Number:
        """May be set at any time, also by a callback while fit runs."""
        # The core holds a float32; the shortest decimal that is this float32 is what was set.
        return Number(str(np.float32(self._core.learning_rate)))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._core.learning_rate = _learning_rate(type(self).__name__, value)

    lr = learning_rate

    @property
    def iterations(self) -> int:
        """How many steps have been taken."""
        return int(self._core.iterations)

    @property
    def built(self) -> bool:
        return self._network is not None

    @property
    def state(self) -> dict[str, Any]:
        """Views of the state, by name: float32 vectors laid out as the model's parameters are."""
        return dict(self._core.slots) if self.built else {}

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "learning_rate": self.learning_rate, **self._options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy has the same arguments and belongs to no model.
        return _made, (type(self), self.get_config())

    def _check_owner(self, model: Any) -> None:
        owner = self._model() if self._model is not None else None
        if owner is not None and owner is not model:
            raise ValueError(
                f"this {type(self).__name__} optimizer belongs to model '{owner.name}'; make a new "
                f"one: {type(self).__name__}.from_config(optimizer.get_config())"
            )

    def _build(self, model: Any, network: _core.Network) -> None:
        """Make room for the network's state; what was there for another network is dropped."""
        self._model = weakref.ref(model)
        if self._network is not network:
            self._core.build(network)
            self._network = network
            self._trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)


def _made(cls: type[Optimizer], config: Config) -> Optimizer:
    return cls.from_config(config)


def _learning_rate(who: str, value: Any) -> float:
    if callable(value):
        raise TypeError(
            f"{who}: learning_rate must be a number; schedules are not offered yet, set "
            "optimizer.learning_rate in a callback"
        )
    return _checks.number(f"{who}: learning_rate", value, 0.0)


class SGD(Optimizer):
    """w -= learning_rate * dw; with momentum: m = momentum * m - learning_rate * dw, then w += m,
    or with nesterov w += momentum * m - learning_rate * dw.
    """

    _kind = "sgd"

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str = "SGD",
        **not_offered: Any,
    ) -> None:
        momentum = _checks.number("SGD: momentum", momentum, 0.0, 1.0)
        super().__init__(
            learning_rate,
            name,
            not_offered,
            momentum=momentum,
            nesterov=_checks.flag("SGD: nesterov", nesterov),
        )

    @property
    def momentum(self) -> float:
        return self._options["momentum"]

    @property
    def nesterov(self) -> bool:
        return self._options["nesterov"]


class Adam(Optimizer):
    """m += (1 - beta_1)(dw - m), v += (1 - beta_2)(dw^2 - v),
    w -= learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon).

    epsilon is the "epsilon hat" before section 2.1 of Kingma and Ba (2014), as in Keras: it is not
    corrected for bias.
    """

    _kind = "adam"

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "adam",
        **not_offered: Any,
    ) -> None:
        super().__init__(
            learning_rate,
            name,
            not_offered,
            beta_1=_beta("beta_1", beta_1),
            beta_2=_beta("beta_2", beta_2),
            epsilon=_checks.number("Adam: epsilon", epsilon, _LEAST_EPSILON),
        )

    @property
    def beta_1(self) -> float:
        return self._options["beta_1"]

    @property
    def beta_2(self) -> float:
        return self._options["beta_2"]

    @property
    def epsilon(self) -> float:
        return self._options["epsilon"]


def _beta(name: str, value: Any) -> float:
    value = _checks.number(f"Adam: {name}", value, 0.0, 1.0)
    if value == 1.0:
        raise ValueError(f"Adam: {name} must be below 1, got 1")
    return value


_BY_NAME: dict[str, Any] = {"adam": Adam, "sgd": SGD}


def get(identifier: OptimizerLike) -> Optimizer:
    """The optimizer that a name, class, config or instance stands for."""
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        if identifier.lower() not in _BY_NAME:
            raise _checks.unknown("optimizer", identifier, _BY_NAME)
        return _BY_NAME[identifier.lower()]()
    if isinstance(identifier, dict):
        name = str(identifier.get("class_name"))
        if name.lower() not in _BY_NAME:
            raise _checks.unknown("optimizer", name, _BY_NAME)
        return _BY_NAME[name.lower()].from_config(identifier.get("config", {}))
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()  # type: ignore[call-arg]
    raise TypeError(f"optimizer must be a name or an Optimizer, got {type(identifier).__name__}")
