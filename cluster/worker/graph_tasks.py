"""Dask graphs from inside a running task: the parts of a task that run on the whole fleet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

from cluster.errors import TaskError
from cluster.scheduling.attempt_keys import GRAPH_ANNOTATION
from cluster.worker.task_context import cancelled, running_attempt, show_partial

TURN_SECONDS: Final = 0.25
"""How often a graph task that waits asks whether it was cancelled, and shows what it reported last."""


def is_collection(value: Any) -> bool:
    """Whether it is a Dask collection: known without importing Dask, which would cost every plain task."""
    return hasattr(value, "__dask_graph__") and not isinstance(value, type) and value.__dask_graph__() is not None


def is_future(value: Any) -> bool:
    """Whether it is a future of Dask's: what `client.submit` answers."""
    return type(value).__module__ == "distributed.client" and type(value).__name__ == "Future"


def compute(collection: Any) -> Any:
    """Runs a collection's graph on the cluster, from a worker's thread, and answers its value."""
    [(_, value)] = as_completed([collection])
    return value


def wait_for(future: Any) -> Any:
    """The value of a future, while the task may be cancelled and its partial outputs are shown.

    Raises:
        TaskError: the task was cancelled.
    """
    if running_attempt() is None:
        return future.result()
    from distributed import worker_client

    # The attempt's thread is free meanwhile: what it waits for may need it.
    with worker_client():
        ended: SimpleQueue[int] = SimpleQueue()
        future.add_done_callback(partial(_put, ended, 0))
        _next(ended)
        return future.result()


def as_completed(collections: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Runs Dask collections beside each other, on all workers, and yields each value as soon as it is there.

    A task function that shows its output as it grows goes through this; one that needs only the last value returns the
    collection. The share of finished parts is the task's progress. Where no task runs, as in a unit test, the
    collections are computed in this process, in order.

    Args:
        collections: what Dask can compute: delayed values, arrays, bags, dataframes.

    Yields:
        The place of a collection among the given ones, and its value.

    Raises:
        TypeError: one of them is no Dask collection.
        TaskError: the task was cancelled, and so was what still ran of the graph.
    """
    import dask

    wanted = list(collections)
    for collection in wanted:
        if not dask.is_dask_collection(collection):
            raise TypeError(
                "as_completed takes Dask collections (delayed values, arrays, bags, dataframes), "
                f"not {type(collection).__name__}"
            )
    attempt = running_attempt()
    if attempt is None:
        yield from ((place, collection.compute()) for place, collection in enumerate(wanted))
        return

    from distributed import worker_client

    with worker_client() as client:
        with dask.annotate(**{GRAPH_ANNOTATION: f"{attempt.task_id}:{attempt.attempt}"}):
            futures = dict(enumerate(client.compute(wanted)))
        ended: SimpleQueue[int] = SimpleQueue()
        for place, future in futures.items():
            future.add_done_callback(partial(_put, ended, place))
        try:
            while futures:
                place = _next(ended)
                # Dask keeps a value for as long as somebody holds its future.
                value = futures.pop(place).result()
                yield place, value
        finally:
            # Else the rest would go on and hold the fleet for values that nobody gets.
            client.cancel(list(futures.values()))


def _put(ended: SimpleQueue[int], place: int, _: Any) -> None:
    ended.put(place)


def _next(ended: SimpleQueue[int]) -> int:
    while True:
        try:
            return ended.get(timeout=TURN_SECONDS)
        except Empty:
            if cancelled():
                raise TaskError("CANCELLED", "the task was cancelled") from None
            show_partial()
