"""What we use of Starlette's inside has its effect: a release that changes it fails here, not in production."""

from __future__ import annotations

import gzip
from pathlib import Path

import httpx
from starlette.datastructures import Headers

from graphql_api.http.starlette_internals import CompressedFiles, NotModifiedResponse


def client(folder: Path) -> httpx.AsyncClient:
    files = CompressedFiles(directory=folder, check_dir=False)
    return httpx.AsyncClient(transport=httpx.ASGITransport(files), base_url="http://files")


async def test_a_client_that_accepts_gzip_gets_the_compressed_file_with_the_type_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "code.js").write_text("plain")
    (tmp_path / "code.js.gz").write_bytes(gzip.compress(b"compressed"))
    async with client(tmp_path) as browser:
        compressed = await browser.get("/code.js", headers={"Accept-Encoding": "gzip"})
        plain = await browser.get("/code.js", headers={"Accept-Encoding": "identity"})
    assert (compressed.text, compressed.headers["Content-Encoding"]) == ("compressed", "gzip")
    assert (plain.text, plain.headers.get("Content-Encoding")) == ("plain", None)
    assert compressed.headers["Content-Type"] == plain.headers["Content-Type"]
    assert compressed.headers["Content-Type"].startswith("text/javascript")


async def test_a_client_gets_the_best_copy_that_it_accepts(tmp_path: Path) -> None:
    for suffix in ("", ".br", ".gz"):
        (tmp_path / f"code.js{suffix}").write_text(suffix)
    found = []
    async with client(tmp_path) as browser:
        for accepted in ("gzip, deflate, br", "br;q=0, gzip", "gzip;q=0, br; q=0.0", "x-br"):
            async with browser.stream("GET", "/code.js", headers={"Accept-Encoding": accepted}) as response:
                found.append(response.headers.get("Content-Encoding"))
    assert found == ["br", "gzip", None, None]


async def test_a_folder_that_does_not_exist_is_no_error(tmp_path: Path) -> None:
    from starlette.exceptions import HTTPException

    async with client(tmp_path / "missing") as browser:
        try:
            status = (await browser.get("/code.js")).status_code
        except HTTPException as error:
            status = error.status_code
    assert status == 404


def test_a_304_has_the_headers_that_belong_to_it_and_no_body() -> None:
    response = NotModifiedResponse(Headers({"etag": '"1"', "cache-control": "no-cache", "content-length": "9"}))
    assert response.status_code == 304
    assert response.headers["etag"] == '"1"'
    assert "content-length" not in response.headers
    assert response.body == b""
