"""Says what a run of the benchmarks is doing and how long it will take, and when a part is done.

The seconds below are rough estimates of a run with every peer on two cores; they are scaled by the
peers that are there, and, once parts are done, by what those took.
"""

from __future__ import annotations

import time

from . import peers

# A test's table, and its seconds with each number of threads.
PARTS = {
    "test_gemm": ("gemm", 120),
    "test_conv": ("conv", 60),
    "test_kernels": ("kernels", 90),
    "test_predict": ("predict", 90),
    "test_import": ("import", 60),
    "test_size": ("size", 5),
    "test_load_data": ("data", 5),
    "test_mnist": ("mnist", 210),
    "test_dense": ("training", 90),
    "test_cnn": ("training", 150),
    "test_wide": ("training", 150),
    "test_crowded": ("crowded", 15),
    "test_fit_options": ("conveniences", 20),
}


def span(seconds: float) -> str:
    if seconds < 90:
        return "a minute" if seconds >= 30 else "half a minute"
    return f"{round(seconds / 60)} minutes"


class Agenda:
    """The tests to run, by name: `test_gemm[1]`."""

    def __init__(self, names: list[str], smoke: bool) -> None:
        self.names = [name for name in names if part(name) in PARTS]
        share = (1 + len(peers.present())) / (1 + len(peers.PEERS))
        self._scale = share * (0.05 if smoke else 1.0)
        self._expected = self._took = 0.0
        self._begin = time.monotonic()

    def seconds(self, names: list[str]) -> float:
        # The parts that are done tell more than the table, the longer they took.
        pace = (self._took + 30) / (self._expected + 30)
        return pace * self._scale * sum(PARTS[part(name)][1] for name in names)

    def opening(self) -> str:
        parts = ", ".join(dict.fromkeys(part(name).removeprefix("test_") for name in self.names))
        return (
            f"{len(self.names)} measurements, about {span(self.seconds(self.names))}: {parts}. "
            "Ctrl-C ends the run and keeps what was measured"
        )

    def starts(self, name: str) -> str:
        self._begin = time.monotonic()
        left = self.names[self.names.index(name) :]
        what = name.removeprefix("test_").replace("[", ", threads: ").rstrip("]")
        return (
            f"{len(self.names) - len(left) + 1} of {len(self.names)}: {what} (about "
            f"{span(self.seconds([name]))}; {span(self.seconds(left))} to the end)"
        )

    def ends(self, name: str) -> str | None:
        """The table that this test was the last one of."""
        self._took += time.monotonic() - self._begin
        self._expected += self._scale * PARTS[part(name)][1]
        table = PARTS[part(name)][0]
        later = self.names[self.names.index(name) + 1 :]
        return None if any(PARTS[part(other)][0] == table for other in later) else table


def part(name: str) -> str:
    return name.partition("[")[0]
