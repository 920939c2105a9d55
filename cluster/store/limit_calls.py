"""The calls of the scripts that hold tasks until their limits have room, and claim them then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from cluster.store.call_builder import CHECK_AFTER_SECONDS, CallBuilder, milliseconds
from cluster.store.lua_scripts import Call, unpack
from cluster.store.replies import WaitReply
from cluster.store.shard_calls import CLAIM_INPUT_BYTES

LimitList: TypeAlias = str
"""The limits that a task is subject to, separated by spaces: names, each with `=` and its number if one is declared:
`t:<type>=4`, `k:<type>:<hash of the key>=1`, `a:<account>`. Held tasks with the same list form one queue."""


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A held task. The one with the lowest `order` of those with the same limits is next: by priority, then by
    submission."""

    order: int
    task_id: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A task that was held, and that the caller must dispatch. `pool` as that of `Due`."""

    task_id: str
    attempt: int
    name: str
    input: bytes
    priority: int
    trace: str
    account: str
    resumes: bool
    pool: str = ""


class LimitCalls(CallBuilder):
    def woken_key(self, digit: str) -> str:
        """What may have room in a shard: `+<list of limits>` (a task was held), `-<limit>` (a slot was freed)."""
        return f"{self.shard_prefix(digit)}:woken"

    def held_key(self, digit: str) -> str:
        """The lists of limits that the held tasks of a shard have."""
        return f"{self.shard_prefix(digit)}:held"

    def become_claimer(self, digit: str, number: int) -> Call[bool]:
        """Refuses older claimers from now on. Returns False if there is a newer one."""
        return self._shard_call("become_claimer", digit, number, parse=bool)

    def peek_held(
        self, digit: str, limits: Sequence[str], lists: Sequence[LimitList], first: int
    ) -> Call[tuple[list[int], list[list[HeldTask]]]]:
        """Returns the number of slots in use of each limit, and the first held tasks with each list of limits."""

        def parse(reply: bytes) -> tuple[list[int], list[list[HeldTask]]]:
            used, found = unpack(reply)
            return used, [
                [HeldTask(int(flat[i + 1]), flat[i].decode()) for i in range(0, len(flat), 2)] for flat in found
            ]

        return self._shard_call("peek_held", digit, len(limits), first, *limits, *lists, parse=parse)

    def held_list_key(self, digit: str, limits: LimitList) -> str:
        """The held tasks of a shard with the same limits, by their order."""
        return f"{self.shard_prefix(digit)}:held:{limits}"

    def read_wait(self, task_id: str) -> Call[WaitReply | None]:
        """Reads what a task waits for; None if it is not QUEUED."""

        def parse(reply: bytes) -> WaitReply | None:
            if not (found := unpack(reply)):
                return None
            now, attempt, dispatched, due_at, limits, order = found
            return WaitReply(
                now, attempt, bool(dispatched), int(float(due_at)) if due_at else None, limits.decode(),
                int(float(order)) if order else None,
            )  # fmt: skip

        return self._task_call("read_wait", task_id, parse=parse)

    def claim_held(self, digit: str, number: int, tasks: Sequence[tuple[LimitList, str]]) -> Call[list[Claimed] | None]:
        """Claims held tasks, given as limits and id, which take their slots. Returns those that the caller must
        dispatch; None if there is a newer claimer than `number`."""

        def parse(reply: bytes) -> list[Claimed] | None:
            items = unpack(reply)
            if not items:
                return None
            return [
                Claimed(task_id.decode(), int(attempt), name.decode(), input_, int(priority or 0),
                        (trace or b"").decode(), account.decode(), bool(resumes), pool.decode())
                for task_id, attempt, name, input_, priority, trace, account, resumes, pool in items[1:]
            ]  # fmt: skip

        return self._shard_call(
            "claim_held", digit, number, milliseconds(CHECK_AFTER_SECONDS), CLAIM_INPUT_BYTES,
            *(part for pair in tasks for part in pair), parse=parse,
        )  # fmt: skip

    def check_slots(self, digit: str, limits: Sequence[str]) -> Call[list[int]]:
        """Frees the slots of attempts that have ended otherwise. Returns the number in use of each limit."""
        return self._shard_call("check_slots", digit, *limits, parse=list)

    def recall(self, digit: str, name: str, skip: int, limit: int) -> Call[tuple[int, list[tuple[str, int]]]]:
        """Recalls attempts of a paused type that have not started. Returns how many of the shard's QUEUED tasks of
        that type it looked at after the first `skip` (`limit` means there may be more), and the recalled attempts."""

        def parse(reply: Sequence[Any]) -> tuple[int, list[tuple[str, int]]]:
            looked_at, *flat = reply
            return looked_at, [(flat[i].decode(), int(flat[i + 1])) for i in range(0, len(flat), 2)]

        return self._shard_call("recall", digit, name, skip, limit, parse=parse)
