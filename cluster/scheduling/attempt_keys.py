"""Dask keys of attempts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

AttemptId: TypeAlias = tuple[str, int]
"""Task id and attempt number."""

GRAPH_ANNOTATION: Final = "dask_graphql_attempt"
"""Annotation on the keys of a task's own graph, `<task id>:<attempt>`: the scheduler's plugin publishes its
progress."""

SHARE_ANNOTATION: Final = "dask_graphql_share"
"""Annotation on the key of an attempt: the fields of a `Share`, by which the scheduler's plugin orders it."""

_KEY: Final = re.compile(r"(?P<name>[a-z][a-z0-9_]*)(?P<members>(?:-[0-9a-f]{32}-[0-9]+)+)")


def attempt_key(name: str, members: Iterable[tuple[str, int]]) -> str:
    """The key of a Dask task that runs these attempts of one task type, usually one, one after the other.

    The attempts can be parsed from the key, so that the failure of a key can be attributed to them. It includes the
    attempt numbers because a key that has erred stays erred (distributed issue 8789).
    """
    return name + "".join(f"-{task_id}-{attempt}" for task_id, attempt in members)


def parse_attempt_key(key: object) -> tuple[str, list[tuple[str, int]]] | None:
    """The task type's name and the attempts in one of our keys; None for any other key."""
    match = _KEY.fullmatch(key) if isinstance(key, str) else None
    if match is None:
        return None
    parts = match["members"].split("-")[1:]
    return match["name"], [(task_id, int(attempt)) for task_id, attempt in zip(parts[::2], parts[1::2], strict=True)]
