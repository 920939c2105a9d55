"""What the pages decide without a browser."""

from __future__ import annotations

from tests.node import node_tests


def test_stacks_lists_filters_searches_and_tables() -> None:
    node_tests(
        "tests/console/unit/pure.test.mjs", environment={"NODE_OPTIONS": "--import=./tests/console/unit/typescript.mjs"}
    )
