"""What a model takes in memory, known before any of it is taken."""

from __future__ import annotations

from typing import Any, NamedTuple


class MemoryReport(NamedTuple):
    """Bytes that one mode takes with batches of batch_size rows; `total` is the sum of all.

    parameters: the weights. gradients: one a weight, only in training. optimizer: its slots.
    batch: inputs, targets and sample weights of a batch. activations: everything that layers hand
    on, with their gradients; what is not needed at the same time shares memory. scratch: of all
    workers together, `workers` being the threads that a full batch can use.
    """

    mode: str
    batch_size: int
    workers: int
    parameters: int
    gradients: int
    optimizer: int
    batch: int
    activations: int
    scratch: int

    @property
    def total(self) -> int:
        return sum(self[3:])

    def __str__(self) -> str:
        threads = "1 thread" if self.workers == 1 else f"{self.workers} threads"
        lines = [f"{self.mode}, batches of {self.batch_size} rows, {threads}"]
        for name in (*self._fields[3:], "total"):
            lines.append(f"{name:>12} {_size(getattr(self, name)):>10}")
        return "\n".join(lines)


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def report(model: Any, mode: str, batch_size: int) -> MemoryReport:
    """Makes the mode's program, which lays its buffers out, and no buffer."""
    network = model._realise()
    memory = model._make_runner(mode, batch_size, seed=0).memory
    parameters = 4 * network.size
    training = mode == "train"
    slots = model._compiled.optimizer._core.slot_count if training else 0
    return MemoryReport(
        mode=mode,
        batch_size=batch_size,
        workers=memory["workers"],
        parameters=parameters,
        gradients=parameters if training else 0,
        optimizer=slots * parameters,
        batch=memory["batch"] + memory["index"],
        activations=memory["arena"] - memory["batch"],
        scratch=memory["scratch"] * memory["workers"],
    )
