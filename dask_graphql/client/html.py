"""How notebooks show handles, lists of tasks and clients: small tables, without requests and without scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dask_graphql.client.async_handle import AsyncHandle
    from dask_graphql.client.task_list import TaskSummary
    from dask_graphql.client.task_types import TaskType

MAX_ROWS: Final = 50
"""Rows of a table; the number of others is shown below it."""
MAX_TEXT: Final = 200
"""Characters of one cell."""


def handle_html(handle: AsyncHandle) -> str:
    """A handle as a table of what the client knows of its task."""
    arguments = handle.arguments or {}
    rows = {
        "task": _text(handle.name or "unknown"),
        "id": f"<code>{escape(handle.task_id)}</code>",
        "state": _text(handle.last_state or "unknown"),
        "progress": progress_html(handle.progress),
        "outcome": _text(handle.outcome or ""),
        "arguments": _text(", ".join(f"{name}={_short(value)}" for name, value in arguments.items())),
        "error": _text("" if handle.error is None else str(handle.error)),
    }
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows.items() if value)
    return f"<table>{body}</table>"


def handles_html(handles: Sequence[AsyncHandle]) -> str:
    """Several handles: how many there are in each state, and a row for each."""
    counts = Counter(handle.last_state or "unknown" for handle in handles)
    head = ", ".join(f"{count} {state.lower()}" for state, count in counts.items())
    rows = [
        [
            _text(handle.name or "unknown"), f"<code>{escape(handle.task_id)}</code>",
            _text(handle.last_state or "unknown"), progress_html(handle.progress),
            _text(", ".join(f"{name}={_short(value)}" for name, value in (handle.arguments or {}).items())),
        ]
        for handle in handles[:MAX_ROWS]
    ]  # fmt: skip
    return f"<p>{escape(head)}</p>" + _table(("task", "id", "state", "progress", "arguments"), rows, len(handles))


def tasks_html(tasks: Sequence[TaskSummary]) -> str:
    """A list of tasks."""
    rows = [
        [
            _text(task.name), f"<code>{escape(task.task_id)}</code>", _text(task.state), progress_html(task.progress),
            _text(f"{task.submitted_at:%Y-%m-%d %H:%M:%S}"),
            _text(str(task.waiting or "") if task.error is None else error_text(task.error)),
        ]
        for task in tasks[:MAX_ROWS]
    ]  # fmt: skip
    return _table(("task", "id", "state", "progress", "submitted (UTC)", "waits for, or error"), rows, len(tasks))


def client_html(url: str, task_types: Iterable[TaskType]) -> str:
    """A client, with the task types that it has read so far."""
    rows = [
        [
            _text(task_type.name),
            _text(", ".join(f"{item.name}: {item.graphql_type}" for item in task_type.arguments)),
            _text(task_type.output_type),
        ]
        for task_type in task_types
    ]
    table = _table(("task type", "arguments", "output"), rows[:MAX_ROWS], len(rows)) if rows else ""
    return f"<p>Client of <code>{escape(url)}</code></p>{table}"


def progress_html(fraction: float | None) -> str:
    """A bar; empty if the progress is unknown."""
    if fraction is None:
        return ""
    return f'<progress value="{fraction:.3f}" max="1"></progress> {fraction:.0%}'


def error_text(error: Mapping[str, Any]) -> str:
    """Code, type and message of an error, on one line."""
    return ": ".join(str(error[name]) for name in ("code", "type", "message") if error.get(name))


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], count: int) -> str:
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    more = f"<p>and {count - len(rows)} more</p>" if count > len(rows) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _text(text: str) -> str:
    return escape(text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "...")


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
