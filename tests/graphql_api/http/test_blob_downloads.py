"""The download of a blob: found wherever it stands in a result, and named so that every HTTP client can read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Route

import graphql_api.http.blob_downloads
from cluster.errors import ResultUnreadable
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.task_types.registry import Registry, _registered
from cluster.worker.outcome import Succeeded, encode
from dask_graphql import Blob, task
from graphql_api.auth.callers import Caller
from graphql_api.auth.http import status_of

TASK_ID = "0" * 32


@dataclass(frozen=True, slots=True)
class Slotted:
    files: frozenset[Blob]


class Model(BaseModel):
    table: dict[str, tuple[Blob, ...]]
    deeper: Slotted | None = None


class Api:
    """The download route of an api whose store has one record."""

    def __init__(self, folder: Path, annotation: Any, value: Any) -> None:
        def makes_files(n: int) -> Any: ...

        makes_files.__annotations__["return"] = annotation
        task(makes_files)
        registry = Registry()
        registry.add(_registered[__name__, "makes_files"])
        made = encode(registry["makes_files"], value, 10_000)
        assert isinstance(made, Succeeded)
        self.record = record = SimpleNamespace(
            task_id=TASK_ID, name="makes_files", result=made.result, tenant="", previous_at=None
        )

        async def read(task_id: str) -> Any:
            return record

        async def read_previous_result(task_id: str) -> bytes:
            return made.result

        async def caller(*_: Any) -> Caller:
            return Caller("test")

        self.blobs = FolderBlobStore(folder)
        app = Starlette(routes=[Route("/blobs/{key:path}", graphql_api.http.blob_downloads.download)])
        store = SimpleNamespace(read=read, read_previous_result=read_previous_result)
        app.state.node = SimpleNamespace(
            store=store, registry=registry, blobs=self.blobs, operation_rates=SimpleNamespace(take=lambda *_: 0)
        )
        app.state.authenticator = SimpleNamespace(caller=caller)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api")

    async def get(self, blob: Blob) -> httpx.Response:
        self.blobs.write(blob.key, b"content")
        return await self.client.get(f"/blobs/{quote(blob.key)}")


def blob(name: str, media_type: str = "text/plain") -> Blob:
    return Blob(f"{TASK_ID}/1/{name}", 7, media_type)


@pytest.mark.parametrize(
    ("annotation", "value", "asked"),
    [
        (list[Blob], [blob("a"), blob("b")], blob("b")),
        (frozenset[Blob], frozenset([blob("a")]), blob("a")),
        (Slotted, Slotted(frozenset([blob("a")])), blob("a")),
        (Model, Model(table={"x": (blob("a"), blob("b"))}), blob("b")),
        (Model | None, Model(table={}, deeper=Slotted(frozenset([blob("c")]))), blob("c")),
    ],
)
async def test_a_blob_is_found_anywhere_in_an_output(tmp_path: Path, annotation: Any, value: Any, asked: Blob) -> None:
    answer = await Api(tmp_path, annotation, value).get(asked)
    assert (answer.status_code, answer.content) == (200, b"content")


@pytest.mark.parametrize("partial", [None, b"[]"])
async def test_a_blob_of_the_run_before_is_found_until_there_is_a_new_result(
    tmp_path: Path, partial: bytes | None
) -> None:
    api = Api(tmp_path, list[Blob], [blob("old")])
    api.record.result = partial
    assert (await api.get(blob("old"))).status_code == 404
    api.record.previous_at = 1
    assert (await api.get(blob("old"))).status_code == 200


async def test_a_result_of_an_earlier_type_is_refused_as_in_graphql(tmp_path: Path) -> None:
    api = Api(tmp_path, list[Blob], [blob("a")])
    api.record.result = b'{"older": 1}'
    with pytest.raises(ResultUnreadable) as raised:
        await api.get(blob("a"))
    assert status_of(raised.value) == (404, {})


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("report.csv", 'inline; filename="report.csv"'),
        ("年報.csv", "inline; filename=\"__.csv\"; filename*=UTF-8''%E5%B9%B4%E5%A0%B1.csv"),
        ("größe.txt", "inline; filename=\"gr__e.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"),
        ('a"b.txt', "inline; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
    ],
)
async def test_a_file_of_any_name_is_downloaded_under_that_name(tmp_path: Path, name: str, disposition: str) -> None:
    answer = await Api(tmp_path, list[Blob], [blob(name)]).get(blob(name))
    assert (answer.status_code, answer.headers["content-disposition"]) == (200, disposition)


@pytest.mark.parametrize("media_type", ["täxt/☃", "text/plain\r\nX-More: 1", "text", ""])
async def test_a_media_type_that_is_not_valid_in_a_header_is_not_sent(tmp_path: Path, media_type: str) -> None:
    answer = await Api(tmp_path, list[Blob], [blob("a", media_type)]).get(blob("a"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert "x-more" not in answer.headers


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("image/png", "inline"),
        ("IMAGE/JPEG", "inline"),
        ("text/plain; charset=utf-8", "inline"),
        ("application/pdf", "inline"),
        ("text/html", "attachment"),
        ("image/svg+xml", "attachment"),
        ("text/xml;x=image/png", "attachment"),
        ("text/csv", "attachment"),
        ("application/octet-stream", "attachment"),
        ("image/png\r\nX-More: 1", "attachment"),
    ],
)
async def test_only_what_has_no_scripts_is_shown_and_all_is_sandboxed(
    tmp_path: Path, media_type: str, kind: str
) -> None:
    answer = await Api(tmp_path, list[Blob], [blob("a", media_type)]).get(blob("a"))
    assert answer.headers["content-disposition"] == f'{kind}; filename="a"'
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'; ")
    assert "allow-" not in answer.headers["content-security-policy"]
