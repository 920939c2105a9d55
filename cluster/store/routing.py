"""Where calls go: to which server of a cluster, and to which one after an error. No I/O: `servers.py` and
`thread_servers.py` send what is decided here, one for asyncio code and one for threads."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from cluster.store.redirects import (
    PAUSE_SECONDS,
    REFRESH_SECONDS,
    Step,
    is_timeout,
    seconds_for,
    step_after,
    target_of,
)
from cluster.store.redis_internals import Command
from cluster.store.replies import hash_fields
from cluster.store.slots import Address, SlotMap, slot_of_command

NO_SLOTS: Final = "the server is one of a cluster, and no server of it says which slots it serves"


class Route(NamedTuple):
    """The server to which a call is sent, and whether with ASKING before it."""

    address: Address
    asking: bool = False


class Failure(NamedTuple):
    """A call that failed, and on which route. `position` is its place among those that were sent together."""

    error: Exception
    route: Route
    position: int = 0


class Preparation(NamedTuple):
    """What must happen before failed calls are sent again.

    Attributes:
        refresh: the servers are asked who serves which slots.
        lost: the server that is asked last, as it may not answer for long.
        wait: the calls wait for that. Not after a time-out, when their callers have waited for as long as they may.
        pause_seconds: a pause after it.
    """

    refresh: bool = False
    lost: Address | None = None
    wait: bool = True
    pause_seconds: float = 0.0


class Routing:
    """What a client knows of the servers.

    Args:
        seed: the server of REDIS_URL, which is always one of those that may be asked.

    Attributes:
        slots: who serves what; None for a single Redis, and as long as nothing is known.
    """

    def __init__(self, seed: Address) -> None:
        self.seed = seed
        self._to_seed = Route(seed)
        self.slots: SlotMap | None = None
        self._refresh_from = float("-inf")

    # Calls ------------------------------------------------------------------------------------------------------------

    def first(self, command: Command) -> Route:
        """The route of a command that was not sent yet."""
        return self._to_primary(command) if self.slots is not None else self._to_seed

    def after(self, failure: Failure, command: Command, elapsed_seconds: float) -> Route | None:
        """The next route of a failed command; None if no other is worth a try, or it has been tried for long.

        Args:
            elapsed_seconds: since the command was sent first.
        """
        error, route, _ = failure
        step = step_after(error)
        if elapsed_seconds > seconds_for(step):
            return None
        match step:
            case Step.MOVED if self.slots is not None and (slot := slot_of_command(command)) is not None:
                self.slots.move(slot, target_of(error, route.address))
                return self._to_primary(command)
            case Step.ASK:
                return Route(target_of(error, route.address), asking=True)
            case Step.PAUSE:
                return self.first(command)
            case Step.REFRESH if not is_timeout(error) and (primary := self.first(command)).address != route.address:
                return primary
        return None

    def preparation(self, failures: Iterable[Failure]) -> Preparation:
        """What must happen before these calls are sent again."""
        steps = {step_after(failure.error): failure for failure in failures}
        pause_seconds = PAUSE_SECONDS if Step.PAUSE in steps else 0.0
        if Step.MOVED in steps:
            return Preparation(refresh=True, pause_seconds=pause_seconds)
        if Step.REFRESH in steps and self.slots is not None:
            error, route, _ = steps[Step.REFRESH]
            return Preparation(True, route.address, not is_timeout(error), pause_seconds)
        return Preparation(pause_seconds=pause_seconds)

    def _to_primary(self, command: Command) -> Route:
        owner = None if self.slots is None else self.slots.owner(slot_of_command(command))
        return self._to_seed if owner is None else Route(owner)

    # What servers say of the others -----------------------------------------------------------------------------------

    def may_refresh(self, now: float) -> bool:
        """Whether the servers may be asked who serves which slots. Every failed call wants that, and one answer is
        enough for REFRESH_SECONDS.

        Args:
            now: by `time.monotonic`.
        """
        return self.slots is None or now >= self._refresh_from

    def asked(self, now: float) -> None:
        """The servers were asked."""
        self._refresh_from = now + REFRESH_SECONDS

    def asking_order(self, lost: Address | None) -> list[Address]:
        """The servers in the order in which they are asked: at random, then the seed, and a lost one at the end."""
        others = [address for address in self.nodes if address != self.seed]
        random.shuffle(others)
        return sorted([*others, self.seed], key=lambda address: address == lost)

    def adopt(self, found: SlotMap) -> bool:
        """Takes over what a server said. Returns whether the cluster has other primaries than before."""
        before, self.slots = self.slots, found
        return before is not None and set(before.primaries) != set(found.primaries)

    def departed(self, known: Iterable[Address]) -> set[Address]:
        """Those of the servers that are no longer part of the cluster."""
        return set() if self.slots is None else set(known) - {self.seed, *self.nodes}

    @property
    def nodes(self) -> tuple[Address, ...]:
        """All servers of the cluster that are known, replicas too."""
        return () if self.slots is None else self.slots.nodes

    @property
    def primaries(self) -> tuple[Address, ...]:
        """All primaries; a single Redis."""
        return (self.seed,) if self.slots is None else self.slots.primaries


class Delivery:
    """Commands that are sent together, and again until each has a reply or no route is left.

    Attributes:
        groups: the commands to send next, by route: their positions.
        replies: the reply to each, or its last error.
    """

    def __init__(self, routing: Routing, commands: Sequence[Command]) -> None:
        self._routing = routing
        self._commands = commands
        self._failures: list[Failure] = []
        self.replies: list[Any] = [None] * len(commands)
        self.groups = _grouped((routing.first(command), i) for i, command in enumerate(commands))

    def commands(self, route: Route) -> list[Command]:
        """The commands to send on a route."""
        return [self._commands[i] for i in self.groups[route]]

    def receive(self, route: Route, outcome: Sequence[Any] | Exception) -> bool:
        """Records the replies of a route's commands, or the error of its round trip. Returns whether none failed."""
        group = self.groups[route]
        found = [outcome] * len(group) if isinstance(outcome, Exception) else outcome
        for i, reply in zip(group, found, strict=True):
            self.replies[i] = reply
        failures = [Failure(reply, route, i) for i, reply in zip(group, found, strict=True) if _failed(reply)]
        self._failures += failures
        return not failures

    def preparation(self) -> Preparation:
        """What must happen before `plan_next`."""
        return self._routing.preparation(self._failures)

    def plan_next(self, elapsed_seconds: float) -> list[Failure]:
        """Decides which of the failed commands go where. Returns those that go nowhere.

        Args:
            elapsed_seconds: since the commands were sent first.
        """
        failures, self._failures = self._failures, []
        found = [(self._routing.after(it, self._commands[it.position], elapsed_seconds), it) for it in failures]
        self.groups = _grouped((route, failure.position) for route, failure in found if route is not None)
        return [failure for route, failure in found if route is None]


def is_cluster(hello: Any) -> bool:
    """Whether the reply to HELLO says that the server is one of a cluster."""
    return hash_fields(hello).get(b"mode") == b"cluster"


def _failed(reply: Any) -> bool:
    return isinstance(reply, Exception)


def _grouped(routes: Iterable[tuple[Route, int]]) -> Mapping[Route, list[int]]:
    groups: defaultdict[Route, list[int]] = defaultdict(list)
    for route, i in routes:
        groups[route].append(i)
    return groups
