"""Matrix products: the shapes of the MNIST model's forward and backward passes, and squares."""

import numpy as np

from .case import Case, sum_tolerance

# (M, N, K, A is given transposed). The first four are one training step at batch 32.
SHAPES = [
    (32, 128, 784, False),
    (784, 128, 32, True),
    (128, 784, 32, True),
    (32, 784, 128, False),
    (128, 128, 784, False),
    (512, 128, 784, False),
    (512, 512, 512, False),
    (1024, 1024, 1024, False),
    (2048, 2048, 2048, False),
    (4096, 4096, 4096, False),
]


def cases(names: list[str], smoke: bool):
    for m, n, k, transposed in SHAPES:
        name = f"{m}×{n}×{k}" + (" Aᵀ" if transposed else "")
        size = [min(d, 256) for d in (m, n, k)] if smoke else [m, n, k]
        yield gemm_case(name, *size, transposed, names)


def gemm_case(name, m, n, k, transposed, names) -> Case:
    """C (m, n) = op(A) B, A (k, m) where it is given transposed, else (m, k); B (k, n)."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((k, m) if transposed else (m, k), dtype=np.float32)
    b = rng.standard_normal((k, n), dtype=np.float32)
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        c = np.empty((m, n), np.float32)
        contenders["lamina"] = lambda: kernels.gemm(a, b, trans_a=transposed, out=c)
    if "numpy" in names:
        d = np.empty((m, n), np.float32)
        left = a.T if transposed else a
        contenders["numpy"] = lambda: np.matmul(left, b, out=d)
    if "torch" in names:
        import torch

        ta, tb, tc = torch.from_numpy(a), torch.from_numpy(b), torch.empty((m, n))
        tleft = ta.T if transposed else ta
        contenders["torch"] = lambda: torch.mm(tleft, tb, out=tc)
    # An element is at most the product of the norms of its row and column (Cauchy-Schwarz).
    rows = np.linalg.norm(a, axis=0 if transposed else 1).max()
    scale = float(rows * np.linalg.norm(b, axis=0).max())
    return Case(name, contenders, sum_tolerance(k), scale, work=2.0 * m * n * k)
