"""Runs attempts in a worker process and stores the outcome of each.

`Executor.run` is the life of a batch of attempts: start, run, store the outcome. The outcome of one attempt and the
start of the next go to Redis in one round trip.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from threading import Thread
from typing import Any, NamedTuple

from cluster import attempt_errors
from cluster.data.file_arrays import FileArray
from cluster.data.file_tables import FileTable
from cluster.errors import BlobError, TaskError
from cluster.observability import metrics, tracing
from cluster.observability.logs import log_context
from cluster.scheduling.entry_point import AttemptInput
from cluster.settings import Settings
from cluster.store.blob_store import BlobStore
from cluster.store.deferred_start import DeferredStart
from cluster.store.lua_scripts import Call
from cluster.store.raw_pipeline import Sent
from cluster.store.replies import StartReply
from cluster.store.thread_store import ThreadStore
from cluster.task_types.data_files import use_readers
from cluster.task_types.file import File, FileContent, resolve, use_fetcher
from cluster.task_types.registry import Registry
from cluster.task_types.retry_policy import NO_RETRIES
from cluster.task_types.task_type import TaskType
from cluster.task_types.value_types import Blob
from cluster.task_types.walk import instances_in
from cluster.worker.attempt_table import AttemptKey, AttemptTable
from cluster.worker.batch_outcomes import run_batch
from cluster.worker.child_files import ChildFiles
from cluster.worker.child_tasks import WorkerChildren
from cluster.worker.child_waits import ChildWaits
from cluster.worker.deferred_starts import RunTimes, StartsRead, record_start
from cluster.worker.file_cache import FileCache
from cluster.worker.outcome import Failed, Outcome, Succeeded, read_arguments, run_function
from cluster.worker.outcome_calls import (
    NOTHING_KEPT,
    needs_no_earlier,
    own_seconds,
    saved_blobs,
    size_as_file,
    store_outcome,
    verdict_on,
)
from cluster.worker.partial_outputs import encode_partial
from cluster.worker.stream_writer import StreamWriter
from cluster.worker.task_context import RunningAttempt, enter, use_parts
from cluster.worker.waiting_places import WaitingPlaces

logger = logging.getLogger(__name__)


class _Started(NamedTuple):
    """An attempt of a batch that the store lets run."""

    attempt: AttemptInput
    slot: int | None
    reply: StartReply
    running: RunningAttempt


class _Unconfirmed(NamedTuple):
    """The outcome of an attempt, which was sent to the store.

    Attributes:
        conclude: called with the reply of the store.
    """

    attempt: AttemptInput
    call: Call[Any]
    sent: Sent
    conclude: Callable[[Any], object]


class Executor:
    """Runs attempts in one worker process.

    Args:
        worker: this worker's name, for the record.
        table: where the watchdog, in another process, sees what runs; None if there is no watchdog.

    Attributes:
        running: the attempts that run now, for the heartbeat thread.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        store: ThreadStore,
        blobs: BlobStore,
        worker: str,
        table: AttemptTable | None = None,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.store = store
        self.blobs = blobs
        self.worker = worker
        self.table = table
        self.running: dict[AttemptKey, RunningAttempt] = {}
        self._run_times = RunTimes()
        self._process_id = os.getpid()
        self._waits = ChildWaits(store, f"{worker}-{self._process_id}")
        self._places = WaitingPlaces(settings.waiting_tasks_limit)
        use_parts(self._attempt_of_part)
        use_fetcher(FileCache(settings.data_dir / "file-cache", settings.file_cache_bytes, blobs).fetch)
        use_readers(FileTable, FileArray)

    def run(self, name: str, attempts: Sequence[AttemptInput]) -> list[float]:
        """Runs attempts of one task type, one after the other or, with `batch`, in one call of its function; their
        outcomes are in the records afterwards.

        Returns:
            The run time in seconds of each attempt whose outcome counted, without cancelled and superseded ones.

        Raises:
            StoreUnavailable: Redis was unavailable for minutes; the remaining attempts count as undelivered.
        """
        task_type = self.registry.get(name)
        if task_type is not None and task_type.batch is not None:
            return self._run_together(task_type, attempts)
        durations: list[float] = []
        # All are in the table before the first one starts: the watchdog must know every attempt that would be lost with
        # the process, and requeues those that are queued behind a slow one.
        slots = [self.table.add(task_id, attempt, queued_behind=i > 0) if self.table else None
                 for i, (task_id, attempt, _) in enumerate(attempts)]  # fmt: skip
        try:
            if task_type is not None and len(attempts) > 1 and self._run_times.is_short(task_type):
                self._run_short(task_type, attempts, slots, durations)
            else:
                self._run_each(name, attempts, slots, durations)
        finally:
            for slot in slots:
                if self.table:
                    self.table.remove(slot)
        return durations

    def _run_each(
        self, name: str, attempts: Sequence[AttemptInput], slots: list[int | None], durations: list[float]
    ) -> None:
        """Runs attempts one after the other. Each is started in the record when its turn comes."""
        reply: StartReply | None = self.store.run(self._start(attempts[0]))
        for i, attempt in enumerate(attempts):
            following = attempts[i + 1] if i + 1 < len(attempts) else None
            may_run = self._may_run(name, attempt, reply)
            with log_context(taskId=attempt[0], attempt=attempt[1]):
                if reply and may_run:
                    self._mark_running(name, attempt, slots[i])
                    reply = self._run(name, attempt, following, reply, durations)
                else:
                    reply = self.store.run(self._start(following)) if following else None
            # Last, because a worker that drains exits when its table is empty.
            if self.table:
                self.table.remove(slots[i])
                slots[i] = None

    def _run_short(
        self, task_type: TaskType, attempts: Sequence[AttemptInput], slots: list[int | None], durations: list[float]
    ) -> None:
        """Runs attempts that are expected to be short one after the other, with deferred starts, and without waiting
        for the replies to their outcomes until all have run."""
        name, starts, sent = task_type.name, StartsRead(self.store, attempts), list[_Unconfirmed]()
        for i, attempt in enumerate(attempts):
            with log_context(taskId=attempt[0], attempt=attempt[1]):
                reply = starts.find(i)
                if reply is not None and self._mark_running(name, attempt, slots[i], deferred=True):
                    self._observe_wait(name, reply)
                    self._run(name, attempt, None, reply, durations, sent)
                else:
                    reply = self.store.run(self._start(attempt))
                    if self._may_run(name, attempt, reply):
                        self._mark_running(name, attempt, slots[i])
                        self._run(name, attempt, None, reply, durations)
            if self.table:
                if sent and sent[-1].attempt is attempt:
                    self.table.await_reply(slots[i], *attempt[:2])
                else:
                    self.table.remove(slots[i])
                    slots[i] = None
        for it, reply in zip(sent, self.store.replies([(it.call, it.sent) for it in sent]), strict=True):
            with log_context(taskId=it.attempt[0], attempt=it.attempt[1]):
                it.conclude(reply)

    def _run_together(self, task_type: TaskType, attempts: Sequence[AttemptInput]) -> list[float]:
        """Starts attempts of a task type with `batch`, and calls its function once for those that may run."""
        slots = [self.table.add(task_id, number) if self.table else None for task_id, number, _ in attempts]
        try:
            replies = self.store.run_many([self._start(attempt) for attempt in attempts])
            started = [
                _Started(attempt, slot, reply, self._attempt(attempt[0], attempt[1], lambda _: None))
                for attempt, slot, reply in zip(attempts, slots, replies, strict=True)
                if self._may_run(task_type.name, attempt, reply)
            ]
            return self._call_once(task_type, started) if started else []
        finally:
            for slot in slots:
                if self.table:
                    self.table.remove(slot)

    def _call_once(self, task_type: TaskType, started: Sequence[_Started]) -> list[float]:
        """Calls a function for several attempts and stores the outcome of each."""
        name, began = task_type.name, time.perf_counter()
        tenants = {item.attempt[0]: item.reply.tenant for item in started}

        def read(attempt: AttemptInput) -> dict[str, Any]:
            resolve = partial(self._resolve_files, attempt[0], tenants[attempt[0]])
            return read_arguments(task_type, attempt, resolve)

        attributes = {"task": name, "count": len(started), "worker": self.worker}
        with tracing.span(f"run {name}", "CONSUMER", started[0].reply.trace, **attributes) as span:
            for item in started[1:]:
                span.link(item.reply.trace)
            for item in started:
                if self.table:
                    limit, group = task_type.timeout_seconds, (started[0].slot or 0) + 1
                    self.table.start(item.slot, *item.attempt[:2], limit, task_type.retries, group)
                self.running[item.running.task_id, item.running.attempt] = item.running
            try:
                members = [item.attempt for item in started]
                outcomes = run_batch(task_type, members, self.settings, self._process_id, read)
                calls = [
                    store_outcome(self.store.calls, item.running, task_type, item.reply.version, outcome)
                    for item, outcome in zip(started, outcomes, strict=True)
                ]
                seconds = time.perf_counter() - began
                replies = self.store.run_many(calls)
            finally:
                for item in started:
                    del self.running[item.running.task_id, item.running.attempt]
        durations = []
        for outcome, reply in zip(outcomes, replies, strict=True):
            metrics.labelled(metrics.RUN_SECONDS, name).observe(seconds)
            verdict = verdict_on(outcome, reply)
            metrics.labelled(metrics.ATTEMPTS, name, verdict).inc()
            if verdict != "REFUSED":
                durations.append(seconds / len(started))
        return durations

    def _start(self, attempt: AttemptInput) -> Call[StartReply]:
        return self.store.calls.start(attempt[0], attempt[1], self.worker)

    def _may_run(self, name: str, attempt: AttemptInput, reply: StartReply | None) -> bool:
        """Whether the store lets an attempt run here."""
        task_id, number, _ = attempt
        verdict = reply.verdict if reply else None
        if reply:
            self._observe_wait(name, reply)
        if verdict == "TAKEN":
            # An attempt is dispatched once and Dask runs a key in one place, so the worker that started it before is
            # gone, and its heartbeats have stopped. (ALIVE: it still runs in a worker that is draining.)
            lost = self.store.run(self.store.calls.mark_lost(task_id, number, "none", attempt_errors.worker_lost(None)))
            metrics.count_lost("superseded", lost)
        if verdict != "RUN":
            logger.info("task %s attempt %d is not run here: %s", task_id, number, verdict)
        return verdict == "RUN"

    def _observe_wait(self, name: str, reply: StartReply) -> None:
        if reply.waited_seconds is not None:
            metrics.labelled(metrics.WAIT_SECONDS, name).observe(reply.waited_seconds)

    def _mark_running(self, name: str, attempt: AttemptInput, slot: int | None, *, deferred: bool = False) -> bool:
        """Enters into the attempt table that an attempt runs from now on. Returns False if the nanny has withdrawn it
        meanwhile, to run elsewhere."""
        if not self.table:
            return True
        task_type = self.registry.get(name)
        limit, retries = (task_type.timeout_seconds, task_type.retries) if task_type else (None, NO_RETRIES)
        return self.table.start(slot, *attempt[:2], limit, retries, deferred=deferred)

    def _run(
        self,
        name: str,
        attempt: AttemptInput,
        following: AttemptInput | None,
        start: StartReply,
        durations: list[float],
        sent: list[_Unconfirmed] | None = None,
    ) -> StartReply | None:
        """Runs an attempt, stores its outcome, and starts the next one. Returns the reply to that start.

        Args:
            sent: if the start of this attempt was deferred: its outcome is added here, if it needs no waiting.
        """
        task_id, number, _ = attempt
        task_type = self.registry.get(name)
        attributes = {"task": name, "task_id": task_id, "attempt": number, "worker": self.worker}
        with tracing.span(f"run {name}", "CONSUMER", start.trace, **attributes) as span:
            running = self._attempt(task_id, number, self._partial_encoder(task_type))
            if sent is not None:
                running.deferred_start = partial(self._start, attempt)
                running.record_start = partial(record_start, running, self.store.run)
            running.checkpoint = start.checkpoint
            running.make_files = lambda blobs: self.store.run_many(self._borrow_files(running, blobs, start.tenant))
            if task_type is not None and task_type.items is not None:
                running.stream = StreamWriter(
                    partial(self._append_items, task_id, number), running.stop, self.settings.stream_limit_bytes
                )
            children = self._children(running, start, span.traceparent, task_type)
            self.running[task_id, number] = running
            enter(running)
            started = time.perf_counter()
            try:
                if task_type is None:
                    outcome: Outcome = self._not_installed(name)
                else:
                    resolve = partial(self._resolve_files, task_id, start.tenant)
                    outcome = run_function(task_type, attempt, self.settings, self._process_id, resolve)
                made = saved_blobs(running, outcome) if isinstance(outcome, Succeeded) else set()
                borrow = self._borrow_files(running, made, start.tenant)
                seconds = time.perf_counter() - started
                deferred = None if sent is None else DeferredStart(self.worker, seconds, start.waited_seconds)
                call = store_outcome(self.store.calls, running, task_type, start.version, outcome, deferred)
                metrics.labelled(metrics.RUN_SECONDS, name).observe(seconds)
                self._run_times.add(name, seconds)
                # The blobs first: whoever sees the result may use them as files. In a round trip of their own, as they
                # may be on other servers of a cluster.
                if borrow:
                    self.store.run_many(borrow)
                if sent is not None and not made:
                    conclude = partial(
                        self._conclude, name, attempt, outcome, durations,
                        own_seconds(seconds, children.waited_seconds),
                    )  # fmt: skip
                    sent.append(_Unconfirmed(attempt, call, self.store.send(call), conclude))
                    span.set_outcome(outcome.error["code"] if isinstance(outcome, Failed) else None)
                    return None
                replies = self.store.run_many([call, *([self._start(following)] if following else ())])
                seconds = own_seconds(time.perf_counter() - started, children.waited_seconds)
                verdict = self._conclude(name, attempt, outcome, durations, seconds, replies[0])
                span.set_outcome(outcome.error["code"] if isinstance(outcome, Failed) else None, outcome=verdict)
            finally:
                enter(None)
                del self.running[task_id, number]
            if made and replies[0] == NOTHING_KEPT and needs_no_earlier(running, outcome, start):
                Thread(target=self._delete_earlier, args=(task_id, number), daemon=True).start()
            return replies[1] if following else None

    def _conclude(
        self,
        name: str,
        attempt: AttemptInput,
        outcome: Outcome,
        durations: list[float],
        seconds: float,
        reply: Any,
    ) -> str:
        """Notes what the store did with an outcome, and returns that (`verdict_on`)."""
        verdict = verdict_on(outcome, reply)
        metrics.labelled(metrics.ATTEMPTS, name, verdict).inc()
        if verdict != "REFUSED":
            durations.append(seconds)
        elif isinstance(outcome, Succeeded):
            logger.info("task %s attempt %d: its result is too late and is refused", *attempt[:2])
        return verdict

    def _children(
        self, running: RunningAttempt, start: StartReply, trace: str, task_type: TaskType | None
    ) -> WorkerChildren:
        limit = task_type.timeout_seconds if task_type else None
        running.children = children = WorkerChildren(
            running, self.registry, self.store, self.settings, self._waits, self._places,
            ChildFiles(self.store, self.blobs, running.task_id, start.tenant), start.tenant, trace,
            None if limit is None else time.monotonic() + limit,
        )  # fmt: skip
        return children

    def _delete_earlier(self, task_id: str, attempt: int) -> None:
        """Deletes what the attempts before this one wrote, which may be parts of a large table. If it fails, that goes
        with the record."""
        for number in range(1, attempt):
            try:
                self.blobs.delete(f"{task_id}/{number}")
            except BlobError as error:
                logger.info(
                    "the blobs of attempt %d of task %s stay until its record expires: %s", number, task_id, error
                )

    def _attempt(self, task_id: str, attempt: int, encode: Callable[[Any], bytes | None]) -> RunningAttempt:
        return RunningAttempt(
            task_id, attempt, self.blobs, encode, partial(self._register_blobs, task_id),
            record_checkpoint=partial(self._record_checkpoint, task_id, attempt),
        )  # fmt: skip

    def _register_blobs(self, task_id: str) -> bool:
        return self.store.run(self.store.calls.register_blobs(task_id))

    def _record_checkpoint(self, task_id: str, attempt: int, key: str) -> bool:
        if running := self.running.get((task_id, attempt)):
            running.record_start()
        return self.store.run(self.store.calls.record_checkpoint(task_id, attempt, key))

    def _partial_encoder(self, task_type: TaskType | None) -> Callable[[Any], bytes | None]:
        return partial(encode_partial, task_type, self.settings) if task_type else lambda _: None

    def _append_items(self, task_id: str, attempt: int, before: int, items: Sequence[bytes]) -> int:
        return self.store.run(self.store.calls.append_items(task_id, attempt, before, items))

    def _attempt_of_part(self, task_id: str, attempt: int) -> RunningAttempt:
        """The attempt that a part of its graph belongs to, which runs in another process or thread."""
        return self._attempt(task_id, attempt, lambda _: None)

    def _resolve_files(self, task_id: str, tenant: str, arguments: dict[str, Any]) -> None:
        """Looks up where the files among the arguments are.

        Raises:
            TaskError: one of them is gone.
        """
        files = list(instances_in(arguments, File))
        calls = [self.store.calls.use_file(tenant, file.sha256, task_id) for file in files]
        for file, found in zip(files, self.store.run_many(calls) if calls else (), strict=True):
            if found is None or not found.place:
                raise TaskError("FILE_NOT_FOUND", f"there is no file {file.id}: upload it, and submit again")
            resolve(file, FileContent(found.key, found.size_bytes, found.media_type, found.name))

    def _borrow_files(self, running: RunningAttempt, blobs: Collection[Blob], tenant: str) -> list[Call[bool]]:
        """The calls that make blobs of an attempt files, which other tasks take as arguments."""
        return [
            self.store.calls.borrow_file(
                tenant, blob.sha256, blob.key, running.task_id, size_as_file(blob, blobs), blob.media_type,
                blob.key.rpartition("/")[2],
            )
            for blob in blobs
            if blob.sha256 is not None and blob.key.startswith(f"{running.blob_prefix}/")
        ]  # fmt: skip

    def _not_installed(self, name: str) -> Failed:
        return Failed(
            attempt_errors.error(
                "NOT_INSTALLED",
                f"the worker {self.worker} does not know the task {name!r}: add its module to "
                "DASK_GRAPHQL_TASK_MODULES on the workers too, which is "
                f"{','.join(self.settings.task_modules)!r} here",
            )
        )
