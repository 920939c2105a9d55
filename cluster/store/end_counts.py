"""How many tasks ended in a minute, and how, as the scripts count them in each shard (`count_end` in _common.lua)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from cluster.store.record import TaskState

_STATES: Final = {state.value[0]: state for state in TaskState if state.final}


class EndCount(NamedTuple):
    """Tasks of one type and tenant that ended alike in the same minute.

    Attributes:
        state: their final state.
        wait, run: the buckets (log_histogram.py) of how long they waited and ran; None if they did not start, or if the
            wait was not that of a first attempt.
        name: their task type.
        tenant: their owner; empty if tenants share tasks.
        code: of their error; empty if they did not fail.
        tasks: how many they are.
    """

    state: TaskState
    wait: int | None
    run: int | None
    name: str
    tenant: str
    code: str
    tasks: int


def parse_end_counts(fields: Mapping[bytes, bytes]) -> list[EndCount]:
    """Parses a shard's hash of one minute. What a later release may have written in another form is left out."""
    found = []
    for field, count in fields.items():
        parts = field.decode().split(" ")
        if len(parts) == 6 and parts[0] in _STATES:
            letter, wait, run, name, tenant, code = parts
            found.append(EndCount(_STATES[letter], _bucket(wait), _bucket(run), name, tenant, code, int(count)))
    return found


def _bucket(text: str) -> int | None:
    return int(text) if text else None
