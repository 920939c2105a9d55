"""`schema.graphql` at the top level is what the code generates."""

from __future__ import annotations

from cluster.task_types.registry import load_registry
from graphql_api.schema.builder import make_schema
from tests.places import ROOT
from tests.system import TASKS

FILE = ROOT / "schema.graphql"


def test_the_schema_file_is_what_the_code_generates() -> None:
    assert FILE.read_text().strip() == make_schema(load_registry()).as_str().strip(), "run `make schema`"


def test_the_same_registry_gives_the_same_text() -> None:
    registry = load_registry([TASKS])
    assert make_schema(registry).as_str() == make_schema(load_registry([TASKS])).as_str()
