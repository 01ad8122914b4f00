"""Everybody held to one instruction set, LAMINA_BENCH_ISA=avx2, on a processor that has more.

Each library has a switch of its own, read when it is loaded. Whoever has none is not measured where
the processor has more, and the report names it. Where the processor has no more nothing is forced.
What each says of itself afterwards stands in the report: `says`.
"""

import ctypes
import os
from pathlib import Path

HASWELL = {"OPENBLAS_CORETYPE": "Haswell"}
ONEDNN = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
MKL = {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}
XLA = {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}  # is added to what is there
SWITCHES = {
    "avx2": {
        "lamina": {"LAMINA_ISA": "avx2"},
        "numpy": HASWELL,
        "scikit-learn": HASWELL,
        "torch": {"ATEN_CPU_CAPABILITY": "avx2", **ONEDNN, **MKL},
        "jax": XLA,
        "tensorflow": ONEDNN | XLA,  # its other kernels were compiled for AVX
        "mkl": MKL,
        "onednn": ONEDNN,
    }
}
# dnnl_cpu_isa_t, as far as it matters.
ONEDNN_NAMES = {0x1: "SSE4.1", 0x3: "AVX", 0x7: "AVX2", 0xF: "AVX2_VNNI", 0x1F: "AVX2_VNNI_2"}


def wanted() -> str:
    name = os.environ.get("LAMINA_BENCH_ISA", "")
    if name and name not in SWITCHES:
        raise ValueError(f"LAMINA_BENCH_ISA must be one of {', '.join(SWITCHES)}; got {name!r}")
    return name


def processor_has_more() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
        return " avx512f" in flags or " avx_vnni" in flags
    except OSError:
        return True


def is_forced() -> bool:
    return bool(wanted()) and processor_has_more()


def cannot_be_held(names: list[str]) -> list[str]:
    return [name for name in names if is_forced() and name not in SWITCHES[wanted()]]


def hold_process() -> None:
    """To be called before any of them is loaded."""
    if not is_forced():
        return
    for switches in SWITCHES[wanted()].values():
        for variable, value in switches.items():
            old = os.environ.get(variable, "") if variable == "XLA_FLAGS" else ""
            os.environ[variable] = old if value in old else f"{old} {value}".strip()


def says(name: str) -> str:
    """What a peer, which is loaded for this, says it uses; "" where it says nothing."""
    asked = {"torch": of_torch, "onednn": of_onednn, "mkl": of_mkl}
    return asked[name]() if name in asked else ""


def of_torch() -> str:
    import torch

    return torch.backends.cpu.get_cpu_capability()


def of_onednn() -> str:
    from . import products

    number = products.library("onednn").dnnl_get_effective_cpu_isa()
    return ONEDNN_NAMES.get(number, f"more than AVX2 ({number:#x})")


def of_mkl() -> str:
    from . import products

    class Version(ctypes.Structure):  # MKLVersion of mkl_types.h
        _fields_ = [
            *((field, ctypes.c_int) for field in ("major", "minor", "update")),
            *((field, ctypes.c_char_p) for field in ("status", "build", "processor", "platform")),
        ]

    version = Version()
    products.library("mkl").mkl_get_version(ctypes.byref(version))
    return version.processor.decode().removesuffix(" enabled processors")
