"""Persisted operations: documents that clients name by hash. An operator may allow no others.

A request names one with `documentId: "sha256:<hex>"` (GraphQL over HTTP, appendix on persisted documents), or, as
Apollo and Relay clients do, with `extensions.persistedQuery.sha256Hash`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cluster.errors import OperationNotAllowed, SettingError
from cluster.settings import Settings, variable_of

NOT_FOUND: Final = "# a persisted operation that is not known here"
"""Stands for the document of an unknown hash until `check`, which sees every document, refuses it."""


class PersistedOperations:
    """The operations of PERSISTED_OPERATIONS.

    Raises:
        SettingError: the file cannot be read, is not a JSON object of strings, or a hash does not match its document.
    """

    def __init__(self, settings: Settings) -> None:
        self._only = settings.persisted_operations_only
        self._documents: dict[str, str] = {}
        if settings.persisted_operations:
            self._documents = _read(settings.persisted_operations)
        self._allowed = frozenset(self._documents.values())

    def contains(self, document: str) -> bool:
        """Whether the document is one of the operator's."""
        return document in self._allowed

    def check(self, document: str) -> None:
        """Raises:
        OperationNotAllowed: the document's hash is unknown, or only persisted operations are allowed.
        """
        if document == NOT_FOUND:
            # Apollo's clients send the document itself after this message.
            raise OperationNotAllowed("PersistedQueryNotFound")
        if self._only and document not in self._allowed:
            raise OperationNotAllowed("only persisted operations are allowed, and this document is not one")

    def resolve(self, operation: Mapping[str, Any]) -> Mapping[str, Any]:
        """Puts the document into `query` if the request names it by hash."""
        if operation.get("query"):
            return operation
        named = _named(operation)
        if named is None:
            return operation
        return {**operation, "query": self._documents.get(named.removeprefix("sha256:"), NOT_FOUND)}


def _named(operation: Mapping[str, Any]) -> str | None:
    if isinstance(named := operation.get("documentId"), str):
        return named
    extensions = operation.get("extensions")
    persisted = extensions.get("persistedQuery") if isinstance(extensions, Mapping) else None
    named = persisted.get("sha256Hash") if isinstance(persisted, Mapping) else None
    return named if isinstance(named, str) else None


def _read(path: str) -> dict[str, str]:
    variable = variable_of("persisted_operations")
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise SettingError(variable, path, f"a JSON file ({error})") from None
    if not isinstance(found, dict) or not all(isinstance(document, str) for document in found.values()):
        raise SettingError(variable, path, "a JSON object of SHA-256 -> document")
    documents = {name.removeprefix("sha256:"): document for name, document in found.items()}
    for name, document in documents.items():
        if hashlib.sha256(document.encode()).hexdigest() != name:
            raise SettingError(
                variable, path, f"each document's SHA-256 as its key; {name[:64]!r} does not match its document"
            )
    return documents
