"""Builds the calls of the scripts. Pure, so that the asyncio client and the threaded client share the whole
protocol."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

import orjson

from cluster.settings import Settings
from cluster.store.keys import Keys
from cluster.store.lua_scripts import SCRIPTS, Call, unpack
from cluster.store.record import Record, SubmissionOutcome, TaskState, parse_event, parse_record
from cluster.store.replies import Due, StartReply, SubmitReply, WatchReply

R = TypeVar("R")

LossReason: TypeAlias = Literal["worker", "undelivered", "none", "unbegun", "silent"]
"""Why an attempt is lost. `worker`: it died with its worker; counts against LOST_WORKER_LIMIT. `undelivered`: the
scheduler does not know it; counts against UNDELIVERED_LIMIT. The others count against UNCHARGED_LIMIT only: `none`;
`unbegun`, which applies only if the attempt has not started; `silent`, which applies only if it sent no heartbeat in
the last 30 s."""

CHECK_AFTER_SECONDS: Final = 15.0
"""How long an open task may be silent before the recoverer asks the scheduler for it."""

WATCH_TTL_SECONDS: Final = 180.0
"""How long a node stays registered as a watcher of a task; it renews well before."""

EPOCH_TTL_SECONDS: Final = 5.0
"""How long a heartbeat of the scheduler is valid."""

PROBE_TTL_SECONDS: Final = 60.0
"""How long the key is kept that a node writes to test whether Redis accepts writes."""

UNDELIVERED_LIMIT: Final = 20
"""How many times a task may be handed to a healthy scheduler that then does not know it."""

UNCHARGED_LIMIT: Final = 1_000
"""How many attempts of one run may be lost for reasons that count against nothing else: restarts of the scheduler,
orderly stops of workers. Far more than a task meets in its life, but a task that always stops its worker must end."""

CLAIM_INPUT_BYTES: Final = 256 * 1024
"""Approximate limit for the inputs that one `claim_due` returns: it stops at the first input that exceeds it."""

BLOBS_RETRY_SECONDS: Final = 60.0
"""Pause before a failed deletion of blobs is repeated; longer than one deletion takes."""
BLOBS_CHECK_SECONDS: Final = 3_600.0
"""How often an open task with blobs is checked for being gone. An ended task is checked when it expires."""


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


class Calls(Keys):
    """Builds calls for one key prefix, time to live and event limit."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.key_prefix)
        # Distinguishes this process's requests from all others.
        self._token, self._count = f"{secrets.token_hex(6)}:", itertools.count()
        self._ttl = milliseconds(settings.result_ttl_seconds)
        self._event_limit = settings.event_limit
        self._lost_limit = settings.lost_worker_limit

    # One task ---------------------------------------------------------------------------------------------------------

    def submit(
        self,
        task_id: str,
        name: str,
        version: str,
        canonical_input: bytes,
        *,
        recompute: bool = False,
        priority: int = 0,
        not_before: int | None = None,
        tenant: str = "",
        trace: str = "",
        node: str = "",
    ) -> Call[SubmitReply]:
        """Submits a task.

        Args:
            not_before: earliest start, milliseconds since 1970.
            tenant: the owner, if tenants are isolated.
            trace: W3C trace context of the submission.
            node: an api node to register as a watcher of the task's end.
        """

        def parse(reply: bytes) -> SubmitReply:
            outcome, dispatch, *rest = unpack(reply)
            if len(rest) == 1:
                record = parse_record(task_id, rest[0])
                assert record is not None
            else:
                attempt, seq, submitted_at = rest
                record = Record(
                    task_id, name, version, canonical_input, TaskState.QUEUED, attempt, seq, submitted_at, None, None,
                    None, None, priority, not_before, 1, None, 0, 0, tenant, trace, None, None,
                )  # fmt: skip
            return SubmitReply(SubmissionOutcome(outcome.decode()), bool(dispatch), record)

        return self._call(
            "submit", task_id, name, version, canonical_input, int(recompute), priority,
            "" if not_before is None else not_before, milliseconds(CHECK_AFTER_SECONDS), self._event_limit,
            f"{self._token}{next(self._count)}", tenant, trace, node, milliseconds(WATCH_TTL_SECONDS), parse=parse,
        )  # fmt: skip

    def start(self, task_id: str, attempt: int, worker: str) -> Call[StartReply]:
        """Starts an attempt on a worker."""

        def parse(reply: bytes) -> StartReply:
            verdict, waited, trace = [*reply.decode().split(" "), "", ""][:3]
            return StartReply(verdict, int(waited) / 1000 if waited else None, trace)

        return self._call(
            "start", task_id, attempt, worker, milliseconds(CHECK_AFTER_SECONDS), self._event_limit, parse=parse
        )

    def progress(self, task_id: str, attempt: int, fraction: float | None, partial: bytes = b"") -> Call[bool]:
        """Heartbeat of a running attempt: records its progress and partial output. Returns False if it must stop."""
        shown = "" if fraction is None else f"{min(1.0, max(0.0, fraction)):.4g}"
        return self._call(
            "progress", task_id, attempt, shown, milliseconds(CHECK_AFTER_SECONDS), self._event_limit, partial,
            parse=bool,
        )  # fmt: skip

    def finish(self, task_id: str, attempt: int, result: bytes) -> Call[bool]:
        """Stores the result of an attempt. Returns False if the fence refuses it."""
        return self._call("finish", task_id, attempt, result, self._ttl, self._event_limit, parse=bool)

    def fail(
        self, task_id: str, attempt: int, error: dict[str, Any], *, retries: int = 0, delay_seconds: float = 0,
        longest_delay_seconds: float = 60.0, counter: Literal["retries", "unstored"] = "retries",
    ) -> Call[str]:  # fmt: skip
        """Ends an attempt with an error. Returns 'FAILED', 'RETRY' or 'REFUSED'.

        Args:
            retries: retries allowed for this kind of error.
            delay_seconds: pause before the first retry, doubled for each further one up to `longest_delay_seconds`.
            counter: the record field that counts these retries.
        """
        return self._call(
            "fail", task_id, attempt, orjson.dumps(error), self._ttl, self._event_limit, retries,
            milliseconds(delay_seconds), error["message"], milliseconds(longest_delay_seconds), counter,
            parse=bytes.decode,
        )  # fmt: skip

    def mark_lost(
        self, task_id: str, attempt: int, loss_reason: LossReason, error: dict[str, Any], *, announce: bool = True
    ) -> Call[str]:
        """Marks an attempt as lost.

        Returns 'QUEUED', 'FAILED' (a limit is reached; the record gets `error`), 'BEGUN' or 'HEARD' (the reason does
        not apply), or 'REFUSED'.

        Args:
            announce: whether to wake the recoverer, which then dispatches the next attempt at once.
        """
        return self._call(
            "mark_lost", task_id, *self._loss(attempt, loss_reason, error), int(announce), "", parse=bytes.decode
        )

    def replace_lost(
        self, task_id: str, attempt: int, loss_reason: LossReason, error: dict[str, Any]
    ) -> Call[tuple[str, Due | None]]:
        """As `mark_lost`, for the recoverer: returns also the next attempt, which the caller must dispatch. It is None
        if there is none, or if its input is long: then `claim_due` returns it."""

        def parse(reply: bytes) -> tuple[str, Due | None]:
            if reply.isalpha():
                return reply.decode(), None
            name, input_, priority = unpack(reply)
            due = Due(task_id, "dispatch", attempt + 1, False, name.decode(), input_, int(priority or 0))
            return "QUEUED", due

        return self._call(
            "mark_lost", task_id, *self._loss(attempt, loss_reason, error), 0, milliseconds(CHECK_AFTER_SECONDS),
            parse=parse,
        )  # fmt: skip

    def _loss(self, attempt: int, loss_reason: LossReason, error: dict[str, Any]) -> tuple[Any, ...]:
        return (
            attempt, loss_reason, self._lost_limit, UNDELIVERED_LIMIT, orjson.dumps(error), self._ttl,
            self._event_limit, error["message"], UNCHARGED_LIMIT,
        )  # fmt: skip

    def release(self, task_id: str, attempt: int) -> Call[bool]:
        """Releases an attempt that could not be handed to the scheduler."""
        return self._call("release", task_id, attempt, parse=bool)

    def cancel(self, task_id: str) -> Call[tuple[bool, Record | None]]:
        """Cancels a task. Returns whether it was open, and its record or None."""
        error = orjson.dumps({"code": "CANCELLED", "message": "the task was cancelled", "type": None})

        def parse(reply: bytes) -> tuple[bool, Record | None]:
            cancelled, *rest = unpack(reply)
            return bool(cancelled), parse_record(task_id, rest[0]) if rest else None

        return self._call("cancel", task_id, self._ttl, self._event_limit, error, parse=parse)

    def read(self, task_id: str) -> Call[Record | None]:
        """Reads a record. Its result is included only up to 4,096 bytes (MAX_INCLUDED_BYTES in _common.lua)."""
        return self._call("read", task_id, parse=lambda reply: parse_record(task_id, unpack(reply)))

    def watch(
        self, task_id: str, node: str, *, every_event: bool = False, after_seq: int | None = None
    ) -> Call[WatchReply]:
        """Reads a record as `read` does. Unless the task has ended, registers `node` as a watcher of its end, or of
        every event. With `after_seq`, returns also the events after it."""

        def parse(reply: bytes) -> WatchReply:
            events, *rest = unpack(reply)
            record = parse_record(task_id, rest[0]) if rest else None
            return WatchReply(record, tuple(parse_event(line) for line in events))

        return self._call(
            "watch", task_id, node, "e" if every_event else "f", milliseconds(WATCH_TTL_SECONDS),
            "" if after_seq is None else after_seq, parse=parse,
        )  # fmt: skip

    def unwatch(self, task_id: str, node: str) -> Call[bool]:
        """Removes `node` from the watchers of a task."""
        return self._call("unwatch", task_id, node, parse=bool)

    def register_blobs(self, task_id: str, *, check_seconds: float = BLOBS_CHECK_SECONDS) -> Call[bool]:
        """Registers a task that is about to write blobs, so that they are deleted once its record is gone. That is
        checked when the task is pruned, and after `check_seconds`."""
        return self._call("register_blobs", task_id, milliseconds(check_seconds), parse=bool, blobs=True)

    # One shard --------------------------------------------------------------------------------------------------------

    def claim_due(
        self, digit: str, limit: int, cutoff: int | None = None, *, skip_unstarted_after: int | None = None
    ) -> Call[tuple[bool, list[Due]]]:
        """Claims the due tasks of a shard. Returns whether there may be more, and what to do with each.

        Args:
            limit: maximum number of tasks; fewer are returned if their inputs are long (CLAIM_INPUT_BYTES).
            cutoff: claims tasks due by this time of Redis's clock, milliseconds since 1970; None for now.
            skip_unstarted_after: skips dispatched attempts that have not started and are due after this time.
        """

        def parse(reply: Sequence[Any]) -> tuple[bool, list[Due]]:
            items = []
            for i in range(1, len(reply), 7):
                task_id, action, attempt, state, name, input_, priority = reply[i : i + 7]
                items.append(
                    Due(task_id.decode(), action.decode(), int(attempt), state == b"RUNNING", name.decode(), input_,
                        int(priority or 0))
                )  # fmt: skip
            return bool(reply[0]), items

        return self._call(
            "claim_due", "", "" if cutoff is None else cutoff, limit, milliseconds(CHECK_AFTER_SECONDS),
            CLAIM_INPUT_BYTES, "" if skip_unstarted_after is None else skip_unstarted_after, parse=parse,
            shard=self.shard_prefix(digit),
        )  # fmt: skip

    def prune(self, digit: str, limit: int) -> Call[int]:
        """Removes expired tasks from the lists of a shard. Returns how many; `limit` means there may be more."""
        return self._call("prune", "", limit, parse=int, shard=self.shard_prefix(digit), blobs=True)

    def claim_blobs(self, digit: str, limit: int) -> Call[tuple[int, list[str]]]:
        """Claims tasks of a shard whose blobs can be deleted.

        Returns how many entries were checked (`limit` means there may be more) and the ids. They are returned again
        after BLOBS_RETRY_SECONDS unless `unregister_blobs` follows.
        """

        def parse(reply: Sequence[Any]) -> tuple[int, list[str]]:
            return int(reply[0]), [item.decode() for item in reply[1:]]

        return self._call(
            "claim_blobs", "", limit, milliseconds(BLOBS_RETRY_SECONDS), milliseconds(BLOBS_CHECK_SECONDS), parse=parse,
            shard=self.shard_prefix(digit), blobs=True,
        )  # fmt: skip

    def unregister_blobs(self, digit: str, task_ids: Sequence[str]) -> Call[bool]:
        """Removes tasks of a shard whose blobs have been deleted."""
        return self._call("unregister_blobs", "", *task_ids, parse=bool, shard=self.shard_prefix(digit), blobs=True)

    # One key ----------------------------------------------------------------------------------------------------------

    def record_time(self, key: str, suffix: str = "") -> Call[int]:
        """Writes the time, and `suffix` after it, to a key. Returns the time, milliseconds since 1970 by Redis's
        clock."""
        return self._key_call("write_time", key, suffix, "")

    def probe(self, node: str) -> Call[int]:
        """Tests whether Redis accepts writes, with a key of the node's own. Returns the time, as `record_time`."""
        return self._key_call("write_time", self.probe_key(node), "", milliseconds(PROBE_TTL_SECONDS))

    def take_tokens(self, caller: str, size: int, per_minute: int, cost: int) -> Call[int]:
        """Takes `cost` tokens from a caller's bucket of `size`. Returns 0, or the milliseconds until it has them."""
        return self._key_call("take_tokens", self.rate_key(caller), size, per_minute, cost)

    def _key_call(self, script: str, key: str, *args: Any) -> Call[int]:
        return Call(SCRIPTS[script], (key,), (self.prefix, "", *args), int)

    def _call(
        self, script: str, task_id: str, *args: Any, parse: Callable[[Any], R], shard: str = "", blobs: bool = False
    ) -> Call[R]:
        shard = shard or self.shard(task_id)
        keys: tuple[str, ...] = (
            f"{shard}:task:{task_id}",
            f"{shard}:events:{task_id}",
            f"{shard}:watch:{task_id}",
            f"{shard}:open",
            f"{shard}:index",
            f"{shard}:expiry",
        )
        if blobs:
            keys += (f"{shard}:blobs",)
        return Call(SCRIPTS[script], keys, (self.prefix, task_id, *args), parse)
