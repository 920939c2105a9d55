"""The journal of launches: every request to start workers is written down before it is sent.

A controller may be killed between its RunTask and the moment when ECS lists the tasks. Its successor repeats the
request with the same token, which starts nothing twice, and knows the tasks before the list shows them.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from cluster.store.async_store import Store
from cluster.store.call_builder import milliseconds

RETENTION_SECONDS: Final = 60.0
"""How long a launch stays in the journal; ECS lists a task seconds after it was started."""


@dataclass(slots=True)
class Launch:
    """One request to start workers.

    Attributes:
        token: identifies the request to the platform when it is repeated.
        request: its arguments.
        at: its time, in seconds since 1970 by Redis's clock: another controller's clock may be wrong.
        tasks: the tasks in the reply; None while there is no reply.
    """

    token: str
    request: dict[str, Any]
    at: float
    tasks: list[str] | None = field(default=None)

    def is_recent(self, now: float) -> bool:
        return now - self.at < RETENTION_SECONDS


class LaunchJournal:
    """The journal, in one hash in Redis. Its size is bounded: each write removes launches that are not recent."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = store.calls.launches_key
        self._launches: dict[str, Launch] = {}
        self._clock_offset = 0.0

    async def _server_time(self) -> float:
        """The time by Redis's clock, in seconds since 1970. Raises StoreUnavailable."""
        now = await self._store.server_milliseconds() / 1000
        self._clock_offset = now - time.monotonic()
        return now

    def _recent(self) -> list[Launch]:
        now = time.monotonic() + self._clock_offset
        return [launch for launch in self._launches.values() if launch.is_recent(now)]

    async def read(self) -> None:
        """Reads the launches of earlier controllers. Raises StoreUnavailable."""
        pairs = await self._store.command("HGETALL", self._key)
        texts = pairs.values() if isinstance(pairs, dict) else pairs[1::2]
        found = (Launch(**orjson.loads(text)) for text in texts)
        now = await self._server_time()
        self._launches = {launch.token: launch for launch in found if launch.is_recent(now)}

    async def begin(self, request: dict[str, Any]) -> Launch:
        """Records a request. Raises StoreUnavailable: then it must not be sent."""
        launch = Launch(uuid.uuid4().hex, request, await self._server_time())
        await self._write(launch)
        return launch

    async def complete(self, launch: Launch, tasks: list[str]) -> None:
        """Records the reply to a request. Raises StoreUnavailable; repeating the request gets the same reply."""
        launch.tasks = tasks
        await self._write(launch)

    async def remove(self, launch: Launch) -> None:
        """Removes a request that was refused. Raises StoreUnavailable."""
        self._launches.pop(launch.token, None)
        await self._store.command("HDEL", self._key, launch.token)

    @property
    def unconfirmed(self) -> list[Launch]:
        """Requests that may or may not have reached the platform."""
        return [launch for launch in self._recent() if launch.tasks is None]

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Tasks that were started recently, which the platform's list may not show yet, each with its request."""
        return {task: launch.request for launch in self._recent() for task in launch.tasks or ()}

    async def _write(self, launch: Launch) -> None:
        self._launches[launch.token] = launch
        recent = self._recent()
        for old in [old for old in self._launches.values() if old not in recent]:
            await self.remove(old)
        await self._store.command("HSET", self._key, launch.token, orjson.dumps(launch))
        await self._store.command("PEXPIRE", self._key, milliseconds(10 * RETENTION_SECONDS))
