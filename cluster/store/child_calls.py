"""The calls of running tasks that submit tasks, and of the recoverer for the children that nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from cluster.store.call_builder import CallBuilder, milliseconds
from cluster.store.lua_scripts import Call, unpack

UNWANTED_RETRY_SECONDS: Final = 10.0
"""When the children of a run are withdrawn again, if the node that began to has not completed it."""

CHILD_ACTOR: Final = "task:"
"""How the name of the submitter begins if a task is one: `task:<id>:<submitted_at of its run>`."""


def submitter_name(task_id: str, submitted_at: int) -> str:
    """The name under which a run of a task submits: that of its attempts alike, and of no other run."""
    return f"{CHILD_ACTOR}{task_id}:{submitted_at}"


@dataclass(frozen=True, slots=True)
class Parent:
    """What children have from the run that submits them.

    Attributes:
        children: how many the run has by now.
        submitted_at: of the run, milliseconds since 1970.
        depth: how many tasks are above it.
        hand_backs: attempts of the run that found no room to wait for children.
        salt: of its tenant's task ids; empty if tenants share tasks, or if an older release submitted it.
    """

    children: int
    submitted_at: int
    priority: int
    account: str
    tags: tuple[str, ...]
    trace: str
    submitted_by: str
    limits: str
    depth: int
    salt: str
    hand_backs: int = 0


@dataclass(frozen=True, slots=True)
class Unwanted:
    """A run that has ended without needing its children."""

    task_id: str
    submitted_at: int
    children: tuple[str, ...]


class ChildCalls(CallBuilder):
    """Builds these calls."""

    def add_children(
        self, task_id: str, attempt: int, children: Sequence[str], limit: int
    ) -> Call[Parent | int | None]:
        """Registers children of a running attempt, before they are submitted. Returns how many there are if the run
        would have more than `limit`; None if the attempt must stop."""

        def parse(reply: bytes) -> Parent | int | None:
            verdict, *rest = unpack(reply)
            if not verdict:
                return None
            if verdict == 2:
                return int(rest[0])
            count, submitted_at, priority, account, tags, trace, submitted_by, limits, depth, salt, hand_backs = rest
            return Parent(
                int(count), int(submitted_at), int(priority or 0), account.decode(),
                tuple(orjson.loads(tags)) if tags else (), trace.decode(), submitted_by.decode(), limits.decode(),
                int(depth or 0), salt.decode(), int(hand_backs or 0),
            )  # fmt: skip

        return self._task_call("add_children", task_id, attempt, limit, *children, parse=parse)

    def wait_for_children(self, task_id: str, attempt: int, *, waits: bool) -> Call[bool]:
        """A running attempt with limits begins to wait, and frees its slots; or goes on, and takes them again. Returns
        False if it must stop."""
        return self._task_call("wait_for_children", task_id, attempt, int(waits), parse=bool)

    def claim_unwanted(self, digit: str, limit: int) -> Call[list[Unwanted]]:
        """Claims runs of a shard that have ended without needing their children. They are returned again after
        UNWANTED_RETRY_SECONDS unless `remove_unwanted` follows."""

        def parse(reply: bytes) -> list[Unwanted]:
            return [
                Unwanted(task_id.decode(), int(run), tuple(child.decode() for child in children))
                for task_id, run, children in unpack(reply)
            ]

        return self._shard_call("claim_unwanted", digit, limit, milliseconds(UNWANTED_RETRY_SECONDS), parse=parse)

    def remove_unwanted(self, digit: str, runs: Sequence[Unwanted]) -> Call[bool]:
        """The children of these runs of a shard have been withdrawn."""
        return self._shard_call(
            "remove_unwanted", digit, *(f"{run.task_id} {run.submitted_at}" for run in runs), parse=bool
        )
