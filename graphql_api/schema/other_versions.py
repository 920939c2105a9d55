"""The tasks of one input under other versions of its task type."""

from __future__ import annotations

from typing import Any

from cluster.store.record import Record
from cluster.store.versions import read_versions
from cluster.task_types.task_id import task_id
from graphql_api.answer_size import current_answer
from graphql_api.context import ApiInfo
from graphql_api.schema.selected_fields import read_page


async def load_other_versions(record: Record, info: ApiInfo) -> list[Record]:
    """The records of the same input under the other versions that are known, the latest served first.

    Empty if the caller belongs to another tenant, whose ids it cannot derive.
    """
    store, caller = info.context.node.store, info.context.caller

    async def read() -> list[Record]:
        known: Any = record if record.input else await store.read(record.task_id)
        if known is None:
            return []

        def id_under(version: str) -> str:
            return task_id(known.name, version, known.input, caller.salt, known.run_key)

        if id_under(known.version) != known.task_id:
            return []
        versions = [version for version in await read_versions(store, known.name) if version != known.version]
        found = await read_page(info, [id_under(version) for version in versions])
        return [each for each in found if each is not None and caller.can_list(each)]

    return await current_answer().in_turn(read())
