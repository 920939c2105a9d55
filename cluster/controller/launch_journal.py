"""The journal of launches: what a controller asked a platform for is written down before it asks.

A controller may be killed between its RunTask and the moment at which ECS lists the tasks. Who takes over repeats the
request under the same token, by which it starts nothing twice, and knows the tasks before the list shows them.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from cluster.store.async_store import Store
from cluster.store.script_calls import milliseconds

KEPT_SECONDS: Final = 60.0
"""How long a launch stays in the journal; ECS lists a task seconds after it was started."""


@dataclass(slots=True)
class Launch:
    """One request.

    Attributes:
        token: by which the platform knows the request again.
        request: what is asked for, as it will be sent again.
        at: when, in seconds since 1970 by Redis's clock: another controller's may be wrong.
        tasks: what was answered; None while no answer has come.
    """

    token: str
    request: dict[str, Any]
    at: float
    tasks: list[str] | None = field(default=None)

    def fresh(self, now: float) -> bool:
        return now - self.at < KEPT_SECONDS


class Launches:
    """The journal, in one hash in Redis. Bounded: what is not fresh is taken out with the next write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = store.calls.launches_key
        self._known: dict[str, Launch] = {}
        self._ahead = 0.0

    async def _learn_time(self) -> float:
        """What time it is by Redis's clock, in seconds since 1970. Raises StoreUnavailable."""
        now = await self._store.server_milliseconds() / 1000
        self._ahead = now - time.monotonic()
        return now

    def _fresh(self) -> list[Launch]:
        now = time.monotonic() + self._ahead
        return [launch for launch in self._known.values() if launch.fresh(now)]

    async def read(self) -> None:
        """Learns what an earlier controller wrote. Raises StoreUnavailable."""
        pairs = await self._store.command("HGETALL", self._key)
        texts = pairs.values() if isinstance(pairs, dict) else pairs[1::2]
        found = (Launch(**orjson.loads(text)) for text in texts)
        now = await self._learn_time()
        self._known = {launch.token: launch for launch in found if launch.fresh(now)}

    async def begin(self, request: dict[str, Any]) -> Launch:
        """Writes a request down. Raises StoreUnavailable: then it must not be sent."""
        launch = Launch(uuid.uuid4().hex, request, await self._learn_time())
        await self._write(launch)
        return launch

    async def answered(self, launch: Launch, tasks: list[str]) -> None:
        """Notes what came of it. Raises StoreUnavailable; asking again gets the same answer."""
        launch.tasks = tasks
        await self._write(launch)

    async def forget(self, launch: Launch) -> None:
        """For a request that was refused. Raises StoreUnavailable."""
        self._known.pop(launch.token, None)
        await self._store.command("HDEL", self._key, launch.token)

    @property
    def unanswered(self) -> list[Launch]:
        """What may or may not have reached the platform."""
        return [launch for launch in self._fresh() if launch.tasks is None]

    @property
    def tasks(self) -> list[str]:
        """Tasks that were started just now, and that the platform's list may not show yet."""
        return [task for launch in self._fresh() for task in launch.tasks or ()]

    async def _write(self, launch: Launch) -> None:
        self._known[launch.token] = launch
        fresh = self._fresh()
        for old in [old for old in self._known.values() if old not in fresh]:
            await self.forget(old)
        await self._store.command("HSET", self._key, launch.token, orjson.dumps(launch))
        await self._store.command("PEXPIRE", self._key, milliseconds(10 * KEPT_SECONDS))
