"""What operators do: pause and resume a task type, drain a worker, change the priority of a task."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from typing import Annotated, Any

import strawberry
from strawberry.types.field import StrawberryField

from cluster.api_node.cluster_snapshot import read_snapshot
from cluster.errors import BadInput
from cluster.store.audit_stream import AuditAction
from cluster.store.drains import ask_to_drain
from cluster.store.paused import pause_type, resume_type
from cluster.task_types.declaration import check_name
from cluster.task_types.task_id import check_task_id
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo, unknown_task
from graphql_api.schema.mutations import audit_end, decide_mode, others_want, require_listed, require_readable
from graphql_api.schema.submit_options import check_priority
from graphql_api.strawberry_internals import make_field


async def pause_task_type(info: ApiInfo, name: str) -> bool | None:
    caller, node = info.context.caller, info.context.node
    caller.require(Scope.ADMIN)
    paused = await pause_type(node.store, check_name(name))
    if paused:
        node.audit.add(AuditAction.TYPE_PAUSED, caller.actor, task=name)
    await node.paused_types.refresh()
    return paused


async def resume_task_type(info: ApiInfo, name: str) -> bool | None:
    caller, node = info.context.caller, info.context.node
    caller.require(Scope.ADMIN)
    resumed = await resume_type(node.store, check_name(name))
    if resumed:
        node.audit.add(AuditAction.TYPE_RESUMED, caller.actor, task=name)
    await node.paused_types.refresh()
    return resumed


async def drain_worker(
    info: ApiInfo, name: Annotated[str, strawberry.argument(description="As `cluster { workers { name } }` has it.")]
) -> str | None:
    caller, node = info.context.caller, info.context.node
    caller.require(Scope.ADMIN)
    seen = await read_snapshot(node.store, node.schedulers, node.reloads)
    if seen.fleet is None:
        raise BadInput(
            "no controller runs, and only it stops workers: stop the worker's own process with SIGTERM, and it drains",
            argument="name",
        )
    workers = [worker for kind in ("workers", "starting") for worker in seen.load.get(kind, ())]
    schedulers = {str(worker["name"]): worker.get("scheduler", 0) for worker in workers}
    if name not in schedulers:
        raise BadInput(f"the scheduler has no worker {name[:100]!r}", argument="name")
    keys = node.schedulers.keys[schedulers[name]]
    await ask_to_drain(node.store, name, caller.actor.title or caller.actor.name, keys)
    node.audit.add(AuditAction.WORKER_DRAINED, caller.actor, code=name)
    return name


def priority_field(task: type) -> StrawberryField:
    """`setPriority`."""

    async def set_priority(info: ApiInfo, task_id: strawberry.ID, priority: int) -> Any:
        require_readable(info, Scope.PRIORITY)
        check_priority(priority, "priority")
        node, caller = info.context.node, info.context.caller
        await require_listed(info, check_task_id(task_id))
        call = node.store.calls.set_priority(task_id, priority, caller.actor, decide_mode(caller))
        reply = await node.store.run(call)
        if reply.record is None:
            raise unknown_task(task_id)
        if not reply.done and not reply.record.final:
            raise others_want("a submission of your own with a higher priority raises it; to change it for all needs "
                              "the scope 'admin'")  # fmt: skip
        if reply.superseded:
            node.cancellations.put_superseded(task_id, reply.superseded)
        if reply.done:
            audit_end(info, AuditAction.PRIORITY_SET, reply.record, str(priority))
        return task(record=reply.record)

    set_priority.__annotations__ |= {
        "return": task | None, "info": ApiInfo, "task_id": strawberry.ID, "priority": int,
    }  # fmt: skip
    return make_field(
        "set_priority",
        resolver=set_priority,
        description="Changes the priority of an open task, from -100 to 100: of one that waits at once, also if it "
        "is lower; of one that runs for later attempts. A task that has ended is not changed. One that others "
        "submitted too is only changed for an admin (FORBIDDEN). Needs the scope `priority`.",
    )


def operator_fields(task: type) -> list[StrawberryField]:
    """The mutations of this module."""
    return [
        priority_field(task),
        make_field(
            "pause_task_type", resolver=pause_task_type,
            description="Pauses a task type on all nodes: its tasks are accepted and stay QUEUED, those that run go "
            "on. Whether it was not paused before. Needs the scope `admin`.",
        ),
        make_field(
            "resume_task_type", resolver=resume_task_type,
            description="Resumes a task type on all nodes. Whether it was paused. Needs the scope `admin`.",
        ),
        make_field(
            "drain_worker", resolver=drain_worker,
            description="Stops a worker in an orderly way: it begins no more tasks, those that run may end within "
            "DRAIN_SECONDS and are requeued after that, and then it is gone. The controller starts another one if "
            "there is work for it. The worker's name; the decisions of `cluster { fleet }` tell when it was done. "
            "Needs the scope `admin`.",
        ),
    ]  # fmt: skip
