"""What is wrong is told in plain words with what to do, and nothing is told of a healthy cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from cluster.api_node.history_counts import EndedTasks
from cluster.api_node.problems import ClusterState, Problem, ProblemCode, find_problems
from cluster.store.schedules import TroubledSchedule

NOW = 1_000_000.0
WORKER = {"name": "w"}
FLEET = {"running": 1, "launching": 0, "max_workers": 4, "problem": ""}
HEALTHY = ClusterState(
    now=NOW, load={"workers": [WORKER], "starting": []}, fleet=FLEET, waiting=3, oldest_seconds=5.0, memory=(1, 100)
)


def only(seen: ClusterState) -> Problem:
    [problem] = find_problems(seen)
    assert problem.message.endswith(".")
    assert problem.advice.endswith(".")
    return problem


def test_a_healthy_cluster_has_no_problems() -> None:
    assert find_problems(HEALTHY) == []
    assert find_problems(replace(HEALTHY, load={"workers": [], "starting": []}, waiting=0, oldest_seconds=None)) == []
    assert find_problems(replace(HEALTHY, memory=(1_000, 0))) == [], "without a limit Redis is never full"


def test_without_a_scheduler_nothing_else_is_said_of_the_workers() -> None:
    assert only(replace(HEALTHY, load={})).code is ProblemCode.SCHEDULER_UNAVAILABLE


@pytest.mark.parametrize(("fleet", "advice"), [(None, "Start a controller"), (FLEET, "The controller starts workers")])
def test_tasks_that_wait_without_workers_are_a_problem_since_the_oldest_waits(
    fleet: dict[str, object] | None, advice: str
) -> None:
    found = only(replace(HEALTHY, load={"workers": [], "starting": []}, fleet=fleet))
    assert found.code is ProblemCode.NO_WORKERS
    assert found.message == "3 tasks wait and no worker runs."
    assert found.since == NOW - 5
    assert found.advice.startswith(advice)


def test_workers_that_start_are_no_problem() -> None:
    empty = replace(HEALTHY, load={"workers": [], "starting": []})
    assert find_problems(replace(empty, fleet={**FLEET, "launching": 1})) == []
    starting = {"name": "w", "seconds": 3.0, "error": ""}
    assert find_problems(replace(empty, fleet=None, load={"workers": [], "starting": [starting]})) == []


def test_what_the_controller_says_is_told_as_a_sentence() -> None:
    found = only(replace(HEALTHY, fleet={**FLEET, "problem": "ECS refuses RunTask: no", "problem_since": NOW - 60}))
    assert (found.code, found.since) == (ProblemCode.WORKERS_CANNOT_START, NOW - 60)
    assert found.message == "ECS refuses RunTask: no."


def test_a_ceiling_in_dollars_that_binds_is_a_fleet_at_its_maximum() -> None:
    told = "The ceiling of $2.00 an hour allows 5 workers, 12 fewer than are wanted."
    found = only(replace(HEALTHY, fleet={**FLEET, "problem": told, "ceiling": told, "problem_since": NOW - 60}))
    assert (found.code, found.message, found.since) == (ProblemCode.FLEET_AT_MAXIMUM, told, NOW - 60)
    assert "MAX_COST_PER_HOUR" in found.advice


def test_a_worker_that_could_not_start_is_named() -> None:
    failed = {"name": "w7", "seconds": 30.0, "error": "ModuleNotFoundError: no module tasks"}
    found = only(replace(HEALTHY, load={"workers": [WORKER], "starting": [failed]}))
    assert (found.worker, found.since) == ("w7", NOW - 30)
    assert "no module tasks" in found.message


def test_a_full_fleet_is_a_problem_once_a_task_has_waited_for_a_minute() -> None:
    full = replace(HEALTHY, fleet={**FLEET, "running": 4}, oldest_seconds=370.0)
    assert find_problems(replace(full, oldest_seconds=50.0)) == []
    found = only(full)
    assert found.code is ProblemCode.FLEET_AT_MAXIMUM
    assert found.message == "All 4 workers that are allowed run, and 3 tasks wait, the oldest for 6 min."


def test_redis_is_a_problem_before_new_tasks_are_refused() -> None:
    assert find_problems(replace(HEALTHY, memory=(79, 100))) == []
    early = only(replace(HEALTHY, memory=(85 * 2**20, 100 * 2**20)))
    assert early.message == "Redis uses 85% of its memory (85 of 100 MB). New tasks are refused from 90% on."
    late = only(replace(HEALTHY, memory=(95 * 2**20, 100 * 2**20)))
    assert late.message.endswith("New tasks are refused.")


def test_a_type_of_which_many_tasks_fail_is_told_with_its_commonest_error() -> None:
    failing = EndedTasks(succeeded=12, failed=4, errors=Counter({"TIMED_OUT": 1, "TASK_FAILED": 3}))
    assert find_problems(replace(HEALTHY, ended={"train": failing})) == [], "four are not many"
    failing.failed, failing.errors["TASK_FAILED"] = 5, 4
    found = only(replace(HEALTHY, ended={"train": failing}))
    assert (found.code, found.name) == (ProblemCode.TASK_TYPE_FAILS, "train")
    assert found.message == "5 of 17 tasks of train failed in the last 15 minutes, 4 of them with TASK_FAILED."
    failing.succeeded = 1_000
    assert find_problems(replace(HEALTHY, ended={"train": failing})) == [], "one in two hundred is not many"


def test_paused_types_are_told_in_the_order_in_which_they_were_paused() -> None:
    found = find_problems(replace(HEALTHY, paused={"b": NOW - 5, "a": NOW - 1}))
    assert [(problem.name, problem.since) for problem in found] == [("b", NOW - 5), ("a", NOW - 1)]


def test_the_list_is_bounded() -> None:
    many = {f"t{i}": EndedTasks(failed=10) for i in range(100)}
    assert len(find_problems(replace(HEALTHY, ended=many, paused=dict.fromkeys(many, 1.0)))) == 20


def test_a_schedule_that_cannot_submit_is_a_problem_with_its_reason() -> None:
    refused = TroubledSchedule("nightly", "", "etl", False, "the queue is full", round((NOW - 60) * 1000))
    found = only(replace(HEALTHY, schedules=[refused]))
    assert (found.code, found.name, found.schedule, found.since) == ("SCHEDULE_FAILS", "etl", "nightly", NOW - 60)
    assert found.message == "The schedule nightly cannot submit etl: The queue is full."
    unknown = only(replace(HEALTHY, schedules=[replace(refused, unknown=True, due_at=None)]))
    assert unknown.message == "The schedule nightly cannot submit etl: This api node has no task type etl."
    assert (unknown.since, "DASK_GRAPHQL_TASK_MODULES" in unknown.advice) == (None, True)
