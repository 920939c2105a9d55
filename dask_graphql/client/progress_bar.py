"""A progress bar of several tasks: on a terminal, and in a notebook, where no extension is needed."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Protocol, Self

from dask_graphql.client.html import progress_html


class Bar(Protocol):
    """What draws the bar."""

    def draw(self, fraction: float, text: str) -> None:
        """Shows a fraction from 0 to 1, and a text beside it."""

    def close(self) -> None:
        """Leaves the bar as it is."""


class ProgressBar:
    """Shows how many of `total` tasks have ended, or how far a single one is; nothing if stderr is no terminal.

    Args:
        total: the number of tasks.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._ended = self._failed = 0
        self._bar = _bar()
        self._draw(0.0 if total else 1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def ended(self, state: str | None) -> None:
        """A task has ended, in this state."""
        self._ended += 1
        self._failed += state != "SUCCEEDED"
        self._draw(self._ended / self._total)

    def at(self, fraction: float | None) -> None:
        """The only task has come this far."""
        if self._total == 1 and not self._ended and fraction is not None:
            self._draw(fraction)

    def _draw(self, fraction: float) -> None:
        if self._bar is not None:
            failed = f", {self._failed} not succeeded" if self._failed else ""
            self._bar.draw(fraction, f"{self._ended} of {self._total}{failed}")


def _bar() -> Bar | None:
    if notebook := _notebook():
        return _NotebookBar(notebook)
    return _TerminalBar() if sys.stderr.isatty() else None


def _notebook() -> Any:
    """The module `IPython.display` if this is a notebook's kernel, else None. Imports nothing into other programs."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:
        return None
    from importlib import import_module

    return import_module("IPython.display")


class _NotebookBar:
    def __init__(self, display: Any) -> None:
        self._html = display.HTML
        self._display = display.display(self._html(""), display_id=True)

    def draw(self, fraction: float, text: str) -> None:
        self._display.update(self._html(f"{progress_html(fraction)} ({text})"))

    def close(self) -> None:
        pass


class _TerminalBar:
    def __init__(self) -> None:
        # Takes as long to import as the rest of the client.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._progress.start()
        self._task = self._progress.add_task("", total=1.0)

    def draw(self, fraction: float, text: str) -> None:
        self._progress.update(self._task, completed=fraction, description=text)

    def close(self) -> None:
        self._progress.stop()
