"""The results of attempts' Dask tasks: None, which nobody reads, as what counts is in Redis.

Dask keeps a result in the worker, tells the scheduler, which tells the worker that nobody wants it, which tells the
scheduler that it is gone. Here the worker drops it as soon as there is one, and says so in its first message: two
messages fewer for each Dask task, with which each of the two would be woken once more. A worker or scheduler of an
earlier release does not know that, and goes on as Dask does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from distributed import WorkerPlugin
from distributed.worker_state_machine import FreeKeysEvent

if TYPE_CHECKING:
    from distributed import Scheduler, Worker

DROPPED_KEY: Final = "dask_graphql_dropped"
"""Entry of a Dask task's metadata: the worker drops the result by itself."""


class ResultDropper(WorkerPlugin):  # type: ignore[misc]
    """Drops the results that `announce_drop` has marked.

    `WorkerState.tasks`, their `metadata`, `Worker.handle_stimulus` and `FreeKeysEvent`, by which a worker handles the
    scheduler's message that nobody wants a key, are undocumented. If one is renamed, the plugin fails when a Dask task
    ends, Dask logs that, and the result stays in the memory of the worker.
    """

    name = "dask-graphql-result-dropper"

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        if finish == "memory" and DROPPED_KEY in self._worker.state.tasks[key].metadata:
            # Not within this transition, but before the message about it is sent.
            asyncio.get_running_loop().call_soon(self._drop, key)

    def _drop(self, key: Any) -> None:
        self._worker.handle_stimulus(FreeKeysEvent(keys=[key], stimulus_id=f"dask-graphql-drop-{time.time()}"))


def drop_results(worker: Worker) -> None:
    """Makes a worker drop the results that are marked. `Worker.plugins` is undocumented: if it is renamed, this raises
    AttributeError when a worker starts."""
    worker.plugins[ResultDropper.name] = ResultDropper(worker)


def announce_drop(worker: Worker, metadata: dict[str, Any]) -> None:
    """Marks a Dask task whose result nobody reads, in its metadata, if the worker drops such results."""
    if ResultDropper.name in worker.plugins:
        metadata[DROPPED_KEY] = True


def forget_dropped(scheduler: Scheduler, key: Any, transition: Mapping[str, Any]) -> None:
    """Notes that no worker has a result any more, if its worker drops it. To be called by the plugin's `transition` to
    `memory`.

    `Scheduler.remove_all_replicas` is undocumented, and so is that plugins are told of a transition before the ones
    that follow from it. If it is renamed, this raises AttributeError, which Dask logs, and the scheduler sends its
    message.

    Args:
        transition: the keyword arguments of the plugin's `transition`.
    """
    if DROPPED_KEY in (transition.get("metadata") or {}):
        scheduler.remove_all_replicas(scheduler.tasks[key])
