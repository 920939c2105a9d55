"""Attempts as a graph, for schedulers of an earlier release, which do not know the messages of `attempt_messages`: in a
rolling update a node can be ahead of its scheduler. To be removed when none of them runs any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cluster.scheduling.attempt_keys import SHARE_ANNOTATION, attempt_key
from cluster.scheduling.attempt_messages import AttemptBatch
from cluster.scheduling.dask_internals import annotation_by_key
from cluster.scheduling.entry_point import run_attempts
from cluster.scheduling.pools import RESOURCES, required

if TYPE_CHECKING:
    from distributed import Client


def send_graph(client: Client, pool: str, batches: Sequence[AttemptBatch]) -> None:
    """Sends batches of attempts, fire and forget."""
    import dask
    from distributed import fire_and_forget

    keyed = {
        attempt_key(batch.name, ((task_id, number) for task_id, number, _ in batch.attempts)): batch
        for batch in batches
    }
    annotations = {SHARE_ANNOTATION: annotation_by_key({key: tuple(batch.share) for key, batch in keyed.items()})}
    with dask.annotate(**annotations, **({RESOURCES: required(pool)} if pool else {})):
        futures = client.map(
            run_attempts,
            [batch.name for batch in batches],
            [batch.attempts for batch in batches],
            key=list(keyed),
            priority=annotation_by_key({key: batch.priority for key, batch in keyed.items()}),
            pure=False,
        )
    fire_and_forget(futures)
