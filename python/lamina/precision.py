"""How matrix products multiply: in float32, or in bf16 parts on a matrix unit (AMX)."""

from . import _checks, _core


def set_float32_matmul_precision(precision: str) -> None:
    """Permits products of float32 to be computed from bf16 parts, where a matrix unit is there.

    A float32 is the sum of three bf16 numbers, each the nearest to what the ones before it leave.
    |A| |B| is the product of the absolute values, eps = 2^-24:

    | level | parts | products | error of an element of A B, beside that of its sum |
    |---|---|---|---|
    | `"highest"` (default) | - | - | none: fused multiply-adds |
    | `"high"` | 3 | 6 | 1 eps of \\|A\\| \\|B\\|; of many terms about as at highest |
    | `"medium"` | 2 | 3 | 2^-15 of \\|A\\| \\|B\\|, mostly 2^-20 |
    | `"low"` | 1 | 1 | 2^-7 of \\|A\\| \\|B\\| (1 + 2^-9) |

    What follows it: `kernels.gemm` from 64 columns and 32 terms on, and Dense, both ways, where its
    kernel is as large. Of convolutions, `kernels.conv2d_forward`, `conv2d_backward_kernel` and
    Conv2D: from 64 filters on, 32 at medium and low, if the channels fill blocks of 32 to three
    quarters (24 to 32, 48 to 64, 72 and more); from 128 on where the kernel has fewer taps than
    four times the product of the strides, and not at all where fewer than that product. With
    strides of 1 also `conv2d_backward_input`, for which channels and filters change places. All
    else stays in float32. A call of `fit`, `evaluate` or `predict` keeps the level that it began
    with. Every level has the same bits for any number of threads.

    Below highest, denormal operands, parts and sums count as zeros: an error of up to 2^-125 times
    the other operand, and 2^-126 a product. An element that does not come out finite is computed
    again in float32: infinities and NaN are where they are at highest, but for sums that overflow
    there and not in the order of the parts.

    Without a matrix unit, or where the operating system denies it, every level computes in float32;
    `show_config()` says so. The environment variable LAMINA_MATRIX_UNIT, read here, may be `amx`
    (an error where there is none), `none`, or `emulated`: the same bits by float32 FMA, for tests,
    many times slower.

    The level is the process's. Source: Henry, Tang, Heinecke, Leveraging the bfloat16 Artificial
    Intelligence Datatype for Higher-Precision Computations, ARITH 2019. ValueError where precision,
    or the variable, is none of these.
    """
    if not isinstance(precision, str):
        raise TypeError(
            "set_float32_matmul_precision: precision must be highest, high, medium or low, got "
            f"{_checks.shown(precision)}"
        )
    _core.set_float32_matmul_precision(precision)


def get_float32_matmul_precision() -> str:
    """`"highest"`, `"high"`, `"medium"` or `"low"`: what was set, whether or not it is used."""
    return _core.get_float32_matmul_precision()
