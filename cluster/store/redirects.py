"""What a client of a cluster does about an error. Decided by the class of the error, for both clients of the store."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import redis
from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError, TryAgainError

from cluster.store.round_trip import TIMEOUT_SECONDS
from cluster.store.slots import Address

PAUSE_SECONDS: Final = 0.05
"""Pause before a call is repeated whose keys are being moved to another server."""
MOVING_SECONDS: Final = 0.5
"""Time after which such a call is refused. To move a whole slot takes as long as its data does."""
REFRESH_SECONDS: Final = 0.2
"""Shortest time between two questions which server serves which slots."""
ASK_SECONDS: Final = 0.6
"""Longest wait for one server's answer to that."""
ASKING: Final = ("ASKING",)
"""Lets a server execute the next command on a slot that is being moved to it."""


class Step(Enum):
    """What is done next with a call that failed."""

    MOVED = auto()
    """The slot has another primary; the error names it."""
    ASK = auto()
    """This key may have been moved already: try the server that the error names, with ASKING before the call."""
    PAUSE = auto()
    """Some of the keys have been moved and others have not. Nothing was executed."""
    REFRESH = auto()
    """The server is lost, or no primary any more: ask the others whether the slot has another one by now."""
    GIVE_UP = auto()


def step_after(error: BaseException) -> Step:
    match error:
        case MovedError():
            return Step.MOVED
        case AskError():
            return Step.ASK
        case TryAgainError():
            return Step.PAUSE
        case ClusterDownError() | ReadOnlyError():
            return Step.REFRESH
        case _:
            return Step.REFRESH if is_lost(error) else Step.GIVE_UP


def seconds_for(step: Step) -> float:
    """How long after its begin a call may still take this step."""
    return MOVING_SECONDS if step in (Step.ASK, Step.PAUSE) else TIMEOUT_SECONDS


def is_lost(error: BaseException) -> bool:
    """Whether the server did not answer, as opposed to an error that it answered with."""
    return isinstance(error, (redis.ConnectionError, redis.TimeoutError, OSError))


def is_timeout(error: BaseException) -> bool:
    """Whether the server did not answer in time, so that the caller has waited for as long as it may."""
    return isinstance(error, (redis.TimeoutError, TimeoutError))


def target_of(error: BaseException, asked: Address) -> Address:
    """The server that MOVED or ASK names; without a host it is that of the server that says so."""
    assert isinstance(error, AskError)
    return error.host or asked[0], error.port
