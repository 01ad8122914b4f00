"""The C++ core, as Python sees it. `lamina` wraps all of it; this file is its contract."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_F32 = NDArray[np.float32]

class _Pybind11Type(type):
    """The metaclass of pybind11's classes."""

__version__: str
isa: str
kernels: ModuleType  # functions of positional arguments; lamina.kernels wraps each

def show_config() -> dict[str, Any]: ...
def set_num_threads(n: int, oversubscribe: bool = False) -> None: ...
def get_num_threads() -> int: ...
def quota_cores(root: str) -> int: ...
def set_float32_matmul_precision(precision: str) -> None: ...
def get_float32_matmul_precision() -> str: ...

class Pace(metaclass=_Pybind11Type):
    """Whether a team or one worker goes on, by what pieces of work took; for tests."""

    def workers(self, most: int) -> int: ...
    def took(self, begin: float, end: float) -> None: ...

class Layer(metaclass=_Pybind11Type):
    """One layer's computation; made by the functions below, at home in one Network."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """TypeError: it is made by those functions only."""

    @property
    def name(self) -> str: ...
    def output_shape(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """Shapes are without the batch axis. ValueError where the input does not fit."""

    def weight_shapes(self, input_shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Of the weights that it has for such inputs, by name."""

# activation: linear relu leaky_relu elu sigmoid tanh gelu gelu_tanh softplus softmax log_softmax
def dense(name: str, units: int, activation: str, alpha: float, use_bias: bool) -> Layer: ...
def activation(name: str, activation: str, alpha: float) -> Layer: ...
def dropout(name: str, rate: float) -> Layer: ...
def flatten(name: str) -> Layer: ...
def reshape(name: str, shape: Sequence[int]) -> Layer: ...
def rescaling(name: str, scale: float, offset: float) -> Layer: ...
def conv2d(
    name: str,
    filters: int,
    kernel_size: tuple[int, int],
    strides: tuple[int, int],
    padding: str,
    dilation: tuple[int, int],
    activation: str,
    alpha: float,
    use_bias: bool,
) -> Layer: ...
def max_pooling2d(
    name: str, pool_size: tuple[int, int], strides: tuple[int, int], padding: str
) -> Layer: ...
def average_pooling2d(
    name: str, pool_size: tuple[int, int], strides: tuple[int, int], padding: str
) -> Layer: ...
def global_average_pooling2d(name: str, keepdims: bool) -> Layer: ...
def batch_normalization(
    name: str, momentum: float, epsilon: float, center: bool, scale: bool
) -> Layer: ...
def embedding(name: str, input_dim: int, output_dim: int) -> Layer: ...
def host_layer(
    name: str,
    output_shape: Callable[[tuple[int, ...]], tuple[int, ...]],
    forward: Callable[[_F32, bool], _F32],
    backward: Callable[[_F32, _F32], tuple[_F32, Sequence[_F32]]],
    parameters: Sequence[tuple[str, tuple[int, ...], bool]],
) -> Layer:
    """A layer in NumPy; parameters are (name, shape, trainable). forward(x, training) -> y;
    backward(dy, x) -> (dx, [dw, ...]), the dw of one that is not trainable unused. The arrays are
    read-only copies."""

class Param(metaclass=_Pybind11Type):
    """One weight of a Network, which makes it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """TypeError: made by Network only."""
    @property
    def layer(self) -> int:
        """Its layer's index among the network's layers."""
    @property
    def name(self) -> str:
        """kernel, bias, gamma, beta, moving_mean, moving_variance, embeddings, ..."""
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def trainable(self) -> bool:
        """False for moving statistics, whatever the layer says."""

class Network(metaclass=_Pybind11Type):
    """Layers chained over flat buffers of parameters (zeros at first)."""

    def __init__(self, input_shape: Sequence[int], layers: Sequence[Layer]) -> None: ...
    @property
    def input_shape(self) -> tuple[int, ...]: ...
    @property
    def output_shape(self) -> tuple[int, ...]: ...
    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """One a layer."""
    @property
    def params(self) -> list[Param]: ...
    @property
    def weights(self) -> list[_F32]:
        """One writeable view a param; keeps the network alive."""
    @property
    def flat(self) -> _F32:
        """All parameters, one view."""
    @property
    def size(self) -> int:
        """Of flat."""
    @property
    def gradients(self) -> list[_F32]:
        """Read-only; of the last training step."""
    def changed(self) -> None:
        """Said by whoever has written to weights or flat: runners keep what they make of them."""
    def set_trainable(self, layer: int, trainable: bool) -> None:
        """Runners made later respect it; batch normalisation of a frozen layer runs in inference
        mode, as Keras has it."""

class Loss(metaclass=_Pybind11Type):
    """kind: sparse_categorical_crossentropy categorical_crossentropy binary_crossentropy
    mean_squared_error mean_absolute_error."""

    def __init__(
        self, kind: str, from_logits: bool = False, label_smoothing: float = 0.0
    ) -> None: ...

def host_loss(
    forward: Callable[[_F32, _F32], _F32], backward: Callable[[_F32, _F32], _F32]
) -> Loss:
    """forward(y_true, y_pred) -> one value a row; backward(y_true, y_pred) -> the gradient of
    their sum with respect to y_pred."""

def class_numbers(y: NDArray[Any], classes: int) -> NDArray[np.int32] | None:
    """y as int32, itself if it is; None unless it is C-contiguous, of integers of 1, 4 or 8 bytes,
    and all of it in [0, classes): then it takes a closer look."""

class Metric(metaclass=_Pybind11Type):
    """kind: sparse_categorical_accuracy categorical_accuracy binary_accuracy, or any of the
    losses' kinds, or host with forward(y_true, y_pred) -> one value a row."""

    def __init__(
        self,
        kind: str,
        weighted: bool = False,
        threshold: float = 0.5,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        forward: Callable[[_F32, _F32], _F32] | None = None,
    ) -> None: ...

class Optimizer(metaclass=_Pybind11Type):
    """kind: sgd (momentum, nesterov) or adam (beta_1, beta_2, epsilon). Keeps its slots."""

    def __init__(
        self,
        kind: str,
        learning_rate: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None: ...
    learning_rate: float  # may be set between any two calls of Runner.run
    iterations: int
    def build(self, network: Network) -> None:
        """Zeroes the slots, one flat buffer each as long as Network.flat."""
    @property
    def slot_count(self) -> int: ...
    @property
    def slots(self) -> dict[str, _F32]:
        """Writeable views: {"momentum": ...} or {"m": ..., "v": ...}."""

class Runner(metaclass=_Pybind11Type):
    """A network made into a program for one mode: "train", "test", "predict" or "rehearse", which
    is predict with layers that behave as in training: Dropout drops, BatchNormalization uses the
    batch and moves its averages. The first pass with rows allocates its buffers."""

    def __init__(
        self,
        network: Network,
        mode: str,
        batch_size: int,
        loss: Loss | None = None,
        metrics: Sequence[Metric] = (),
        optimizer: Optimizer | None = None,
        seed: int = 0,
    ) -> None: ...
    @property
    def batch_size(self) -> int:
        """Rows the buffers hold."""
    @property
    def up_to_date(self) -> bool:
        """Made with the precision of products that is set now."""
    @property
    def memory(self) -> dict[str, int]:
        """Bytes: arena (activations, gradients, the batch), batch (its share of it), scratch (of
        each worker), index; and workers, the most that a full batch can use now."""
    @property
    def workers(self) -> int:
        """Threads that the last run() or predict() used."""
    @property
    def busy_workers(self) -> int:
        """The most of them that got some of one call's work."""
    def start(
        self,
        x: NDArray[Any],
        y: NDArray[Any] | None,
        sample_weight: _F32 | None,
        order: NDArray[np.int64] | None,
        batch_size: int,
        first_row: int = 0,
    ) -> None:
        """Binds one pass over the data. x: (n, *input_shape), any real dtype, rows contiguous.
        y: int32 C-contiguous (n, *output_shape[:-1]) where the loss is sparse, else (n,
        *output_shape), any real dtype, rows contiguous. sample_weight: (n,), or (n, v) for the v
        values of the loss that a row has. order: the rows to visit (all, in their order, if None).
        batch_size <= Runner.batch_size. first_row: the first row's number, for errors.

        Others may write to the arrays during the pass. Labels, tokens and rows to visit are checked
        when their batch is read: ValueError or IndexError, the batch left out."""
    def run(self, batches: int, seconds: float) -> int:
        """Runs up to `batches` batches, or until `seconds` have passed (at least one batch), with
        the GIL released; returns how many it ran, 0 at the end of the data. KeyboardInterrupt and
        exceptions of host layers come out of here, the current batch left out."""
    def results(self) -> list[float]:
        """Means since reset(): [loss, *metrics]."""
    def last_results(self) -> list[float]:
        """The same of the last batch alone."""
    def reset(self) -> None: ...
    def release(self) -> None:
        """Lets go of the arrays that start() was given; ends the pass."""
    def predict(self, x: NDArray[Any], out: _F32, first_row: int = 0) -> None:
        """Only in modes "predict" and "rehearse": out is (n, *output_shape), float32,
        C-contiguous. A batch is batch_size rows. first_row: its number, for errors."""
    def predict_few(self, x: object, most: int) -> _F32 | None:
        """The outputs for an ndarray of 1 to min(most, batch_size) rows that predict would take as
        it is; None for anything else."""
