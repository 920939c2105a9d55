"""The GraphQL type of the lines that a task has printed or logged, and reading them."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime

import strawberry

from cluster.errors import BadInput
from cluster.store.record import LogLine, Record
from graphql_api.answer_size import current_answer
from graphql_api.context import ApiInfo
from graphql_api.schema.times import to_datetime


@strawberry.type(name="LogLine", description="A line that a task has printed or logged.")
class LogLineType:
    number: int = strawberry.field(
        description="From 1 within the task; to continue, pass the last one as `after`. Numbers jump where lines were "
        "dropped."
    )
    at: datetime.datetime = strawberry.field(description="When it was written, by the clock of Redis.")
    attempt: int = strawberry.field(description="The attempt that wrote it.")
    dropped: int = strawberry.field(
        description="How many lines were dropped between the previous one, or `after`, and this one: a task keeps its "
        "newest 200, and its worker sends no more than these once a second."
    )
    level: str = strawberry.field(description="DEBUG, INFO, WARNING, ERROR or CRITICAL; of printed lines INFO.")
    text: str


async def load_log(record: Record, info: ApiInfo, after: int, first: int | None) -> list[LogLineType]:
    """Loads the lines of a task after the one with the number `after`; at most `first` of them.

    Raises:
        BadInput: `first` is negative.
    """
    if first is not None and first < 0:
        raise BadInput(f"first must be at least 0, not {first}", argument="first")
    answer = current_answer()
    lines = await answer.in_turn(info.context.node.store.read_log(record.task_id))
    found = [line for line in lines if line.number > after][:first]
    answer.read(sum(len(line.text) for line in found))
    before = [after, *(line.number for line in found)]
    return [to_log_line(line, line.number - last - 1) for line, last in zip(found, before, strict=False)]


def to_log_line(line: LogLine, dropped: int) -> LogLineType:
    """The GraphQL value of a line.

    Args:
        dropped: number of lines before it that were dropped.
    """
    return LogLineType(
        number=line.number,
        at=to_datetime(line.at),
        attempt=line.attempt,
        dropped=dropped,
        level=line.level,
        text=line.text,
    )
