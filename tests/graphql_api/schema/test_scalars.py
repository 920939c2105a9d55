"""What the schema says of its scalars and enums holds."""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from graphql import GraphQLNonNull, GraphQLScalarType, get_introspection_query, graphql_sync
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_jsonable_python

from cluster.store.record import EventKind, parse_event
from graphql_api.graphql_core_internals import output_of
from graphql_api.schema.error_codes import ErrorCode, TaskErrorCode, platform_code
from graphql_api.schema.scalars import CONFIG, SCALAR_NAMES
from graphql_api.strawberry_internals import core_schema
from tests.graphql_api.execution.test_compiled_selection import CORE
from tests.graphql_api.schema.test_type_mapping import schema_of, taking
from tests.places import ROOT

SPECIFIED = ("Int", "Float", "String", "Boolean", "ID")
ZONES = st.none() | st.just(datetime.UTC) | st.timezones()


def test_every_scalar_of_the_schema_names_its_specification() -> None:
    scalars = [kind for kind in CORE.type_map.values() if isinstance(kind, GraphQLScalarType)]
    assert {"DateTime", "BigInt", "JSON"} <= {kind.name for kind in scalars}
    assert [kind.name for kind in scalars if not kind.specified_by_url and kind.name not in SPECIFIED] == []
    named = {definition.name for definition in CONFIG.scalar_map.values()}
    assert SCALAR_NAMES - {"Blob"} <= named


@given(st.datetimes(timezones=ZONES))
def test_a_time_is_answered_in_the_form_in_which_inputs_are_kept(value: datetime.datetime) -> None:
    written = output_of(CORE.type_map["DateTime"])(value)  # type: ignore[arg-type]
    if value.utcoffset() is None or not value.utcoffset().seconds % 60:  # type: ignore[union-attr]
        assert written == to_jsonable_python(value)
    if value.tzinfo is datetime.UTC:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", written)
    assert datetime.datetime.fromisoformat(written) == value.replace(fold=0) or value.fold


def test_the_enums_of_error_codes_are_the_tables_of_the_page() -> None:
    refused, tasks = (ROOT / "docs" / "errors.md").read_text().split("## Tasks without a result")
    row = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)
    assert sorted(row.findall(refused)) == list(ErrorCode)
    both = re.findall(r"`([A-Z_]+)` if", tasks[: tasks.index("## The command")])
    assert both == ["BAD_INPUT", "FILE_NOT_FOUND"]
    assert sorted([*row.findall(tasks), *both]) == list(TaskErrorCode)
    assert {"ErrorCode", "TaskErrorCode"} <= set(CORE.type_map)


def test_a_code_of_a_task_function_is_no_code_of_the_platform() -> None:
    assert platform_code("TIMEOUT") is TaskErrorCode.TIMEOUT
    assert platform_code("TIDE_TOO_LOW") is None


def test_the_error_codes_are_written_as_typescript(tmp_path: Path) -> None:
    written = tmp_path / "errors.ts"
    script = [sys.executable, str(ROOT / "scripts" / "typescript_errors.py")]
    assert subprocess.run([*script, "--check", str(written)], check=False, capture_output=True).returncode == 1
    subprocess.run([*script, "--write", str(written)], check=True)
    subprocess.run([*script, "--check", str(written)], check=True)
    text = written.read_text()
    assert '  | "BAD_INPUT"\n' in text
    assert "  retryAfterSeconds?: number;\n" in text


def test_an_event_of_a_later_release_is_shown_as_progress() -> None:
    line = b'{"seq":1,"kind":"MOVED","state":"RUNNING","attempt":1,"at":5}'
    assert parse_event(line).kind is EventKind.PROGRESS


def test_an_argument_of_any_type_whose_default_is_none_may_be_omitted() -> None:
    schema = core_schema(schema_of(taking(Any, default=None)))
    assert schema.mutation_type is not None
    argument = schema.mutation_type.fields["submitTakesIt"].args["thing"]
    assert not isinstance(argument.type, GraphQLNonNull)
    answer = graphql_sync(schema, get_introspection_query())
    assert answer.errors is None
