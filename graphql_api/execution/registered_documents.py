"""Documents that clients have registered under their SHA-256: Apollo's automatic persisted queries.

Each node keeps its own: a client that meets another node, or whose document was dropped, registers it again.
"""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from typing import Final

MAX_DOCUMENTS: Final = 5_000
ENTRY_BYTES: Final = 200
"""Memory of an entry besides its document: the hash, and its place in the dictionary."""
SHARE: Final = 16
"""One document may take this fraction of the memory."""


class RegisteredDocuments:
    """Documents by hash; those not used for longest are dropped.

    Args:
        max_bytes: memory of all; 0 for none.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._documents: OrderedDict[str, str] = OrderedDict()
        self.size_bytes = 0

    def find(self, sha256: str) -> str | None:
        document = self._documents.get(sha256)
        if document is not None:
            self._documents.move_to_end(sha256)
        return document

    def register(self, sha256: str, document: str) -> bool:
        """Keeps a document, unless it is too large. Returns False if the hash is not its own."""
        if sha256 in self._documents:
            return self._documents[sha256] == document
        # A lone surrogate has no UTF-8; encoded as it is, it shares its hash with no other text.
        if hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest() != sha256:
            return False
        weight = _weight(document)
        if weight * SHARE <= self._max_bytes:
            self._documents[sha256] = document
            self.size_bytes += weight
            while self.size_bytes > self._max_bytes or len(self._documents) > MAX_DOCUMENTS:
                _, dropped = self._documents.popitem(last=False)
                self.size_bytes -= _weight(dropped)
        return True

    def __len__(self) -> int:
        return len(self._documents)


def _weight(document: str) -> int:
    return ENTRY_BYTES + sys.getsizeof(document)
