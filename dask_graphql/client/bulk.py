"""What a client does to all tasks that a filter means, page after page; and failed tasks by what went wrong."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from dask_graphql.client.changes import to_filter
from dask_graphql.client.http_transport import HttpTransport

IDS: Final = 1_000
"""Task ids in one filter, as the api allows."""
EXAMPLES: Final = 5
"""Task ids that a refusal names."""

BulkOperation: TypeAlias = Literal["cancelTasks", "withdrawTasks", "retryTasks", "forgetTasks"]
Where: TypeAlias = Mapping[str, Any]
"""The fields of the api's `TaskFilter`, by their names in Python or in GraphQL."""

FAILURES: Final = """query($where: TaskFilter, $first: Int) {
  failures(where: $where, first: $first) { key name code type message count taskIds newestAt } }"""


@dataclass(frozen=True)
class BulkRefusal:
    """Tasks that were refused for one reason.

    Attributes:
        code: such as FORBIDDEN; docs/errors.md lists them.
        message: that of the first of them.
        task_ids: the first five of them.
    """

    code: str
    message: str
    count: int
    task_ids: tuple[str, ...]


@dataclass(frozen=True)
class BulkResult:
    """What became of all tasks that a filter means.

    Attributes:
        matched: how many they are.
        done: for how many of them it was done, or with `dry_run` would be.
        wanted_by_others: how many of those others had submitted.
        refused: those for which it was not done, by reason. The rest needed nothing: they had changed meanwhile.
    """

    matched: int = 0
    done: int = 0
    wanted_by_others: int = 0
    refused: tuple[BulkRefusal, ...] = ()

    def __add__(self, other: BulkResult) -> BulkResult:
        refused = {each.code: each for each in self.refused}
        for each in other.refused:
            known = refused.get(each.code)
            refused[each.code] = each if known is None else replace(
                known, count=known.count + each.count, task_ids=(*known.task_ids, *each.task_ids)[:EXAMPLES]
            )  # fmt: skip
        return BulkResult(
            self.matched + other.matched, self.done + other.done, self.wanted_by_others + other.wanted_by_others,
            tuple(refused.values()),
        )  # fmt: skip


OnPage: TypeAlias = Callable[[BulkResult], object]


@dataclass(frozen=True)
class FailureGroup:
    """Failed tasks of one task type with the same code and the same message, but for the numbers in it.

    Attributes:
        key: of the group: `{"failure_group": key}` is the filter that means its tasks, such as for `retry_tasks`.
        name: of the task type.
        type: the class of the exception; None if there was none.
        message: the first line of that of the newest one.
        task_ids: the five that were submitted last.
        newest_at: when the last one failed, in UTC.
    """

    key: str
    name: str
    code: str
    type: str | None
    message: str
    count: int
    task_ids: tuple[str, ...]
    newest_at: datetime.datetime | None


async def act_on_all(
    http: HttpTransport, operation: BulkOperation, where: Where, *, dry_run: bool, on_page: OnPage | None
) -> BulkResult:
    """Does something to all tasks that a filter means.

    Args:
        on_page: called after each page with what became of all tasks so far.

    Raises:
        Refused, ApiUnavailable: as `HttpTransport.execute`; what was done until then is done.
    """
    total = BulkResult()
    for wanted in _parts(to_filter(where)):
        async for page in _pages(http, operation, wanted, dry_run=dry_run):
            total += page
            if on_page is not None:
                on_page(total)
    return total


async def read_failures(http: HttpTransport, where: Where | None, first: int) -> list[FailureGroup]:
    """Failed tasks by what went wrong, the largest group first."""
    data = await http.execute(FAILURES, {"where": None if where is None else to_filter(where), "first": first})
    return [
        FailureGroup(
            each["key"], each["name"], each["code"], each["type"], each["message"], each["count"],
            tuple(each["taskIds"]),
            None if each["newestAt"] is None else datetime.datetime.fromisoformat(each["newestAt"]),
        )
        for each in data["failures"]
    ]  # fmt: skip


async def _pages(
    http: HttpTransport, operation: BulkOperation, where: Mapping[str, Any], *, dry_run: bool
) -> AsyncIterator[BulkResult]:
    query = f"""mutation($where: TaskFilter!, $after: String, $dryRun: Boolean) {{
  page: {operation}(where: $where, after: $after, dryRun: $dryRun) {{
    matched done wantedByOthers refused {{ code message count taskIds }} endCursor hasNextPage }} }}"""
    after = None
    while True:
        page = (await http.execute(query, {"where": where, "after": after, "dryRun": dry_run}))["page"]
        yield BulkResult(
            page["matched"], page["done"], page["wantedByOthers"],
            tuple(
                BulkRefusal(each["code"], each["message"], each["count"], tuple(each["taskIds"]))
                for each in page["refused"]
            ),
        )  # fmt: skip
        if not page["hasNextPage"]:
            return
        after = page["endCursor"]


def _parts(where: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """The filter, with no more ids in each part than the api takes."""
    ids = where.get("ids")
    if ids is None or len(ids) <= IDS:
        return [where]
    unique = list(dict.fromkeys(ids))
    return [{**where, "ids": unique[start : start + IDS]} for start in range(0, len(unique), IDS)]
