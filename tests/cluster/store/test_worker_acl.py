"""A Redis user with the rules for workers runs what a worker runs, and is refused everything else, on every engine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from cluster.attempt_errors import error, worker_lost
from cluster.data.blob_links import new_place
from cluster.settings import Settings
from cluster.store.actor import Actor
from cluster.store.async_store import Store
from cluster.store.child_calls import Parent, submitter_name
from cluster.store.record import TaskState
from cluster.store.thread_store import ThreadStore
from cluster.store.worker_acl import worker_rules
from cluster.task_types.retry_policy import Retries
from tests.redis_cluster import RedisCluster, servers_of
from tests.redis_faults import command
from tests.system import RedisServer

pytestmark = pytest.mark.every_engine

IDS = [f"{digit}{'0' * 31}" for digit in "09af"]
READ_ANY_HASH = "return redis.call('HGETALL', KEYS[1])"


@pytest.fixture
def worker(settings: Settings, redis_server: RedisServer | RedisCluster) -> Iterator[Settings]:
    """The settings of a worker that has a user of its own, on every server."""
    name = f"worker-{uuid.uuid4().hex[:8]}"
    for server in servers_of(redis_server):
        command("ACL", "SETUSER", name, "on", ">secret", *worker_rules(settings.key_prefix))(server)
    yield replace(settings, redis_url=settings.redis_url.replace("://", f"://{name}:secret@"))
    for server in servers_of(redis_server):
        command("ACL", "DELUSER", name)(server)


@pytest.fixture
def threads(worker: Settings) -> Iterator[ThreadStore]:
    threads = ThreadStore(worker)
    yield threads
    threads.close()


async def test_its_threads_run_attempts_to_every_outcome(store: Store, threads: ThreadStore) -> None:
    calls = threads.calls
    for task_id in IDS:
        await store.run(store.calls.submit(task_id, "t", "1", b"{}", tenant="acme"))
        # It records changes too, if a node wants them.
        await store.run(store.calls.read_changes(task_id[0], None, listen=True))
    # A worker may be the first to meet a server that was started anew.
    await store.redis.script_flush()
    for task_id in IDS:
        reply = threads.run(calls.start(task_id, 1, "w"))
        assert reply.verdict == "RUN"
        assert threads.run(calls.progress(task_id, 1, 0.5, b"1"))
        threads.run(calls.register_blobs(task_id))
    done, failed, retried, lost = IDS
    assert threads.run(calls.finish(done, 1, b"1"))
    assert threads.run(calls.fail(failed, 1, error("FAILED", "no"), retries=Retries(0))) == "FAILED"
    assert threads.run(calls.fail(retried, 1, error("FAILED", "no"), retries=Retries(1))) == "RETRY"
    threads.run(calls.mark_lost(lost, 1, "worker", worker_lost("w")))
    records = [await store.read(task_id) for task_id in IDS]
    assert [record and record.state for record in records] == [
        TaskState.SUCCEEDED, TaskState.FAILED, TaskState.QUEUED, TaskState.QUEUED,
    ]  # fmt: skip


async def test_its_threads_submit_children_hand_files_on_to_them_and_wait_for_them(
    store: Store, threads: ThreadStore
) -> None:
    calls, (parent, child, *_) = threads.calls, IDS
    sha256, place, actor = "b" * 64, new_place(), Actor(submitter_name(parent, 1), "acme", "a task")
    await store.run(store.calls.submit(parent, "t", "1", b"{}", limits="t:t=1"))
    await store.run(store.calls.become_claimer(parent[0], 1))
    await store.run(store.calls.claim_held(parent[0], 1, [("t:t=1", parent)]))
    assert threads.run(calls.start(parent, 1, "w")).verdict == "RUN"
    assert isinstance(threads.run(calls.add_children(parent, 1, [child], 10)), Parent)
    # A blob that the parent has made becomes a file of its own when a child takes it.
    assert threads.run(calls.borrow_file("", sha256, f"{parent}/1/x", parent, 3, "text/plain", "x"))
    borrowed = threads.run(calls.use_file("", sha256, child))
    assert borrowed is not None
    assert borrowed.source == f"{parent}/1/x"
    threads.run(calls.register_place(place, sha256))
    threads.run(calls.register_file("", sha256, place, 3, "text/plain", "x", "acme"))
    submitted = threads.run(calls.submit(child, "t", "1", b"{}", account="acme", actor=actor, depth=1))
    assert submitted.outcome == "NEW"
    assert threads.run(calls.wait_for_children(parent, 1, waits=True))
    [role] = threads.run_commands([("ROLE",)])
    assert role[0] == b"master"
    subscription = threads.subscription(calls.node_channel("w"))
    subscription.open()
    assert threads.run(calls.watch(child, "w")).record is not None
    assert threads.run(calls.read_items(child, None, 0)).items == ()
    key = calls.record_key(child)
    _, submitter = threads.run_commands([("HKEYS", key), ("HGET", key, "submitted_by")])
    assert submitter.startswith(actor.name.encode())
    assert threads.run(calls.cancel(child, actor, "withdraw"))[0]
    notification = subscription.read(5)
    assert notification is not None
    assert notification[2].startswith(child.encode())
    subscription.ping()
    assert subscription.read(5) == [b"pong", b""]
    assert subscription.read(0) is None
    subscription.close()
    assert threads.run(calls.wait_for_children(parent, 1, waits=False))


async def test_its_nanny_reports_lost_attempts(store: Store, worker: Settings) -> None:
    await store.run(store.calls.submit(IDS[0], "t", "1", b"{}"))
    nanny = Store(worker)
    try:
        await nanny.run(nanny.calls.start(IDS[0], 1, "w"))
        await nanny.run_many([nanny.calls.progress(IDS[0], 1, None)])
        await nanny.run_many([nanny.calls.mark_lost(IDS[0], 1, "none", worker_lost(None))])
    finally:
        await nanny.close()
    record = await store.read(IDS[0])
    assert record is not None
    assert (record.state, record.attempt) == (TaskState.QUEUED, 2)


async def test_it_is_refused_keys_of_the_api_leases_other_commands_and_other_scripts(
    settings: Settings, store: Store, threads: ThreadStore
) -> None:
    calls = store.calls
    await store.redis.hset(calls.api_keys_key, mapping={"id": "hash"})
    foreign = f"{settings.key_prefix}x:{{{settings.key_prefix}x:0}}:task:1"
    sha = threads.redis.script_load(READ_ANY_HASH)
    refused = [
        ("HGETALL", calls.api_keys_key), ("HSET", calls.api_keys_key, "id", "mine"), ("DEL", calls.api_keys_key),
        ("GET", calls.salt_key), ("HGETALL", foreign), ("DEL", calls.recoverer_key), ("DEL", calls.rate_key("c")),
        ("DEL", calls.audit_key), ("HGETALL", calls.tenants_key), ("DEL", calls.launches_key), ("GET", calls.fleet_key),
        ("EVALSHA", sha, 1, calls.api_keys_key), ("EVAL", "return 1", 0),
        ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "dir", "/tmp"), ("KEYS", "*"),
        ("SCAN", "0"), ("MONITOR",), ("SHUTDOWN",), ("ACL", "LIST"), ("CLIENT", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"), ("SCRIPT", "FLUSH"), ("SAVE",), ("REPLICAOF", "127.0.0.1", "1"),
        ("MIGRATE", "127.0.0.1", "1", "k", "0", "1"), ("PUBLISH", "elsewhere", "x"), ("INFO",),
    ]  # fmt: skip
    for words in refused:
        with pytest.raises(redis.ResponseError, match=r"(?i)permission|can't run this command"):
            threads.redis.execute_command(*words)  # type: ignore[no-untyped-call]
    assert await store.redis.hgetall(calls.api_keys_key) == {b"id": b"hash"}
