"""Who multiplies float32 matrices: one call a contender, which returns its result.

MKL and oneDNN are plain libraries, without a Python module: they are called through ctypes, with
their arguments converted beforehand, so that a call costs a microsecond, as NumPy's and torch's do.
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from . import peers


def contenders(names: list[str], a, b, trans_a=False, trans_b=False, bias=None) -> dict:
    """C (m, n) = op(A) op(B), A (k, m) and B (n, k) where given transposed, else (m, k), (k, n);
    with a bias (n) relu(C + bias), for which the sgemm of MKL and oneDNN has no argument."""
    left, right = a.T if trans_a else a, b.T if trans_b else b
    shape = (len(left), right.shape[1])
    made = {}
    if "lamina" in names:
        from lamina import kernels

        options = {"trans_a": trans_a, "trans_b": trans_b, "out": np.empty(shape, np.float32)}
        if bias is not None:
            options |= {"bias": bias, "activation": "relu"}
        made["lamina"] = lambda: kernels.gemm(a, b, **options)
    if "numpy" in names:
        made["numpy"] = by_numpy(left, right, bias)
    if "torch" in names:
        made["torch"] = by_torch(left, right, bias)
    if bias is None:
        for name in SGEMM.keys() & set(names):
            made[name] = by_library(name, a, b, trans_a, trans_b, np.empty(shape, np.float32))
    return {name: made[name] for name in names if name in made}


def by_numpy(left, right, bias) -> Callable:
    d = np.empty((len(left), right.shape[1]), np.float32)

    def epilogue():
        np.matmul(left, right, out=d)
        np.add(d, bias, out=d)
        return np.maximum(d, 0, out=d)

    return epilogue if bias is not None else lambda: np.matmul(left, right, out=d)


def by_torch(left, right, bias) -> Callable:
    import torch

    left, right = torch.from_numpy(left), torch.from_numpy(right)
    c = torch.empty(left.shape[0], right.shape[1])
    if bias is None:
        return lambda: torch.mm(left, right, out=c)
    bias = torch.from_numpy(bias)
    return lambda: torch.addmm(bias, left, right, out=c).relu_()


def cblas_sgemm(library, a, b, trans_a, trans_b, c) -> tuple:
    """The function and its arguments: int is 32 bits wide, unless MKL_INTERFACE_LAYER says else."""
    integer = ctypes.c_int
    row_major, plain, transposed = 101, 111, 112
    return library.cblas_sgemm, (
        integer(row_major),
        integer(transposed if trans_a else plain),
        integer(transposed if trans_b else plain),
        *operands(integer, a, b, trans_a, c),
    )


def dnnl_sgemm(library, a, b, trans_a, trans_b, c) -> tuple:
    """Row-major too; dnnl_dim_t is int64_t."""
    return library.dnnl_sgemm, (
        *(ctypes.c_char(b"T" if transposed else b"N") for transposed in (trans_a, trans_b)),
        *operands(ctypes.c_int64, a, b, trans_a, c),
    )


def operands(integer, a, b, trans_a, c) -> tuple:
    """M, N, K, alpha, A, lda, B, ldb, beta, C, ldc, in which both libraries agree."""

    def matrix(x):
        return ctypes.c_void_p(x.ctypes.data), integer(x.shape[1])

    m, n, k = *c.shape, a.shape[0 if trans_a else 1]
    one, zero = ctypes.c_float(1), ctypes.c_float(0)
    return *map(integer, (m, n, k)), one, *matrix(a), *matrix(b), zero, *matrix(c)


SGEMM = {"mkl": cblas_sgemm, "onednn": dnnl_sgemm}


def by_library(name: str, a, b, trans_a, trans_b, c) -> Callable:
    function, arguments = SGEMM[name](library(name), a, b, trans_a, trans_b, c)

    def call():
        function(*arguments)
        return c

    call.keeps = a, b  # the arguments are addresses
    return call


@cache
def library(name: str) -> ctypes.CDLL:
    # MKL's own OpenMP lets idle threads spin for 200 ms, in the other contenders' turns; with GNU's
    # it shares the pool that torch and lamina use.
    os.environ.setdefault("MKL_THREADING_LAYER", "GNU")
    return load(peers.PEERS[name].library_file())


def load(file: Path) -> ctypes.CDLL:
    """Loads first what it needs from its own folder, which the loader of the system does not know:
    pip puts the libraries of several packages there."""
    asked_for = {file}
    while True:
        try:
            return ctypes.CDLL(str(file))
        except OSError as error:
            needed = file.parent / str(error).partition(":")[0]
            if needed in asked_for or not needed.exists():
                raise
            asked_for.add(needed)
            load(needed)
