"""The lines that a running task prints or logs, until a heartbeat has carried them into Redis."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from cluster.attempt_errors import utf8_text

MAX_LINES: Final = 200
"""Lines that wait for the next heartbeat; of more, the oldest are dropped. A record keeps as many (_common.lua)."""
MAX_BYTES: Final = 65_536
"""The same in bytes."""
MAX_LINE_LENGTH: Final = 2_000
"""Characters of one line."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Control characters, which a terminal would obey."""
SEND_SECONDS: Final = 1.0
"""Minimum time between two heartbeats with lines: each line is written to Redis and its append-only file."""


class _Line(NamedTuple):
    number: int
    at: float
    """`time.monotonic()`: Redis makes a time of its age, as clocks differ."""
    text: bytes


@dataclass(slots=True)
class PrintedCount:
    """Lines that an attempt has printed within a second.

    Attributes:
        began: when the second began, by `time.monotonic`.
        suppressed: those of them that the worker's log does not get.
    """

    began: float = 0.0
    count: int = 0
    suppressed: int = 0


def without_control(text: str) -> str:
    """A text in which control characters are question marks."""
    return _CONTROL.sub("?", text)


class TaskLog:
    """The newest lines of one attempt. The task's threads add lines, and the heartbeat thread sends them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[_Line] = deque()
        self._bytes = 0
        self._count = 0
        self._next_send = 0.0

    def add(self, level: str, message: str) -> None:
        """Adds a message, which may have several lines.

        Args:
            level: such as `INFO`.
        """
        for line in message[: MAX_LINES * MAX_LINE_LENGTH].splitlines():
            shown = without_control(line[:MAX_LINE_LENGTH])
            text = f"{level} {utf8_text(shown)}".encode()
            with self._lock:
                self._count += 1
                self._lines.append(_Line(self._count, time.monotonic(), text))
                self._bytes += len(text)
                while len(self._lines) > MAX_LINES or self._bytes > MAX_BYTES:
                    self._bytes -= len(self._lines.popleft().text)

    def due(self) -> bool:
        """Whether lines wait and the last ones were sent SEND_SECONDS ago."""
        return bool(self._lines) and time.monotonic() >= self._next_send

    def pending(self) -> tuple[int, bytes]:
        """The number of the newest line, and all lines that were not sent yet, as the scripts take them: the number of
        the first one, then each with its age in milliseconds."""
        now = time.monotonic()
        with self._lock:
            if not self._lines:
                return self._count, b""
            parts = [b"%d" % self._lines[0].number]
            parts += [b"%d %b" % (max(0, round((now - line.at) * 1000)), line.text) for line in self._lines]
            return self._lines[-1].number, b"\n".join(parts)

    def sent(self, last: int) -> None:
        """Forgets the lines up to this number: Redis has them."""
        self._next_send = time.monotonic() + SEND_SECONDS
        with self._lock:
            while self._lines and self._lines[0].number <= last:
                self._bytes -= len(self._lines.popleft().text)
