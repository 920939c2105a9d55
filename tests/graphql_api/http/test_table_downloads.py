"""Downloads of tables: for whom, in which formats, and how many at once."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.dataframe
import httpx
import numpy as np
import pandas as pd
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

import cluster.data.array_output
from cluster.current_settings import use_settings
from cluster.data.array_reader import ArrayReader
from cluster.data.data_sink import DataSink
from cluster.data.outputs import store_data
from cluster.data.table_reader import TableReader
from cluster.settings import Settings
from cluster.store.blob_store import CHUNK_BYTES
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.task_types.registry import Registry, _registered
from cluster.task_types.result_checks import DeclaredType
from cluster.worker.graph_tasks import as_completed
from cluster.worker.outcome import Succeeded, encode
from dask_graphql import Array, Table, task
from graphql_api.auth.callers import Caller, Scope
from graphql_api.http.array_downloads import download_array
from graphql_api.http.table_downloads import MAX_CONVERSIONS, Conversions, download_table

TASK_ID = "0" * 32


class Api:
    """The download routes of an api whose store has one record, of the tenant `a`."""

    def __init__(self, folder: Path, annotation: Any, value: Any) -> None:
        def makes_data(n: int) -> Any: ...

        makes_data.__annotations__["return"] = annotation
        task(makes_data)
        registry = Registry()
        registry.add(_registered[__name__, "makes_data"])
        blobs = FolderBlobStore(folder)
        sink = DataSink(blobs, f"{TASK_ID}/1", as_completed)
        use_settings(Settings(blob_url=folder.as_uri()))
        made = encode(registry["makes_data"], value, 10_000, sink)
        assert isinstance(made, Succeeded)
        record = SimpleNamespace(name="makes_data", result=made.result, tenant="a", previous_at=None)
        self.caller = Caller("test", tenant="a", scopes=frozenset({Scope.READ}))

        async def read(task_id: str) -> Any:
            return record

        async def caller(*_: Any) -> Caller:
            return self.caller

        routes = [Route("/tables/{key:path}", download_table), Route("/arrays/{key:path}", download_array)]
        self.app = app = Starlette(routes=routes)
        app.state.node = SimpleNamespace(
            store=SimpleNamespace(read=read), registry=registry, blobs=blobs, tables=TableReader(blobs, 1_000_000),
            operation_rates=SimpleNamespace(take=lambda *_: 0),
            arrays=ArrayReader(blobs),
        )  # fmt: skip
        self.conversions = app.state.table_conversions = Conversions()
        app.state.authenticator = SimpleNamespace(caller=caller)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api")

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)


@pytest.fixture(autouse=True)
def _settings_of_a_node() -> Iterator[None]:
    yield
    use_settings(Settings())


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path, Table, pd.DataFrame({"a": [1, 2], "b": ["x", "=y"]}))


async def test_what_is_made_while_it_is_sent_says_that_it_has_no_ranges(api: Api, tmp_path: Path) -> None:
    frame = dask.dataframe.from_pandas(pd.DataFrame({"a": range(6)}), npartitions=2)
    parts = Api(tmp_path / "parts", Table, frame)
    for one, form, ranges in (
        (api, "parquet", "bytes"), (api, "csv", "none"), (api, "arrow", "none"), (parts, "parquet", "none"),
        (parts, "0.parquet", "bytes"),
    ):  # fmt: skip
        path = f"/tables/{TASK_ID}/1/data/result.{form}"
        head = await one.client.head(path)
        part = await one.client.get(path, headers={"Range": "bytes=0-3"})
        assert (head.headers["accept-ranges"], part.headers["accept-ranges"]) == (ranges, ranges), form
        assert (part.status_code, len(part.content) == 4) == ((206, True) if ranges == "bytes" else (200, False)), form


async def test_each_format_has_its_media_type_and_a_file_name(api: Api) -> None:
    for form, media_type in (
        ("parquet", "application/vnd.apache.parquet"),
        ("arrow", "application/vnd.apache.arrow.stream"),
        ("csv", "text/csv; charset=utf-8; header=present"),
    ):
        answer = await api.get(f"/tables/{TASK_ID}/1/data/result.{form}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert answer.headers["content-disposition"] == f'attachment; filename="result.{form}"'
    kept = await api.get(f"/tables/{TASK_ID}/1/data/result.csv?formulas=keep")
    assert (answer.text, kept.text) == ('"a","b"\r\n1,"x"\r\n2,"\'=y"\r\n', '"a","b"\r\n1,"x"\r\n2,"=y"\r\n')
    head = await api.client.head(f"/tables/{TASK_ID}/1/data/result.csv")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    ["result.txt", "result.7.parquet", "result.0.csv", "other.csv", "result", "result.schema/x", "..%2fresult.csv"],
)
async def test_what_no_table_has_is_not_found(api: Api, path: str) -> None:
    assert (await api.get(f"/tables/{TASK_ID}/1/data/{path}")).status_code == 404


async def test_a_table_of_another_tenant_is_not_found(api: Api, tmp_path: Path) -> None:
    array = Api(tmp_path / "array", Array, [1.0, 2.0])
    for one, path in ((api, "tables/%s/1/data/result.csv"), (array, "arrays/%s/1/data/result.npy")):
        assert (await one.get("/" + path % TASK_ID)).status_code == 200
        one.caller = Caller("test", tenant="b", scopes=frozenset({Scope.READ}))
        assert (await one.get("/" + path % TASK_ID)).status_code == 404


async def test_what_is_handed_to_the_server_at_a_time_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.data.array_output, "NPY_LIMIT_BYTES", 0)
    values = np.random.default_rng(1).random((700, 2_000))
    array = Api(tmp_path / "array", Array, values)
    table = Api(tmp_path / "table", Table, {"text": [f"{number}" * 300 for number in range(10_000)]})
    for api, path in ((array, "arrays/%s/1/data/result.npy"), (array, "arrays/%s/1/data/result.zarr/data/c/0/0"),
                      (table, "tables/%s/1/data/result.csv")):  # fmt: skip
        parts: list[int] = []

        async def send(message: Any, parts: list[int] = parts) -> None:
            parts.append(len(message.get("body", b"")))

        async def receive() -> Any:
            await asyncio.Event().wait()

        scope = {"type": "http", "method": "GET", "path": "/" + path % TASK_ID, "headers": [], "query_string": b""}
        await api.app(scope, receive, send)
        assert sum(parts) > 5 * CHUNK_BYTES
        assert max(parts) <= CHUNK_BYTES
    npy = await array.get(f"/arrays/{TASK_ID}/1/data/result.npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(npy.content)), values)


async def test_conversions_beyond_the_limit_are_to_try_again(api: Api) -> None:
    path = f"/tables/{TASK_ID}/1/data/result.csv"
    for _ in range(MAX_CONVERSIONS + 2):
        assert (await api.get(path)).status_code == 200
    for _ in range(MAX_CONVERSIONS):
        assert api.conversions.take()
    answer = await api.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert (await api.get(f"/tables/{TASK_ID}/1/data/result.parquet")).status_code == 200
    api.conversions.release()
    assert (await api.get(path)).status_code == 200


def test_a_task_is_registered_before_its_first_byte_is_written(tmp_path: Path) -> None:
    steps: list[str] = []

    class Recording(FolderBlobStore):
        def open_write(self, key: str) -> Any:
            steps.append(key)
            return super().open_write(key)

    for declared, value in ((Table, [{"a": 1}]), (Array, [1.0])):
        steps.clear()
        sink = DataSink(Recording(tmp_path), "t/1", lambda _: iter(()), before_write=lambda: steps.append("registered"))
        store_data(value, DeclaredType(declared), sink)
        assert (steps[0], len(steps)) == ("registered", 2)
