"""Schedules over the api: who may set them, what is refused, and that the command and the client do the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from cluster.schedules.schedule import Schedule
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.schedules import change_schedule
from dask_graphql import AsyncClient, Refused
from dask_graphql.cli.schedules import schedules
from dask_graphql.client import schedules_command
from graphql_api.auth.callers import Scope
from graphql_api.schema import schedule_mutations
from tests.guarded import Guarded, guarded_node

FIELDS = "name task input cron everySeconds timeZone overlap tags pausedAt nextRuns(first: 2) runs { outcome taskId }"
SET = f"""mutation($name: String!, $schedule: ScheduleDefinition!) {{
  setSchedule(name: $name, schedule: $schedule) {{ {FIELDS} setBy }} }}"""
NIGHTLY = {"task": "fibonacci", "input": {"n": 90}, "cron": "30 2 * * *", "timeZone": "Europe/Berlin"}


@pytest.fixture
async def guarded(settings: Settings, store: Store) -> AsyncIterator[Guarded]:
    async with guarded_node(replace(settings, submissions_per_minute=0, schedules_per_account=2), store) as made:
        for name, tenant in (("anna", "acme"), ("ben", "acme"), ("eve", "evil")):
            await made.make_key(name, tenant=tenant)
        await made.make_key("reader", frozenset({Scope.READ}))
        yield made


async def put(guarded: Guarded, key: str, name: str, **schedule: Any) -> dict[str, Any]:
    return await guarded.http(key, SET, {"name": name, "schedule": {**NIGHTLY, **schedule}})


def code(body: dict[str, Any]) -> str:
    [error] = body["errors"]
    found: str = error["extensions"]["code"]
    return found


async def change(guarded: Guarded, key: str, mutation: str, name: str, fields: str = "{ pausedAt }") -> dict[str, Any]:
    return await guarded.http(key, f"mutation($name: String!) {{ {mutation}(name: $name) {fields} }}", {"name": name})


async def test_a_schedule_is_set_read_paused_resumed_and_deleted(guarded: Guarded) -> None:
    made = (await put(guarded, "anna", "nightly", tags=["report"]))["data"]["setSchedule"]
    assert {name: made[name] for name in ("name", "task", "input", "cron", "everySeconds", "timeZone", "overlap")} == {
        "name": "nightly", "task": "fibonacci", "input": {"n": 90}, "cron": "30 2 * * *", "everySeconds": None,
        "timeZone": "Europe/Berlin", "overlap": "SKIP",
    }  # fmt: skip
    assert (made["tags"], made["setBy"], made["pausedAt"], len(made["nextRuns"])) == (["report"], "anna", None, 2)
    body = await change(guarded, "ben", "pauseSchedule", "nightly")
    assert body["data"]["pauseSchedule"]["pausedAt"]
    again = (await put(guarded, "ben", "nightly", cron=None, everySeconds=60))["data"]["setSchedule"]
    assert again["pausedAt"]
    assert (again["everySeconds"], again["nextRuns"]) == (60, [])
    body = await change(guarded, "anna", "resumeSchedule", "nightly")
    assert body["data"]["resumeSchedule"] == {"pausedAt": None}
    body = await change(guarded, "anna", "runSchedule", "nightly", "{ outcome task { runKey tags } }")
    run = body["data"]["runSchedule"]
    assert (run["outcome"], run["task"]["tags"]) == ("NEW", ["schedule:nightly"])
    assert run["task"]["runKey"].startswith("schedule:nightly@")
    assert (await change(guarded, "anna", "deleteSchedule", "nightly", ""))["data"] == {"deleteSchedule": "nightly"}
    assert code(await change(guarded, "anna", "deleteSchedule", "nightly", "")) == "SCHEDULE_NOT_FOUND"
    for action in ("SCHEDULE_SET", "SCHEDULE_PAUSED", "SCHEDULE_RESUMED", "SCHEDULE_DELETED"):
        assert (await guarded.lines(1, action=action))[0]["code"] == "nightly"


async def test_the_next_runs_are_told_before_a_schedule_is_set(guarded: Guarded) -> None:
    query = """query($cron: String, $every: Float, $zone: String! = "UTC", $after: DateTime) {
      schedulePreview(cron: $cron, everySeconds: $every, timeZone: $zone, after: $after, first: 3) }"""
    nightly = {"cron": NIGHTLY["cron"], "zone": NIGHTLY["timeZone"]}
    times = (await guarded.http("reader", query, nightly))["data"]["schedulePreview"]
    made = (await put(guarded, "anna", "nightly"))["data"]["setSchedule"]
    assert times[:2] == made["nextRuns"]
    assert len((await guarded.http("reader", query, {"every": 60}))["data"]["schedulePreview"]) == 3
    spring = await guarded.http("reader", query, {**nightly, "after": "2027-03-27T12:00:00Z"})
    assert spring["data"]["schedulePreview"][0] == "2027-03-28T01:00:00Z"
    for wrong in (
        {"cron": "never"}, {"every": 60, "cron": "* * * * *"}, {**nightly, "zone": "Mars/Olympus"},
        {**nightly, "after": "9999-01-01T00:00:00Z"},
    ):  # fmt: skip
        assert code(await guarded.http("reader", query, wrong)) == "BAD_INPUT"


async def test_schedules_that_cannot_submit_are_among_the_problems_of_their_tenant(
    guarded: Guarded, store: Store
) -> None:
    await put(guarded, "anna", "nightly")
    await put(guarded, "anna", "weekly")

    def trouble(old: Schedule | None) -> Schedule:
        assert old is not None
        return replace(old, problem="the queue is full") if old.name == "nightly" else replace(old, task="gone")

    for name in ("nightly", "weekly"):
        await change_schedule(store, "", name, trouble)
    query = "{ cluster { problems { code message schedule } } }"
    found = (await guarded.http("anna", query, {}))["data"]["cluster"]["problems"]
    assert [(each["schedule"], each["message"]) for each in found if each["code"] == "SCHEDULE_FAILS"] == [
        ("nightly", "The schedule nightly cannot submit fibonacci: The queue is full."),
        ("weekly", "The schedule weekly cannot submit gone: This api node has no task type gone."),
    ]


async def test_what_cannot_be_scheduled_is_refused_when_it_is_set(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (
        {"task": "nothing"}, {"input": {"n": -1}}, {"input": {"m": 1}}, {"input": [1]}, {"cron": "never"},
        {"everySeconds": 60}, {"timeZone": "Mars/Olympus"}, {"catchUpSeconds": -1}, {"priority": 101},
        {"tags": ["x"] * 1 + [f"t{number}" for number in range(7)]}, {"ttlSeconds": 0},
    ):  # fmt: skip
        assert code(await put(guarded, "anna", "nightly", **wrong)) == "BAD_INPUT", wrong
    assert code(await put(guarded, "anna", "a/b")) == "BAD_INPUT"
    with monkeypatch.context() as patch:
        patch.setattr(schedule_mutations, "MAX_INPUT_BYTES", 5)
        assert "at most 5 bytes" in (await put(guarded, "anna", "nightly"))["errors"][0]["message"]
    for name in ("one", "two"):
        assert "errors" not in await put(guarded, "anna", name)
    assert code(await put(guarded, "ben", "three")) == "BAD_INPUT"
    assert "errors" not in await put(guarded, "ben", "two")
    monkeypatch.setattr(schedule_mutations, "MAX_SCHEDULES", 2)
    assert code(await put(guarded, "eve", "three")) == "BAD_INPUT"


async def test_a_tenant_sees_and_changes_its_own(guarded: Guarded, settings: Settings, store: Store) -> None:
    assert code(await put(guarded, "reader", "nightly")) == "FORBIDDEN"
    await put(guarded, "anna", "nightly")
    for mutation, fields in (("pauseSchedule", "{ name }"), ("deleteSchedule", ""), ("runSchedule", "{ taskId }")):
        assert code(await change(guarded, "eve", mutation, "nightly", fields)) == "FORBIDDEN"
    assert code(await put(guarded, "eve", "nightly")) == "FORBIDDEN"
    assert "errors" not in await change(guarded, "admin", "pauseSchedule", "nightly")
    async with guarded_node(settings, store, tenants="isolated") as apart:
        await apart.make_key("anna")
        await apart.make_key("eve", tenant="evil")
        await put(apart, "anna", "own")
        everybody = "{ schedules { name } }"
        assert (await apart.http("anna", everybody, {}))["data"] == {"schedules": [{"name": "own"}]}
        assert (await apart.http("eve", everybody, {}))["data"] == {"schedules": []}
        assert code(await apart.http("eve", '{ schedule(name: "own") { name } }', {})) == "SCHEDULE_NOT_FOUND"
        assert code(await change(apart, "eve", "pauseSchedule", "own")) == "SCHEDULE_NOT_FOUND"


async def test_a_node_submits_what_is_due_and_the_client_and_the_command_tell_of_it(
    guarded: Guarded, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    url, token = guarded.url, guarded.keys["anna"]
    async with AsyncClient(url, token) as client:
        options = {"every_seconds": 60.0, "overlap": "ALLOW", "tags": ("a",)}
        await schedules_command.set_schedule(url, token, "often", "fibonacci", {"n": 12}, options)
        assert json.loads(capsys.readouterr().out)["input"] == {"n": 12}

        # A minute passes.
        await change_schedule(
            store, "", "often", lambda old: old and replace(old, decided_until=old.decided_until - 61_000)
        )
        async with asyncio.timeout(20):
            while not (schedule := await client.schedule("often")).runs:
                await asyncio.sleep(0.05)
        assert (schedule.runs[-1].outcome, schedule.problem) == ("SUBMITTED", None)
        assert schedule.runs[-1].task_id is not None
        [*_, summary] = await client.tasks(tag="schedule:often")
        assert summary.task_id == schedule.runs[-1].task_id
        await schedules_command.list_schedules(url, token, as_json=False)
        assert "every 60 s" in capsys.readouterr().out
        await schedules_command.print_next(url, token, "often")
        assert len(capsys.readouterr().out.splitlines()) == 5
        await schedules_command.change_schedule(url, token, "pause", "often")
        assert (await client.schedule("often")).next_runs == ()
        await schedules_command.change_schedule(url, token, "resume", "often")
        await schedules_command.run_schedule(url, token, "often")
        ran = capsys.readouterr().out.split()[-1]
        assert ran in [summary.task_id for summary in await client.tasks(tag="schedule:often")]
        await schedules_command.delete_schedule(url, token, "often")
        assert await client.schedules() == []


async def test_the_command_previews_a_schedule_over_a_change_of_clocks(guarded: Guarded) -> None:
    options = ["--cron", "30 2 * * *", "--time-zone", "Europe/Berlin", "--after", "2027-03-27T12:00:00", "--first", "2"]
    address = ["--url", guarded.url, "--token", guarded.keys["anna"]]
    shown = await asyncio.to_thread(CliRunner().invoke, schedules, ["preview", *options, *address])
    assert shown.output.split() == ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]
    refused = await asyncio.to_thread(CliRunner().invoke, schedules, ["preview", "--cron", "30 2 * *", *address])
    assert isinstance(refused.exception, Refused)
    assert refused.exception.code == "BAD_INPUT"
    nowhere = await asyncio.to_thread(CliRunner().invoke, schedules, ["preview", "--time-zone", "Mars", *address])
    assert "'Mars' is no time zone" in nowhere.output
