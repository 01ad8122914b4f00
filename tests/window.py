"""A terminal window to print into: a pseudo-terminal with an emulator, pyte, that shows the screen.

Nothing here waits for time to pass: what was printed has arrived when a mark behind it has.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
from contextlib import contextmanager

import pyte


class Window:
    def __init__(self, columns: int, rows: int = 400) -> None:
        self._master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.screen = pyte.Screen(columns, rows)
        self._feed = pyte.ByteStream(self.screen)
        self._marks = 0
        self.resize(columns)

    def resize(self, columns: int) -> None:
        """As when the user drags the edge of the window."""
        self.see()
        size = struct.pack("HHHH", self.screen.lines, columns, 0, 0)
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, size)
        self.screen.resize(columns=columns)

    def see(self) -> list[str]:
        """The lines of the screen, without blanks at their ends, down to the last that has text."""
        self._marks += 1
        self.stream.flush()
        mark = f"\x1b]2;{self._marks}\x07".encode()  # sets the window's title
        os.write(self.stream.fileno(), mark)
        seen = b""
        while mark not in seen:
            if not select.select([self._master], [], [], 30)[0]:
                raise RuntimeError(f"the terminal hangs after {seen[-200:]!r}")
            seen += os.read(self._master, 1 << 16)
        self._feed.feed(seen)
        rows = self.screen.buffer  # holds what was written to, and takes long to draw whole
        lines = []
        for y in range(max(rows, default=-1) + 1):
            line = "".join(rows[y][x].data for x in range(max(rows[y], default=-1) + 1))
            lines.append(line.rstrip())
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@contextmanager
def window(columns: int, monkeypatch):
    """stdout and stderr lead to the window within."""
    made = Window(columns)
    with monkeypatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.delenv("COLUMNS", raising=False)
        patch.setattr(sys, "stdout", made.stream)
        patch.setattr(sys, "stderr", made.stream)
        try:
            yield made
        finally:
            made.close()
