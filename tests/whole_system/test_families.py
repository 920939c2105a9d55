"""Tasks that submit tasks, on a system of one worker with one thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dask_graphql import Client, TaskFailed
from dask_graphql.testing import running_system

pytestmark = pytest.mark.slow


class Family(NamedTuple):
    """A system, and the runs of its tasks."""

    client: Client
    counts: Path

    def runs(self, group: str) -> Counter[str]:
        """How often each task of a group has begun to run."""
        return Counter(line for line in self.counts.read_text().splitlines() if f" {group} " in f"{line} ")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Family]:
    counts = tmp_path_factory.mktemp("families") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAMILY_COUNTS", str(counts))
        with running_system("tests.task_modules.families", max_workers=1, CHILDREN_LIMIT="30") as client:
            yield Family(client, counts)


def test_twenty_parents_of_ten_children_end_on_one_thread_and_equal_children_run_once(family: Family) -> None:
    # Neighbours share nine of their ten children.
    handles = [family.client.submit("family_sum", group="many", first=i, count=10) for i in range(20)]
    assert [handle.result(timeout=60) for handle in handles] == [
        sum(n * n for n in range(i, i + 10)) for i in range(20)
    ]
    runs = family.runs("many")
    assert {name: count for name, count in runs.items() if name.startswith("part")} == {
        f"part many {n}": 1 for n in range(29)
    }
    assert set(runs.values()) == {1}


def test_an_async_parent_awaits_its_children(family: Family) -> None:
    squares = sum(n * n for n in range(5))
    assert family.client.submit("family_async_sum", group="async", count=5).result(timeout=30) == 2 * squares


def test_a_failed_child_raises_in_its_parent_with_its_id(family: Family) -> None:
    child = family.client.submit("family_part", group="failing", n=-1)
    careful = family.client.submit("family_careful", group="failing", n=-1)
    assert careful.result(timeout=30) == f"CHILD_FAILED {child.task_id}"
    with pytest.raises(TaskFailed, match=f"the child {child.task_id} .* no part -1") as refused:
        family.client.submit("family_sum", group="failing", first=-1, count=1).result(timeout=30)
    assert refused.value.code == "CHILD_FAILED"


def test_tasks_may_be_nested_up_to_a_limit_and_also_if_only_one_of_their_type_may_run(family: Family) -> None:
    assert family.client.submit("family_nested", group="deep", depth=16).result(timeout=30) == 16
    assert family.client.submit("family_limited", group="deep", depth=3).result(timeout=30) == 3
    with pytest.raises(TaskFailed, match="nested at most 16"):
        family.client.submit("family_nested", group="deeper", depth=17).result(timeout=30)


def test_a_task_that_waits_for_itself_and_one_with_too_many_children_are_refused(family: Family) -> None:
    with pytest.raises(TaskFailed, match="waits for the running one"):
        family.client.submit("family_cycle", group="round", turn=True).result(timeout=30)
    with pytest.raises(TaskFailed, match="at most 30 children"):
        family.client.submit("family_sum", group="too many", first=0, count=31).result(timeout=30)
