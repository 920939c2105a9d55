"""The message by which an api node gives attempts to the scheduler, which makes Dask tasks of them.

    {"op": "dask_graphql_attempts", "pool": "", "batches": [
        ["add", 0, ["acme", 1.0, false], [["b9a7c7263c0332d12e52f09809754586", 1, b'{"a":1}']]]
    ]}

A batch is what one Dask task runs: the name of the task type, the priority, the share (account, weight, whether the
attempts resume), and the attempts, each with task id, number and canonical input. The message is sent on the stream of
the node's Dask client. There is no reply: an attempt that is lost on the way, or refused, is found by the recoverer,
which asks the scheduler for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from cluster.scheduling.entry_point import AttemptInput
from cluster.scheduling.fair_order import Share
from cluster.task_types.batching import MAX_SIZE

OPERATION: Final = "dask_graphql_attempts"
MAX_ATTEMPTS: Final = 500
"""Maximum number of attempts in one message."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_TASK_ID: Final = re.compile(r"[0-9a-f]{32}")


class MalformedMessage(Exception):
    """What the scheduler received are no attempts."""


class AttemptBatch(NamedTuple):
    """The attempts of one task type that one Dask task runs, usually one.

    Attributes:
        name: of the task type.
        priority: batches with a higher one run first.
        share: by which batches of the same priority are ordered.
    """

    name: str
    priority: int
    share: Share
    attempts: Sequence[AttemptInput]


def encode(pool: str, batches: Iterable[AttemptBatch]) -> dict[str, Any]:
    """The message. `pool` says whose workers run the batches; if it is empty, any do."""
    return {
        "op": OPERATION,
        "pool": pool,
        "batches": [(name, priority, tuple(share), attempts) for name, priority, share, attempts in batches],
    }


def decode(pool: object, batches: object) -> tuple[str, list[AttemptBatch]]:
    """The pool and the batches in a message.

    Raises:
        MalformedMessage: part of it has another form. Nothing of the message is used then.
    """
    if not isinstance(pool, str) or not isinstance(batches, (list, tuple)):
        raise MalformedMessage(f"expected a pool and batches, not {_short(pool)} and {_short(batches)}")
    decoded = [_decode_batch(batch) for batch in batches]
    if (count := sum(len(batch.attempts) for batch in decoded)) > MAX_ATTEMPTS:
        raise MalformedMessage(f"expected at most {MAX_ATTEMPTS} attempts in a message, not {count}")
    return pool, decoded


def _decode_batch(batch: object) -> AttemptBatch:
    match batch:
        case [str(name), int(priority), [str(account), float(weight), bool(resumes)], [_, *_] as attempts] if (
            _NAME.fullmatch(name) and 0 < weight < math.inf and len(attempts) <= MAX_SIZE
        ):
            share = Share(account, weight, resumes)
            return AttemptBatch(name, priority, share, [_decode_attempt(attempt) for attempt in attempts])
    raise MalformedMessage(
        f"expected a name, a priority, a share and 1 to {MAX_SIZE} attempts for each batch, not {_short(batch)}"
    )


def _decode_attempt(attempt: object) -> AttemptInput:
    match attempt:
        case [str(task_id), int(number), bytes(canonical_input)] if number > 0 and _TASK_ID.fullmatch(task_id):
            return task_id, number, canonical_input
    raise MalformedMessage(f"expected a task id, a number and an input for each attempt, not {_short(attempt)}")


def _short(value: object) -> str:
    """What a log line says of a value: an input may be long, and belongs to a user."""
    if isinstance(value, (list, tuple, dict, bytes)):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)[:80]
