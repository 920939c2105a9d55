"""On the worker: run attempts, and store the outcome of each.

`Executor.run` reads as the life of an attempt: begin, run, make the outcome, store it. The end of one attempt and the
start of the next go to Redis in one round trip.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from cluster import attempt_errors
from cluster.errors import BlobError, TaskError
from cluster.observability import metrics, tracing
from cluster.observability.logs import log_context
from cluster.scheduling.entry_point import AttemptInput
from cluster.settings import Settings
from cluster.store.blob_store import BlobStore
from cluster.store.lua_scripts import Call
from cluster.store.replies import StartReply
from cluster.store.thread_store import ThreadStore
from cluster.task_types.registry import Registry
from cluster.task_types.task_type import TaskType
from cluster.worker.attempt_table import AttemptTable
from cluster.worker.outcome import Failed, Succeeded, call, encode
from cluster.worker.task_context import RunningAttempt, enter, running_attempt

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
"""Pause before the first repetition of a failing task; doubled for each further one, up to RETRY_MOST_SECONDS."""
RETRY_MOST_SECONDS: Final = 60.0

PLATFORM_RETRIES: Final = 10
"""How often a task runs again whose blobs could not be stored, beside its `retries`: half an hour in all."""
PLATFORM_RETRY_SECONDS: Final = 5.0
PLATFORM_RETRY_MOST_SECONDS: Final = 300.0

TRACEBACK_LIMIT: Final = 20_000
"""Longest traceback that a record keeps, in characters; its end says most."""


class Executor:
    """Runs attempts in one worker process.

    Args:
        worker: this worker's name, for the record.
        board: where the warden, in another process, sees what runs; None where there is no warden.

    Attributes:
        running: where the pulse finds the attempts that run now.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        store: ThreadStore,
        blobs: BlobStore,
        worker: str,
        board: AttemptTable | None = None,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.store = store
        self.blobs = blobs
        self.worker = worker
        self.board = board
        self.running: dict[tuple[str, int], RunningAttempt] = {}
        self._process_id = os.getpid()

    def run(self, name: str, members: Sequence[AttemptInput]) -> list[float]:
        """Runs attempts of one task type to their ends, one after the other: the records say how they went.

        Returns:
            The seconds that each attempt ran whose outcome counted, without those that were cancelled or superseded.

        Raises:
            StoreUnavailable: Redis stayed away for minutes; the attempts that are left count as undelivered.
        """
        ran: list[float] = []
        # On the board before they begin: the warden must know of every attempt that it would take down, and gives those
        # back that wait behind a long one.
        slots = [self.board.enter(task_id, attempt, behind=i > 0) if self.board else None
                 for i, (task_id, attempt, _) in enumerate(members)]  # fmt: skip
        try:
            begun = self._begin(name, members[0], self.store.run(self._start(members[0])))
            for i, member in enumerate(members):
                following = members[i + 1] if i + 1 < len(members) else None
                with log_context(taskId=member[0], attempt=member[1]):
                    if begun:
                        started = self._traced(name, member, slots[i], following, begun.trace, ran)
                    else:
                        started = self._pass(following)
                # Last, as a worker that is asked to stop leaves when its board is empty.
                if self.board:
                    self.board.leave(slots[i])
                    slots[i] = None
                begun = self._begin(name, following, started) if following else None
        finally:
            for slot in slots:
                if self.board:
                    self.board.leave(slot)
        return ran

    def _start(self, member: AttemptInput) -> Call[StartReply]:
        return self.store.calls.start(member[0], member[1], self.worker)

    def _begin(self, name: str, member: AttemptInput, started: StartReply | None) -> StartReply | None:
        """What the store said of an attempt's start, if it is ours to run."""
        task_id, attempt, _ = member
        verdict = started.verdict if started else None
        if started and started.waited_seconds is not None:
            metrics.labelled(metrics.WAIT_SECONDS, name).observe(started.waited_seconds)
        if verdict == "TAKEN":
            # An attempt is dispatched once and Dask runs a key in one place, so whoever began it before is gone: nobody
            # speaks for it any more. (ALIVE: it goes on elsewhere, in a worker that leaves when it is done.)
            lost = self.store.run(
                self.store.calls.mark_lost(task_id, attempt, "none", attempt_errors.worker_lost("before"))
            )
            metrics.count_lost("superseded", lost)
        if verdict != "RUN":
            logger.info("task %s attempt %d is not run here: %s", task_id, attempt, verdict)
        return started if verdict == "RUN" else None

    def _pass(self, following: AttemptInput | None) -> StartReply | None:
        """Begins the one after an attempt that is not run."""
        return self.store.run(self._start(following)) if following else None

    def _traced(
        self,
        name: str,
        member: AttemptInput,
        slot: int | None,
        following: AttemptInput | None,
        trace: str,
        ran: list[float],
    ) -> StartReply | None:
        task_id, attempt, _ = member
        told = {"task": name, "task_id": task_id, "attempt": attempt, "worker": self.worker}
        with tracing.span(f"run {name}", "CONSUMER", trace, **told) as span:
            return self._run(name, member, slot, following, span, ran)

    def _run(
        self,
        name: str,
        member: AttemptInput,
        slot: int | None,
        following: AttemptInput | None,
        span: tracing.Span,
        ran: list[float],
    ) -> StartReply | None:
        """Runs an attempt that has begun, stores its outcome, begins the next; answers what the store says of that."""
        task_id, attempt, canonical_input = member
        task_type = self.registry.get(name)
        if self.board:
            limit, retries = (task_type.timeout_seconds, task_type.retries) if task_type else (None, 0)
            self.board.begin(slot, task_id, attempt, limit, retries)
        running = RunningAttempt(
            task_id, attempt, self.blobs, partial(self._partial, task_type),
            register_blobs=partial(self.store.run, self.store.calls.register_blobs(task_id)),
        )  # fmt: skip
        self.running[task_id, attempt] = running
        enter(running)
        began = time.perf_counter()
        try:
            outcome = self._outcome(task_id, attempt, name, canonical_input)
            ended = self._end(task_id, attempt, name, outcome)
            metrics.labelled(metrics.RUN_SECONDS, name).observe(time.perf_counter() - began)
            answers = self.store.run_many([ended, *([self._start(following)] if following else ())])
            verdict = _verdict(outcome, answers[0])
            metrics.labelled(metrics.ATTEMPTS, name, verdict).inc()
            if verdict != "REFUSED":
                ran.append(time.perf_counter() - began)
            span.set_outcome(outcome.error["code"] if isinstance(outcome, Failed) else None, outcome=verdict)
        finally:
            enter(None)
            del self.running[task_id, attempt]
        if isinstance(outcome, Succeeded) and not answers[0]:
            logger.info("task %s attempt %d: its result comes too late and is refused", task_id, attempt)
        return answers[1] if following else None

    def _outcome(self, task_id: str, attempt: int, name: str, canonical_input: bytes) -> Succeeded | Failed:
        task_type = self.registry.get(name)
        if task_type is None:
            return Failed(
                attempt_errors.error(
                    "NOT_INSTALLED",
                    f"the worker {self.worker} does not know the task {name!r}: name its module in "
                    f"DASK_GRAPHQL_TASK_MODULES on the workers too, here {','.join(self.settings.task_modules)!r}",
                ),
                retry=False,
            )
        try:
            with self._forks_end_here():
                value = call(task_type, task_type.read_input(canonical_input))
                # Inside, as an output may be made as it is read: by a generator, or by a serializer of a class.
                return encode(task_type, value, self.settings.inline_limit_bytes)
        except TaskError as error:
            # A subclass with an __init__ of its own may have neither.
            code, retry = getattr(error, "code", None), getattr(error, "retry", False)
            return Failed(
                attempt_errors.from_exception(code if code and isinstance(code, str) else "TASK_FAILED", error),
                bool(retry),
            )
        except BlobError as error:
            return Failed(attempt_errors.from_exception("BLOB_STORE", error), retry=True, platform=error.temporary)
        except BaseException as error:  # noqa: BLE001 - whatever a user's function raises is the task's outcome
            logger.info("task %s attempt %d raised:\n%s", task_id, attempt, traceback.format_exc())
            # Dask's own, of a part of a graph: whose worker process ended, says that worker's log.
            lost = type(error).__name__ == "KilledWorker"
            shown = attempt_errors.from_exception("WORKER_LOST" if lost else "TASK_FAILED", error)
            if self.settings.expose_tracebacks:
                shown["traceback"] = attempt_errors.utf8_text(traceback.format_exc()[-TRACEBACK_LIMIT:])
            return Failed(shown, retry=True)

    @contextmanager
    def _forks_end_here(self) -> Iterator[None]:
        """A function that forks may let its child return or raise, too: that is no outcome of the attempt, and the
        child must not go on as a second worker with the connections of the first."""
        try:
            yield
        finally:
            if os.getpid() != self._process_id:
                error = sys.exc_info()[1]
                status = error.code if isinstance(error, SystemExit) else None if error is None else 1
                os._exit(status if isinstance(status, int) else int(status is not None))

    def _partial(self, task_type: TaskType | None, value: Any) -> bytes | None:
        """The JSON of what there is of an output; None where it is too long to show."""
        assert task_type is not None, "its function runs"
        made = encode(task_type, value, self.settings.inline_limit_bytes)
        if isinstance(made, Succeeded):
            return made.result
        if made.error["code"] != "RESULT_TOO_LARGE":
            raise TaskError(made.error["code"], f"a partial output: {made.error['message']}")
        # A look at an output must not cost the work on it.
        metrics.labelled(metrics.PARTIALS_DROPPED, task_type.name).inc()
        running = running_attempt()
        if running and not running.partial_dropped:
            running.partial_dropped = True
            logger.warning("a partial output is not shown: %s", made.error["message"])
        return None

    def _end(self, task_id: str, attempt: int, name: str, outcome: Succeeded | Failed) -> Call[Any]:
        calls = self.store.calls
        if isinstance(outcome, Succeeded):
            return calls.finish(task_id, attempt, outcome.result)
        if outcome.platform:
            return calls.fail(
                task_id, attempt, outcome.error, retries=PLATFORM_RETRIES, delay_seconds=PLATFORM_RETRY_SECONDS,
                longest_delay_seconds=PLATFORM_RETRY_MOST_SECONDS, counter="unstored",
            )  # fmt: skip
        retries = self.registry[name].retries if outcome.retry and name in self.registry else 0
        return calls.fail(
            task_id, attempt, outcome.error, retries=retries, delay_seconds=RETRY_SECONDS,
            longest_delay_seconds=RETRY_MOST_SECONDS,
        )  # fmt: skip


def _verdict(outcome: Succeeded | Failed, answer: Any) -> str:
    """What became of an outcome: `SUCCEEDED`, `FAILED`, `RETRY` or `REFUSED`."""
    if isinstance(outcome, Failed):
        return str(answer)
    return "SUCCEEDED" if answer else "REFUSED"
