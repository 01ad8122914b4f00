"""Who is measured: which peers are installed, and how each is held to a number of threads.

Imports no peer: `installed` asks the import system, and `set_threads` is called where the peer is
used. Most of them read their number of threads from the environment when they are loaded, so
`limit_process` must run before the first import of NumPy.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from . import isa


@dataclass(frozen=True)
class Peer:
    name: str  # as LAMINA_BENCH_PEERS has it
    distribution: str  # as pip has it
    # Import names whose files count as its size; the first is imported. Or none, and a library:
    packages: tuple[str, ...] = ()
    library: str = ""  # a shared library without a Python module, which products.py loads

    @property
    def installed(self) -> bool:
        if self.library:
            return self.library_file() is not None
        return all(importlib.util.find_spec(package) for package in self.packages)

    def library_file(self) -> Path | None:
        """Where pip has put the library, whatever its version."""
        try:
            files = importlib.metadata.files(self.distribution) or []
        except importlib.metadata.PackageNotFoundError:
            return None
        found = (Path(f.locate()) for f in files if f.name.startswith(f"{self.library}.so"))
        return next((file.resolve() for file in found if file.exists()), None)

    @property
    def version(self) -> str:
        for name in (self.distribution, f"{self.distribution}-cpu"):  # as TensorFlow's is called
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                return importlib.metadata.version(name)
        return "unknown"  # on sys.path, but not by pip

    def size(self) -> int:
        """Bytes of its own packages, without what it requires and without compiled bytecode."""
        files = (file for package in self.packages for file in package_files(package))
        return sum(file.stat().st_size for file in files if file.suffix != ".pyc")


PEERS = {
    peer.name: peer
    for peer in (
        Peer("numpy", "numpy", ("numpy",)),
        Peer("torch", "torch", ("torch",)),
        Peer("jax", "jax", ("jax", "jaxlib")),
        Peer("tensorflow", "tensorflow", ("tensorflow", "keras")),
        Peer("scikit-learn", "scikit-learn", ("sklearn",)),
        # Its model is written with onnx.
        Peer("onnxruntime", "onnxruntime", ("onnxruntime", "onnx")),
        # Matrix products only.
        Peer("mkl", "mkl", library="libmkl_rt"),
        Peer("onednn", "onednn", library="libdnnl"),
    )
}


def package_files(package: str) -> list[Path]:
    """Every file of an installed package, which is not imported."""
    return [
        Path(folder) / file
        for root in importlib.util.find_spec(package).submodule_search_locations
        for folder, _, files in os.walk(root, followlinks=True)
        for file in files
    ]


def mnist_file() -> Path:
    """The copy of MNIST that lamina brings, for whoever wants it without importing lamina."""
    return next(file for file in package_files("lamina") if file.name == "mnist.npz")


def selected() -> list[str]:
    """The peers to measure, installed or not."""
    text = os.environ.get("LAMINA_BENCH_PEERS", "")
    if not text:
        # A smoke run must be quick wherever it runs, so it does not depend on what is installed.
        return ["numpy"] if os.environ.get("LAMINA_BENCH_SMOKE") else list(PEERS)
    names = [name.strip() for name in text.split(",")]
    unknown = sorted(set(names) - set(PEERS))
    if unknown:
        raise ValueError(
            f"LAMINA_BENCH_PEERS must be a comma-separated list of {', '.join(PEERS)}; got {text!r}"
        )
    return names


def present() -> list[str]:
    return [name for name in selected() if PEERS[name].installed and name not in not_held()]


def not_held() -> list[str]:
    """Installed, but not measured: they cannot be held to the instruction set that is asked for."""
    return isa.cannot_be_held([name for name in selected() if PEERS[name].installed])


def absent() -> list[str]:
    return [name for name in selected() if not PEERS[name].installed]


def usable_cpus() -> list[int]:
    """CPUs that this process may run on, one of each core before the second of any.

    The last ones first: CPU 0 usually serves the interrupts.
    """
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    first, second, cores = [], [], set()
    for cpu in sorted(os.sched_getaffinity(0), reverse=True):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = siblings.read_text() if siblings.exists() else str(cpu)
        (second if core in cores else first).append(cpu)
        cores.add(core)
    return first + second


def thread_counts() -> list[int]:
    text = os.environ.get("LAMINA_BENCH_THREADS", "")
    cpus = len(usable_cpus())
    if not text:
        return [count for count in (1, 2) if count <= cpus]
    counts = [int(count) for count in text.split(",")]
    if not 1 <= min(counts) <= max(counts) <= cpus:
        raise ValueError(
            f"LAMINA_BENCH_THREADS must be within the {cpus} usable CPUs; got {text!r}"
        )
    return counts


def limit_process(threads: int) -> None:
    """Give this process `threads` cores (or all, where there are less), and every library that
    many threads.

    The affinity holds those that ask the operating system (JAX, oneDNN's TBB); the variables hold
    the others.
    """
    if "numpy" in sys.modules:
        raise RuntimeError("limit_process must run before NumPy is imported: its BLAS has started")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, usable_cpus()[:threads])
    for variable in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "LAMINA"):
        os.environ[f"{variable}_NUM_THREADS"] = str(threads)
    os.environ["NPROC"] = str(threads)  # XLA's thread pool
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    # NumPy's BLAS picks its own kernel and blocking, whatever the caller's shell forces on it.
    for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(variable, None)
    isa.hold_process()
    os.environ.update(
        CUDA_VISIBLE_DEVICES="-1",
        JAX_PLATFORMS="cpu",
        KERAS_BACKEND="tensorflow",
        TF_CPP_MIN_LOG_LEVEL="3",
    )


def limit() -> int:
    """The threads that limit_process gave this process."""
    return int(os.environ["OMP_NUM_THREADS"])


def set_threads(name: str, threads: int) -> None:
    """What can only be said to an imported peer. The others are held by limit_process alone."""
    if name == "torch":
        import torch

        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
    elif name == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    elif name == "lamina":
        import lamina

        lamina.set_num_threads(threads)
