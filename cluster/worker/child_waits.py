"""The tasks that attempts of this worker process wait for: one connection, on which Redis notifies it of their ends.

As an api node does, the process watches each task, and a notification is a hint: the record decides. The connection is
opened by the first wait and closed when there has been none for a while.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from threading import Event, Lock, Thread
from typing import Final

import redis

from cluster.errors import StoreUnavailable
from cluster.store.record import Record
from cluster.store.replies import parse_notification
from cluster.store.task_calls import WATCH_TTL_SECONDS
from cluster.store.thread_store import ThreadStore

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 0.25
"""How often the connection looks whether an attempt that waits must stop."""
PING_SECONDS: Final = 5.0
"""Ping interval on an idle connection; if the reply takes as long again, the connection is lost."""
RENEW_SECONDS: Final = WATCH_TTL_SECONDS / 3
"""How often all tasks are watched again."""
RENEW_SECONDS_IN_A_CLUSTER: Final = 10.0
"""The same in a cluster: what another server published just before it died may be lost, without a lost connection."""
IDLE_SECONDS: Final = 30.0
"""How long the connection stays open without a wait."""
REOPEN_SECONDS: Final = 0.25
"""Pause before a lost connection is opened again; doubled after each failure."""
MAX_REOPEN_SECONDS: Final = 5.0
"""Longest such pause. Without a connection (Redis does not let this user subscribe) the tasks are read as often."""
PAGE_SIZE: Final = 256
"""Maximum number of tasks that are watched in one round trip."""


@dataclass(eq=False)
class Wait:
    """A wait for tasks.

    Attributes:
        runs: the tasks, and when the run that is waited for was submitted: an earlier one does not count.
        on_end: called in some thread with a task's id and its final record; None if its record is gone.
        on_stop: called in some thread once `stop` is set.
        stop: set when the attempt that waits must stop.
    """

    runs: dict[str, int]
    on_end: Callable[[str, Record | None], None]
    on_stop: Callable[[], None]
    stop: Event


class ChildWaits:
    """What this process waits for.

    Args:
        node: identifies this process among those that watch tasks.
    """

    def __init__(self, store: ThreadStore, node: str) -> None:
        self._store = store
        self._node = node
        self._lock = Lock()
        self._waits: dict[Wait, None] = {}
        self._by_task: dict[str, list[Wait]] = {}
        self._thread: Thread | None = None

    def add(self, wait: Wait) -> None:
        """Begins a wait, or goes on with one whose `runs` have changed: what has ended is reported at once.

        Raises:
            StoreUnavailable: Redis was unavailable for minutes.
        """
        with self._lock:
            self._waits[wait] = None
            for task_id in wait.runs:
                others = self._by_task.setdefault(task_id, [])
                if wait not in others:
                    others.append(wait)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="child waits", daemon=True)
                self._thread.start()
        # Either the connection is subscribed, or it watches all tasks once it is.
        self._watch(list(wait.runs))

    def remove(self, wait: Wait) -> None:
        """Ends a wait."""
        with self._lock:
            self._waits.pop(wait, None)
            for task_id in wait.runs:
                self._forget(task_id, wait)

    def _forget(self, task_id: str, wait: Wait) -> None:
        others = self._by_task.get(task_id, [])
        if wait in others:
            others.remove(wait)
        if not others:
            self._by_task.pop(task_id, None)

    def _watch(self, task_ids: Iterable[str]) -> None:
        """Reads the tasks and watches those that have not ended."""
        remaining = iter(task_ids)
        while page := list(islice(remaining, PAGE_SIZE)):
            replies = self._store.run_many([self._store.calls.watch(task_id, self._node) for task_id in page])
            for task_id, reply in zip(page, replies, strict=True):
                if reply.record is None or reply.record.final:
                    self._report(task_id, reply.record)

    def _report(self, task_id: str, record: Record | None) -> None:
        """Reports the end of a task to those who wait for this run of it."""
        with self._lock:
            since = record.submitted_at if record else 0
            waits = [it for it in self._by_task.get(task_id, []) if record is None or since >= it.runs[task_id]]
            for wait in waits:
                self._forget(task_id, wait)
        if not waits:
            return
        if record is not None and record.result_omitted:
            record = self._complete(record)
        for wait in waits:
            wait.on_end(task_id, record)

    def _complete(self, record: Record) -> Record | None:
        """The record with its long result; None if that is gone, or belongs to another run by now."""
        key = self._store.calls.record_key(record.task_id)
        result, submitted_at, attempt = self._store.read_fields(key, "result", "submitted_at", "attempt")
        if result is None or (int(submitted_at or 0), int(attempt or 0)) != record.run:
            return None
        return replace(record, result=result)

    # The connection ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause, lost = REOPEN_SECONDS, False
        while True:
            began = time.monotonic()
            try:
                self._stop_waits()
                if lost:
                    # Notifications were lost, or Redis does not let this user subscribe.
                    self._watch(self._tasks())
                self._listen()
                lost = False
            except Exception as error:
                if not isinstance(error, redis.RedisError | OSError | StoreUnavailable):
                    logger.exception("waiting for children failed")
                else:
                    logger.warning("the connection on which Redis notifies of the ends of children failed: %s", error)
                lost = True
                pause = min(MAX_REOPEN_SECONDS, 2 * pause) if time.monotonic() - began < 60 else REOPEN_SECONDS
                time.sleep(pause)
            with self._lock:
                if not self._waits:
                    self._thread = None
                    return

    def _listen(self) -> None:
        """Handles notifications until the connection is lost, or nothing has waited for a while."""
        subscription = self._store.subscription(self._store.calls.node_channel(self._node))
        renew_seconds = RENEW_SECONDS_IN_A_CLUSTER if self._store.is_cluster else RENEW_SECONDS
        try:
            subscription.open()
            self._watch(self._tasks())
            heard = waited = renewed = checked = time.monotonic()
            pinged = False
            while True:
                message = subscription.read(CHECK_SECONDS)
                now = time.monotonic()
                if message is not None:
                    heard, pinged = now, False
                    if message[0] == b"message":
                        self._on_notification(message[2])
                elif now - heard > 2 * PING_SECONDS:
                    raise redis.ConnectionError("no reply to a ping")
                elif now - heard > PING_SECONDS and not pinged:
                    subscription.ping()
                    pinged = True
                if now - checked >= CHECK_SECONDS:
                    checked = now
                    self._stop_waits()
                    if self._waits:
                        waited = now
                if now - renewed > renew_seconds:
                    renewed = now
                    self._watch(self._tasks())
                if now - waited > IDLE_SECONDS:
                    return
        finally:
            subscription.close()

    def _on_notification(self, message: bytes) -> None:
        task_id, record = parse_notification(message)
        if record is None or not record.final:
            self._watch([task_id])
        else:
            self._report(task_id, record)

    def _tasks(self) -> list[str]:
        with self._lock:
            return list(self._by_task)

    def _stop_waits(self) -> None:
        with self._lock:
            stopped = [wait for wait in self._waits if wait.stop.is_set()]
        for wait in stopped:
            wait.on_stop()
