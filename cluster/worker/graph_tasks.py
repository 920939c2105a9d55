"""Dask graphs in a running task: the parts of a task that run on all workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

from cluster.errors import TaskError
from cluster.scheduling.attempt_keys import GRAPH_ANNOTATION
from cluster.worker.task_context import cancelled, running_attempt, show_partial

POLL_SECONDS: Final = 0.25
"""How often a waiting graph task checks whether it was cancelled, and shows its latest partial output."""


def is_future(value: Any) -> bool:
    """Whether it is a Dask future, as `client.submit` returns it."""
    return type(value).__module__ == "distributed.client" and type(value).__name__ == "Future"


def compute(collection: Any) -> Any:
    """Runs a collection's graph on the cluster, from a worker's thread, and returns its value."""
    [(_, value)] = as_completed([collection])
    return value


def wait_for(future: Any) -> Any:
    """The value of a future; while it waits, the task can be cancelled and its partial outputs are shown.

    Raises:
        TaskError: the task was cancelled.
    """
    attempt = running_attempt()
    if attempt is None or attempt.compute_here:
        return future.result()
    from distributed import worker_client

    # Frees the attempt's thread for other tasks, which the future may depend on.
    attempt.record_start()
    attempt.on_cluster = True
    with worker_client():
        done: SimpleQueue[int] = SimpleQueue()
        future.add_done_callback(partial(_put, done, 0))
        _next(done)
        value = future.result()
    attempt.on_cluster = False
    return value


def as_completed(collections: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Runs Dask collections in parallel, on all workers, and yields each value as soon as it is ready.

    For a task function that shows its output as it grows; one that needs only the final value returns the collection.
    The fraction of finished parts becomes the task's progress. If no task runs, as in a unit test, the collections are
    computed in this process, in order.

    Args:
        collections: delayed values, arrays, bags, dataframes.

    Yields:
        The index of a collection among the given ones, and its value.

    Raises:
        TypeError: one of them is not a Dask collection.
        TaskError: the task was cancelled; the rest of the graph is cancelled too.
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
    if attempt is None or attempt.compute_here:
        for index, collection in enumerate(wanted):
            yield index, attempt.compute_here(collection) if attempt and attempt.compute_here else collection.compute()
        return

    from distributed import worker_client

    attempt.record_start()
    attempt.on_cluster = True
    with worker_client() as client:
        with dask.annotate(**{GRAPH_ANNOTATION: f"{attempt.task_id}:{attempt.attempt}"}):
            futures = dict(enumerate(client.compute(wanted)))
        done: SimpleQueue[int] = SimpleQueue()
        for index, future in futures.items():
            future.add_done_callback(partial(_put, done, index))
        try:
            while futures:
                index = _next(done)
                # Dask keeps a value as long as its future is referenced.
                value = futures.pop(index).result()
                yield index, value
        finally:
            # Otherwise the rest would occupy the workers for values that are never used. Without the scheduler it would
            # wait for that in vain.
            if attempt.on_cluster:
                client.cancel(list(futures.values()))
    attempt.on_cluster = False


def _put(done: SimpleQueue[int], index: int, _: Any) -> None:
    done.put(index)


def _next(done: SimpleQueue[int]) -> int:
    while True:
        try:
            return done.get(timeout=POLL_SECONDS)
        except Empty:
            if cancelled():
                raise TaskError("CANCELLED", "the task was cancelled") from None
            show_partial()
