"""Small files inside a GraphQL request: the GraphQL multipart request specification
(https://github.com/jaydenseric/graphql-multipart-request-spec).

A form has the fields `operations` (the operation as JSON, null in place of each file), `map` (from the name of each
file to the variables that it is) and the files. Here a file is stored like one of `POST /files`, and its variable
becomes its id. The whole form is bounded as any body is; larger files go to `/files`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cluster.api_node.files import DEFAULT_MEDIA_TYPE, Announced
from cluster.api_node.node import Node
from cluster.errors import BlobError, ServiceUnavailable
from cluster.task_types.file import file_id
from graphql_api.auth.callers import Caller
from graphql_api.errors import BLOBS_UNAVAILABLE
from graphql_api.http.files import check_media_type, check_name, take_upload
from graphql_api.transport.json import parse_json
from graphql_api.transport.request_body import RequestRefused

PREFLIGHT_HEADERS: Final = ("graphql-require-preflight", "apollo-require-preflight", "x-apollo-operation-name")
"""A page of another site can send a form without asking, but with none of these headers (CSRF)."""
MAX_FILES: Final = 20
"""Files in one form."""
MAX_PATHS: Final = 100
"""Variables that the files of a form are."""
_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_DISPOSITION: Final = re.compile(rb'[;\s](name|filename)="([^"]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form."""

    content: bytes
    file_name: str
    media_type: str


def require_preflight(headers: Mapping[str, str]) -> None:
    """Refuses a form that a page of another site may have sent.

    Raises:
        RequestRefused: no header says otherwise.
    """
    if not any(headers.get(name) for name in PREFLIGHT_HEADERS):
        raise RequestRefused(415, "a multipart POST needs the header GraphQL-Require-Preflight: 1")


def parse_form(content_type: str, body: bytes) -> dict[str, Part]:
    """The fields of a form (RFC 7578).

    Raises:
        RequestRefused: it is malformed, or has too many fields.
    """
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise RequestRefused(400, "multipart/form-data needs a boundary")
    delimiter = f"\r\n--{match[1] or match[2]}".encode("latin-1")
    # The first one may be at the very beginning; what follows the last one begins with two hyphens.
    _, *sections = (b"\r\n" + body).split(delimiter, MAX_FILES + 4)
    if not sections or not sections[-1].startswith(b"--"):
        raise RequestRefused(400, f"expected a complete form with at most {MAX_FILES} files")
    return dict(_parse_part(section) for section in sections[:-1])


def _parse_part(section: bytes) -> tuple[str, Part]:
    head, separator, content = section.partition(b"\r\n\r\n")
    lines = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
    }
    found = {
        name.lower(): value.decode(errors="replace")
        for name, value in _DISPOSITION.findall(lines.get(b"content-disposition", b""))
    }
    if not separator or b"name" not in found:
        raise RequestRefused(400, "a field of the form has no name")
    media_type = lines.get(b"content-type", b"").decode("latin-1") or DEFAULT_MEDIA_TYPE
    return found[b"name"], Part(content, found.get(b"filename", "").replace("\\", "/").rpartition("/")[2], media_type)


def operation_of(form: Mapping[str, Part], max_values: int) -> tuple[Any, dict[str, list[str]]]:
    """The operation of a form, and the paths of the variables that each file is.

    Raises:
        DocumentTooLarge: the operation has too many values.
        json.JSONDecodeError: a field is not JSON.
        RequestRefused: a field is missing, or the map is not one.
    """
    if not {"operations", "map"} <= form.keys():
        raise RequestRefused(400, 'expected the fields "operations" and "map"')
    operation = parse_json(form["operations"].content, max_values)
    paths = parse_json(form["map"].content, MAX_PATHS)
    if not isinstance(paths, dict) or not all(
        isinstance(places, list) and all(isinstance(place, str) for place in places) for places in paths.values()
    ):
        raise RequestRefused(400, 'expected "map" to be an object of lists of paths, such as {"0": ["variables.file"]}')
    if missing := paths.keys() - form.keys():
        raise RequestRefused(400, f'the form has no file {min(missing)[:40]!r}, which "map" names')
    return operation, paths


async def store_files(
    form: Mapping[str, Part], paths: Mapping[str, list[str]], operation: dict[str, Any], node: Node, caller: Caller
) -> None:
    """Stores the files of a form, and writes their ids into the operation's variables.

    Raises:
        PublicError: a file is refused.
        RequestRefused: a path does not lead to a variable that is null.
    """
    for name, places in paths.items():
        part = form[name]
        announced = Announced(len(part.content), None, check_media_type(part.media_type), check_name(part.file_name))
        try:
            file, _ = await take_upload(node, caller, _whole(part.content), announced)
        except BlobError:
            raise ServiceUnavailable(BLOBS_UNAVAILABLE) from None
        for place in places:
            _write(operation, place, file_id(file.sha256))


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _write(operation: dict[str, Any], place: str, value: str) -> None:
    *steps, last = place.split(".")
    target: Any = operation
    try:
        for step in steps:
            target = target[int(step) if isinstance(target, list) else step]
        key = int(last) if isinstance(target, list) else last
        if not steps or steps[0] != "variables" or target[key] is not None:
            raise KeyError(place)
        target[key] = value
    except (KeyError, IndexError, ValueError, TypeError):
        raise RequestRefused(400, f"{place[:80]!r} is no variable that is null in the operation") from None
