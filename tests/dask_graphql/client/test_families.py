"""Reading a long list of children, some of which are gone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dask_graphql.client.families import read_children

CHILD: dict[str, Any] = {
    "name": "add", "state": "SUCCEEDED", "progress": None, "attempt": 1, "tags": [], "error": None, "waiting": None,
    "submittedAt": "2026-01-01T00:00:00Z", "startedAt": None, "finishedAt": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("first", "pages", "found"),
    [(None, [(200, 0), (200, 200), (200, 400)], 400), (250, [(200, 0), (100, 200)], 250), (0, [], 0)],
)
async def test_children_are_read_in_pages_which_may_be_shorter_than_asked_for(
    first: int | None, pages: list[tuple[int, int]], found: int
) -> None:
    asked: list[tuple[int, int]] = []

    async def query(selection: str) -> dict[str, Any]:
        match = re.search(r"first: (\d+), skip: (\d+)", selection)
        assert match
        count, skip = int(match[1]), int(match[2])
        asked.append((count, skip))
        # Of 450 children, those from 50 on to 99 have expired.
        kept = [n for n in range(skip, min(skip + count, 450)) if not 50 <= n < 100]
        return {"childCount": 450, "children": [{"taskId": str(n), **CHILD} for n in kept]}

    children = await read_children(query, "e" * 32, first)
    assert asked == pages
    assert len(children) == found
    assert [child.task_id for child in children] == [str(n) for n in range(450) if not 50 <= n < 100][:found]
