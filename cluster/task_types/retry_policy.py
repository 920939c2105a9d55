"""Which errors of a task type are retried, how often, and after which pause."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from cluster.attempt_errors import type_of
from cluster.errors import RegistryError

ExceptionTypes: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]

MAX_RETRIES: Final = 1_000
MAX_PAUSE_SECONDS: Final = 86_400.0
"""Longest pause that a task type may declare."""
DEFAULT_LONGEST_SECONDS: Final = 60.0
MAX_FACTOR: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Retries:
    """How a failed attempt is retried. `retries=3` means `Retries(3)`.

    An attempt that exceeds `timeout_seconds` counts as a `TimeoutError`, which is an `OSError`. `TaskError` decides for
    itself, by its `retry`, and lost workers and an unavailable blob store have limits of their own.

    Args:
        limit: how many further attempts a run may have.
        on: the exceptions that are retried, with their subclasses; all by default.
        never_on: exceptions among them that are not.
        delay: pause before the first retry, in seconds.
        factor: each further pause is so many times as long.
        jitter: the share by which each pause is made longer or shorter at random, 0 to 1, so that tasks that failed
            together do not return together.
        max_delay: longest pause before `jitter`, in seconds; None for 60 s, or for `delay` if that is longer.
    """

    limit: int
    on: ExceptionTypes = (BaseException,)
    never_on: ExceptionTypes = ()
    delay: float = 1.0
    factor: float = 2.0
    jitter: float = 0.0
    max_delay: float | None = None

    @property
    def longest_seconds(self) -> float:
        """The longest pause, without jitter."""
        return max(DEFAULT_LONGEST_SECONDS, self.delay) if self.max_delay is None else self.max_delay

    def allowed_for(self, error: BaseException) -> int:
        """How many retries a run may have in which an attempt raised this: `limit`, or 0."""
        return self.limit if _is_one_of(error, self.on) and not _is_one_of(error, self.never_on) else 0

    def draw_spread(self) -> float:
        """What one pause is multiplied by: a random number from 1 - jitter to 1 + jitter."""
        return random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - no secret


NO_RETRIES: Final = Retries(0)


def _is_one_of(error: BaseException, kinds: ExceptionTypes) -> bool:
    if isinstance(error, kinds):
        return True
    # The stand-in for an exception of a graph's part that could not be pickled: it only knows the name of its class.
    names = {kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,))}
    return hasattr(error, "original_type") and type_of(error) in names


def parse_retries(where: str, retries: int | Retries) -> Retries:
    """The policy that an author declared; a number alone retries every exception.

    Raises:
        RegistryError: a value is out of bounds.
    """
    policy = retries if isinstance(retries, Retries) else Retries(retries)
    if not _is_number(policy.limit, 0, MAX_RETRIES) or not isinstance(policy.limit, int):
        raise RegistryError(f"{where}: retries must be a whole number from 0 to {MAX_RETRIES}, not {policy.limit!r}")
    for name, kinds in (("on", policy.on), ("never_on", policy.never_on)):
        listed = kinds if isinstance(kinds, tuple) else (kinds,)
        if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in listed):
            raise RegistryError(
                f"{where}: {name} of Retries takes an exception class or a tuple of them, like "
                f"{name}=(OSError,), not {kinds!r}"
            )
    for name, value, lowest, highest in (
        ("delay", policy.delay, 0, MAX_PAUSE_SECONDS),
        ("factor", policy.factor, 1, MAX_FACTOR),
        ("jitter", policy.jitter, 0, 1),
        ("max_delay", policy.longest_seconds, policy.delay, MAX_PAUSE_SECONDS),
    ):
        if not _is_number(value, lowest, highest):
            raise RegistryError(f"{where}: {name} of Retries must be from {lowest:g} to {highest:g}, not {value!r}")
    return policy


def _is_number(value: Any, lowest: float, highest: float) -> bool:
    # A NaN is neither above nor below anything.
    return isinstance(value, int | float) and not isinstance(value, bool) and lowest <= value <= highest
