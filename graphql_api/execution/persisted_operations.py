"""Persisted operations: documents that clients name instead of sending them. An operator may allow no others.

A request names one with `documentId` (GraphQL over HTTP, appendix A), or, as clients of Apollo do, with
`extensions.persistedQuery.sha256Hash`. Who sends that beside the document registers it for later requests: automatic
persisted queries (apollographql.com/docs/apollo-server/performance/apq).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cluster.errors import (
    OperationNotAllowed,
    PersistedQueryMismatch,
    PersistedQueryNotFound,
    PersistedQueryNotSupported,
)
from cluster.settings import Settings
from graphql_api.execution.persisted_manifest import read_manifest, without_algorithm
from graphql_api.execution.registered_documents import RegisteredDocuments

UNKNOWN_ID: Final = "# no persisted operation has this id"
UNKNOWN_HASH: Final = "# no document is registered under this hash"
NOT_ALLOWED: Final = "# no persisted operation has this hash, and there are no others"
NOT_SUPPORTED: Final = "# documents cannot be registered"
WRONG_HASH: Final = "# a document under a hash that is not its own"

_REFUSALS: Final[Mapping[str, tuple[type[OperationNotAllowed], str]]] = {
    UNKNOWN_ID: (OperationNotAllowed, "no persisted operation has this documentId"),
    NOT_ALLOWED: (OperationNotAllowed, "only persisted operations are allowed, and none has this hash"),
    # Clients of Apollo go by these two texts, too: they send the document itself, now or always.
    UNKNOWN_HASH: (PersistedQueryNotFound, "PersistedQueryNotFound"),
    NOT_SUPPORTED: (PersistedQueryNotSupported, "PersistedQueryNotSupported"),
    WRONG_HASH: (
        PersistedQueryMismatch,
        "extensions.persistedQuery.sha256Hash is not the SHA-256 of the document in hex",
    ),
}
"""Stand for documents until `check`, which sees every document on every transport, refuses them."""


class PersistedOperations:
    """The operations of PERSISTED_OPERATIONS, and those that clients have registered on this node.

    Raises:
        SettingError: as `read_manifest`.
    """

    def __init__(self, settings: Settings) -> None:
        self._only = settings.persisted_operations_only
        self._documents = read_manifest(settings.persisted_operations) if settings.persisted_operations else {}
        self._allowed = frozenset(self._documents.values())
        self._registers = settings.registered_document_bytes > 0 and not self._only
        self._registered = RegisteredDocuments(settings.registered_document_bytes)

    def contains(self, document: str) -> bool:
        """Whether the document is one of the operator's."""
        return document in self._allowed

    def check(self, document: str) -> None:
        """Raises:
        OperationNotAllowed: there is no document of this name, or only persisted operations are allowed.
        """
        if refused := _REFUSALS.get(document):
            error, message = refused
            raise error(message)
        if self._only and document not in self._allowed:
            raise OperationNotAllowed("only persisted operations are allowed, and this document is not one")

    def resolve(self, operation: Mapping[str, Any]) -> Mapping[str, Any]:
        """Puts the document into `query` if the request only names it; registers a document that comes with its hash.

        A document that is refused is replaced by what `check` refuses.
        """
        sent, sha256 = operation.get("query"), _hash_of(operation)
        if sent:
            if not isinstance(sent, str) or sha256 is None or not self._registers:
                return operation
            return operation if self._registered.register(sha256, sent) else {**operation, "query": WRONG_HASH}
        if isinstance(name := operation.get("documentId"), str):
            found = self._find(name) or UNKNOWN_ID
        elif sha256 is not None:
            found = self._find(sha256) or self._why_unknown()
        else:
            return operation
        return {**operation, "query": found}

    def _find(self, name: str) -> str | None:
        plain = without_algorithm(name)
        return self._documents.get(plain) or self._registered.find(plain)

    def _why_unknown(self) -> str:
        return NOT_ALLOWED if self._only else UNKNOWN_HASH if self._registers else NOT_SUPPORTED


def _hash_of(operation: Mapping[str, Any]) -> str | None:
    extensions = operation.get("extensions")
    persisted = extensions.get("persistedQuery") if isinstance(extensions, Mapping) else None
    named = persisted.get("sha256Hash") if isinstance(persisted, Mapping) else None
    return named if isinstance(named, str) else None
