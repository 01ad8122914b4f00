"""Matrix products and convolutions below float32 FMA, `lamina.set_float32_matmul_precision`: each
level in a row of its own beside the float32 peers, and products at `low` beside torch's of bf16
operands as well."""

from dataclasses import replace

import numpy as np

from . import products
from .case import Case, largest
from .limits import Work

SIZES = (512, 1024, 2048)
# What the parts that are left out may be of |A| |B|, and their sum.
TOLERANCE = {"high": 2.0**-20, "medium": 2.0**-15, "low": 2.0**-6}


def matrix_unit() -> str:
    """What `high` would run on; the level is put back."""
    import lamina

    before = lamina.get_float32_matmul_precision()
    lamina.set_float32_matmul_precision("high")
    try:
        return lamina.show_config("dicts")["matrix_unit"]
    finally:
        lamina.set_float32_matmul_precision(before)


def cases(names: list[str], smoke: bool):
    """None where lamina would compute all levels in float32."""
    if "lamina" not in names or matrix_unit() != "amx":
        return
    for size in SIZES:
        for level in TOLERANCE:
            yield level_case(level, min(size, 256) if smoke else size, size, names)
        if "torch" in names:
            yield bf16_case(min(size, 256) if smoke else size, size)


def at_levels(case: Case):
    """A case of float32 once more for each level; nothing where cases() has nothing."""
    if "lamina" not in case.contenders or matrix_unit() != "amx":
        return
    for level, tolerance in TOLERANCE.items():
        contenders = {**case.contenders, "lamina": at_level(level, case.contenders["lamina"])}
        yield replace(
            case,
            name=f"{case.name}, {level}",
            contenders=contenders,
            tolerance=max(case.tolerance, tolerance),
        )


def operands(size: int):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    return a, b, largest(a, b), Work(flops=2.0 * size**3)


def at_level(level: str, function):
    import lamina

    def call():
        lamina.set_float32_matmul_precision(level)
        result = function()
        lamina.set_float32_matmul_precision("highest")
        return result

    return call


def product_at(level: str, a, b):
    import lamina

    out = np.empty((len(a), b.shape[1]), np.float32)
    return at_level(level, lambda: lamina.kernels.gemm(a, b, out=out))


def level_case(level: str, size: int, named: int, names) -> Case:
    """Float32 in and out: lamina at the level, the peers in float32."""
    a, b, scale, work = operands(size)
    contenders = products.contenders(names, a, b) | {"lamina": product_at(level, a, b)}
    return Case(f"{named}³, {level}", contenders, TOLERANCE[level], scale, work=work)


def bf16_case(size: int, named: int) -> Case:
    """lamina at `low`, float32 in and out; torch on operands that are bf16 already."""
    import torch

    a, b, scale, work = operands(size)
    left, right = (torch.from_numpy(x).bfloat16() for x in (a, b))
    c = torch.empty(size, size, dtype=torch.bfloat16)
    contenders = {
        "lamina": product_at("low", a, b),
        "torch": lambda: torch.mm(left, right, out=c),
    }

    def view(result):
        return result.float().numpy() if isinstance(result, torch.Tensor) else result

    name = f"{named}³, low, torch's operands bf16"
    return Case(name, contenders, 2 * TOLERANCE["low"], scale, work=work, view=view)
