"""The script calls: what is sent to Redis and how the answer reads. Pure, so that the asyncio and the threaded client
share every word of the protocol."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgpack
import orjson

from cluster.settings import Settings
from cluster.store.record import FIELDS, Event, Record, SubmissionOutcome, TaskState, parse_event, parse_record
from cluster.task_types.task_id import ID_DIGITS

R = TypeVar("R")

LossReason: TypeAlias = Literal["worker", "undelivered", "none", "unbegun", "silent"]
"""Whom a lost attempt is counted against. Nobody for the last three; `unbegun` gives up only what has not begun,
`silent` what was not heard of in the last 30 s."""

SHARDS: Final = tuple("0123456789abcdef")
"""A task's shard is the first digit of its id: its keys carry it as their hash tag, so a cluster spreads 16 shards."""

CHECK_AFTER_SECONDS: Final = 15.0
"""How long an open task may go unheard of before the recoverer asks the scheduler for it."""

WATCH_TTL_SECONDS: Final = 180.0
"""How long a node's note that it waits is kept; the node renews it well before."""

EPOCH_TTL_SECONDS: Final = 5.0
"""How long a heartbeat of the scheduler is believed."""

PROBE_TTL_SECONDS: Final = 60.0
"""How long the key is kept that a node writes to see whether it can."""

UNDELIVERED_LIMIT: Final = 20
"""How many times a task may be handed to a healthy scheduler that then does not know it."""

UNCHARGED_LIMIT: Final = 1_000
"""How many attempts of one run may be given up that nobody is charged for: restarts of the scheduler, orderly stops of
workers. Far more than a cluster sees in a task's life, but a task that always makes its worker stop must end."""

CLAIM_BYTES: Final = 256 * 1024
"""Inputs that one `claim_due` answers, roughly: it stops at the first that passes this."""

BLOBS_RETRY_SECONDS: Final = 60.0
"""How soon blobs that should have been deleted are deleted once more; longer than one deletion takes."""
BLOBS_LOOK_SECONDS: Final = 3_600.0
"""How often it is looked whether an open task that has blobs is still there; an ended one tells when it is gone."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script with its SHA-1, by which Redis knows it."""

    name: str
    source: bytes
    sha: str


def _load(name: str) -> Script:
    folder = files("cluster.store") / "scripts"
    fields = ", ".join(f"'{field}'" for field in FIELDS)
    common = (
        (folder / "_common.lua")
        .read_text()
        .replace("RECORD, FIELDS)", f"RECORD, {fields})")
        .replace("RECORD, FIELDS_BUT_RESULT)", f"RECORD, {', '.join(fields.split(', ')[:-1])})")
    )
    source = f"{common}\n{(folder / f'{name}.lua').read_text()}".encode()
    return Script(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


SCRIPTS: Final = {
    name: _load(name)
    for name in (
        "submit", "start", "progress", "finish", "fail", "mark_lost", "release", "cancel", "watch", "unwatch",
        "claim_due", "prune", "take_tokens", "register_blobs", "claim_blobs", "unregister_blobs", "write_time", "read",
    )
}  # fmt: skip


def unpack(answer: bytes) -> Any:
    """The values of an answer that a script packed.

    An array costs Redis 6.2 a buffer and a write of its own, more than most scripts' commands together.
    """
    return msgpack.unpackb(answer, raw=True)


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One script with its keys and arguments; `parse` reads the answer."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[Any, ...]
    parse: Callable[[Any], R]

    @property
    def command(self) -> tuple[Any, ...]:
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)


@dataclass(frozen=True, slots=True)
class SubmitReply:
    """What `submit` answers. `dispatch`: this attempt is the caller's to hand to the scheduler."""

    outcome: SubmissionOutcome
    dispatch: bool
    record: Record


@dataclass(frozen=True, slots=True)
class StartReply:
    """What `start` answers.

    Attributes:
        verdict: 'RUN', or why not: 'GONE', 'STALE', 'ENDED', 'TAKEN', 'ALIVE'.
        waited_seconds: since the task might begin; None unless this is its first attempt.
        trace: W3C trace context of the submission, or empty.
    """

    verdict: str
    waited_seconds: float | None = None
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """One open task whose time has come, as `claim_due` answers it."""

    task_id: str
    action: Literal["dispatch", "check"]
    attempt: int
    running: bool
    name: str
    input: bytes
    priority: int


@dataclass(frozen=True, slots=True)
class WatchReply:
    """What `watch` answers: the record, if there is one, and the events after the asked seq."""

    record: Record | None
    events: tuple[Event, ...]


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def split_notification(data: bytes) -> tuple[str, bytes]:
    """The task's id in a notice, and what came along."""
    return data[:ID_DIGITS].decode(), data[ID_DIGITS:]


def parse_notification(data: bytes) -> tuple[str, Record | None]:
    """What a node hears of a task that it waits for: the task's id, and the final record where it came along."""
    task_id, packed = split_notification(data)
    return task_id, parse_record(task_id, unpack(packed)) if packed else None


class Calls:
    """Builds the calls for one key prefix, time to live and event limit."""

    def __init__(self, settings: Settings) -> None:
        self.prefix = settings.key_prefix
        # Tells this process's requests apart from all others.
        self._token, self._count = f"{secrets.token_hex(6)}:", itertools.count()
        self._ttl = milliseconds(settings.result_ttl_seconds)
        self._event_limit = settings.event_limit
        self._lost_limit = settings.lost_worker_limit

    # Names ------------------------------------------------------------------------------------------------------------

    def shard(self, task_id: str) -> str:
        return self.shard_prefix(task_id[0])

    def shard_prefix(self, digit: str) -> str:
        return f"{self.prefix}:{{{self.prefix}:{digit}}}"

    def record_key(self, task_id: str) -> str:
        return f"{self.shard(task_id)}:task:{task_id}"

    def node_channel(self, node: str) -> str:
        return f"{self.prefix}:node:{node}"

    @property
    def all_channel(self) -> str:
        """The channel that every node hears: 'due' (open tasks wait to be dispatched), 'epoch' (a new scheduler)."""
        return f"{self.prefix}:all"

    @property
    def scheduler_key(self) -> str:
        """Where the living scheduler says which it is."""
        return f"{self.prefix}:scheduler"

    @property
    def lease_key(self) -> str:
        """Whose turn it is to recover."""
        return f"{self.prefix}:recoverer"

    @property
    def swept_key(self) -> str:
        """The last epoch of the scheduler after whose beginning every open task was looked at: time and epoch."""
        return f"{self.prefix}:swept"

    @property
    def pruner_key(self) -> str:
        """Whose turn it is to take expired tasks out of the lists: a lease."""
        return f"{self.prefix}:pruner"

    @property
    def pruned_key(self) -> str:
        """When a round of pruning last completed, milliseconds since 1970 by Redis's clock."""
        return f"{self.prefix}:pruned"

    @property
    def blob_deleter_key(self) -> str:
        """Whose turn it is to delete the blobs of expired tasks: a lease."""
        return f"{self.prefix}:blob_deleter"

    @property
    def controller_key(self) -> str:
        """Which controller acts: a lease."""
        return f"{self.prefix}:controller"

    @property
    def fleet_key(self) -> str:
        """What the controller knows and decided last."""
        return f"{self.prefix}:fleet"

    @property
    def launches_key(self) -> str:
        """The journal of what controllers asked a platform for."""
        return f"{self.prefix}:launches"

    @property
    def recovered_key(self) -> str:
        """When a round of recovery last completed, milliseconds since 1970 by Redis's clock."""
        return f"{self.prefix}:recovered"

    @property
    def keys_key(self) -> str:
        """The API keys: their ids and what is kept of each."""
        return f"{self.prefix}:keys"

    @property
    def salt_key(self) -> str:
        """The secret from which each tenant's salt for its task ids is made."""
        return f"{self.prefix}:salt"

    def index_key(self, digit: str, state: str | None, name: str | None, tenant: str | None = None) -> str:
        base = f"{self.shard_prefix(digit)}:index" + (f":t:{tenant}" if tenant else "")
        if name and state:
            return f"{base}:n:{name}:s:{state}"
        if name:
            return f"{base}:n:{name}"
        return f"{base}:s:{state}" if state else f"{base}:*"

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

    # Calls ------------------------------------------------------------------------------------------------------------

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
        """Claims the task; `not_before` is milliseconds since 1970, `tenant` whose it is, if tenants are kept apart,
        `trace` the W3C trace context of the submission, `node` an api node that waits for its end."""

        def parse(answer: bytes) -> SubmitReply:
            outcome, dispatch, *rest = unpack(answer)
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
        """Begins an attempt."""

        def parse(answer: bytes) -> StartReply:
            verdict, waited, trace = [*answer.decode().split(" "), "", ""][:3]
            return StartReply(verdict, int(waited) / 1000 if waited else None, trace)

        return self._call(
            "start", task_id, attempt, worker, milliseconds(CHECK_AFTER_SECONDS), self._event_limit, parse=parse
        )

    def progress(self, task_id: str, attempt: int, fraction: float | None, partial: bytes = b"") -> Call[bool]:
        """Says that the attempt lives, how far it is, and what there is of its output; answers whether it may go on."""
        shown = "" if fraction is None else f"{min(1.0, max(0.0, fraction)):.4g}"
        return self._call(
            "progress",
            task_id,
            attempt,
            shown,
            milliseconds(CHECK_AFTER_SECONDS),
            self._event_limit,
            partial,
            parse=bool,
        )

    def finish(self, task_id: str, attempt: int, result: bytes) -> Call[bool]:
        """Delivers the result; False where the fence refused it."""
        return self._call("finish", task_id, attempt, result, self._ttl, self._event_limit, parse=bool)

    def fail(
        self, task_id: str, attempt: int, error: dict[str, Any], *, retries: int = 0, delay_seconds: float = 0,
        longest_delay_seconds: float = 60.0, counter: Literal["retries", "unstored"] = "retries",
    ) -> Call[str]:  # fmt: skip
        """Ends the attempt in an error; answers 'FAILED', 'RETRY' or 'REFUSED'. `delay_seconds` is the pause before the
        first repetition, doubled for each further one up to `longest_delay_seconds`; `counter` the field that counts
        them."""
        return self._call(
            "fail", task_id, attempt, orjson.dumps(error), self._ttl, self._event_limit, retries,
            milliseconds(delay_seconds), error["message"], milliseconds(longest_delay_seconds), counter,
            parse=bytes.decode,
        )  # fmt: skip

    def mark_lost(
        self, task_id: str, attempt: int, loss_reason: LossReason, error: dict[str, Any], *, announce: bool = True
    ) -> Call[str]:
        """Gives a lost attempt up; answers 'QUEUED', 'FAILED' (with `error`, a limit is passed), 'BEGUN' or 'HEARD'
        (the charge forbids it), or 'REFUSED'.
        `announce`: whether to wake the recoverer, which then dispatches the next attempt at once."""
        return self._call(
            "mark_lost", task_id, *self._loss(attempt, loss_reason, error), int(announce), "", parse=bytes.decode
        )

    def replace_lost(
        self, task_id: str, attempt: int, loss_reason: LossReason, error: dict[str, Any]
    ) -> Call[tuple[str, Due | None]]:
        """As `mark_lost`, by the recoverer: answers what it says, and the next attempt, which is then the caller's to
        dispatch; None where it is not, or where its input is long: then it is due."""

        def parse(answer: bytes) -> tuple[str, Due | None]:
            if answer.isalpha():
                return answer.decode(), None
            name, input_, priority = unpack(answer)
            due = Due(task_id, "dispatch", attempt + 1, False, name.decode(), input_, int(priority or 0))
            return "QUEUED", due

        return self._call(
            "mark_lost",
            task_id,
            *self._loss(attempt, loss_reason, error),
            0,
            milliseconds(CHECK_AFTER_SECONDS),
            parse=parse,
        )

    def _loss(self, attempt: int, loss_reason: LossReason, error: dict[str, Any]) -> tuple[Any, ...]:
        return (
            attempt, loss_reason, self._lost_limit, UNDELIVERED_LIMIT, orjson.dumps(error), self._ttl,
            self._event_limit, error["message"], UNCHARGED_LIMIT,
        )  # fmt: skip

    def release(self, task_id: str, attempt: int) -> Call[bool]:
        """Gives an attempt back that could not be handed to the scheduler."""
        return self._call("release", task_id, attempt, parse=bool)

    def cancel(self, task_id: str) -> Call[tuple[bool, Record | None]]:
        """Cancels; answers whether it was open, and the record or None."""
        error = orjson.dumps({"code": "CANCELLED", "message": "the task was cancelled", "type": None})

        def parse(answer: bytes) -> tuple[bool, Record | None]:
            cancelled, *rest = unpack(answer)
            return bool(cancelled), parse_record(task_id, rest[0]) if rest else None

        return self._call("cancel", task_id, self._ttl, self._event_limit, error, parse=parse)

    def read(self, task_id: str) -> Call[Record | None]:
        """Reads the record; its result only where it has at most 4,096 bytes (LONG in _common.lua)."""
        return self._call("read", task_id, parse=lambda answer: parse_record(task_id, unpack(answer)))

    def watch(
        self, task_id: str, node: str, *, every_event: bool = False, after_seq: int | None = None
    ) -> Call[WatchReply]:
        """Reads the record as `read` does, and the events after `after_seq` if one is given; unless it is final, notes
        that `node` waits for its end, or for every event."""

        def parse(answer: bytes) -> WatchReply:
            events, *rest = unpack(answer)
            record = parse_record(task_id, rest[0]) if rest else None
            return WatchReply(record, tuple(parse_event(line) for line in events))

        return self._call(
            "watch", task_id, node, "e" if every_event else "f", milliseconds(WATCH_TTL_SECONDS),
            "" if after_seq is None else after_seq, parse=parse,
        )  # fmt: skip

    def unwatch(self, task_id: str, node: str) -> Call[bool]:
        return self._call("unwatch", task_id, node, parse=bool)

    def claim_due(
        self, digit: str, most: int, cutoff: int | None = None, *, skip_unstarted_after: int | None = None
    ) -> Call[tuple[bool, list[Due]]]:
        """Takes the due tasks of a shard; answers whether there may be more, and what to do with each.

        Args:
            most: how many, and fewer where their inputs are long (CLAIM_BYTES).
            cutoff: those that are due by this time of Redis's clock, milliseconds since 1970; None for now.
            spared: dispatched attempts that have not begun and are due after this time are passed over; None for none.
        """

        def parse(answer: Sequence[Any]) -> tuple[bool, list[Due]]:
            items = []
            for i in range(1, len(answer), 7):
                task_id, action, attempt, state, name, input_, priority = answer[i : i + 7]
                items.append(
                    Due(task_id.decode(), action.decode(), int(attempt), state == b"RUNNING", name.decode(), input_,
                        int(priority or 0))
                )  # fmt: skip
            return bool(answer[0]), items

        return self._call(
            "claim_due", "", "" if cutoff is None else cutoff, most, milliseconds(CHECK_AFTER_SECONDS), CLAIM_BYTES,
            "" if skip_unstarted_after is None else skip_unstarted_after, parse=parse, shard=self.shard_prefix(digit),
        )  # fmt: skip

    def prune(self, digit: str, most: int) -> Call[int]:
        """Takes expired tasks out of a shard's indexes; answers how many, `most` if there may be more."""
        return self._call("prune", "", most, parse=int, shard=self.shard_prefix(digit), blobs=True)

    def register_blobs(self, task_id: str, *, look_seconds: float = BLOBS_LOOK_SECONDS) -> Call[bool]:
        """Says that an attempt is about to write blobs, which are then deleted when the task's record is gone: that is
        looked at when it is pruned, and after `look_seconds`."""
        return self._call("register_blobs", task_id, milliseconds(look_seconds), parse=bool, blobs=True)

    def claim_blobs(self, digit: str, most: int) -> Call[tuple[int, list[str]]]:
        """Takes tasks of a shard whose blobs can be deleted; answers how many entries were looked at, `most` if there
        may be more, and the ids. They are answered again after BLOBS_RETRY_SECONDS unless `unregister_blobs`
        follows."""

        def parse(answer: Sequence[Any]) -> tuple[int, list[str]]:
            return int(answer[0]), [item.decode() for item in answer[1:]]

        return self._call(
            "claim_blobs", "", most, milliseconds(BLOBS_RETRY_SECONDS), milliseconds(BLOBS_LOOK_SECONDS), parse=parse,
            shard=self.shard_prefix(digit), blobs=True,
        )  # fmt: skip

    def unregister_blobs(self, digit: str, task_ids: Sequence[str]) -> Call[bool]:
        """Says that the blobs of these tasks of a shard are deleted."""
        return self._call("unregister_blobs", "", *task_ids, parse=bool, shard=self.shard_prefix(digit), blobs=True)

    def record_time(self, key: str, suffix: str = "") -> Call[int]:
        """Writes the time, and `suffix` after it, to a key; returns the time, milliseconds since 1970 by Redis's
        clock."""
        return Call(SCRIPTS["write_time"], (key,), (self.prefix, "", suffix, ""), int)

    def probe(self, node: str) -> Call[int]:
        """Tests whether Redis accepts writes, by a key of the node's own; returns the time, as `record_time`."""
        key = f"{self.prefix}:{{{self.prefix}:probe}}:{node}"
        return Call(SCRIPTS["write_time"], (key,), (self.prefix, "", "", milliseconds(PROBE_TTL_SECONDS)), int)

    def take_tokens(self, caller: str, size: int, per_minute: int, cost: int) -> Call[int]:
        """Takes `cost` tokens from a caller's bucket of `size`; answers 0, or the milliseconds until it has them."""
        key = f"{self.prefix}:{{{self.prefix}:rate}}:{caller}"
        return Call(SCRIPTS["take_tokens"], (key,), (self.prefix, "", size, per_minute, cost), int)
