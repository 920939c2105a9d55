"""Tasks that submit tasks, on a system of one worker with one thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from dask_graphql import Client, TaskFailed
from dask_graphql.testing import running_system
from tests.polling import until

pytestmark = pytest.mark.slow


class Family(NamedTuple):
    """A system, and the runs of its tasks."""

    client: Client
    counts: Path

    def runs_of_parts(self, group: str) -> Counter[str]:
        """How often each child of a group has begun to run."""
        return Counter(line for line in self.counts.read_text().splitlines() if line.startswith(f"part {group} "))

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = httpx.post(self.client.url, json={"query": query, "variables": variables}, timeout=30).json()
        assert "errors" not in answer, answer
        return dict(answer["data"])


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Family]:
    counts = tmp_path_factory.mktemp("families") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAMILY_COUNTS", str(counts))
        with running_system(
            "tests.task_modules.families", max_workers=1, CHILDREN_LIMIT="30", WAITING_TASKS_LIMIT="8"
        ) as client:
            yield Family(client, counts)


def test_twenty_parents_of_ten_children_end_on_one_thread_and_equal_children_run_once(family: Family) -> None:
    # Neighbours share nine of their ten children.
    handles = [family.client.submit("family_sum", group="many", first=i, count=10) for i in range(20)]
    assert [handle.result(timeout=60) for handle in handles] == [
        sum(n * n for n in range(i, i + 10)) for i in range(20)
    ]
    # There is room for eight parents that wait: others begin anew, and find done what was done.
    assert family.runs_of_parts("many") == {f"part many {n}": 1 for n in range(29)}


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


def test_a_parent_whose_worker_dies_finds_done_what_was_done(family: Family) -> None:
    handle = family.client.submit("family_killed", group="killed", count=5)
    assert handle.result(timeout=60) == sum(n * n for n in range(10))
    assert family.runs_of_parts("killed") == {f"part killed {n}": 1 for n in range(10)}
    assert family.counts.read_text().count("killed killed 5\n") == 2


async def test_a_cancelled_parent_withdraws_its_wish_for_its_children_and_nobody_elses(family: Family) -> None:
    def state(n: int) -> str:
        task_id = family.client.task_id("family_part", group="cancelled", n=n)
        found = family.ask("query($id: ID!) { task(taskId: $id) { state } }", id=task_id)["task"]
        return str(found and found["state"])

    def children(parent: str) -> int:
        return int(family.ask("query($id: ID!) { task(taskId: $id) { childCount } }", id=parent)["task"]["childCount"])

    # No child runs while both parents wait.
    family.ask('mutation { pauseTaskType(name: "family_part") }')
    try:
        left = family.client.submit("family_sum", group="cancelled", first=0, count=3)
        await until(lambda: children(left.task_id) == 3, seconds=30)
        right = family.client.submit("family_sum", group="cancelled", first=1, count=2)
        await until(lambda: children(right.task_id) == 2, seconds=30)
        left.cancel()
        await until(lambda: state(0) == "CANCELLED", seconds=20)
        assert (state(1), state(2)) == ("QUEUED", "QUEUED")
    finally:
        family.ask('mutation { resumeTaskType(name: "family_part") }')
    assert right.result(timeout=40) == 1 + 4
    assert family.runs_of_parts("cancelled") == {f"part cancelled {n}": 1 for n in (1, 2)}


def test_a_child_has_the_tags_of_its_parent_which_is_its_submitter_and_both_show_each_other(family: Family) -> None:
    fields = "{ taskId }"
    query = f"""mutation($options: SubmitOptions) {{
        submitFamilySum(group: "heir", first: 0, count: 1, options: $options) {fields} }}"""
    options = {"tags": ["crew 7"]}
    submitted = family.ask(query, options=options)["submitFamilySum"]
    parent = submitted["taskId"]
    child = family.client.task_id("family_part", group="heir", n=0, seconds=0.0)
    family.client.task(parent).result(timeout=30)
    found = family.ask("query($id: ID!) { task(taskId: $id) { tags submittedBy } }", id=child)["task"]
    assert found == {"tags": ["crew 7"], "submittedBy": f"task {parent}"}
    shown = "childCount children { taskId state } parents { taskId }"
    query = f"query($id: ID!) {{ task(taskId: $id) {{ {shown} }} }}"
    assert family.ask(query, id=parent)["task"] == {
        "childCount": 1, "children": [{"taskId": child, "state": "SUCCEEDED"}], "parents": [],
    }  # fmt: skip
    assert family.ask(query, id=child)["task"] == {"childCount": 0, "children": [], "parents": [{"taskId": parent}]}
