"""The scalars of the schema: BigInt, Duration, exact times, JSON, and the type of a blob."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import math
import re
import uuid
from functools import lru_cache
from typing import Any, Final, NewType

import strawberry
from graphql import GraphQLError
from pydantic_core import to_jsonable_python
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.types.scalar import ScalarDefinition

from cluster.data.json_cells import JsonRow
from cluster.task_types.file import FILE_ID, file_id, to_text
from cluster.task_types.value_types import decimal_text, json_integer, parse_big_int
from graphql_api.context import ApiInfo
from graphql_api.schema.expires_in import ExpiresIn
from graphql_api.schema.signed_links import HREF, Kept, file_name, signed_link
from graphql_api.strawberry_internals import default_scalar, to_camel_case

RFC_3339: Final = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6"

BigInt = NewType("BigInt", int)
"""The GraphQL scalar: a decimal string out, a string or an integer in."""


def _serialize_big_int(value: int | str) -> str:
    return value if isinstance(value, str) else decimal_text(value)


def _parse_big_int(value: Any) -> int:
    try:
        parsed = parse_big_int(value)
    except ValueError:
        parsed = None
    if isinstance(parsed, bool) or not isinstance(parsed, int):
        raise GraphQLError(f"a BigInt is an integer or a string of decimal digits, not {str(value)[:80]!r}")
    return parsed


BIG_INT: Final[ScalarDefinition] = strawberry.scalar(
    name="BigInt",
    description="An integer of any size: a string of decimal digits. Input accepts a string or an integer.",
    specified_by_url="https://www.w3.org/TR/xmlschema11-2/#integer",
    serialize=_serialize_big_int,
    parse_value=_parse_big_int,
)


FileId = NewType("FileId", str)
"""The GraphQL scalar: `sha256:` and 64 lower-case hex digits."""


def _parse_file_id(value: Any) -> str:
    if not isinstance(value, str) or not FILE_ID.fullmatch(value):
        raise GraphQLError(f"a FileId is sha256: and 64 lower-case hex digits, not {str(value)[:80]!r}")
    return value


FILE_ID_SCALAR: Final[ScalarDefinition] = strawberry.scalar(
    name="FileId",
    description="A file by the SHA-256 of its bytes: `sha256:` and 64 lower-case hex digits. Upload one to `/files`.",
    specified_by_url="https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests",
    serialize=to_text,
    parse_value=_parse_file_id,
)


SUB_MICROSECOND: Final = re.compile(r"[.,]\d{6}\d*[1-9]")
"""A fraction of a second that Python's times would truncate to microseconds."""


def _refuse_sub_microsecond(value: Any) -> None:
    if (isinstance(value, str) and SUB_MICROSECOND.search(value)) or (
        isinstance(value, float) and math.isfinite(value) and round(value * 1e6) / 1e6 != value
    ):
        raise GraphQLError(f"a time has a resolution of a microsecond, unlike {str(value)[:80]!r}")


def _utc_as_z(value: datetime.datetime | datetime.time) -> str:
    """A time as inputs are kept too (pydantic's form): UTC is `Z`, and a time without a zone stays without one."""
    text = value.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def _exact_time(kind: type, description: str) -> ScalarDefinition:
    """Strawberry's scalar for a time, which refuses values finer than a microsecond instead of truncating them."""
    default = default_scalar(kind)

    def parse(value: Any) -> Any:
        _refuse_sub_microsecond(value)
        return default.parse_value(value)

    made: ScalarDefinition = dataclasses.replace(
        default, parse_value=parse, serialize=_utc_as_z, description=description, specified_by_url=RFC_3339
    )
    return made


def _specified(kind: type, description: str, url: str) -> ScalarDefinition:
    """Strawberry's scalar for a type, with what it is."""
    made: ScalarDefinition = dataclasses.replace(default_scalar(kind), description=description, specified_by_url=url)
    return made


def _serialize_duration(value: datetime.timedelta) -> Any:
    return to_jsonable_python(value)


def _parse_duration(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise GraphQLError(
            f"a Duration is an ISO 8601 string such as PT1H30M, or a number of seconds, not {str(value)[:80]!r}"
        )
    _refuse_sub_microsecond(value)
    return value


DURATION: Final[ScalarDefinition] = strawberry.scalar(
    name="Duration",
    description="A span of time: an ISO 8601 string such as `PT1H30M`. Input accepts a number of seconds too.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#appendix-A",
    serialize=_serialize_duration,
    parse_value=_parse_duration,
)


def _serialize_json(value: Any) -> Any:
    """Any value of a result as JSON, with integers beyond 2^53 as strings of digits."""
    if isinstance(value, JsonRow):
        return dict(value)
    return _safe_integers(to_jsonable_python(value))


def _safe_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _safe_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_safe_integers(item) for item in value]
    return json_integer(value) if isinstance(value, int) and not isinstance(value, bool) else value


JSON: Final[ScalarDefinition] = strawberry.scalar(
    name="JSON",
    description=(
        "The `JSON` scalar type represents JSON values as specified by [ECMA-404]"
        "(https://ecma-international.org/wp-content/uploads/ECMA-404_2nd_edition_december_2017.pdf)."
    ),
    specified_by_url=("https://ecma-international.org/wp-content/uploads/ECMA-404_2nd_edition_december_2017.pdf"),
    serialize=_serialize_json,
    parse_value=lambda value: value,
)

_camel_case = lru_cache(4_096)(to_camel_case)


class _Names(NameConverter):
    """Strawberry's names, each made once: it makes those of all arguments and input fields again for each request."""

    def apply_naming_config(self, name: str) -> str:
        return _camel_case(name)


CONFIG: Final = StrawberryConfig(
    name_converter=_Names(),
    scalar_map={
        BigInt: BIG_INT,
        FileId: FILE_ID_SCALAR,
        datetime.timedelta: DURATION,
        strawberry.scalars.JSON: JSON,
        datetime.datetime: _exact_time(
            datetime.datetime,
            "A date and time as RFC 3339 has it, such as `2026-01-31T12:00:00.5Z`, to the microsecond. UTC is written "
            "as `Z`. Values of your own tasks may lack the offset, if they are given without it.",
        ),
        datetime.time: _exact_time(
            datetime.time,
            "A time of day as RFC 3339 has it, such as `12:00:00.5`, with or without an offset; UTC is written as `Z`.",
        ),
        datetime.date: _specified(datetime.date, "A date as RFC 3339 has it: `2026-01-31`.", RFC_3339),
        decimal.Decimal: _specified(
            decimal.Decimal,
            "A decimal number with all its digits, as a string.",
            "https://speleotrove.com/decimal/daconvs.html",
        ),
        uuid.UUID: _specified(
            uuid.UUID, "A UUID: 32 hex digits with hyphens.", "https://www.rfc-editor.org/rfc/rfc9562#section-4"
        ),
    },
)

SCALAR_NAMES: Final = frozenset(
    {"Date", "DateTime", "Time", "Duration", "Decimal", "UUID", "BigInt", "FileId", "JSON", "Blob"}
)
"""GraphQL names that task authors' types cannot have, even if the schema does not use them yet."""


@strawberry.type(name="Blob", description="Bytes that are too large for a result; download them from `url`.")
class BlobType:
    """The GraphQL type of `dask_graphql.Blob`."""

    key: strawberry.Private[str]
    sha256: strawberry.Private[str | None]
    size_bytes: BigInt = strawberry.field(description="Length in bytes.")
    media_type: str = strawberry.field(description="Content-Type of the download.")

    @strawberry.field(description="Path of the download on this api. Supports Range requests.")
    def url(self, info: ApiInfo) -> str:
        return f"{info.context.base_path}/blobs/{self.key}"

    @strawberry.field(description=HREF)
    async def href(self, info: ApiInfo, expires_in: ExpiresIn = strawberry.UNSET) -> str:
        return await signed_link(
            info, f"/blobs/{self.key}", expires_in, Kept(self.key, self.media_type, file_name(self.key))
        )

    @strawberry.field(
        description="The value of a `FileId` argument that passes these bytes on to another task. Null for a blob of "
        "an earlier release."
    )
    def file_id(self) -> FileId | None:
        return FileId(file_id(self.sha256)) if self.sha256 else None
