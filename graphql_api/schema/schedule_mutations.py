"""What sets, pauses, resumes, deletes and tries out a schedule."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import strawberry
from strawberry.types.field import StrawberryField

from cluster.api_node.schedule_runner import bind_schedule, options_of
from cluster.errors import BadInput, Forbidden
from cluster.schedules.schedule import Overlap, Schedule, check_schedule_name, schedule_tag
from cluster.schedules.timing import check_timing
from cluster.store.audit_stream import AuditAction
from cluster.store.schedules import change_schedule, read_schedules
from graphql_api.auth.callers import Caller, Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.mutations import require_readable
from graphql_api.schema.schedule_types import ScheduleType, find_schedule, schedule_not_found
from graphql_api.schema.submit_options import check_priority, check_tags, check_ttl
from graphql_api.strawberry_internals import make_field

MAX_SCHEDULES = 5_000
"""Schedules of all tenants together."""
MAX_INPUT_BYTES = 4_096
"""Of one schedule, as all of them are read together."""
DEFAULT_CATCH_UP_SECONDS = 3_600.0
MAX_CATCH_UP_SECONDS = 7 * 86_400.0


@strawberry.input(description="What a schedule submits, and when: `cron` or `everySeconds`.")
class ScheduleDefinition:
    task: str = strawberry.field(description="Name of the task type.")
    input: strawberry.scalars.JSON | None = strawberry.field(
        default=None, description="The arguments, an object, by the names that `Task.input` has."
    )
    cron: str | None = strawberry.field(
        default=None,
        description="Five fields as of cron(8): minute, hour, day of the month, month, day of the week, such as "
        "`30 2 * * *`. A fixed time that clocks skip runs at the first moment after the gap; one that they repeat runs "
        "once.",
    )
    every_seconds: float | None = strawberry.field(
        default=None, description="An interval in whole seconds, from 10 to a year, counted from 1970."
    )
    time_zone: str = strawberry.field(default="UTC", description="An IANA name, such as Europe/Berlin, for `cron`.")
    overlap: Overlap = Overlap.SKIP
    catch_up_seconds: float = strawberry.field(
        default=DEFAULT_CATCH_UP_SECONDS,
        description="How late a tick is still submitted, as after an outage, at most seven days; then it is missed.",
    )
    priority: int = strawberry.field(default=0, description="As of a submission.")
    tags: list[str] | None = strawberry.field(
        default=None, description="As of a submission, at most 7 beside `schedule:<name>`."
    )
    ttl_seconds: float | None = strawberry.field(default=None, description="As of a submission.")


async def set_schedule(info: ApiInfo, name: str, schedule: ScheduleDefinition) -> ScheduleType | None:
    caller, node = _author(info), info.context.node
    caller.require_submit(schedule.task)
    made = await _make_schedule(info, caller, name, schedule)
    found = await read_schedules(node.store)
    own = [item for item in found.values() if item.account == caller.account]
    limit = node.settings.schedules_per_account
    if not any(item.name == name and item.tenant == caller.tenant for item in found.values()):
        if len(own) >= limit:
            raise BadInput(f"a tenant has at most {limit} schedules (SCHEDULES_PER_ACCOUNT): delete one", limit=limit)
        if len(found) >= MAX_SCHEDULES:
            raise BadInput(f"there are {MAX_SCHEDULES} schedules already, of all tenants", limit=MAX_SCHEDULES)

    def change(old: Schedule | None) -> Schedule:
        if old is None:
            return made
        _require_own(caller, old)
        return replace(made, paused_at=old.paused_at, runs=old.runs, last_task_id=old.last_task_id)

    return await _changed(info, name, change, AuditAction.SCHEDULE_SET)


async def _make_schedule(info: ApiInfo, caller: Caller, name: str, wanted: ScheduleDefinition) -> Schedule:
    """The schedule that a caller asks for.

    Raises:
        BadInput: it cannot be: the message names what.
    """
    node = info.context.node
    now = await node.store.server_milliseconds()
    if wanted.priority > 0:
        caller.require(Scope.PRIORITY)
    check_priority(wanted.priority, "schedule.priority")
    if not 0 <= wanted.catch_up_seconds <= MAX_CATCH_UP_SECONDS:
        raise BadInput(
            f"schedule.catchUpSeconds must be from 0 to {MAX_CATCH_UP_SECONDS:g}, not {wanted.catch_up_seconds:g}",
            argument="schedule.catchUpSeconds", limit=MAX_CATCH_UP_SECONDS,
        )  # fmt: skip
    arguments: Any = {} if wanted.input is None else wanted.input
    if not isinstance(arguments, dict):
        raise BadInput("schedule.input is an object: the arguments by their names", argument="schedule.input")
    own_tag = schedule_tag(check_schedule_name(name))
    tags = check_tags([own_tag, *(wanted.tags or ())], "schedule.tags")
    made = Schedule(
        name=name, tenant=caller.tenant, account=caller.account, salt=caller.salt, task=wanted.task, input=arguments,
        timing=check_timing(wanted.cron, wanted.every_seconds, wanted.time_zone, now), overlap=wanted.overlap,
        catch_up_seconds=wanted.catch_up_seconds, priority=wanted.priority,
        tags=tuple(tag for tag in tags if tag != own_tag),
        ttl_seconds=check_ttl(wanted.ttl_seconds, node, "schedule.ttlSeconds"),
        set_by=caller.actor.text, set_at=now, decided_until=now,
    )  # fmt: skip
    bound = bind_schedule(made, made.run_key(now), node.registry, node.settings)
    if len(bound.canonical_input) > MAX_INPUT_BYTES:
        raise BadInput(
            f"the input of a schedule has at most {MAX_INPUT_BYTES} bytes, not {len(bound.canonical_input)}: what is "
            "larger belongs in a file",
            argument="schedule.input", limit=MAX_INPUT_BYTES,
        )  # fmt: skip
    return replace(made, input=orjson.loads(bound.canonical_input))


async def pause_schedule(info: ApiInfo, name: str) -> ScheduleType | None:
    now = await info.context.node.store.server_milliseconds()

    def pause(old: Schedule) -> Schedule:
        return old if old.paused_at is not None else replace(old, paused_at=now)

    return await _change_own(info, name, pause, AuditAction.SCHEDULE_PAUSED)


async def resume_schedule(info: ApiInfo, name: str) -> ScheduleType | None:
    now = await info.context.node.store.server_milliseconds()

    def resume(old: Schedule) -> Schedule:
        # What was due in the meantime is not made up for.
        return old if old.paused_at is None else replace(old, paused_at=None, decided_until=now, problem="")

    return await _change_own(info, name, resume, AuditAction.SCHEDULE_RESUMED)


async def delete_schedule(info: ApiInfo, name: str) -> str | None:
    await _change_own(info, name, lambda _: None, AuditAction.SCHEDULE_DELETED)
    return name


def run_field(submission: type) -> StrawberryField:
    """`runSchedule`."""

    async def run_schedule(info: ApiInfo, name: str) -> Any:
        require_readable(info, Scope.SUBMIT)
        caller, node = _author(info), info.context.node
        schedule = await find_schedule(info, caller, name)
        _require_own(caller, schedule)
        caller = await info.context.authorize_submissions(schedule.task, 1)
        key = schedule.run_key(await node.store.server_milliseconds())
        bound = bind_schedule(schedule, key, node.registry, node.settings)
        [submitted] = await node.submissions.submit([bound], options_of(schedule, caller.actor))
        return submission(record=submitted.record, outcome=submitted.outcome)

    run_schedule.__annotations__ |= {"return": submission | None, "info": ApiInfo, "name": str}
    return make_field(
        "run_schedule",
        resolver=run_schedule,
        description="Submits what a schedule submits now, whether or not it is paused, beside its ticks: a further run "
        "with the time as its run key. Needs what `setSchedule` needs.",
    )


async def _change_own(
    info: ApiInfo, name: str, change: Callable[[Schedule], Schedule | None], action: AuditAction
) -> ScheduleType | None:
    """Changes a schedule that the caller may change.

    Raises:
        ScheduleNotFound: the caller's tenant has none with this name.
        Forbidden: it is another account's.
    """
    caller = _author(info)

    def changed(old: Schedule | None) -> Schedule | None:
        if old is None:
            raise schedule_not_found(name)
        _require_own(caller, old)
        return change(old)

    return await _changed(info, name, changed, action)


async def _changed(
    info: ApiInfo, name: str, change: Callable[[Schedule | None], Schedule | None], action: AuditAction
) -> ScheduleType | None:
    caller, node = info.context.caller, info.context.node
    new = await change_schedule(node.store, caller.tenant, name, change)
    node.audit.add(action, caller.actor, task=new.task if new else "", code=name)
    return None if new is None else ScheduleType(stored=new)


def _author(info: ApiInfo) -> Caller:
    """The caller, who must be able to submit tasks and to read them.

    Raises:
        Forbidden: it may not.
    """
    caller = info.context.caller
    caller.require(Scope.SUBMIT)
    caller.require(Scope.READ)
    caller.require_unconfined("schedules")
    return caller


def _require_own(caller: Caller, schedule: Schedule) -> None:
    """Raises:
    Forbidden: the schedule is another account's, and the caller is no admin.
    """
    if schedule.account != caller.account and not caller.has(Scope.ADMIN):
        raise Forbidden(f"the schedule {schedule.name} belongs to another tenant", scope=Scope.ADMIN.value)


def schedule_fields(submission: type) -> list[StrawberryField]:
    """The mutations of this module."""
    return [
        make_field(
            "set_schedule", resolver=set_schedule,
            description="Sets a schedule of the caller's tenant: a new one, or in the place of the one with this name, "
            "which stays paused if it was. Ticks begin after now. The input is checked as that of a submission. Needs "
            "the scopes `submit` and `read`.",
        ),
        make_field(
            "pause_schedule", resolver=pause_schedule,
            description="Pauses a schedule: it submits nothing, and what is due meanwhile is not made up for.",
        ),
        make_field(
            "resume_schedule", resolver=resume_schedule, description="Resumes a schedule, from now on."
        ),
        make_field(
            "delete_schedule", resolver=delete_schedule,
            description="Deletes a schedule; its name. The tasks that it has submitted stay.",
        ),
        run_field(submission),
    ]  # fmt: skip
