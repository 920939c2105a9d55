"""Submissions as GraphQL: their options, their documents, and the batches that many inputs are sent in."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dask_graphql.client.errors import BadArguments
from dask_graphql.client.task_types import Input, TaskType

BATCH_BYTES: Final = 1_000_000
"""A batch whose inputs reach this size is full: the api refuses bodies of more than 4,000,000 bytes."""

OPTIONS_TYPE: Final = "SubmitOptions"
FIELDS: Final = "{ taskId outcome task { state progress } }"


@dataclass(frozen=True)
class SubmitOptions:
    """How a task is submitted.

    Attributes:
        recompute: run the task again even if a result is kept. If the response is lost and the request repeated, it may
            run twice.
        priority: from -100 to 100; tasks with a higher priority run first. Above 0 it needs the scope `priority`.
        not_before: do not run the task before this time, which needs a time zone. None: run it now.
        start_before: if no worker has started the task by this time, it fails with EXPIRED_BEFORE_START. None: what its
            task type declares.
        ttl_seconds: how long the result is kept after the task's end, at most RESULT_TTL_SECONDS of the api. None: what
            the task type declares, or that.
        tags: texts by which people recognise the task: at most 8, of at most 64 characters. They do not change its id.
        webhook: URL that is told of the task's end (docs/webhooks.md).
        run_key: asks for a run of its own; part of the task id. The same input with the same key is the same task, so
            a lost response does no harm. None: the run that all submissions of the input share.
    """

    recompute: bool = False
    priority: int = 0
    not_before: datetime.datetime | None = None
    start_before: datetime.datetime | None = None
    ttl_seconds: float | None = None
    tags: tuple[str, ...] = ()
    webhook: str | None = None
    run_key: str | None = None

    def wire(self) -> dict[str, Any]:
        """The options as a GraphQL variable."""
        fields: dict[str, Any] = {"recompute": self.recompute, "priority": self.priority}
        times = {"notBefore": self.not_before, "startBefore": self.start_before}
        fields |= {name: time.isoformat() for name, time in times.items() if time is not None}
        if self.tags:
            fields["tags"] = list(self.tags)
        if self.webhook is not None:
            fields["webhook"] = self.webhook
        if self.run_key is not None:
            fields["runKey"] = self.run_key
        return fields if self.ttl_seconds is None else fields | {"ttlSeconds": self.ttl_seconds}


Request = tuple[str, dict[str, Any]]
"""A document and its variables."""


def single_request(item: Input, options: SubmitOptions | None) -> Request:
    """Submits one input; the response has it as `submission`."""
    task_type = item.task_type
    types = {argument.graphql_name: argument.graphql_type for argument in task_type.arguments}
    declared = {name: types[name] for name in item.wire} | ({} if options is None else {"options": OPTIONS_TYPE})
    variables = ", ".join(f"${name}: {graphql_type}" for name, graphql_type in declared.items())
    arguments = ", ".join(f"{name}: ${name}" for name in declared)
    call = f"{task_type.mutation}({arguments})" if declared else task_type.mutation
    query = f"mutation{f'({variables})' if declared else ''} {{ submission: {call} {FIELDS} }}"
    return query, item.wire | ({} if options is None else {"options": options.wire()})


def batch_request(batch: Sequence[Input], options: SubmitOptions | None) -> Request:
    """Submits inputs of one task type; the response has them as `submissions`."""
    task_type = batch[0].task_type
    query = (
        f"mutation($inputs: [{task_type.input_type}!]!, $options: {OPTIONS_TYPE}) {{ "
        f"submissions: {task_type.mutation}Many(inputs: $inputs, options: $options) {FIELDS} }}"
    )
    return query, {"inputs": [item.wire for item in batch], "options": None if options is None else options.wire()}


def split_batches(inputs: Sequence[Input], limit: int) -> list[list[Input]]:
    """Splits inputs into batches of at most `limit` inputs and about BATCH_BYTES."""
    batches: list[list[Input]] = []
    size = 0
    for item in inputs:
        length = len(json.dumps(item.wire))
        if not batches or len(batches[-1]) >= limit or size + length > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(item)
        size += length
    return batches


def bind_all(task_type: TaskType, inputs: Sequence[Mapping[str, Any]]) -> list[Input]:
    """Binds the arguments of many submissions.

    Raises:
        BadArguments: with the index of the first input that does not fit.
    """
    bound = []
    for index, arguments in enumerate(inputs):
        try:
            bound.append(task_type.bind(arguments))
        except BadArguments as error:
            raise BadArguments(f"inputs[{index}]: {error}; nothing was submitted") from error
    return bound
