"""Every kernel of `lamina.kernels` in plain NumPy: the same names, the same parameters, the same
results, in the notation of the textbook.

It is what the tests hold the compiled kernels against, and the place to read what a kernel
computes. A function computes in the floating dtype it is given (anything else is taken as
float64), so with float64 it is an oracle for the float32 kernels. It is not meant to be fast, has
no `out=`, checks little, and never touches the compiled core.
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
