"""The delivery of webhooks, to a real receiver over real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import pytest

from cluster.api_node.webhook_delivery import MAX_PER_RECEIVER, WebhookDeliverer
from cluster.api_node.webhooks import Webhooks
from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from cluster.store.task_filter import TaskFilter
from cluster.store.webhook_deliveries import Delivery, DeliveryStatus, read_deliveries
from cluster.task_types.registry import Registry, _registered
from cluster.webhooks.sender import Sender
from dask_graphql import Hidden, task

ID = "b9a7c7263c0332d12e52f09809754586"


@dataclass
class Sum:
    sum: int
    secret: Annotated[str | None, Hidden] = None


def add(a: int) -> Sum:
    return Sum(a)


@pytest.fixture
def registry() -> Registry:
    task(name="add")(add)
    made = Registry()
    made.add(_registered[__name__, "add"])
    return made


@dataclass
class Receiver:
    """An HTTP server that answers each request as it is told, and keeps what it got."""

    answers: list[str] = field(default_factory=list)
    """The status lines and headers of the next answers; 204 when there are no more. `silence` for none at all."""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    open_requests: int = 0
    most_open: int = 0
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?run=7"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                answer = self.answers.pop(0) if self.answers else "204 No Content"
                self.open_requests += 1
                self.most_open = max(self.most_open, self.open_requests)
                async with self.arrived:
                    self.got.append(({**headers, ":": first}, body))
                    self.arrived.notify_all()
                if answer == "silence":
                    await self.released.wait()
                self.open_requests -= 1
                writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async def requests(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        async with asyncio.timeout(15), self.arrived:
            await self.arrived.wait_for(lambda: len(self.got) >= count)
        return self.got


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    made.released.set()
    server.close()


@pytest.fixture
def webhooks(settings: Settings, store: Store) -> Webhooks:
    return Webhooks(replace(settings, webhook_networks="127.0.0.0/8"), store)


@pytest.fixture
async def deliverer(store: Store, webhooks: Webhooks, registry: Registry) -> AsyncIterator[WebhookDeliverer]:
    made = WebhookDeliverer(store, webhooks, registry, "node")
    made.start()
    yield made
    await made.close()


async def end(
    store: Store, webhooks: Webhooks, task_id: str = ID, *, url: str | None = None, tags: tuple[str, ...] = (),
    failure: str = "", result: bytes = b'{"sum":5}',
) -> None:  # fmt: skip
    """Submits a task as an api node does, and ends it."""
    told = webhooks.interested("", "acme", "add", tags, url)
    await store.run(store.calls.submit(task_id, "add", "1", b'{"a":2}', tags=tags, webhooks=told, account="acme"))
    await store.run(store.calls.start(task_id, 1, "w1"))
    if failure:
        await store.run(store.calls.fail(task_id, 1, error(failure, "it broke", "ValueError")))
    else:
        await store.run(store.calls.finish(task_id, 1, result))


async def deliveries(store: Store, status: DeliveryStatus, count: int = 1) -> list[Delivery]:
    async with asyncio.timeout(15):
        while True:
            page = await read_deliveries(store, "acme", 50, None, lambda item: item.status is status)
            if len(page.deliveries) >= count:
                return list(page.deliveries)
            await asyncio.sleep(0.02)


def is_signed(headers: dict[str, str], body: bytes, secret: str) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return f"v1,{wanted}" in headers["webhook-signature"].split()


async def test_the_end_of_a_task_arrives_signed_with_its_output(
    store: Store, webhooks: Webhooks, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    await end(store, webhooks, url=receiver.url, tags=("nightly",))
    [(headers, body)] = await receiver.requests(1)
    [secret] = await webhooks.secrets("acme", receiver.url)
    assert is_signed(headers, body, secret)
    assert headers[":"] == "POST /hooks?run=7 HTTP/1.1"
    assert headers["content-type"] == "application/json"
    told = json.loads(body)
    assert (told["type"], told["timestamp"]) == ("task.succeeded", told["data"]["finishedAt"])
    assert told["data"]["output"] == {"sum": 5}
    assert told["data"]["taskId"] == ID
    assert told["data"]["tags"] == ["nightly"]
    [delivery] = await deliveries(store, DeliveryStatus.DELIVERED)
    assert (delivery.delivery_id, delivery.tries, delivery.reply) == (headers["webhook-id"], 1, "HTTP 204")


async def test_a_failure_is_told_with_its_error_and_a_long_output_is_left_out(
    store: Store, webhooks: Webhooks, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    await end(store, webhooks, url=receiver.url, failure="SHORT_OF_LUCK")
    await receiver.requests(1)
    await end(store, webhooks, "c" + ID[1:], url=receiver.url, result=b'"' + b"x" * 5_000 + b'"')
    told = [json.loads(body)["data"] for _, body in await receiver.requests(2)]
    assert told[0]["error"] == {"code": "SHORT_OF_LUCK", "message": "it broke", "type": "ValueError"}
    assert "output" not in told[0] | told[1]


async def test_an_output_is_told_without_what_it_hides_and_not_at_all_if_nothing_says_what_that_is(
    store: Store, webhooks: Webhooks, registry: Registry, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    await end(store, webhooks, url=receiver.url, result=b'{"sum":5,"secret":"the vault is open"}')
    await receiver.requests(1)
    registry.replace(Registry())
    await end(store, webhooks, "c" + ID[1:], url=receiver.url)
    known, unknown = (json.loads(body)["data"] for _, body in await receiver.requests(2))
    assert known["output"] == {"sum": 5}
    assert "output" not in unknown


async def test_a_webhook_is_told_of_what_meets_its_filter_and_nothing_else(
    store: Store, webhooks: Webhooks, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    where = TaskFilter(states=frozenset({TaskState.FAILED}), tag="nightly", error_code="BROKEN")
    made = await webhooks.create("acme", "", receiver.url, where, "")
    foreign = await webhooks.create("acme", "another", receiver.url, TaskFilter(), "")
    await end(store, webhooks, "1" + ID[1:], tags=("nightly",))
    await end(store, webhooks, "2" + ID[1:], tags=("daily",), failure="BROKEN")
    await end(store, webhooks, "3" + ID[1:], tags=("nightly",), failure="TORN")
    await end(store, webhooks, "4" + ID[1:], tags=("nightly",), failure="BROKEN")
    [delivery] = await deliveries(store, DeliveryStatus.DELIVERED)
    assert (delivery.task_id, delivery.to) == ("4" + ID[1:], made.webhook_id)
    async with asyncio.timeout(10):
        while (await read_deliveries(store, "acme", 50, None, lambda _: True)).deliveries != (delivery,):
            await asyncio.sleep(0.02)
    [(headers, body)] = receiver.got
    [secret] = await webhooks.secrets("acme", made.webhook_id)
    assert is_signed(headers, body, secret)
    assert (await webhooks.secrets("acme", foreign.webhook_id)) != [secret]


async def test_what_fails_is_tried_again_under_the_same_id_with_a_new_signature(
    store: Store, webhooks: Webhooks, deliverer: WebhookDeliverer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.webhooks.retry_schedule.PAUSES", (0.0, 0.0, 0.0))
    receiver.answers += ["500 No", "302 Found\r\nLocation: http://127.0.0.1:1/", "200 OK"]
    await end(store, webhooks, url=receiver.url)
    got = await receiver.requests(3)
    assert len({headers["webhook-id"] for headers, _ in got}) == 1
    [secret] = await webhooks.secrets("acme", receiver.url)
    assert all(is_signed(headers, body, secret) for headers, body in got)
    [delivery] = await deliveries(store, DeliveryStatus.DELIVERED)
    assert delivery.tries == 3


async def test_a_receiver_that_is_gone_disables_its_webhook_until_it_is_enabled(
    store: Store, webhooks: Webhooks, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    made = await webhooks.create("acme", "", receiver.url, TaskFilter(), "")
    receiver.answers.append("410 Gone")
    await end(store, webhooks)
    [delivery] = await deliveries(store, DeliveryStatus.FAILED)
    assert delivery.reply == "HTTP 410"
    assert (await webhooks.find("acme", made.webhook_id)).disabled_at
    await end(store, webhooks, "c" + ID[1:])
    await webhooks.enable("acme", made.webhook_id)
    await end(store, webhooks, "d" + ID[1:])
    [later] = await deliveries(store, DeliveryStatus.DELIVERED)
    assert later.task_id == "d" + ID[1:]
    assert len(receiver.got) == 2


async def test_an_overloaded_receiver_is_left_alone_for_as_long_as_it_asks(
    store: Store, webhooks: Webhooks, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    receiver.answers.append("429 Too Many\r\nRetry-After: 3600")
    await end(store, webhooks, url=receiver.url)
    await receiver.requests(1)
    [first] = await deliveries(store, DeliveryStatus.PENDING)
    await end(store, webhooks, "c" + ID[1:], url=receiver.url)
    async with asyncio.timeout(10):
        while True:
            page = await read_deliveries(store, "acme", 50, None, lambda _: True)
            waiting = {item.task_id: (item.tries, item.due_at or 0) for item in page.deliveries}
            if len(waiting) == 2 and all(due > first.at + 3_000_000 for _, due in waiting.values()):
                break
            await asyncio.sleep(0.02)
    assert {task_id: tries for task_id, (tries, _) in waiting.items()} == {ID: 1, "c" + ID[1:]: 0}
    assert len(receiver.got) == 1


async def test_a_receiver_that_hangs_leaves_room_for_the_others(
    store: Store, webhooks: Webhooks, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    receiver.answers += ["silence"] * 40
    for n in range(2 * MAX_PER_RECEIVER):
        await end(store, webhooks, f"{n:x}{n:031x}", url=receiver.url)
    await receiver.requests(MAX_PER_RECEIVER)
    other = Receiver()
    server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    other.port = server.sockets[0].getsockname()[1]
    await end(store, webhooks, url=other.url)
    await other.requests(1)
    assert receiver.most_open == MAX_PER_RECEIVER
    server.close()


async def test_what_another_node_has_just_changed_is_known_before_anything_is_dropped_or_signed(
    settings: Settings, store: Store, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    async with asyncio.timeout(10):
        while not deliverer.active:
            await asyncio.sleep(0.01)
    elsewhere = Webhooks(replace(settings, webhook_networks="127.0.0.0/8"), store)
    made = await elsewhere.create("acme", "", receiver.url, TaskFilter(), "")
    await elsewhere.disable(made.webhook_id)
    await elsewhere.enable("acme", made.webhook_id)
    await end(store, elsewhere)
    [(headers, body)] = await receiver.requests(1)
    [secret] = await elsewhere.secrets("acme", made.webhook_id)
    assert is_signed(headers, body, secret)


async def test_a_node_that_has_just_started_knows_all_webhooks_and_secrets(
    settings: Settings, store: Store, registry: Registry, receiver: Receiver
) -> None:
    webhook_settings = replace(settings, webhook_networks="127.0.0.0/8")
    elsewhere = Webhooks(webhook_settings, store)
    await elsewhere.rotate("acme", None)
    await end(store, elsewhere, url=receiver.url)
    started = Webhooks(webhook_settings, store)
    await started.loaded()
    assert started.table.value == elsewhere.table.value
    fresh = WebhookDeliverer(store, Webhooks(webhook_settings, store), registry, "fresh")
    fresh.start()
    [(headers, body)] = await receiver.requests(1)
    newest, _ = await elsewhere.secrets("acme", receiver.url)
    assert is_signed(headers, body, newest)
    await fresh.close()


async def test_what_a_host_answers_one_account_does_not_hold_up_another(
    store: Store, webhooks: Webhooks, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    receiver.answers.append("429 Too Many\r\nRetry-After: 3600")
    await end(store, webhooks, url=receiver.url)
    await receiver.requests(1)
    await deliveries(store, DeliveryStatus.PENDING)
    other = "c" + ID[1:]
    await store.run(store.calls.submit(other, "add", "1", b"{}", webhooks=[f"bank|{receiver.url}"], account="bank"))
    await store.run(store.calls.cancel(other))
    assert json.loads((await receiver.requests(2))[1][1])["data"]["taskId"] == other


async def test_a_deliverer_that_dies_in_the_middle_leaves_its_deliveries_to_the_next(
    store: Store, webhooks: Webhooks, registry: Registry, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.store.webhook_calls.LEASE_SECONDS", 1.0)
    receiver.answers.append("silence")
    first = WebhookDeliverer(store, webhooks, registry, "first")
    first.start()
    await end(store, webhooks, url=receiver.url)
    await receiver.requests(1)
    await first.close()
    second = WebhookDeliverer(store, webhooks, registry, "second")
    second.start()
    (one, _), (two, _) = await receiver.requests(2)
    assert one["webhook-id"] == two["webhook-id"]
    await deliveries(store, DeliveryStatus.DELIVERED)
    await second.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://localhost:1/", "it must be public"),
        ("http://localhost:1/", "it must be public"),
        ("https://no-such-name.invalid/", "cannot be resolved"),
        (f"https://{'a' * 64}.example/", "cannot be resolved"),
        ("https://a..example/", "cannot be resolved"),
    ],
)
async def test_a_name_that_resolves_to_a_private_address_is_not_reached(url: str, words: str) -> None:
    sender = Sender([])
    answer = await sender.send(url, {}, b"{}")
    assert (answer.status, words in answer.text) == (None, True), answer
    assert "127.0.0.1" not in answer.text
    await sender.close()


async def test_a_receiver_that_speaks_no_http_or_no_tls_or_nothing_is_an_answer_too(
    receiver: Receiver, webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.webhooks.sender.TIMEOUT_SECONDS", 0.5)
    sender = Sender(webhooks.networks)
    receiver.answers += ["nonsense", "silence"]
    urls = (receiver.url, receiver.url, receiver.url.replace("http", "https"), "http://127.0.0.1:1/")
    texts = [(await sender.send(url, {}, b"{}")).text for url in urls]
    assert texts == [
        "the connection failed: RemoteProtocolError", "no answer within 0.5 s", "no answer within 0.5 s",
        "the connection failed: ConnectError",
    ]  # fmt: skip
    await sender.close()


async def test_an_account_has_a_bounded_number_of_webhooks(settings: Settings, store: Store) -> None:
    def make(limit: int) -> Webhooks:
        return Webhooks(replace(settings, webhooks_per_account=limit), store)

    url: Any = "https://app.example.com/hooks"
    few = make(2)
    for _ in range(2):
        await few.create("acme", "", url, TaskFilter(), "")
    with pytest.raises(Exception, match="at most 2 webhooks"):
        await few.create("acme", "", url, TaskFilter(), "")
    await few.create("bank", "", url, TaskFilter(), "")
    with pytest.raises(Exception, match="webhooks are off"):
        make(0).check_url(url, "url")
