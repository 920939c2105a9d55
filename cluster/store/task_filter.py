"""Which tasks are meant: one filter for lists, changes and bulk operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from cluster.store.actor import Actor
from cluster.store.failure_key import failure_of
from cluster.store.record import Record, TaskState

T = TypeVar("T")

MAX_LISTS: Final = 10
"""Lists of one shard, of task types and states, that are read together. With more of them, states are compared with the
records instead."""


def anybody(actor: Actor) -> bool:
    """A caller who may know every submitter."""
    return True


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Conditions that a task must all meet; None means no condition.

    Attributes:
        states: the states that it may be in; an empty set matches nothing.
        names: the task types that it may be of; an empty set matches nothing.
        tag: one of its tags.
        error_code: the code of its error.
        submitted_by: who began its current run, or the last one: the actor's name, or its title.
        since, until: it was submitted at or after `since` and before `until`, milliseconds since 1970.
        text: what its id, its task type's name, its input's JSON, a tag or its error's message contains; upper and
            lower case are the same.
        ids: the task ids that it may have; an empty set matches nothing, as of the following ones.
        tags: it has at least one of these.
        error_codes: the codes that its error may have.
        min_run_seconds, max_run_seconds: how long its newest attempt ran, bounds included; a task that has not ended,
            or that no worker began, does not match.
        worker: the name of the worker of its newest attempt.
        finished_since, finished_until: it ended at or after the first and before the second, milliseconds since 1970; a
            task that has not ended does not match.
        failure_group: it has failed, and this is the key of its group (failure_groups.py).
    """

    states: frozenset[TaskState] | None = None
    names: frozenset[str] | None = None
    tag: str | None = None
    error_code: str | None = None
    submitted_by: str | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None
    ids: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    error_codes: frozenset[str] | None = None
    min_run_seconds: float | None = None
    max_run_seconds: float | None = None
    worker: str | None = None
    finished_since: int | None = None
    finished_until: int | None = None
    failure_group: str | None = None

    def matches(self, record: Record, may_know: Callable[[Actor], bool] = anybody) -> bool:
        """Whether a task meets the conditions.

        Args:
            record: without its input, only the other texts are searched.
            may_know: whether the caller may know that this actor submitted a task; else `submitted_by` does not match.
        """
        return (
            (self.states is None or record.state in self.states)
            and (self.names is None or record.name in self.names)
            and self.spans(record.submitted_at)
            and (self.ids is None or record.task_id in self.ids)
            and (self.tag is None or self.tag in record.tags)
            and (self.tags is None or not self.tags.isdisjoint(record.tags))
            and (self.worker is None or record.worker == self.worker)
            and self._runs_as_long(record)
            and self._ended_then(record)
            and (self.submitted_by is None or _is_by(record, self.submitted_by, may_know))
            and (self.error_code is None or _error_code(record) == self.error_code)
            and (self.error_codes is None or _error_code(record) in self.error_codes)
            and (self.failure_group is None or _is_failure(record, self.failure_group))
            and (self.text is None or _contains(record, self.text.casefold()))
        )

    def narrowed(self, by: TaskFilter) -> TaskFilter:
        """This filter with the states, task types and times of another one too."""
        return replace(
            self,
            states=_both(self.states, by.states),
            names=_both(self.names, by.names),
            since=max((at for at in (self.since, by.since) if at is not None), default=None),
            until=min((at for at in (self.until, by.until) if at is not None), default=None),
        )

    def _runs_as_long(self, record: Record) -> bool:
        shortest, longest = self.min_run_seconds, self.max_run_seconds
        if shortest is None and longest is None:
            return True
        if record.started_at is None or record.finished_at is None:
            return False
        seconds = (record.finished_at - record.started_at) / 1000
        return (shortest is None or seconds >= shortest) and (longest is None or seconds <= longest)

    def _ended_then(self, record: Record) -> bool:
        since, until = self.finished_since, self.finished_until
        if since is None and until is None:
            return True
        at = record.finished_at
        return at is not None and (since is None or at >= since) and (until is None or at < until)

    @property
    def of_changes(self) -> TaskFilter:
        """This filter without what a change of a task does not tell, but its record does."""
        return replace(
            self, error_code=None, error_codes=None, text=None, worker=None, min_run_seconds=None, max_run_seconds=None,
            finished_since=None, finished_until=None, failure_group=None,
        )  # fmt: skip

    def spans(self, submitted_at: int) -> bool:
        """Whether this time is in the span of `since` and `until`."""
        return (self.since is None or submitted_at >= self.since) and (self.until is None or submitted_at < self.until)

    @property
    def lists(self) -> list[tuple[TaskState | None, str | None]]:
        """The lists of each shard, by state and task type, that together contain all tasks that match."""
        names = [None] if self.names is None else sorted(self.names)
        states = [None] if self.states is None or self.states == set(TaskState) else sorted(self.states)
        if len(names) * len(states) > MAX_LISTS and len(names) <= MAX_LISTS:
            states = [None]
        return [(state, name) for name in names for state in states]

    @property
    def needs_records(self) -> bool:
        """Whether records must be read to decide what matches; otherwise it is exactly what is in `lists` and in the
        time span."""
        by_lists = TaskFilter(self.states, self.names, since=self.since, until=self.until)
        beyond = self != by_lists
        unlisted = self.states not in (None, set(TaskState)) and any(state is None for state, _ in self.lists)
        return beyond or unlisted


def _both(one: frozenset[T] | None, other: frozenset[T] | None) -> frozenset[T] | None:
    return other if one is None else one if other is None else one & other


EVERYTHING: Final = TaskFilter()


def _error_code(record: Record) -> object:
    return (record.error_fields() or {}).get("code")


def _is_failure(record: Record, key: str) -> bool:
    failure = failure_of(record)
    return failure is not None and failure.key == key


def _is_by(record: Record, who: str, may_know: Callable[[Actor], bool]) -> bool:
    actor = Actor.parse(record.submitted_by)
    return actor is not None and who in (actor.name, actor.title) and may_know(actor)


def _contains(record: Record, text: str) -> bool:
    return (
        text in record.task_id
        or text in record.name.casefold()
        or any(text in tag.casefold() for tag in record.tags)
        or text in str((record.error_fields() or {}).get("message", "")).casefold()
        or text in record.input.decode(errors="replace").casefold()
    )
