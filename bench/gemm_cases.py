"""Matrix products: the shapes of the MNIST model's forward and backward passes, and squares. Where
there is a matrix unit, the levels below float32 too."""

import numpy as np

from . import precision_cases, products
from .case import Case, largest, sum_tolerance
from .limits import Work

# (M, N, K, which operands are given transposed). The first four are one training step at batch 32.
SHAPES = [
    (32, 128, 784, ""),
    (784, 128, 32, "A"),
    (128, 784, 32, "A"),
    (32, 784, 128, ""),
    (128, 128, 784, ""),
    (512, 128, 784, ""),
    (512, 512, 512, ""),
    (1024, 1024, 1024, ""),
    (2048, 2048, 2048, ""),
    (4096, 4096, 4096, ""),
    (32, 784, 128, "B"),
    (1024, 1024, 1024, "B"),
    (1024, 1024, 1024, "AB"),
]
EPILOGUES = [(32, 128, 784), (512, 512, 512)]


def cases(names: list[str], smoke: bool):
    shapes = [(*shape, False) for shape in SHAPES] + [(*shape, "", True) for shape in EPILOGUES]
    for m, n, k, transposed, epilogue in shapes:
        name = " ".join([f"{m}×{n}×{k}", *(f"{operand}ᵀ" for operand in transposed)])
        name += ", bias, relu" if epilogue else ""
        size = [min(d, 256) for d in (m, n, k)] if smoke else [m, n, k]
        yield gemm_case(name, *size, transposed, names, epilogue)
    yield from precision_cases.cases(names, smoke)


def gemm_case(name, m, n, k, transposed, names, epilogue) -> Case:
    rng = np.random.default_rng(0)
    trans_a, trans_b = "A" in transposed, "B" in transposed
    a = rng.standard_normal((k, m) if trans_a else (m, k), dtype=np.float32)
    b = rng.standard_normal((n, k) if trans_b else (k, n), dtype=np.float32)
    bias = rng.standard_normal(n, dtype=np.float32) if epilogue else None
    return Case(
        name,
        products.contenders(names, a, b, trans_a, trans_b, bias),
        sum_tolerance(k),
        largest(a.T if trans_a else a, b.T if trans_b else b),
        work=Work(flops=2.0 * m * n * k),
    )
