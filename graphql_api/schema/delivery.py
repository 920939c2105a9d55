"""Delivery of one final record to a subscription, with its result if the subscription selects that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from cluster.store.record import Record
from graphql_api.context import ApiInfo
from graphql_api.schema.selected_fields import RESULT_FIELDS, selects


@asynccontextmanager
async def complete_record(info: ApiInfo, record: Record) -> AsyncIterator[Record]:
    """A final record, with its long result if that is selected. Such a result is read only once the client has taken
    most of those before it, and counts as in transit until the block ends.

    Raises:
        TaskNotFound: the task was submitted anew by a caller whose tasks this one may not see.
    """
    context = info.context
    if not record.result_omitted or not selects(info, *RESULT_FIELDS):
        yield record
        return
    async with context.send_window.result(partial(context.node.deliveries.with_result, record)) as complete:
        yield context.require_visible(complete)
