"""Each kernel of the core alone, on NumPy arrays.

Inputs are anything `numpy.asarray` takes; they are converted to C-contiguous float32. Every
function that returns new arrays takes `out=`, one array or a tuple of them, and then returns it:
it must have exactly the dtype and shape of the result, be C-contiguous and writeable, and share no
memory with an input, unless the docstring says "in place". Any size may be 0.

Errors: TypeError for a wrong type or dtype (complex, object, string), ValueError for a wrong shape
or value; the message names the function and the argument and ends in what came.

Error bounds are in units of eps = 2^-24, the rounding error of float32; n is the number of terms
of a sum. Sums of small integers are exact. A result has the same bits for any number of threads
and on every instruction set. `lamina.reference` computes the same in plain NumPy.
"""

from typing import TYPE_CHECKING

from .._hints import module_hooks
from .activations import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    softplus_backward,
    softplus_forward,
    tanh_backward,
    tanh_forward,
)
from .images import (
    average_pool2d_backward,
    average_pool2d_forward,
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_kernel,
    conv2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from .linear import add_bias, column_sums, gemm, row_argmax, row_sums
from .lookup import embedding_backward, embedding_forward, gather_rows
from .losses import (
    binary_cross_entropy,
    cross_entropy_onehot,
    cross_entropy_sparse,
    mean_absolute_error,
    mean_squared_error,
    sigmoid_cross_entropy,
    softmax_cross_entropy_onehot,
    softmax_cross_entropy_sparse,
)
from .normalization import batch_norm_backward, batch_norm_forward, batch_norm_inference
from .optimizers import adam_step, sgd_step
from .random import dropout_backward, dropout_forward, philox4x32, random_bits
from .softmax import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_forward,
)

__all__ = [
    "adam_step",
    "add_bias",
    "average_pool2d_backward",
    "average_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference",
    "binary_cross_entropy",
    "column_sums",
    "conv2d_backward_bias",
    "conv2d_backward_input",
    "conv2d_backward_kernel",
    "conv2d_forward",
    "cross_entropy_onehot",
    "cross_entropy_sparse",
    "dropout_backward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "embedding_backward",
    "embedding_forward",
    "gather_rows",
    "gelu_backward",
    "gelu_forward",
    "gemm",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "log_softmax_backward",
    "log_softmax_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "mean_absolute_error",
    "mean_squared_error",
    "philox4x32",
    "random_bits",
    "relu_backward",
    "relu_forward",
    "row_argmax",
    "row_sums",
    "sgd_step",
    "sigmoid_backward",
    "sigmoid_cross_entropy",
    "sigmoid_forward",
    "softmax_backward",
    "softmax_cross_entropy_onehot",
    "softmax_cross_entropy_sparse",
    "softmax_forward",
    "softplus_backward",
    "softplus_forward",
    "tanh_backward",
    "tanh_forward",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)
