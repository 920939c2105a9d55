"""Webhooks through the api of a whole system: what a submission or a filter asks for arrives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from dask_graphql import AsyncClient, SubmitOptions
from tests.cluster.api_node.test_webhook_delivery import Receiver, is_signed, receiver  # noqa: F401 - a fixture
from tests.system import System

DELIVERIES = """query($task: ID, $status: DeliveryStatus) { webhookDeliveries(taskId: $task, status: $status) {
  nodes { id taskId webhookId url name state status tries reply nextTryAt } pageInfo { hasNextPage } } }"""
PAGE = """query($task: ID, $after: String) { webhookDeliveries(taskId: $task, first: 1, after: $after) {
  edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


async def deliveries(system: System, task_id: str, status: str, count: int = 1) -> list[dict[str, object]]:
    async with asyncio.timeout(20):
        while True:
            asked = await system.ask(DELIVERIES, {"task": task_id, "status": status}, node=1)
            found: list[dict[str, object]] = asked["webhookDeliveries"]["nodes"]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def test_a_submission_and_a_filter_are_told_of_the_end_and_a_delivery_is_replayed(
    system: System,
    receiver: Receiver,  # noqa: F811
    tmp_path: Path,
) -> None:
    create = "mutation($u: String!, $w: TaskFilter) { createWebhook(url: $u, where: $w) { id url secret disabledAt } }"
    where = {"states": ["SUCCEEDED"], "tag": tmp_path.name}
    made = (await system.ask(create, {"u": receiver.url + "&by=filter", "w": where}))["createWebhook"]
    options = SubmitOptions(webhook=receiver.url + "&by=submission", tags=(tmp_path.name,))
    # The other node knows the webhook a moment later.
    async with asyncio.timeout(10):
        while made not in (await system.ask("{ webhooks { id url secret disabledAt } }", node=1))["webhooks"]:
            await asyncio.sleep(0.02)
    async with AsyncClient(system.url_of(1).removesuffix("/graphql")) as client:
        task_id = (await client.submit("fibonacci", n=77123, options=options)).task_id
    got = {headers[":"].partition("by=")[2]: (headers, body) for headers, body in await receiver.requests(2)}
    assert is_signed(*got["filter HTTP/1.1"], made["secret"])
    assert is_signed(*got["submission HTTP/1.1"], (await system.ask("{ webhookSecret }"))["webhookSecret"])
    found = await deliveries(system, task_id, "DELIVERED", 2)
    assert {(item["webhookId"], item["url"]) for item in found} == {
        (made["id"], made["url"]),
        (None, options.webhook),
    }
    assert {(item["name"], item["state"], item["tries"], item["reply"], item["nextTryAt"]) for item in found} == {
        ("fibonacci", "SUCCEEDED", 1, "HTTP 204", None)
    }
    pages, after = list[str](), None
    for _ in found:
        page = (await system.ask(PAGE, {"task": task_id, "after": after}))["webhookDeliveries"]
        [edge] = page["edges"]
        assert page["nodes"] == [edge["node"]]
        assert page["pageInfo"]["startCursor"] == edge["cursor"]
        assert page["pageInfo"]["hasPreviousPage"] == bool(pages)
        pages.append(edge["node"]["id"])
        after = edge["cursor"]
    assert pages == [item["id"] for item in found]
    assert not page["pageInfo"]["hasNextPage"]
    again = "mutation($id: ID!) { redeliverWebhook(deliveryId: $id) }"
    assert (await system.ask(again, {"id": found[0]["id"]}))["redeliverWebhook"] == found[0]["id"]
    assert (await receiver.requests(3))[2][0]["webhook-id"] == found[0]["id"]
    rotate = "mutation($id: ID) { rotateWebhookSecret(id: $id) }"
    fresh = (await system.ask(rotate, {"id": made["id"]}))["rotateWebhookSecret"]
    assert fresh != made["secret"]
    await system.ask("mutation($id: ID!) { deleteWebhook(id: $id) }", {"id": made["id"]})
    assert (await system.ask("{ webhooks { id } }"))["webhooks"] == []


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ('mutation { createWebhook(url: "https://169.254.169.254/latest") { id } }', "BAD_INPUT"),
        ('mutation { submitFibonacci(n: 7, options: {webhook: "ftp://app.example.com"}) { taskId } }', "BAD_INPUT"),
        ('mutation { deleteWebhook(id: "wh_000000000000000000000000") }', "WEBHOOK_NOT_FOUND"),
        ('mutation { redeliverWebhook(deliveryId: "msg_b") }', "WEBHOOK_NOT_FOUND"),
        ('mutation { rotateWebhookSecret(id: "nobody") }', "WEBHOOK_NOT_FOUND"),
        ('{ webhookDeliveries(after: "!") { nodes { id } } }', "BAD_CURSOR"),
        ('{ webhookDeliveries(taskId: "x") { nodes { id } } }', "BAD_TASK_ID"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_code(system: System, operation: str, code: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = (await client.post(system.url, json={"query": operation})).json()
    assert answer["errors"][0]["extensions"]["code"] == code
