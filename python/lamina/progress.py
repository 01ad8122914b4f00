"""What fit, evaluate and predict print: a bar that redraws in place, or one line an epoch.

On a terminal (or in a notebook) verbose=1 redraws, at most every 0.05 s. Anywhere else it prints
one plain line when an epoch is over, without escape sequences. verbose=2 always does that, in the
shorter form. Nothing is printed with verbose=0.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._types import Logs

_WIDTH = 20
_EVERY = 0.05  # seconds between redraws


class Progress:
    """One epoch (or one evaluate or predict) of `target` batches; target None: not known yet."""

    def __init__(self, verbose: int, target: int | None, heading: str | None = None) -> None:
        self.verbose = verbose
        self._target = target
        self._redraws = verbose == 1 and _can_redraw()
        self._start = self._drawn = time.monotonic()
        self._after_first: float | None = None
        self._first = 0
        if verbose and heading:
            _write(heading + "\n")

    def update(self, done: int, logs: dict[str, Any]) -> None:
        """Redraws, if that is due. The first call ends the time that is not counted."""
        now = time.monotonic()
        if self._after_first is None:
            self._after_first, self._first = now, done
        if self._redraws and now - self._drawn >= _EVERY:
            self._drawn = now
            _write("\r" + self._line(done, logs, now, self._target) + "\x1b[K")

    def finish(self, done: int, logs: dict[str, Any]) -> None:
        """The last line, with everything there is to say."""
        if not self.verbose:
            return
        now = time.monotonic()
        if self.verbose == 2:
            _write(self._short(done, logs, now) + "\n")
            return
        line = self._line(done, logs, now, done)
        _write(("\r" + line + "\x1b[K\n") if self._redraws else line + "\n")

    @property
    def drawing(self) -> bool:
        """Whether update() will ever write."""
        return self._redraws

    def _per_step(self, done: int, now: float) -> float:
        """Seconds a step. The first call of update is left out where there are more: it pays for
        buffers that are made and memory that is touched for the first time."""
        if self._after_first is not None and done > self._first:
            return (now - self._after_first) / (done - self._first)
        return (now - self._start) / done if done else 0.0

    def _short(self, done: int, logs: Logs, now: float) -> str:
        took, step = f"{now - self._start:.0f}s", step_time(self._per_step(done, now))
        return " - ".join([f"{done}/{done}", took, step, *metric_texts(logs)])

    def _line(self, done: int, logs: Logs, now: float, target: int | None) -> str:
        step = self._per_step(done, now)
        if done == target or target is None:
            took = f"{round(now - self._start)}s"
        else:
            took = duration(step * (target - done))
        count = f"{done}/{'Unknown' if target is None else target}"
        filled = _WIDTH * done // target if target else 0
        mark = _mark()
        if self._redraws:
            count, took = f"\x1b[1m{count}\x1b[0m", f"\x1b[1m{took}\x1b[0m"
            bar = f"\x1b[32m{mark * filled}\x1b[0m\x1b[37m{mark * (_WIDTH - filled)}\x1b[0m"
        else:
            bar = mark * filled
        line = f"{count} {bar} {took} {step_time(step)}"
        return " - ".join([line, *metric_texts(logs)]) if logs else line


def finished(verbose: int, done: int, seconds: float) -> None:
    """What a Progress without metrics writes that took this long and was never updated.

    The plain line is made here by the shortest way and, as print does, left to stdout's buffer: a
    Progress and a flush took longer than the row that predict(x) had computed.
    """
    if verbose == 1 and sys.stdout is not None and not _can_redraw():
        step = step_time(seconds / done)
        sys.stdout.write(f"{done}/{done} {_mark() * _WIDTH} {round(seconds)}s {step}\n")
        return
    progress = Progress(verbose, done)
    progress._start -= seconds
    progress.finish(done, {})


def metric_texts(logs: dict[str, Any]) -> list[str]:
    return [f"{name}: {number(value)}" for name, value in logs.items()]


def number(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def step_time(seconds: float) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{round(seconds)}s/step"
    if seconds >= 1e-3:
        return f"{round(seconds * 1e3)}ms/step"
    return f"{round(seconds * 1e6)}us/step"


def duration(seconds: float) -> str:
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole >= 60 else f"{whole}s"


def _can_redraw() -> bool:
    if "ipykernel" in sys.modules:
        return True
    try:
        return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False


def _mark() -> str:
    try:
        "\u2501".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return "="
    return "\u2501"


def _write(text: str) -> None:
    if sys.stdout is not None:  # as under pythonw
        sys.stdout.write(text)
        sys.stdout.flush()
