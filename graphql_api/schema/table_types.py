"""The GraphQL types of tables: `Table`, and `<Row>Table` with typed records for each `Table[Row]`."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from collections.abc import Awaitable
from enum import Enum
from typing import Annotated, Any, Final, TypeVar

import strawberry
from strawberry.tools import create_type
from strawberry.types import get_object_definition

from cluster.data.libraries import DataExtraMissing
from cluster.data.table_reader import MAX_RECORDS, MAX_ROWS
from cluster.errors import BlobError, ServiceUnavailable
from cluster.task_types.file import file_id
from cluster.task_types.table_types import PARQUET, Table, part_key
from graphql_api.answer_size import current_answer
from graphql_api.context import ApiInfo
from graphql_api.errors import BLOBS_UNAVAILABLE
from graphql_api.schema.expires_in import ExpiresIn
from graphql_api.schema.scalars import BigInt, FileId
from graphql_api.schema.signed_links import HREF, Kept, file_name, signed_link
from graphql_api.schema.strawberry_fields import positional_parameter, set_signature
from graphql_api.strawberry_internals import make_field, set_type_check

T = TypeVar("T")

READING_FIELDS: Final = frozenset({"rows", "records"})
"""The fields that read rows."""


@strawberry.enum(description="The formats in which a table is downloaded.")
class TableFormat(Enum):
    PARQUET = "parquet"
    ARROW = "arrow"
    CSV = "csv"


Offset = Annotated[BigInt, strawberry.argument(description="Number of rows to skip.")]
Columns = Annotated[
    list[str] | None, strawberry.argument(description="Only these columns, in this order; null for all.")
]
BEGINNING: Final = BigInt(0)


@strawberry.type(name="TableColumn", description="A column of a table.")
class ColumnType:
    name: str
    type: str = strawberry.field(
        description="Arrow's name of its type: int64, double, string, timestamp[us, tz=UTC], list<item: double>, ..."
    )
    nullable: bool = strawberry.field(
        description="Whether values may be missing: as declared by the row's class, else whether any is."
    )


@strawberry.type(name="TablePart", description="One Parquet file of a table.")
class PartType:
    key: strawberry.Private[str]
    row_count: BigInt
    size_bytes: BigInt

    @strawberry.field(description="Path of the download on this api. Supports Range requests.")
    def url(self, info: ApiInfo) -> str:
        return f"{info.context.base_path}/tables/{self.key}"

    @strawberry.field(description=HREF)
    async def href(self, info: ApiInfo, expires_in: ExpiresIn = strawberry.UNSET) -> str:
        return await signed_link(info, f"/tables/{self.key}", expires_in, Kept(self.key, PARQUET, file_name(self.key)))


async def read_rows(rows: Awaitable[T]) -> T:
    """Rows of a table, read when it is their turn within the answer.

    Raises:
        ServiceUnavailable: the blob store does not answer, or this node lacks the extra `data`.
    """
    try:
        return await current_answer().in_turn(rows)
    except BlobError:
        raise ServiceUnavailable(BLOBS_UNAVAILABLE) from None
    except DataExtraMissing as error:
        raise ServiceUnavailable(str(error)) from None


@strawberry.type(
    name="Table",
    description="Rows and columns of any number, kept as Parquet files: read pages of rows, or download it.",
)
class TableType:
    """The GraphQL type of `dask_graphql.Table`; its values are instances of that."""

    key: strawberry.Private[str]
    sha256: strawberry.Private[str | None]
    row_count: BigInt
    columns: list[ColumnType]
    size_bytes: BigInt = strawberry.field(description="Length of its Parquet files.")

    @strawberry.field(
        description=f"At most {MAX_ROWS} rows from `offset` on, each an object by column. Integers beyond 2^53, "
        "decimals and times (ISO 8601) are strings, bytes base64, floats that JSON lacks NaN, Infinity or -Infinity."
    )
    async def rows(
        self, info: ApiInfo, limit: int, offset: Offset = BEGINNING, columns: Columns = None
    ) -> list[strawberry.scalars.JSON]:
        table: Any = self
        rows: Any = await read_rows(info.context.node.tables.rows(table, offset, limit, columns))
        return rows  # type: ignore[no-any-return]

    @strawberry.field(description="Path of a download as one Parquet file.")
    def parquet(self, info: ApiInfo) -> str:
        return f"{info.context.base_path}/tables/{self.key}.parquet"

    @strawberry.field(description="Path of a download as a stream of Arrow's IPC format.")
    def arrow(self, info: ApiInfo) -> str:
        return f"{info.context.base_path}/tables/{self.key}.arrow"

    @strawberry.field(
        description="Path of a download as CSV. Texts that a spreadsheet would take for a formula begin with '; with "
        "`?formulas=keep` they do not."
    )
    def csv(self, info: ApiInfo) -> str:
        return f"{info.context.base_path}/tables/{self.key}.csv"

    @strawberry.field(description=HREF)
    async def href(
        self, info: ApiInfo, format: TableFormat = TableFormat.PARQUET, expires_in: ExpiresIn = strawberry.UNSET
    ) -> str:
        table: Any = self
        path, kept = f"/tables/{self.key}.{format.value}", None
        if format is TableFormat.PARQUET and len(table.parts) == 1:
            kept = Kept(part_key(self.key, 0), PARQUET, file_name(path))
        return await signed_link(info, path, expires_in, kept)

    @strawberry.field(
        description="The value of a `FileId` argument that passes it on to another task. Null for one of several parts "
        "of an earlier release."
    )
    def file_id(self) -> FileId | None:
        return FileId(file_id(self.sha256)) if self.sha256 else None

    @strawberry.field(description="Its Parquet files, in the order of the rows.")
    def parts(self) -> list[PartType]:
        table: Any = self
        return [
            PartType(key=part_key(table.key, number), row_count=part.row_count, size_bytes=part.size_bytes)
            for number, part in enumerate(table.parts)
        ]


set_type_check(TableType, lambda value: type(value) is Table)


def typed_table(name: str, table: type[Table[Any]], record: Any) -> type:
    """The GraphQL type of a `Table[Row]`: a `Table` with typed `records`.

    Args:
        record: the GraphQL type of Row.
    """

    async def records(root: Any, info: ApiInfo, limit: int, offset: Any) -> Any:
        return await read_rows(info.context.node.tables.records(root, offset, limit))

    offset = positional_parameter("offset", Offset).replace(default=BEGINNING)
    limit = positional_parameter("limit", int)
    set_signature(
        records,
        [positional_parameter("root", Any), positional_parameter("info", ApiInfo), limit, offset],
        list[record],
    )
    fields = get_object_definition(TableType, strict=True).fields
    typed = make_field(
        "records", resolver=records, description=f"At most {MAX_RECORDS} rows from `offset` on, with their types."
    )
    made = create_type(name, [*fields, typed], description=f"A table whose rows are `{table.row.__name__}`.")
    set_type_check(made, lambda value: type(value) is table)
    return made
