"""The file of persisted operations, as the tools of frontends write it.

| tool | form | names |
|---|---|---|
| relay-compiler, `persistConfig: { file }` | an object: name -> document | MD5, or by `algorithm` SHA-256 or SHA-1, in hex |
| GraphQL Code Generator's client preset, `persistedDocuments` | the same | by `hashAlgorithm`; `sha256:` may precede |
| @apollo/generate-persisted-query-manifest | `{"format": "apollo-persisted-query-manifest", "operations": [...]}`, each with `id` and `body` | SHA-256 in hex, or any text (`createOperationId`) |
"""  # noqa: E501 - a table

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Final

from cluster.errors import SettingError
from cluster.settings import variable_of

APOLLO_FORMAT: Final = "apollo-persisted-query-manifest"
_ALGORITHMS: Final = {32: "md5", 40: "sha1", 64: "sha256"}
"""Hash functions by the length of their hex digests. They only name what the operator's own file contains."""
_HASH: Final = re.compile(r"(?:(md5|sha1|sha256):)?([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})")


def read_manifest(path: str) -> dict[str, str]:
    """The documents of a file by their names, hashes without `sha256:`.

    Raises:
        SettingError: it cannot be read, has none of these forms, or has a hash that is not its document's.
    """
    variable = variable_of("persisted_operations")
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise SettingError(variable, path, f"a JSON file ({error})") from None
    is_apollo = isinstance(found, dict) and found.get("format") == APOLLO_FORMAT
    documents = _apollo_documents(found) if is_apollo else found
    if not isinstance(documents, dict) or not all(isinstance(document, str) for document in documents.values()):
        raise SettingError(
            variable,
            path,
            "a JSON object of hash -> document, or a manifest of @apollo/generate-persisted-query-manifest",
        )
    for name, document in documents.items():
        match = _HASH.fullmatch(name)
        # Apollo's names may be any texts. In a plain object, one that is no hash is likely to be a mistake.
        if match is None and is_apollo:
            continue
        if match is None or not _is_hash_of(match, document):
            raise SettingError(
                variable,
                path,
                "each document under its SHA-256, SHA-1 or MD5 in hex; "
                f"{name[:72]!r} is none of the document that follows it",
            )
    return {without_algorithm(name): document for name, document in documents.items()}


def without_algorithm(name: str) -> str:
    """The name of a document as files and requests spell it, without the algorithm before a hash."""
    match = _HASH.fullmatch(name)
    return name if match is None else match[2]


def _apollo_documents(manifest: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return {operation["id"]: operation["body"] for operation in manifest["operations"]}
    except (KeyError, TypeError):
        return None


def _is_hash_of(match: re.Match[str], document: str) -> bool:
    algorithm = _ALGORITHMS[len(match[2])]
    expected = hashlib.new(algorithm, document.encode(), usedforsecurity=False).hexdigest()
    return match[1] in (None, algorithm) and match[2] == expected
