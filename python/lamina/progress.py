"""What fit, evaluate and predict print: a bar that redraws in place, or one line an epoch.

On a terminal verbose=1 redraws, at most every 0.05 s, a line that is never wider than the terminal
is at that moment: a line that wraps cannot be written over, and would flood the screen. What does
not fit is left out, cells of the bar first, then metrics. In a notebook the whole run is one output
that is updated in place. Anywhere else one plain line is printed when an epoch is over, whole and
without escape sequences. verbose=2 always does that, in the shorter form. Nothing is printed with
verbose=0.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from . import _console

_CELLS = 20  # of a whole bar
_EVERY = 0.05  # seconds between redraws
# A notebook's output is sent whole each time: every so many seconds, and a second a so many
# characters (Jupyter stops an output that comes faster than 1 MB/s).
_NOTEBOOK_EVERY, _NOTEBOOK_RATE = 0.2, 2.5e5


class Output:
    """Where the lines of a run go. As a context it ends the run, also where an error does."""

    redraws = False

    def line(self, text: str) -> None:
        """A line for good."""
        _console.write(text + "\n")

    def redraw(self, text: str) -> None:
        """A line that stands until the next one."""

    def close(self) -> None:
        """No line comes any more."""

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Silent(Output):
    def line(self, text: str) -> None:
        """Nothing."""


class Terminal(Output):
    redraws = True

    def __init__(self) -> None:
        self._pending = False

    def line(self, text: str) -> None:
        _console.write("\r" + text + "\x1b[K\n")
        self._pending = False

    def redraw(self, text: str) -> None:
        _console.write("\r" + text + "\x1b[K")
        self._pending = True

    def close(self) -> None:
        if self._pending:  # after Ctrl-C: what comes next does not belong behind the bar
            _console.write("\n")


class Notebook(Output):
    """One output of a cell, updated in place; of a run that is over before that is due, the lines
    are printed together."""

    redraws = True

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._lines: list[str] = []
        self._last = ""
        self._id: str | None = None
        self._sent = time.monotonic()

    def line(self, text: str) -> None:
        self._lines.append(text + "\n")
        self._last = ""
        self._send_if_due()

    def redraw(self, text: str) -> None:
        self._last = text
        self._send_if_due()

    def close(self) -> None:
        if self._id is None:
            _console.write("".join(self._lines))
        else:
            self._send("".join([*self._lines, self._last]))

    def _send_if_due(self) -> None:
        now = time.monotonic()
        if now - self._sent < _NOTEBOOK_EVERY:
            return
        text = "".join([*self._lines, self._last])
        if now - self._sent >= len(text) / _NOTEBOOK_RATE:
            self._send(text)
            self._sent = now

    def _send(self, text: str) -> None:
        update = self._id is not None
        if self._id is None:
            self._id = f"lamina-{id(self):x}-{time.monotonic_ns():x}"
        show(self._shell, {"text/plain": text}, transient={"display_id": self._id}, update=update)


def show(shell: Any, data: dict[str, str], **options: Any) -> None:
    """An output of the notebook's cell, of which it shows the richest form that it can."""
    try:
        shell.display_pub.publish(data=data, metadata={}, **options)
    except Exception:  # as everything that is printed: never a reason to stop
        return


_SILENT = Silent()


def output(verbose: int) -> Output:
    """What goes with a verbose of 0, 1 or 2 where stdout leads now."""
    if not verbose:
        return _SILENT
    shell = _console.shell()
    if shell is not None:
        return Notebook(shell)
    return Terminal() if verbose == 1 and _console.redraws() else Output()


class Progress:
    """One epoch (or one evaluate or predict) of `target` batches; target None: not known yet.

    to: the Output of the run that this is an epoch of; by default one of its own.
    """

    def __init__(
        self,
        verbose: int,
        target: int | None,
        heading: str | None = None,
        to: Output | None = None,
    ) -> None:
        self.verbose = verbose
        self._target = target
        self._to = output(verbose) if to is None else to
        self._closes = to is None
        self._redraws = verbose == 1 and self._to.redraws
        self._start = self._drawn = time.monotonic()
        self._after_first: float | None = None
        self._first = 0
        if heading:
            self._to.line(heading)

    def update(self, done: int, logs: dict[str, float]) -> None:
        """Redraws, if that is due. The first call ends the time that is not counted."""
        now = time.monotonic()
        if self._after_first is None:
            self._after_first, self._first = now, done
        if self._redraws and now - self._drawn >= _EVERY:
            self._drawn = now
            self._to.redraw(self._line(done, logs, now, self._target, over=False))

    def finish(self, done: int, logs: dict[str, float]) -> None:
        """The last line, with everything there is to say."""
        if not self.verbose:
            return
        now = time.monotonic()
        if self.verbose == 2:
            self._to.line(self._short(done, logs, now))
        else:
            self._to.line(self._line(done, logs, now, done, over=True))
        if self._closes:
            self._to.close()

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

    def _short(self, done: int, logs: dict[str, float], now: float) -> str:
        took, step = f"{now - self._start:.0f}s", step_time(self._per_step(done, now))
        return " - ".join([f"{done}/{done}", took, step, *metric_texts(logs)])

    def _line(
        self, done: int, logs: dict[str, float], now: float, target: int | None, over: bool
    ) -> str:
        step = self._per_step(done, now)
        if done == target or target is None:
            took = f"{round(now - self._start)}s"
        else:
            took = duration(step * (target - done))
        count = f"{done}/{'Unknown' if target is None else target}"
        metrics = metric_texts(logs)
        filled = done / target if target else 0.0
        if not isinstance(self._to, Terminal):
            bar = _mark() * int(_CELLS * filled)
            if self._redraws:  # what stands behind the bar stays where it is
                bar = bar.ljust(_CELLS)
            return " - ".join([f"{count} {bar} {took} {step_time(step)}", *metrics])
        # The last column stays empty: with a character in it some terminals are in the next line.
        room = _console.columns() - 1
        return terminal_line(count, filled, [took, step_time(step)], metrics, room, over)


def terminal_line(
    count: str, filled: float, times: list[str], metrics: list[str], room: int, over: bool
) -> str:
    """The line for a terminal, in at most `room` columns without its escape sequences.

    Cells of the bar are left out first, then metrics, the last ones first, then times. When the
    epoch is over, its values count for more: times and the count go first, if all values fit in
    without them.
    """
    more = "…" if _console.encodes("…") else "..."
    metrics = [_printable(text) for text in metrics]

    def left(count: str, times: list[str], metrics: list[str]) -> int:
        parts = " ".join(filter(None, [count, *times]))
        return room - _console.cells(" - ".join(filter(None, [parts, *metrics])))

    choices = [(count, times, metrics)]
    if over:
        choices += [(count, [], metrics), ("", [], metrics)]
    choices += [(count, times, [*metrics[:k], more]) for k in range(len(metrics) - 1, -1, -1)]
    choices += [(count, times[:k], []) for k in range(len(times), -1, -1)]
    for choice in choices:
        if left(*choice) >= 0:
            count, times, metrics = choice
            break
    else:
        return count[: max(0, room)]
    cells = min(_CELLS, left(*choice) - 1) if choice is choices[0] else 0
    head = [f"\x1b[1m{count}\x1b[0m"] if count else []
    if cells > 0:
        mark, full = _mark(), int(cells * filled)
        head.append(f"\x1b[32m{mark * full}\x1b[0m\x1b[37m{mark * (cells - full)}\x1b[0m")
    head += [f"\x1b[1m{text}\x1b[0m" for text in times[:1]] + times[1:]
    return " - ".join(filter(None, [" ".join(head), *metrics]))


def finished(verbose: int, done: int, seconds: float) -> None:
    """What a Progress without metrics writes that took this long and was never updated.

    The plain line is made here by the shortest way and, as print does, left to stdout's buffer: a
    Progress and a flush took longer than the row that predict(x) had computed.
    """
    if verbose == 1 and not _console.redraws():
        step = step_time(seconds / done)
        text = f"{done}/{done} {_mark() * _CELLS} {round(seconds)}s {step}\n"
        _console.write(text, flush=False)
        return
    progress = Progress(verbose, done)
    progress._start -= seconds
    progress.finish(done, {})


def metric_texts(logs: dict[str, float]) -> list[str]:
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


def _mark() -> str:
    return "\u2501" if _console.encodes("\u2501") else "="


def _printable(text: str) -> str:
    """A metric's name is its author's: a line feed in it would begin a new line."""
    return "".join(c if c.isprintable() else "?" for c in text)
