"""Captures what a running task prints and logs: for its record, and for the worker's log with the task's id.

A line that a task prints becomes a message of the logger `stdout` or `stderr`; so it reaches the worker's log in that
log's form, and a handler adds all messages of the task to its `TaskLog`. What the process prints while no task runs
in the thread goes to the original stream, and so does what C code and child processes print.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, TextIO

from cluster.observability.logs import LINE_LIMIT, LogFormatter
from cluster.worker.task_context import RunningAttempt, running_attempt
from cluster.worker.task_log import MAX_LINE_LENGTH

PLATFORM_LOGGERS: Final = ("cluster", "distributed")
"""Their messages are about a task, not from it: its author does not need them, and operators have the worker's log."""

ONLY_WORKER: Final = "only_in_the_workers_log"
"""Attribute of messages about a task's output that are no part of it."""
LOGGED_PER_SECOND: Final = 200
"""Printed lines of an attempt that the worker's log gets in a second; of further ones it gets the number. A message
costs far more than a printed line, so a task that prints in a loop would become much slower."""

_logging: ContextVar[bool] = ContextVar("logging_a_printed_line", default=False)
"""A handler of the log that fails prints its own traceback to stderr, which must not be logged again."""


class PrintedLines:
    """Stands for `sys.stdout` or `sys.stderr`, as `name` says, in a worker process.

    Everything but writing is that of the original stream.
    """

    def __init__(self, stream: TextIO, name: str, redact: Callable[[str], str]) -> None:
        self._stream = stream
        self._name = name
        self._redact = redact

    def __getattr__(self, name: str) -> Any:
        if name == "writelines":
            return lambda lines: self.write("".join(lines))
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        attempt = running_attempt()
        if attempt is None or _logging.get():
            return self._stream.write(text)
        *lines, rest = (attempt.unfinished_lines.pop(self._name, "") + text).split("\n")
        # A progress bar returns to the start of its line, again and again.
        rest = rest.rpartition("\r")[2]
        if len(rest) >= MAX_LINE_LENGTH:
            lines.append(rest)
            rest = ""
        if rest:
            attempt.unfinished_lines[self._name] = rest
        for line in lines:
            self._log(attempt, line)
        return len(text)

    def finish_line(self, attempt: RunningAttempt) -> None:
        """Logs what an attempt has printed without a line feed."""
        if rest := attempt.unfinished_lines.pop(self._name, ""):
            self._log(attempt, rest)
        if attempt.printed.suppressed:
            self._log_suppressed(attempt.printed.suppressed)
            attempt.printed.suppressed = 0

    def _log(self, attempt: RunningAttempt, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2]
        if not shown:
            return
        printed, now = attempt.printed, time.monotonic()
        if now - printed.began >= 1:
            if printed.suppressed:
                self._log_suppressed(printed.suppressed)
            printed.began, printed.count, printed.suppressed = now, 0, 0
        printed.count += 1
        if printed.count <= LOGGED_PER_SECOND:
            self._log_message(shown)
        else:
            printed.suppressed += 1
            attempt.log.add("INFO", self._redact(shown[:LINE_LIMIT]))

    def _log_suppressed(self, count: int) -> None:
        self._log_message(f"({count} more lines were printed)", {ONLY_WORKER: True})

    def _log_message(self, shown: str, extra: dict[str, object] | None = None) -> None:
        logger = logging.getLogger(self._name)
        token = _logging.set(True)
        try:
            # Whatever the level of the log: a task's output was printed always.
            logger.handle(logger.makeRecord(self._name, logging.INFO, "", 0, shown[:LINE_LIMIT], (), None, extra=extra))
        finally:
            _logging.reset(token)


class TaskLogHandler(logging.Handler):
    """Adds the messages that a running task logs to its `TaskLog`, without secrets.

    Args:
        formatter: that of the worker's log, which redacts secrets.
        tracebacks: whether the traceback of a logged exception is added.
    """

    def __init__(self, formatter: LogFormatter, *, tracebacks: bool) -> None:
        super().__init__()
        self._redact = formatter.redact
        self._tracebacks = tracebacks

    def emit(self, record: logging.LogRecord) -> None:
        attempt = running_attempt()
        if attempt is None or hasattr(record, ONLY_WORKER) or record.name.partition(".")[0] in PLATFORM_LOGGERS:
            return
        try:
            text = record.getMessage()[:LINE_LIMIT]
            if record.exc_info and self._tracebacks:
                text += "\n" + logging.Formatter().formatException(record.exc_info)[-LINE_LIMIT:]
            attempt.log.add(record.levelname, self._redact(text))
        except Exception:  # noqa: BLE001 - as every handler: a message that cannot be formatted is shown on stderr
            self.handleError(record)


def capture_output(*, tracebacks: bool) -> None:
    """Captures what tasks print and log in this process; after `set_up_logging`, whose handler writes the log."""
    root = logging.getLogger()
    formatter = next(
        handler.formatter for handler in root.handlers if isinstance(handler.formatter, LogFormatter)
    )  # fmt: skip
    root.addHandler(TaskLogHandler(formatter, tracebacks=tracebacks))
    sys.stdout = PrintedLines(sys.stdout, "stdout", formatter.redact)
    sys.stderr = PrintedLines(sys.stderr, "stderr", formatter.redact)


def finish_lines(attempt: RunningAttempt) -> None:
    """Logs the lines that an attempt has not finished, at its end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, PrintedLines):
            stream.finish_line(attempt)
