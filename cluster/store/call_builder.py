"""What all calls have in common: the keys that a script expects, and its first arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from cluster.settings import Settings
from cluster.store.keys import Keys
from cluster.store.lua_scripts import SCRIPTS, Call

R = TypeVar("R")

CHECK_AFTER_SECONDS: Final = 15.0
"""How long an open task may be silent before the recoverer asks the scheduler for it."""

BLOBS_CHECK_SECONDS: Final = 3_600.0
"""How often an open task with blobs is checked for being gone. An ended task is checked when it expires."""


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


class CallBuilder(Keys):
    """Builds calls under one key prefix, with the time to live and the limit of events of the settings."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.key_prefix, settings.scheduler_number)
        self._ttl = milliseconds(settings.result_ttl_seconds)
        self._event_limit = settings.event_limit

    def _task_call(
        self, script: str, task_id: str, *args: Any, parse: Callable[[Any], R], blobs: bool = False
    ) -> Call[R]:
        return self._call(script, self.shard(task_id), task_id, *args, parse=parse, blobs=blobs)

    def _shard_call(
        self, script: str, digit: str, *args: Any, parse: Callable[[Any], R], blobs: bool = False
    ) -> Call[R]:
        return self._call(script, self.shard_prefix(digit), "", *args, parse=parse, blobs=blobs)

    def _key_call(self, script: str, key: str, *args: Any) -> Call[int]:
        return Call(SCRIPTS[script], (key,), (self.prefix, "", *args), int)

    def _call(
        self, script: str, shard: str, task_id: str, *args: Any, parse: Callable[[Any], R], blobs: bool
    ) -> Call[R]:
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
