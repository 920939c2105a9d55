"""The calls of the scripts that change or read one task."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import orjson

from cluster.attempt_errors import event_message, loss_message
from cluster.settings import Settings
from cluster.store.actor import NOBODY, Actor
from cluster.store.call_builder import BLOBS_CHECK_SECONDS, CHECK_AFTER_SECONDS, CallBuilder, milliseconds
from cluster.store.deferred_start import DeferredStart
from cluster.store.lua_scripts import Call, unpack
from cluster.store.record import Record, SubmissionOutcome, TaskState, parse_event, parse_record
from cluster.store.replies import Due, EndReply, StartReply, SubmitReply, WatchReply
from cluster.task_types.retry_policy import NO_RETRIES, Retries

LossReason: TypeAlias = Literal["worker", "memory", "undelivered", "none", "unbegun", "silent"]
"""Why an attempt is lost. `worker`: it died with its worker; counts against LOST_WORKER_LIMIT. `memory`: the same, as
the worker ran out of memory; once in a run, the next attempt moves to the task's `next_pool`. `undelivered`: the
scheduler does not know it; counts against UNDELIVERED_LIMIT. The others count against UNCHARGED_LIMIT only: `none`;
`unbegun`, which applies only if the attempt has not started; `silent`, which applies only if it sent no heartbeat in
the last 30 s."""

CancelMode: TypeAlias = Literal["force", "cancel", "cancel_any", "withdraw"]
"""Whom `cancel` asks. `force`: nobody. `withdraw`: takes the actor off the submitters, and ends the task if nobody else
wants it. `cancel`: ends the task if no other submitter wants it, or if the actor is no submitter and the only one has
the same account; `cancel_any`: or any account."""

DecideMode: TypeAlias = Literal["force", "cancel", "cancel_any"]
"""Of these, those by which an actor decides for all who want a task."""

WATCH_TTL_SECONDS: Final = 180.0
"""How long a node stays registered as a watcher of a task; it renews well before."""

EXTRA_TTL_SECONDS: Final = 30.0
"""How much longer a result stays, once, if a submission finds it that short before its expiry; half of its time to
live if that is shorter."""

UNDELIVERED_LIMIT: Final = 20
"""How many times a task may be handed to a healthy scheduler that then does not know it."""

UNCHARGED_LIMIT: Final = 1_000
"""How many attempts of one run may be lost for reasons that count against nothing else: restarts of the scheduler,
orderly stops of workers. Far more than a task meets in its life, but a task that always stops its worker must end."""


class TaskCalls(CallBuilder):
    """Builds the calls with the time to live and the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._lost_limit = settings.lost_worker_limit
        # Distinguishes this process's requests from all others.
        self._token, self._count = f"{secrets.token_hex(6)}:", itertools.count()

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
        account: str = "",
        actor: Actor = NOBODY,
        limits: str = "",
        ttl_seconds: float | None = None,
        start_before: int | None = None,
        start_within_seconds: float | None = None,
        tags: Sequence[str] = (),
        webhooks: Sequence[str] = (),
        run_key: str = "",
        depth: int | None = None,
        salt: str = "",
        next_pool: str = "",
    ) -> Call[SubmitReply]:
        """Submits a task.

        Args:
            not_before: earliest start, milliseconds since 1970.
            tenant: the owner, if tenants are isolated.
            trace: W3C trace context of the submission.
            node: an api node to register as a watcher of the task's end.
            account: whose quotas and fair share the run counts against.
            actor: who submits.
            limits: the limits that the task is subject to (`LimitList` in limit_calls.py); it is held until they have
                room.
            ttl_seconds: how long the record is kept after the end; None, or a longer time than RESULT_TTL_SECONDS, for
                that.
            start_before: when the task must have started, milliseconds since 1970; after that it ends.
            tags: kept in the record if the submission begins a run.
            webhooks: to whom its end is delivered, each `<account>|<webhook id or URL>`; those of all submissions that
                share a run count.
            run_key: that is part of the task id.
            depth: how many tasks are above it, if a running task submits it; then the recoverer dispatches it.
            salt: of its tenant's task ids, if tenants are isolated; those of its children have it too.
            next_pool: the larger pool for the attempt after one that runs out of memory; empty for none.
            start_within_seconds: the same, counted from the submission or from `not_before`, if there is no
                `start_before`.
        """
        ttl = None if ttl_seconds is None else milliseconds(ttl_seconds)

        def parse(reply: bytes) -> SubmitReply:
            outcome, dispatch, *rest = unpack(reply)
            if len(rest) == 1:
                record = parse_record(task_id, rest[0])
                assert record is not None
            else:
                attempt, seq, submitted_at, previous_at, runs = rest
                record = Record(
                    task_id, name, version, canonical_input, TaskState.QUEUED, attempt, seq, submitted_at, None, None,
                    None, None, priority, not_before, 1, None, 0, 0, tenant, trace, None, None,
                    account=account, submitted_by=actor.text,
                    previous_at=int(previous_at) if previous_at else None, tags=tuple(tags),
                    runs=runs, run_key=run_key,
                )  # fmt: skip
            return SubmitReply(SubmissionOutcome(outcome.decode()), bool(dispatch), record)

        return self._task_call(
            "submit", task_id, name, version, canonical_input, int(recompute), priority,
            "" if not_before is None else not_before, milliseconds(CHECK_AFTER_SECONDS), self._event_limit,
            f"{self._token}{next(self._count)}", tenant, trace, node, milliseconds(WATCH_TTL_SECONDS),
            self._ttl, milliseconds(EXTRA_TTL_SECONDS), account, "", actor.text, limits,
            "" if ttl is None or 0 < self._ttl <= ttl else ttl, "" if start_before is None else start_before,
            "" if start_within_seconds is None else milliseconds(start_within_seconds),
            orjson.dumps(list(tags)) if tags else "", " ".join(webhooks), run_key, "" if depth is None else depth, salt,
            next_pool,
            parse=parse,
        )  # fmt: skip

    def start(self, task_id: str, attempt: int, worker: str) -> Call[StartReply]:
        """Starts an attempt on a worker."""
        return self._task_call(
            "start", task_id, attempt, worker, milliseconds(CHECK_AFTER_SECONDS), self._event_limit, self._ttl,
            parse=_parse_start,
        )  # fmt: skip

    def read_starts(self, attempts: Sequence[tuple[str, int]]) -> Call[list[StartReply | None]]:
        """Reads which attempts may run with a deferred start: `finish` or `fail` records that they began. Returns what
        `start` would; None for one that needs `start` itself.

        Args:
            attempts: id and attempt of each, all of one shard.
        """

        def parse(reply: bytes) -> list[StartReply | None]:
            return [_parse_start(found) if found else None for found in unpack(reply)]

        digit = attempts[0][0][0]
        return self._shard_call("read_starts", digit, *(part for attempt in attempts for part in attempt), parse=parse)

    def progress(
        self,
        task_id: str,
        attempt: int,
        fraction: float | None,
        partial: bytes = b"",
        lines: bytes = b"",
        message: str | None = None,
        data: bytes = b"",
    ) -> Call[bool]:
        """Heartbeat of a running attempt: records its progress, partial output and printed lines (`TaskLog.pending`).
        Returns False if it must stop.

        Args:
            message: the message of the latest report, empty for none; None leaves message and data as they are.
            data: JSON of its data; empty for none.
        """
        shown = "" if fraction is None else f"{min(1.0, max(0.0, fraction)):.4g}"
        return self._task_call(
            "progress", task_id, attempt, shown, milliseconds(CHECK_AFTER_SECONDS), self._event_limit, partial,
            lines, *(() if message is None else (message, data)), parse=bool,
        )  # fmt: skip

    def record_checkpoint(self, task_id: str, attempt: int, key: str) -> Call[bool]:
        """Records the key of the blob with a running attempt's checkpoint, for later attempts. Returns False if the
        attempt must stop."""
        return self._task_call("record_checkpoint", task_id, attempt, key, parse=bool)

    def finish(
        self,
        task_id: str,
        attempt: int,
        result: bytes,
        *,
        kept_bytes: int = 0,
        lines: bytes = b"",
        made_by: str = "",
        deferred: DeferredStart | None = None,
    ) -> Call[int]:
        """Stores the result of an attempt. Returns 0 if the fence refuses it, and 2 if what earlier attempts wrote into
        the blob store can be deleted.

        Args:
            kept_bytes: length of the blobs and items of the attempt.
            lines: its last lines (`TaskLog.pending`).
            made_by: the version of the code that made it, if that is not the record's: then a later submission computes
                the task again.
            deferred: how it began, if its start was deferred.
        """
        return self._task_call(
            "finish", task_id, attempt, result, self._ttl, self._event_limit, kept_bytes, lines, made_by,
            deferred.text if deferred else "", parse=int,
        )  # fmt: skip

    def fail(
        self, task_id: str, attempt: int, error: dict[str, Any], *, retries: Retries = NO_RETRIES,
        allowed: int | None = None, counter: Literal["retries", "unstored", "handed_back"] = "retries",
        kept_bytes: int = 0, lines: bytes = b"", deferred: DeferredStart | None = None,
    ) -> Call[str]:  # fmt: skip
        """Ends an attempt with an error. Returns 'FAILED', 'RETRY' or 'REFUSED'.

        Args:
            retries: how errors are retried: the pauses, and how often.
            allowed: how often this error is; None for the limit of `retries`.
            counter: the record field that counts these retries.
            kept_bytes: length of the blobs and items of the attempt.
            lines: its last lines (`TaskLog.pending`).
            deferred: how it began, if its start was deferred.
        """
        return self._task_call(
            "fail", task_id, attempt, orjson.dumps(error), self._ttl, self._event_limit,
            retries.limit if allowed is None else allowed, milliseconds(retries.delay), event_message(error),
            milliseconds(retries.longest_seconds), counter, kept_bytes, f"{retries.factor:g}",
            f"{retries.draw_spread():.4f}", lines, deferred.text if deferred else "", parse=bytes.decode,
        )  # fmt: skip

    def mark_lost(
        self, task_id: str, attempt: int, loss_reason: LossReason, error: dict[str, Any], *, announce: bool = True,
        deferred: DeferredStart | None = None,
    ) -> Call[str]:  # fmt: skip
        """Marks an attempt as lost.

        Returns 'QUEUED', 'MOVED <pool>' (QUEUED, and the next attempt runs in this larger pool), 'FAILED' (a limit is
        reached; the record gets `error`), 'BEGUN' or 'HEARD' (the reason does not apply), or 'REFUSED'.

        Args:
            announce: whether to wake the recoverer, which then dispatches the next attempt at once.
            deferred: how it began, if its start was deferred.
        """
        return self._task_call(
            "mark_lost", task_id, *self._loss(attempt, loss_reason, error), int(announce), "",
            deferred.text if deferred else "", parse=bytes.decode,
        )  # fmt: skip

    def replace_lost(
        self, task_id: str, attempt: int, loss_reason: LossReason, error: dict[str, Any], *, claim: bool = True
    ) -> Call[tuple[str, Due | None]]:
        """As `mark_lost`, for the recoverer: returns also the next attempt, which the caller must dispatch. It is None
        if there is none; and if its input is long, it has limits, or `claim` is false: then `claim_due` returns or
        holds it."""

        def parse(reply: bytes) -> tuple[str, Due | None]:
            if reply.isascii():  # a verdict; an array of MessagePack is none
                return reply.decode(), None
            name, input_, priority, account, resumes, pool = unpack(reply)
            due = Due(
                task_id, "dispatch", attempt + 1, False, name.decode(), input_, int(priority or 0),
                (account or b"").decode(), bool(resumes), (pool or b"").decode(),
            )  # fmt: skip
            return "QUEUED", due

        return self._task_call(
            "mark_lost", task_id, *self._loss(attempt, loss_reason, error), 0,
            milliseconds(CHECK_AFTER_SECONDS) if claim else "", parse=parse,
        )  # fmt: skip

    def _loss(self, attempt: int, loss_reason: LossReason, error: dict[str, Any]) -> tuple[Any, ...]:
        return (
            attempt, loss_reason, self._lost_limit, UNDELIVERED_LIMIT, orjson.dumps(error), self._ttl,
            self._event_limit, loss_message(error), UNCHARGED_LIMIT,
        )  # fmt: skip

    def release(self, task_id: str, attempt: int) -> Call[bool]:
        """Releases an attempt that could not be handed to the scheduler."""
        return self._task_call("release", task_id, attempt, parse=bool)

    def cancel(
        self, task_id: str, actor: Actor = NOBODY, mode: CancelMode = "force"
    ) -> Call[tuple[bool, Record | None]]:
        """Cancels a task, or withdraws a submission. Returns whether this ended the task, and its record or None. An
        open task that did not end is wanted by other submitters."""
        ending = self.end(task_id, actor, mode)
        return Call(ending.script, ending.keys, ending.args, lambda reply: _done_and_record(ending.parse(reply)))

    def end(
        self, task_id: str, actor: Actor = NOBODY, mode: CancelMode = "force", *, dry_run: bool = False
    ) -> Call[EndReply]:
        """As `cancel`, but also returns how many others want the task.

        Args:
            dry_run: change nothing, and return what would be.
        """
        message = "its last submitter has withdrawn" if mode == "withdraw" else "the task was cancelled"
        error = orjson.dumps({"code": "CANCELLED", "message": message, "type": None})
        return self._task_call(
            "cancel", task_id, self._ttl, self._event_limit, error, actor.text, mode, int(dry_run),
            parse=partial(_parse_end, task_id),
        )  # fmt: skip

    def forget(
        self, task_id: str, actor: Actor = NOBODY, mode: DecideMode = "force", *, dry_run: bool = False
    ) -> Call[EndReply]:
        """Deletes a task that has ended, with its result, events and lines; its blobs are deleted soon after. One that
        is open, or that the actor may not decide about, stays.

        Args:
            dry_run: change nothing, and return what would be.
        """
        return self._task_call(
            "forget", task_id, actor.text, mode, int(dry_run), parse=partial(_parse_end, task_id), blobs=True
        )

    def set_priority(
        self, task_id: str, priority: int, actor: Actor = NOBODY, mode: DecideMode = "force"
    ) -> Call[EndReply]:
        """Changes the priority of an open task. If its attempt waits in the scheduler, the next one takes its place,
        which the recoverer or the slot claimer dispatches."""
        return self._task_call(
            "set_priority", task_id, priority, self._event_limit, actor.text, mode, parse=partial(_parse_end, task_id)
        )

    def read(self, task_id: str) -> Call[Record | None]:
        """Reads a record. Its result is included only up to 4,096 bytes (MAX_INCLUDED_BYTES in _common.lua)."""
        return self._task_call("read", task_id, parse=lambda reply: parse_record(task_id, unpack(reply)))

    def watch(
        self, task_id: str, node: str, *, every_event: bool = False, after_seq: int | None = None
    ) -> Call[WatchReply]:
        """Reads a record as `read` does. Unless the task has ended, registers `node` as a watcher of its end, or of
        every event. With `after_seq`, returns also the events after it."""

        def parse(reply: bytes) -> WatchReply:
            events, *rest = unpack(reply)
            record = parse_record(task_id, rest[0]) if rest else None
            return WatchReply(record, tuple(parse_event(line) for line in events))

        return self._task_call(
            "watch", task_id, node, "e" if every_event else "f", milliseconds(WATCH_TTL_SECONDS),
            "" if after_seq is None else after_seq, parse=parse,
        )  # fmt: skip

    def unwatch(self, task_id: str, node: str) -> Call[bool]:
        """Removes `node` from the watchers of a task."""
        return self._task_call("unwatch", task_id, node, parse=bool)

    def register_blobs(self, task_id: str, *, check_seconds: float = BLOBS_CHECK_SECONDS) -> Call[bool]:
        """Registers a task that is about to write blobs, so that they are deleted once its record is gone. That is
        checked when the task is pruned, and after `check_seconds`."""
        return self._task_call("register_blobs", task_id, milliseconds(check_seconds), parse=bool, blobs=True)


def _parse_start(reply: bytes) -> StartReply:
    verdict, waited, *rest = [*reply.decode().split(" ", 5), *[""] * 5][:6]
    return StartReply(verdict, int(waited) / 1000 if waited else None, *rest)


def _parse_end(task_id: str, reply: bytes) -> EndReply:
    done, *rest = unpack(reply)
    if not rest:
        return EndReply(done=False)
    record, others, is_submitter, *superseded = rest
    return EndReply(bool(done), parse_record(task_id, record), others, bool(is_submitter), *superseded)


def _done_and_record(reply: EndReply) -> tuple[bool, Record | None]:
    return reply.done, reply.record
