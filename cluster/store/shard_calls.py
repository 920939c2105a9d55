"""The calls of the scripts that serve a shard: they find the tasks that need something done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from cluster.store.call_builder import BLOBS_CHECK_SECONDS, CHECK_AFTER_SECONDS, CallBuilder, milliseconds
from cluster.store.lua_scripts import Call, unpack
from cluster.store.record import TaskState
from cluster.store.replies import Due

CLAIM_INPUT_BYTES: Final = 256 * 1024
"""Approximate limit for the inputs that one `claim_due` returns: it stops at the first input that exceeds it."""

BLOBS_RETRY_SECONDS: Final = 60.0
"""Pause before a failed deletion of blobs is repeated; longer than one deletion takes."""


class ShardCalls(CallBuilder):
    def claim_due(
        self,
        digit: str,
        limit: int,
        cutoff: int | None = None,
        *,
        skip_unstarted_after: int | None = None,
        paused: Iterable[str] = (),
    ) -> Call[tuple[bool, list[Due]]]:
        """Claims the due tasks of a shard. Returns whether there may be more, and what to do with each.

        Args:
            limit: maximum number of tasks; fewer are returned if their inputs are long (CLAIM_INPUT_BYTES).
            cutoff: claims tasks due by this time of Redis's clock, milliseconds since 1970; None for now.
            skip_unstarted_after: skips dispatched attempts that have not started and are due after this time.
            paused: names of paused task types: their due tasks are held.
        """

        def parse(reply: Sequence[Any]) -> tuple[bool, list[Due]]:
            items = []
            for i in range(1, len(reply), 10):
                task_id, action, attempt, state, name, input_, priority, account, resumes, pool = reply[i : i + 10]
                items.append(
                    Due(task_id.decode(), action.decode(), int(attempt), state == b"RUNNING", name.decode(), input_,
                        int(priority or 0), account.decode(), bool(resumes), pool.decode())
                )  # fmt: skip
            return bool(reply[0]), items

        return self._shard_call(
            "claim_due", digit, "" if cutoff is None else cutoff, limit, milliseconds(CHECK_AFTER_SECONDS),
            CLAIM_INPUT_BYTES, "" if skip_unstarted_after is None else skip_unstarted_after, *paused, parse=parse,
        )  # fmt: skip

    def expire_unstarted(self, digit: str, limit: int) -> Call[tuple[int, list[tuple[str, int]]]]:
        """Ends tasks of a shard that have not started by the time set for them.

        Returns how many were looked at (`limit` means there may be more), and id and attempt of those that ended and
        that the scheduler may still have.
        """

        def parse(reply: Sequence[Any]) -> tuple[int, list[tuple[str, int]]]:
            found = [(reply[i].decode(), int(reply[i + 1])) for i in range(1, len(reply), 2)]
            return int(reply[0]), found

        return self._shard_call("expire_unstarted", digit, limit, self._ttl, self._event_limit, parse=parse)

    def count_buckets(
        self,
        digit: str,
        since: int,
        length: int,
        spans: int,
        lists: Sequence[tuple[TaskState | None, str | None]],
        failed: Sequence[tuple[TaskState | None, str | None]],
        tenant: str | None,
    ) -> Call[list[int]]:
        """Counts the tasks of a shard by when they were submitted. Returns the number of all in each span, then that of
        failed ones.

        Args:
            since, length: begin of the first span, milliseconds since 1970, and length of each.
            lists: those of all tasks, by state and task type.
            failed: those of failed tasks.
            tenant: only tasks of this tenant.
        """
        base = len(f"{self.shard_prefix(digit)}:index")
        names = [self.index_key(digit, state, name, tenant)[base:] for state, name in (*lists, *failed)]
        return self._shard_call(
            "count_buckets", digit, since, length, spans, len(lists), *names, parse=lambda reply: list(unpack(reply))
        )

    def prune(self, digit: str, limit: int) -> Call[int]:
        """Removes expired tasks from the lists of a shard. Returns how many; `limit` means there may be more."""
        return self._shard_call("prune", digit, limit, parse=int, blobs=True)

    def claim_blobs(self, digit: str, limit: int) -> Call[tuple[int, list[str]]]:
        """Claims tasks of a shard whose blobs can be deleted.

        Returns how many entries were checked (`limit` means there may be more) and the ids. They are returned again
        after BLOBS_RETRY_SECONDS unless `unregister_blobs` follows.
        """

        def parse(reply: Sequence[Any]) -> tuple[int, list[str]]:
            return int(reply[0]), [item.decode() for item in reply[1:]]

        return self._shard_call(
            "claim_blobs", digit, limit, milliseconds(BLOBS_RETRY_SECONDS), milliseconds(BLOBS_CHECK_SECONDS),
            parse=parse, blobs=True,
        )  # fmt: skip

    def unregister_blobs(self, digit: str, task_ids: Sequence[str]) -> Call[bool]:
        """Removes tasks of a shard whose blobs have been deleted."""
        return self._shard_call("unregister_blobs", digit, *task_ids, parse=bool, blobs=True)
