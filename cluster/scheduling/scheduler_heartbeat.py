"""The scheduler's heartbeat in Redis, by which every node finds the scheduler that runs.

It is there from the first second in which a scheduler serves, and names its address. A name in DNS follows later: after
a health check, and after the caches on the way, which also remember for minutes that a name did not exist (RFC 2308).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from cluster.store.async_store import Store
from cluster.store.call_builder import milliseconds
from cluster.store.keys import Keys
from cluster.store.leader_lease import Lease
from cluster.store.script_calls import EPOCH_TTL_SECONDS


@dataclass(frozen=True, slots=True)
class SchedulerHeartbeat:
    """What the running scheduler says of itself every second; the same each time.

    Attributes:
        epoch: unique to each start of a scheduler.
        address: where other nodes reach it, such as `tls://10.0.1.7:8786`.
        started_at: milliseconds since 1970, by the scheduler's clock.
        release: RELEASE of its settings; empty in earlier releases.
    """

    epoch: str
    address: str = ""
    started_at: int = 0
    release: str = ""

    def encoded(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def decoded(cls, text: bytes) -> SchedulerHeartbeat:
        """Reads one; fields of a later release are ignored."""
        fields = orjson.loads(text)
        return cls(**{name: fields[name] for name in cls.__slots__ if name in fields})


async def write_heartbeat(store: Store, heartbeat: SchedulerHeartbeat) -> None:
    """Says that this scheduler runs, for the next EPOCH_TTL_SECONDS.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    span = milliseconds(EPOCH_TTL_SECONDS)
    await store.command("SET", store.calls.scheduler_key, heartbeat.encoded(), "PX", span)


async def read_heartbeat(store: Store, keys: Keys | None = None) -> SchedulerHeartbeat | None:
    """Returns the heartbeat of the scheduler that runs; None if there is none.

    Args:
        keys: those of the scheduler that is meant; None for that of this node's settings.

    Raises:
        StoreUnavailable: Redis does not answer, or this node's user may not read it, as one with the rules of
            `worker_acl`.
    """
    found = await store.command("GET", (keys or store.calls).scheduler_key)
    return None if found is None else SchedulerHeartbeat.decoded(found)


async def withdraw_heartbeat(store: Store, heartbeat: SchedulerHeartbeat) -> None:
    """Says at once that this scheduler runs no more."""
    await Lease(store, store.calls.scheduler_key, heartbeat.encoded().decode(), EPOCH_TTL_SECONDS).release()
