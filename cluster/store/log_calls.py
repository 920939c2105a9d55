"""The call of the script that reads what a task has printed and logged."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.store.call_builder import CallBuilder, milliseconds
from cluster.store.lua_scripts import Call, unpack
from cluster.store.record import LogLine, Record, parse_log_line, parse_record
from cluster.store.task_calls import WATCH_TTL_SECONDS


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines of a task, which are bounded in number and bytes.

    Attributes:
        record: None if there is no such task.
    """

    record: Record | None
    lines: tuple[LogLine, ...]


class LogCalls(CallBuilder):
    def read_log(self, task_id: str, after: int, *, node: str = "") -> Call[LogPage]:
        """Reads the lines that a task has printed or logged, oldest first, after the number `after`; all of them if the
        task never reached that number.

        Args:
            node: registered as a watcher of the task's events, unless it has ended; empty for none.
        """

        def parse(reply: bytes) -> LogPage:
            lines, *rest = unpack(reply)
            parsed = [parse_log_line(line) for line in lines]
            restarted = bool(parsed) and parsed[-1].number < after
            new = parsed if restarted else [line for line in parsed if line.number > after]
            return LogPage(parse_record(task_id, rest[0]) if rest else None, tuple(new))

        return self._task_call("read_log", task_id, node, milliseconds(WATCH_TTL_SECONDS), after, parse=parse)
